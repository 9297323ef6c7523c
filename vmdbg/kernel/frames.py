"""The frame allocator and the reverse map (Linux: mm/page_alloc.c, mm/rmap.c).

Free frames are a stack, lowest first at boot, so that the frame freed last is given next.  With
`kernel.user_frames` user pages have a pool of their own.  A frame number counts pages from the start
of the memory buffer, whatever the bank.
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.formats.contract import BITS, ENTRY_BYTES, PAGE_BITS
from vmdbg.hardware.memory import ram_offset, zero_frame
from vmdbg.hardware.tlb import size_shift
from vmdbg.state.events import FRAME_FREE, TABLE_ALLOC, emit
from vmdbg.state.tables import (
    BANK,
    BANK_BASE,
    BANK_OFFSET,
    BANK_SIZE,
    CONTROL_LIMIT,
    FRAME,
    FRAME_DEPTH,
    FRAME_MAPS,
    FRAME_NEXT,
    FRAME_PID,
    FRAME_PREVIOUS,
    FRAME_RMAP,
    FRAME_SLOT,
    FRAME_STATE,
    KERNEL_FREE,
    KERNEL_FREE_COUNT,
    KERNEL_LOW,
    KERNEL_RMAP_COUNT,
    KERNEL_RMAP_FREE,
    KERNEL_USER_END,
    KERNEL_USER_FIRST,
    KERNEL_USER_POOL,
    KERNEL_WAKE,
    PROCESS,
    PROCESS_TABLES,
    RMAP,
    RMAP_ENTRY,
    RMAP_NEXT,
    RMAP_PID,
    RMAP_VA,
)

# What a frame holds.
FRAME_IS_FREE, FRAME_IS_RESERVED, FRAME_IS_TABLE, FRAME_IS_USER, FRAME_IS_TAIL = 0, 1, 2, 3, 4
FRAME_PIECE, RMAP_PIECE = 10, 11  # shifts of rows: pieces of 64 KiB of frame and rmap
RMAP_SPARE = 8  # free rows of the reverse map that one operation may need
FRAME_STATES = ("free", "reserved", "table", "user", "tail")
POOL_COUNT = KERNEL_FREE_COUNT - KERNEL_FREE  # from the column of a pool to that of its number of free frames
LARGE_LEAVES = 0  # 1: pages of the size above base pages may leave memory; bound at build


@reads
def frame_address(m, frame):
    """Physical address of a frame."""
    at = frame << PAGE_BITS
    if at < m.bank[BANK_SIZE]:
        return m.bank[BANK_BASE] + at  # the first bank is the first in the buffer
    return far_address(m, at)


@reads(cold=True)
def far_address(m, at):
    """The physical address of what lies at an offset of the memory buffer, in any bank."""
    row = 0
    while row + BANK < len(m.bank) and at >= m.bank[row + BANK_OFFSET] + m.bank[row + BANK_SIZE]:
        row += BANK
    return m.bank[row + BANK_BASE] + at - m.bank[row + BANK_OFFSET]


@reads(cold=True)
def pfn_of(m, frame):
    """The page frame number of a frame: its physical address divided by the page size."""
    return frame_address(m, frame) >> PAGE_BITS


@reads
def frame_at(m, pa):
    """The frame that holds physical address `pa`; -1 outside every bank."""
    return ram_offset(m, pa, 1) >> PAGE_BITS


@reads
def frames_of(m, frame):
    """How many frames the page has whose first frame this is."""
    size = m.frame[frame * FRAME + FRAME_DEPTH]
    if size == 0:
        return 1
    return 1 << ((size_shift(size) - PAGE_BITS) & 63)


@reads
def first_frame(m, frame):
    """The first frame of the page of the size above base pages that a frame belongs to; else the frame."""
    if LARGE_LEAVES and m.frame[frame * FRAME + FRAME_STATE] == FRAME_IS_TAIL:
        first = frame & -(1 << ((size_shift(1) - PAGE_BITS) & 63))
        if (
            m.frame[first * FRAME + FRAME_STATE] == FRAME_IS_USER
            and m.frame[first * FRAME + FRAME_DEPTH] == 1
        ):
            return first
    return frame


@reads
def user_frames_free(m):
    """How many frames are free for user pages."""
    return m.kernel[m.kernel[KERNEL_USER_POOL] + POOL_COUNT]


@writes
def mark_frame(m, frame):
    """Mark the row of a frame as changed: snapshots look only at rows that are marked."""
    m.framedirty[frame >> FRAME_PIECE] = 1


@writes
def wake_if_low(m, pool):
    """After frames were taken: begin background reclaim if few are left for user pages."""
    if pool == m.kernel[KERNEL_USER_POOL] and m.kernel[pool + POOL_COUNT] < m.kernel[KERNEL_LOW]:
        m.kernel[KERNEL_WAKE] = 1
        m.control[CONTROL_LIMIT] = 0


@writes
def pool_take(m, pool):
    """A free frame of the pool at column `pool` of `kernel`; -1 if there is none."""
    frame = m.kernel[pool]
    if frame >= 0:
        mark_frame(m, frame)
        m.kernel[pool] = m.frame[frame * FRAME + FRAME_NEXT]
        m.kernel[pool + POOL_COUNT] -= 1
        m.frame[frame * FRAME + FRAME_NEXT] = -1
    return frame


@writes
def free_row(m, pool, frame):
    """Clear the row of a frame, and put it first into a pool."""
    mark_frame(m, frame)
    row = frame * FRAME
    m.frame[row + FRAME_STATE] = FRAME_IS_FREE
    m.frame[row + FRAME_PREVIOUS] = -1
    m.frame[row + FRAME_RMAP] = 0
    m.frame[row + FRAME_MAPS] = 0
    m.frame[row + FRAME_SLOT] = 0
    m.frame[row + FRAME_PID] = 0
    m.frame[row + FRAME_DEPTH] = 0
    m.frame[row + FRAME_NEXT] = m.kernel[pool]
    m.kernel[pool] = frame
    m.kernel[pool + POOL_COUNT] += 1
    if m.kernel[KERNEL_WAKE] and user_frames_free(m) >= m.kernel[KERNEL_LOW]:
        m.kernel[KERNEL_WAKE] = 0  # enough frames are free again without background reclaim


@writes
def pool_give(m, pool, frame):
    """Give a frame back to a pool; its row is cleared."""
    free_row(m, pool, frame)
    emit(m, FRAME_FREE, frame_address(m, frame) >> PAGE_BITS, 1, 0)


@writes
def rmap_add(m, frame, entry, pid, va):
    """Note that the entry at physical address `entry` maps a frame at `va` in process `pid`."""
    new = m.kernel[KERNEL_RMAP_FREE]
    row = new * RMAP
    m.kernel[KERNEL_RMAP_FREE] = m.rmap[row + RMAP_NEXT]
    m.kernel[KERNEL_RMAP_COUNT] -= 1
    if m.kernel[KERNEL_RMAP_COUNT] < RMAP_SPARE:
        m.control[CONTROL_LIMIT] = 0  # the run loop makes the pool larger before the next operation
    mark_frame(m, frame)
    m.rmapdirty[new >> RMAP_PIECE] = 1
    m.rmap[row + RMAP_ENTRY] = entry
    m.rmap[row + RMAP_PID] = pid
    m.rmap[row + RMAP_VA] = va
    m.rmap[row + RMAP_NEXT] = m.frame[frame * FRAME + FRAME_RMAP]
    m.frame[frame * FRAME + FRAME_RMAP] = new
    m.frame[frame * FRAME + FRAME_MAPS] += 1


@writes
def rmap_remove(m, frame, entry):
    """Forget that the entry at `entry` maps a frame."""
    previous = 0
    current = m.frame[frame * FRAME + FRAME_RMAP]
    while current and m.rmap[current * RMAP + RMAP_ENTRY] != entry:
        previous = current
        current = m.rmap[current * RMAP + RMAP_NEXT]
    if current:
        row = current * RMAP
        following = m.rmap[row + RMAP_NEXT]
        mark_frame(m, frame)
        m.rmapdirty[current >> RMAP_PIECE] = 1
        if previous:
            m.rmapdirty[previous >> RMAP_PIECE] = 1
            m.rmap[previous * RMAP + RMAP_NEXT] = following
        else:
            m.frame[frame * FRAME + FRAME_RMAP] = following
        m.rmap[row + RMAP_ENTRY] = 0
        m.rmap[row + RMAP_PID] = 0
        m.rmap[row + RMAP_VA] = 0
        m.rmap[row + RMAP_NEXT] = m.kernel[KERNEL_RMAP_FREE]
        m.kernel[KERNEL_RMAP_FREE] = current
        m.kernel[KERNEL_RMAP_COUNT] += 1
        m.frame[frame * FRAME + FRAME_MAPS] -= 1


@reads
def table_frames(depth):
    """Frames of one table at a depth."""
    size = ENTRY_BYTES << ((BITS >> (depth << 3)) & 255)
    return ((size - 1) >> PAGE_BITS) + 1


@reads(cold=True)
def run_of_free(m, pool, count):
    """First of the lowest `count` free frames in a row of a pool, aligned to `count`.

    `count` is a power of two; -1 if there is no such run.
    """
    first = 0
    frames = len(m.frame) // FRAME
    while first + count <= frames:
        run = 0
        while run < count and is_free(m, pool, first + run):
            run += 1
        if run == count:
            return first
        first += count
    return -1


@reads
def is_free(m, pool, frame):
    """Is the frame free, and in a pool?"""
    return m.frame[frame * FRAME + FRAME_STATE] == FRAME_IS_FREE and pool_of(m, frame) == pool


@reads
def pool_of(m, frame):
    """The pool that a frame belongs to: that of user pages, if they have one, or the kernel's."""
    if m.kernel[KERNEL_USER_FIRST] <= frame and frame < m.kernel[KERNEL_USER_END]:
        return m.kernel[KERNEL_USER_POOL]
    return KERNEL_FREE


@reads
def large_pool(m, count):
    """The pool of pages of `count` frames: that of user pages, if it has an aligned run of so many at all."""
    first = (m.kernel[KERNEL_USER_FIRST] + count - 1) // count * count
    if first + count <= m.kernel[KERNEL_USER_END]:
        return m.kernel[KERNEL_USER_POOL]
    return KERNEL_FREE


@writes(cold=True)
def take_run(m, pool, frame, count):
    """Take the free frames `frame .. frame + count - 1` out of a pool."""
    previous = -1
    current = m.kernel[pool]
    left = count
    while current >= 0 and left > 0:
        following = m.frame[current * FRAME + FRAME_NEXT]
        if frame <= current and current < frame + count:
            mark_frame(m, current)
            if previous < 0:
                m.kernel[pool] = following
            else:
                mark_frame(m, previous)
                m.frame[previous * FRAME + FRAME_NEXT] = following
            m.frame[current * FRAME + FRAME_NEXT] = -1
            m.kernel[pool + POOL_COUNT] -= 1
            left -= 1
        else:
            previous = current
        current = following


@writes
def table_take(m, pid, depth, entry):
    """A zeroed table for a process at a depth; the entry at physical address `entry` will point to it.

    Returns its physical address, -1 if there are no frames.
    """
    count = table_frames(depth)
    if count == 1:
        frame = pool_take(m, KERNEL_FREE)
    else:
        frame = run_of_free(m, KERNEL_FREE, count)
        if frame >= 0:
            take_run(m, KERNEL_FREE, frame, count)
    if frame < 0:
        return -1
    tail = 0
    while tail < count:
        row = (frame + tail) * FRAME
        mark_frame(m, frame + tail)
        m.frame[row + FRAME_STATE] = FRAME_IS_TABLE if tail == 0 else FRAME_IS_TAIL
        m.frame[row + FRAME_PID] = pid
        m.frame[row + FRAME_DEPTH] = depth
        zero_frame(m, frame + tail)
        tail += 1
    m.process[pid * PROCESS + PROCESS_TABLES] += count
    address = frame_address(m, frame)
    emit(m, TABLE_ALLOC, address >> PAGE_BITS, depth, entry)
    return address


@reads
def is_table(m, frame, pid, depth):
    """Does a frame (-1: none) hold a table of a process at a depth?"""
    row = frame * FRAME
    if frame < 0 or m.frame[row + FRAME_STATE] != FRAME_IS_TABLE:
        return False
    return m.frame[row + FRAME_PID] == pid and m.frame[row + FRAME_DEPTH] == depth


@writes(cold=True)
def table_give(m, pid, pa, depth):
    """Give the frames of one table back; nothing happens if `pa` is no such table of the process."""
    frame = frame_at(m, pa)
    count = table_frames(depth)
    if not is_table(m, frame, pid, depth):
        count = 0
    while count > 0:
        count -= 1
        pool_give(m, KERNEL_FREE, frame + count)
        m.process[pid * PROCESS + PROCESS_TABLES] -= 1
