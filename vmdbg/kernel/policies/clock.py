"""Clock: a hand passes over the frames, clears A where it is set and takes the first clear one.

The textbooks' one: clearing A is followed by a shoot-down of the TLB entry, so that the next use sets A
again.  A page comes in with A set, because the access that faulted is repeated.  (Corbato 1968; Tanenbaum,
Modern Operating Systems, 3.4.5.)
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.formats.contract import PAGE_BITS, aged, is_accessed
from vmdbg.hardware.memory import load_entry, store_entry
from vmdbg.kernel.evictable import may_leave, prefetch_entry
from vmdbg.kernel.frames import frame_address
from vmdbg.kernel.policies.facts import ACCESSED_BITS, Facts
from vmdbg.kernel.shootdown import shoot_down
from vmdbg.state.events import AGE, emit
from vmdbg.state.tables import (
    FRAME,
    FRAME_RMAP,
    KERNEL_HAND,
    KERNEL_USER_END,
    KERNEL_USER_FIRST,
    RMAP,
    RMAP_ENTRY,
    RMAP_NEXT,
    RMAP_PID,
    RMAP_VA,
)

FACTS = Facts("the first one behind the hand whose accessed bit is clear", ACCESSED_BITS, hand=True)
AHEAD = 2  # frames before the hand whose entries are brought to the processor
DROPS = 1  # 0: the TLB keeps entries whose A was cleared; bound at build


@reads(fills=True)
def policy_load(m, frame):
    pass


@reads(fills=True)
def policy_unload(m, frame):
    pass


@reads(fills=True)
def policy_use(m, frame):
    pass


@writes(fills=True)
def victim(m, pid):
    first = m.kernel[KERNEL_USER_FIRST]
    end = m.kernel[KERNEL_USER_END]
    frame = m.kernel[KERNEL_HAND]
    if frame < first or frame >= end:
        frame = first
    chances = 2 * (end - first)
    while chances > 0:
        chances -= 1
        this = frame
        frame += 1
        if frame == end:
            frame = first
        if frame + AHEAD < end:
            prefetch_entry(m, frame + AHEAD)
        if may_leave(m, this, pid) and not age(m, this):
            m.kernel[KERNEL_HAND] = frame
            return this
    return -1


@writes
def age(m, frame):
    """Clear A in every entry that maps the frame; True if it was set in one of them."""
    used = False
    row = m.frame[frame * FRAME + FRAME_RMAP]
    while row:
        at = row * RMAP
        address = m.rmap[at + RMAP_ENTRY]
        entry = load_entry(m, address)
        if is_accessed(entry):
            used = True
            store_entry(m, address, aged(entry))
            emit(m, AGE, frame_address(m, frame) >> PAGE_BITS, m.rmap[at + RMAP_VA], 0)
            if DROPS:
                shoot_down(m, m.rmap[at + RMAP_PID], m.rmap[at + RMAP_VA])
        row = m.rmap[at + RMAP_NEXT]
    return used
