"""Making room: choosing a page to leave memory, and making it leave (Linux: mm/vmscan.c)."""

from __future__ import annotations

from vmdbg.formats.contract import ENTRY_BYTES, PAGE_BITS, is_dirty, make_swapped
from vmdbg.hardware.memory import load, store
from vmdbg.hot import reads, writes
from vmdbg.kernel.frames import frame_address, pool_give, rmap_remove, user_frames_free
from vmdbg.kernel.policies import policy_unload, victim
from vmdbg.kernel.reasons import REASON_MEMORY
from vmdbg.kernel.shootdown import shoot_down
from vmdbg.kernel.swap import copy_out, slot_release, slot_take
from vmdbg.state.events import ENTRY_WRITE, EVICT, RECLAIM, SWAP_DROP, SWAP_OUT, emit
from vmdbg.state.tables import (
    FRAME,
    FRAME_RMAP,
    FRAME_SLOT,
    KERNEL_RESIDENT,
    KERNEL_USER_POOL,
    PROCESS,
    PROCESS_RSS,
    PROCESS_SWAPPED,
    RMAP,
    RMAP_ENTRY,
    RMAP_NEXT,
    RMAP_PID,
    RMAP_VA,
    SLOT,
    SLOT_REFS,
)


@reads
def frame_dirty(m, frame):
    """Is D set in any entry that maps the frame?"""
    row = m.frame[frame * FRAME + FRAME_RMAP]
    while row:
        if is_dirty(load(m, m.rmap[row * RMAP + RMAP_ENTRY], ENTRY_BYTES)):
            return True
        row = m.rmap[row * RMAP + RMAP_NEXT]
    return False


@writes
def reclaim(m):
    """Free one frame for a user page.  0, or REASON_MEMORY if no page can leave."""
    emit(m, RECLAIM, user_frames_free(m), 1, 0)
    frame = victim(m)
    if frame < 0:
        return REASON_MEMORY
    return evict(m, frame)


@writes
def evict(m, frame):
    """Swap the page in a frame out and free the frame.  0, or REASON_MEMORY if swap is full.

    A clean page with a valid slot is dropped without a write.  The entries that mapped it keep the
    slot; no TLB translates it any more.
    """
    f = frame * FRAME
    first = m.frame[f + FRAME_RMAP] * RMAP
    pid = m.rmap[first + RMAP_PID]
    va = m.rmap[first + RMAP_VA]
    pfn = frame_address(m, frame) >> PAGE_BITS
    slot = m.frame[f + FRAME_SLOT]
    dirty = frame_dirty(m, frame)
    write = dirty or slot == 0
    if slot == 0:
        slot = slot_take(m, pid, va)
        if slot == 0:
            return REASON_MEMORY
    emit(m, EVICT, pfn, va, 1 if dirty else 0)
    if write:
        copy_out(m, frame, slot)
        emit(m, SWAP_OUT, slot, pfn, va)
    else:
        emit(m, SWAP_DROP, slot, pfn, va)
    unmap_to_slot(m, frame, slot)
    slot_release(m, slot)
    policy_unload(m, frame)
    m.kernel[KERNEL_RESIDENT] -= 1
    pool_give(m, m.kernel[KERNEL_USER_POOL], frame)
    return 0


@writes
def unmap_to_slot(m, frame, slot):
    """Make every entry that maps a frame keep a slot instead, and drop it from every TLB."""
    new = make_swapped(slot)
    row = m.frame[frame * FRAME + FRAME_RMAP]
    while row:
        at = row * RMAP
        address = m.rmap[at + RMAP_ENTRY]
        pid = m.rmap[at + RMAP_PID]
        va = m.rmap[at + RMAP_VA]
        old = load(m, address, ENTRY_BYTES)
        store(m, address, ENTRY_BYTES, new)
        emit(m, ENTRY_WRITE, address, old, new)
        shoot_down(m, pid, va)
        m.process[pid * PROCESS + PROCESS_RSS] -= 1
        m.process[pid * PROCESS + PROCESS_SWAPPED] += 1
        m.slot[slot * SLOT + SLOT_REFS] += 1
        rmap_remove(m, frame, address)
        row = m.frame[frame * FRAME + FRAME_RMAP]
