"""Making room: choosing a page to leave memory, and making it leave (Linux: mm/vmscan.c)."""

from __future__ import annotations

from vmdbg.formats.contract import ENTRY_BYTES, PAGE_BITS, make_swapped
from vmdbg.hardware.memory import copy_words, load, store
from vmdbg.hot import writes
from vmdbg.kernel.frames import frame_address, pool_give, rmap_remove, user_frames_free
from vmdbg.kernel.leaving import frame_dirty, takes_slot
from vmdbg.kernel.policies import policy_unload, victim
from vmdbg.kernel.reasons import REASON_MEMORY
from vmdbg.kernel.shootdown import shoot_down
from vmdbg.kernel.swap import PAYLOAD, copy_out, slot_release, slot_take
from vmdbg.state.events import (
    BACKGROUND,
    ENTRY_WRITE,
    EVICT,
    FILE_DROP,
    FILE_WRITE,
    RECLAIM,
    SWAP_DROP,
    SWAP_OUT,
    emit,
)
from vmdbg.state.tables import (
    FRAME,
    FRAME_RMAP,
    FRAME_SLOT,
    KERNEL_HIGH,
    KERNEL_RESIDENT,
    KERNEL_SLOT_COUNT,
    KERNEL_USER_POOL,
    KERNEL_WAKE,
    PROCESS,
    PROCESS_RSS,
    PROCESS_SWAPPED,
    RMAP,
    RMAP_ENTRY,
    RMAP_PID,
    RMAP_VA,
    SLOT,
    SLOT_REFS,
)


@writes
def reclaim(m):
    """Free one frame for a user page.  0, or REASON_MEMORY if no page can leave."""
    emit(m, RECLAIM, user_frames_free(m), 1, 0)
    return make_room(m, 0)


@writes(cold=True)
def make_room(m, pid):
    """Evict the policy's victim among the pages that process `pid` maps (0: all).

    0, or REASON_MEMORY if no page can leave.
    """
    frame = victim(m, pid)
    if frame < 0:
        return REASON_MEMORY
    return evict(m, frame)


@writes
def evict(m, frame):
    """Make the page in a frame leave memory and free the frame.  0, or REASON_MEMORY if swap is full.

    A clean page with a valid slot, or of a file, is dropped without a write.  The entries that mapped
    it keep the slot (of a file: nothing); no TLB translates it any more.
    """
    f = frame * FRAME
    first = m.frame[f + FRAME_RMAP] * RMAP
    pid = m.rmap[first + RMAP_PID]
    va = m.rmap[first + RMAP_VA]
    pfn = frame_address(m, frame) >> PAGE_BITS
    slot = m.frame[f + FRAME_SLOT]
    dirty = frame_dirty(m, frame)
    takes = takes_slot(m, frame)
    if takes and m.kernel[KERNEL_SLOT_COUNT] == 0:
        return REASON_MEMORY
    emit(m, EVICT, pfn, va, 1 if dirty else 0)
    if slot < 0 and not takes:
        drop_to_file(m, frame, -1 - slot, dirty)
    else:
        if takes:
            if slot > 0:
                slot_release(m, slot)  # others still need what it holds
            slot = slot_take(m, pid, va)
        if takes or dirty:
            copy_out(m, frame, slot)
            emit(m, SWAP_OUT, slot, pfn, va)
        else:
            emit(m, SWAP_DROP, slot, pfn, va)
        unmap_to(m, frame, slot)
        slot_release(m, slot)
    policy_unload(m, frame)
    m.kernel[KERNEL_RESIDENT] -= 1
    pool_give(m, m.kernel[KERNEL_USER_POOL], frame)
    return 0


@writes(cold=True)
def drop_to_file(m, frame, page, dirty):
    """Give up a page that a file has; what was written to a shared one is kept with the file's copy."""
    first = m.frame[frame * FRAME + FRAME_RMAP] * RMAP
    pfn = frame_address(m, frame) >> PAGE_BITS
    if dirty:
        if PAYLOAD:
            copy_words(
                m.file8, page << (PAGE_BITS - 3), m.ram8, frame << (PAGE_BITS - 3), 1 << (PAGE_BITS - 3)
            )
        emit(m, FILE_WRITE, page, pfn, m.rmap[first + RMAP_VA])
    else:
        emit(m, FILE_DROP, page, pfn, m.rmap[first + RMAP_VA])
    unmap_to(m, frame, 0)


@writes
def unmap_to(m, frame, slot):
    """Make every entry that maps a frame keep a slot (0: nothing) instead, and drop it from every TLB."""
    new = 0
    if slot:
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
        if slot:
            m.process[pid * PROCESS + PROCESS_SWAPPED] += 1
            m.slot[slot * SLOT + SLOT_REFS] += 1
        rmap_remove(m, frame, address)
        row = m.frame[frame * FRAME + FRAME_RMAP]


@writes(cold=True)
def background(m):
    """What the kernel does between operations when free frames are low: evict up to the high mark."""
    m.kernel[KERNEL_WAKE] = 0
    emit(m, BACKGROUND, user_frames_free(m), m.kernel[KERNEL_HIGH], 0)
    tries = m.kernel[KERNEL_HIGH]
    while user_frames_free(m) < m.kernel[KERNEL_HIGH] and tries > 0:
        tries -= 1
        if make_room(m, 0):
            tries = 0
