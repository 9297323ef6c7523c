"""Making room: choosing a page to leave memory, and making it leave (Linux: mm/vmscan.c)."""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.formats.contract import PAGE_BITS, make_swapped
from vmdbg.hardware.memory import load_entry, store_entry
from vmdbg.kernel.evictable import frame_dirty, may_leave, takes_slot
from vmdbg.kernel.exits import REASON_MEMORY
from vmdbg.kernel.frames import LARGE_LEAVES, frame_address, pool_give, rmap_remove, user_frames_free
from vmdbg.kernel.large_pages import evict_large
from vmdbg.kernel.page_cache import write_back
from vmdbg.kernel.policies import policy_unload, victim
from vmdbg.kernel.shootdown import shoot_down
from vmdbg.kernel.swap import copy_out, slot_release, slot_take
from vmdbg.state.events import (
    BACKGROUND,
    ENTRY_WRITE,
    EVICT,
    FILE_DROP,
    RECLAIM,
    SWAP_DROP,
    SWAP_OUT,
    ZERO_DROP,
    emit,
)
from vmdbg.state.tables import (
    CACHE,
    CACHE_CONTENT,
    CACHE_FRAME,
    CACHE_NUMBER,
    CACHE_SLOT,
    FRAME,
    FRAME_DEPTH,
    FRAME_RMAP,
    FRAME_SLOT,
    KERNEL_HIGH,
    KERNEL_RESIDENT,
    KERNEL_SLOT_COUNT,
    KERNEL_USER_END,
    KERNEL_USER_FIRST,
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

OWN_POLICY = 0  # 1: the policy is a user's file, so that its answers are checked; bound at build


@writes
def reclaim(m, wanted):
    """Make a page leave, for a caller that wants `wanted` frames.  0, or REASON_MEMORY if none can."""
    emit(m, RECLAIM, user_frames_free(m), wanted, 0)
    return make_room(m, 0)


@writes(cold=True)
def make_room(m, pid):
    """Evict the policy's victim among the pages that process `pid` maps (0: all).

    0, or REASON_MEMORY if no page can leave.
    """
    frame = victim(m, pid)
    if frame < 0:
        return REASON_MEMORY
    if OWN_POLICY and (frame >= len(m.frame) // FRAME or not may_leave(m, frame, pid)):
        return REASON_MEMORY
    return evict(m, frame)


@reads(cold=True)
def names_no_page(m):
    """Has a policy in a user's file named no page, although no frame is free and one or more may leave?"""
    frame = m.kernel[KERNEL_USER_FIRST]
    end = m.kernel[KERNEL_USER_END]
    if OWN_POLICY == 0 or user_frames_free(m) > 0:
        return False
    while frame < end and not may_leave(m, frame, 0):
        frame += 1
    return frame < end


@writes
def evict(m, frame):
    """Make the page in a frame leave memory and free the frame.  0, or REASON_MEMORY if swap is full.

    A clean page with a valid slot, or of a file, is dropped without a write, and so is one that was never
    written.  The entries that mapped it name the slot from then on (without a slot they are empty), and no
    TLB translates it.
    """
    f = frame * FRAME
    if LARGE_LEAVES and m.frame[f + FRAME_DEPTH]:
        return evict_large(m, frame)
    first = m.frame[f + FRAME_RMAP] * RMAP
    va = -1  # stays so if no entry maps the page
    if first:
        va = m.rmap[first + RMAP_VA]
    pfn = frame_address(m, frame) >> PAGE_BITS
    slot = m.frame[f + FRAME_SLOT]
    dirty = frame_dirty(m, frame)
    needs_slot = takes_slot(m, frame)
    if needs_slot and m.kernel[KERNEL_SLOT_COUNT] == 0:
        return REASON_MEMORY
    emit(m, EVICT, pfn, va, 1 if dirty else 0)
    if slot < 0:  # minus the row of the page in the table `cache`
        evict_cached(m, frame, needs_slot, dirty, va)
    elif slot == 0 and not needs_slot:
        emit(m, ZERO_DROP, m.rmap[first + RMAP_PID], pfn, va)
        unmap_to(m, frame, 0, 0)
    else:
        if needs_slot:
            if slot > 0:
                slot_release(m, slot)  # other entries still refer to the old slot
            slot = slot_take(m, m.rmap[first + RMAP_PID], va)
        if needs_slot or dirty:
            copy_out(m, frame, slot)
            emit(m, SWAP_OUT, slot, pfn, va)
        else:
            emit(m, SWAP_DROP, slot, pfn, va)
        unmap_to(m, frame, slot, 1)
        if first == 0:
            slot_release(m, slot)  # no entry took over the frame's reference
    policy_unload(m, frame)
    m.kernel[KERNEL_RESIDENT] -= 1
    pool_give(m, m.kernel[KERNEL_USER_POOL], frame)
    return 0


@writes(cold=True)
def evict_cached(m, frame, needs_slot, dirty, va):
    """Evict a page of an object: its content stays in the copy of the file, or in a slot of `cache`."""
    row = -m.frame[frame * FRAME + FRAME_SLOT]
    c = row * CACHE
    first = m.frame[frame * FRAME + FRAME_RMAP] * RMAP
    if needs_slot:
        m.cache[c + CACHE_SLOT] = slot_take(m, m.rmap[first + RMAP_PID], m.rmap[first + RMAP_VA])
    if needs_slot or dirty:
        write_back(m, row, frame, va)
    elif m.cache[c + CACHE_CONTENT]:
        emit(m, FILE_DROP, m.cache[c + CACHE_NUMBER], frame_address(m, frame) >> PAGE_BITS, va)
    else:
        emit(m, SWAP_DROP, m.cache[c + CACHE_SLOT], frame_address(m, frame) >> PAGE_BITS, va)
    unmap_to(m, frame, m.cache[c + CACHE_SLOT], 0)
    m.cache[c + CACHE_FRAME] = 0


@writes
def unmap_to(m, frame, slot, held):
    """Make every entry that maps a frame name `slot` instead (0: empty), and drop the page from every TLB.

    Each entry has a reference to the slot then; the first one takes over the frame's, if it `held` one.
    """
    new = 0
    if slot:
        new = make_swapped(slot)
    row = m.frame[frame * FRAME + FRAME_RMAP]
    while row:
        at = row * RMAP
        address = m.rmap[at + RMAP_ENTRY]
        pid = m.rmap[at + RMAP_PID]
        va = m.rmap[at + RMAP_VA]
        old = load_entry(m, address)
        store_entry(m, address, new)
        emit(m, ENTRY_WRITE, address, old, new)
        shoot_down(m, pid, va)
        m.process[pid * PROCESS + PROCESS_RSS] -= 1
        if slot:
            m.process[pid * PROCESS + PROCESS_SWAPPED] += 1
            if held:
                held = 0
            else:
                m.slot[slot * SLOT + SLOT_REFS] += 1
        rmap_remove(m, frame, address)
        row = m.frame[frame * FRAME + FRAME_RMAP]


@writes(cold=True)
def background(m):
    """Background reclaim, between two operations: evict until KERNEL_HIGH frames are free."""
    m.kernel[KERNEL_WAKE] = 0
    emit(m, BACKGROUND, user_frames_free(m), m.kernel[KERNEL_HIGH], 0)
    tries = m.kernel[KERNEL_HIGH]
    while user_frames_free(m) < m.kernel[KERNEL_HIGH] and tries > 0:
        tries -= 1
        if make_room(m, 0):
            tries = 0
