"""Pages of the size above base pages that leave memory, whole (Linux splits them first: mm/huge_memory.c).

In the swap area such a page is its base pages: a table of entries that name their slots is in the place of
its entry, as it would be for base pages.
"""

from __future__ import annotations

from vmdbg.engine import writes
from vmdbg.formats.contract import ENTRY_BYTES, LEVELS, PAGE_BITS, make_swapped
from vmdbg.hardware.memory import load_entry, store_entry
from vmdbg.kernel.address_space import entry_address
from vmdbg.kernel.evictable import frame_dirty, never_written
from vmdbg.kernel.frames import frame_address, frames_of, free_row, pool_give, pool_of, rmap_remove
from vmdbg.kernel.policies import policy_unload
from vmdbg.kernel.shootdown import shoot_down
from vmdbg.kernel.swap import copy_out, slot_take
from vmdbg.state.events import ENTRY_WRITE, EVICT, FRAME_FREE, SWAP_OUT, ZERO_DROP, emit
from vmdbg.state.tables import (
    FRAME,
    FRAME_RMAP,
    FRAME_SLOT,
    KERNEL_FREE_COUNT,
    KERNEL_RESIDENT,
    PROCESS,
    PROCESS_RSS,
    PROCESS_SWAPPED,
    RMAP,
    RMAP_ENTRY,
    RMAP_PID,
    RMAP_VA,
)


@writes(rare=True)
def evict_large(m, frame):
    """Evict a page of the size above base pages, one for which `may_leave` holds.  Returns 0."""
    count = frames_of(m, frame)
    first = m.frame[frame * FRAME + FRAME_RMAP] * RMAP
    pid = m.rmap[first + RMAP_PID]
    va = m.rmap[first + RMAP_VA]
    address = m.rmap[first + RMAP_ENTRY]
    pfn = frame_address(m, frame) >> PAGE_BITS
    drops = never_written(m, frame)
    emit(m, EVICT, pfn, va, 1 if frame_dirty(m, frame) else 0)
    if drops:
        emit(m, ZERO_DROP, pid, pfn, va)
    old = load_entry(m, address)
    store_entry(m, address, 0)
    emit(m, ENTRY_WRITE, address, old, 0)
    shoot_down(m, pid, va)
    m.process[pid * PROCESS + PROCESS_RSS] -= count
    rmap_remove(m, frame, address)
    policy_unload(m, frame)
    m.kernel[KERNEL_RESIDENT] -= count
    left = count
    if not drops:
        left = to_slots(m, pid, va, frame, count)
    number = left
    while number:
        number -= 1
        free_row(m, pool_of(m, frame), frame + number)
    emit(m, FRAME_FREE, pfn, left, 0)
    return 0


@writes(rare=True)
def to_slots(m, pid, va, frame, count):
    """Write the base pages of a larger one to slots, and a table of entries that name them.

    Returns how many of its frames, from the first, are still to be given back: all but the last one if the
    table took that, as no other was free.  (It breaks the run, which the next such page may need.)
    """
    last = frame + count - 1
    number = 0
    while number < count:
        m.frame[(frame + number) * FRAME + FRAME_SLOT] = slot_take(m, pid, va + (number << PAGE_BITS))
        number += 1
    end = m.frame[last * FRAME + FRAME_SLOT]
    copy_out(m, last, end)
    left = count
    if m.kernel[KERNEL_FREE_COUNT] == 0:
        left = count - 1
        pool_give(m, pool_of(m, frame), last)
    table = entry_address(m, pid, va, LEVELS - 1)
    number = 0
    while number < count:
        slot = end
        if number < count - 1:
            slot = m.frame[(frame + number) * FRAME + FRAME_SLOT]
            copy_out(m, frame + number, slot)
        emit(m, SWAP_OUT, slot, frame_address(m, frame + number) >> PAGE_BITS, va + (number << PAGE_BITS))
        new = make_swapped(slot)
        store_entry(m, table + number * ENTRY_BYTES, new)
        emit(m, ENTRY_WRITE, table + number * ENTRY_BYTES, 0, new)
        number += 1
    m.process[pid * PROCESS + PROCESS_SWAPPED] += count
    return left
