"""Which pages may leave memory, and whether that takes a slot of the swap area."""

from __future__ import annotations

from vmdbg.engine import reads
from vmdbg.formats.contract import ENTRY_BYTES, PAGE_BITS, is_accessed, is_dirty
from vmdbg.hardware.memory import load_entry, prefetch, ram_offset
from vmdbg.kernel.frames import FRAME_IS_USER, LARGE_LEAVES, frames_of, pool_of
from vmdbg.kernel.swap import PAYLOAD
from vmdbg.state.tables import (
    CACHE,
    CACHE_CONTENT,
    CACHE_SLOT,
    FRAME,
    FRAME_DEPTH,
    FRAME_MAPS,
    FRAME_RMAP,
    FRAME_SLOT,
    FRAME_STATE,
    KERNEL_FREE,
    KERNEL_FREE_COUNT,
    KERNEL_SLOT_COUNT,
    KERNEL_USER_POOL,
    RMAP,
    RMAP_ENTRY,
    RMAP_NEXT,
    RMAP_PID,
    SLOT,
    SLOT_REFS,
)

ZERO_DROPS = 0  # 1: a page that was never written leaves memory without a write; bound at build


@reads
def frame_dirty(m, frame):
    """Is D set in any entry that maps the frame?"""
    row = m.frame[frame * FRAME + FRAME_RMAP]
    while row:
        if is_dirty(load_entry(m, m.rmap[row * RMAP + RMAP_ENTRY])):
            return True
        row = m.rmap[row * RMAP + RMAP_NEXT]
    return False


@reads
def frame_accessed(m, frame):
    """Is A set in any entry that maps the frame?"""
    row = m.frame[frame * FRAME + FRAME_RMAP]
    while row:
        if is_accessed(load_entry(m, m.rmap[row * RMAP + RMAP_ENTRY])):
            return True
        row = m.rmap[row * RMAP + RMAP_NEXT]
    return False


@reads
def is_zero(m, frame):
    """Is all of the page in a frame zero?  Without payload: True."""
    if PAYLOAD:
        word = frame << (PAGE_BITS - 3)
        end = word + (frames_of(m, frame) << (PAGE_BITS - 3))
        while word < end:
            if m.ram8[word]:
                return False
            word += 1
    return True


@reads
def never_written(m, frame):
    """Has nobody written to the private page in a frame since it was zeroed?  It can be zeroed again then.

    D says so for processes; what was written behind the kernel's back is not zero.
    """
    return (
        ZERO_DROPS
        and m.frame[frame * FRAME + FRAME_SLOT] == 0
        and not frame_dirty(m, frame)
        and is_zero(m, frame)
    )


@reads
def takes_slot(m, frame):
    """Does the page in a frame need a free slot to leave memory?

    It needs none if a slot or a file has the same content, if it was never written, or if its own slot can be
    written again because no other entry refers to it.
    """
    slot = m.frame[frame * FRAME + FRAME_SLOT]
    if slot < 0:
        row = -slot * CACHE
        return m.cache[row + CACHE_CONTENT] == 0 and m.cache[row + CACHE_SLOT] == 0
    if slot == 0:
        return not never_written(m, frame)
    return frame_dirty(m, frame) and m.slot[slot * SLOT + SLOT_REFS] != 1


@reads
def prefetch_entry(m, frame):
    """Have the entry brought to the processor that maps a frame (-1: none), whose page may be next to leave.

    With memory larger than the processor's caches an eviction waits for that entry more than for all else.
    """
    if frame >= 0:
        row = m.frame[frame * FRAME + FRAME_RMAP]
        prefetch(m.ram8, ram_offset(m, m.rmap[row * RMAP + RMAP_ENTRY], ENTRY_BYTES) >> 3)


@reads
def maps_frame(m, frame, pid):
    """Does a process map the frame?"""
    row = m.frame[frame * FRAME + FRAME_RMAP]
    while row and m.rmap[row * RMAP + RMAP_PID] != pid:
        row = m.rmap[row * RMAP + RMAP_NEXT]
    return row > 0


@reads
def may_leave(m, frame, pid):
    """Can the page in a frame leave memory, and does process `pid` map it (0: anybody)?"""
    row = frame * FRAME
    if m.frame[row + FRAME_STATE] != FRAME_IS_USER:
        return False
    if m.frame[row + FRAME_DEPTH] != 0:
        return LARGE_LEAVES and large_may_leave(m, frame, pid)
    if m.frame[row + FRAME_RMAP] == 0 and m.frame[row + FRAME_SLOT] >= 0:
        return False
    if pid and not maps_frame(m, frame, pid):
        return False
    return m.kernel[KERNEL_SLOT_COUNT] > 0 or not takes_slot(m, frame)


@reads(cold=True)
def large_may_leave(m, frame, pid):
    """`may_leave` for a page larger than a base page: of the next size, mapped once, in the user pages' pool.

    Each base page of it takes a slot, and their entries a table, for which one of its own frames will do if
    no other is free, unless user pages have a pool of their own (`kernel.large_pages`).
    """
    row = frame * FRAME
    if m.frame[row + FRAME_DEPTH] != 1 or m.frame[row + FRAME_MAPS] != 1:
        return False
    if pool_of(m, frame) != m.kernel[KERNEL_USER_POOL]:
        return False
    if pid and not maps_frame(m, frame, pid):
        return False
    if m.kernel[KERNEL_USER_POOL] == KERNEL_FREE or m.kernel[KERNEL_FREE_COUNT] > 0:
        if m.kernel[KERNEL_SLOT_COUNT] >= frames_of(m, frame):
            return True
    return never_written(m, frame)
