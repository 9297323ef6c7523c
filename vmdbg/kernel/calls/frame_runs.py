"""Runs of frames for large pages: found, taken and given back as a whole.  Cold code.

`frames.run_of_free` and `take_run` do the same for page tables of several frames, one frame after the other.
A page of 1 GiB has 262,144 frames, so the functions here work on whole columns.
"""

from __future__ import annotations

from array import array

from vmdbg.kernel.frames import FRAME_IS_FREE, FRAME_IS_TAIL, FRAME_PIECE, POOL_COUNT
from vmdbg.state.events import FRAME_FREE
from vmdbg.state.tables import (
    FRAME,
    FRAME_DEPTH,
    FRAME_NEXT,
    FRAME_PID,
    FRAME_PREVIOUS,
    FRAME_SLOT,
    FRAME_STATE,
    KERNEL_FREE,
    KERNEL_USER_END,
    KERNEL_USER_FIRST,
    KERNEL_USER_POOL,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.engine import Linked


def find_run(k: Linked, count: int) -> int:
    """First of the lowest `count` free frames in a row of their pool, aligned to `count`; -1: none."""
    m = k.m
    states = m.frame[FRAME_STATE::FRAME].tolist()
    if m.kernel[KERNEL_USER_POOL] != KERNEL_FREE:
        first, end = m.kernel[KERNEL_USER_FIRST], m.kernel[KERNEL_USER_END]
        if k.large_pool(m, count) == KERNEL_FREE:
            states[first:end] = [-1] * (end - first)
        else:
            states[:first], states[end:] = [-1] * first, [-1] * (len(states) - end)
    for first in range(0, len(states) - count + 1, count):
        if states[first] == FRAME_IS_FREE and states[first : first + count].count(FRAME_IS_FREE) == count:
            return first
    return -1


def make_run(k: Linked, count: int) -> int:
    """`find_run`; where there is none pages leave memory until there is one (`kernel.large_faults`)."""
    frame = find_run(k, count)
    return frame if frame >= 0 else int(k.make_run(k.m, count))


def take_run(k: Linked, frame: int, count: int, pid: int, index: int) -> None:
    """Take free frames out of their pool, for a page of a process of size `index`."""
    m = k.m
    pool = k.pool_of(m, frame)
    links = m.frame[FRAME_NEXT::FRAME].tolist()
    previous, current, left, end = -1, m.kernel[pool], count, frame + count
    while left and current >= 0:
        following = links[current]
        if frame <= current < end:
            left -= 1
            if previous < 0:
                m.kernel[pool] = following
            else:
                links[previous] = following
        else:
            if previous >= 0:
                set_next(k, previous, links[previous])
            previous = current
        current = following
    if previous >= 0:
        set_next(k, previous, links[previous])
    m.kernel[pool + POOL_COUNT] -= count
    k.wake_if_low(m, pool)
    set_column(k, frame, count, FRAME_NEXT, -1)
    set_column(k, frame, count, FRAME_STATE, FRAME_IS_TAIL)
    set_column(k, frame, count, FRAME_PID, pid)
    m.frame[frame * FRAME + FRAME_DEPTH] = index
    m.frame[frame * FRAME + FRAME_SLOT] = 0
    mark_frames(k, frame, count)


def give_run(k: Linked, frame: int, count: int) -> None:
    """Give the frames of a large page back to their pool, lowest first, as one event."""
    m, start, end = k.m, frame * FRAME, (frame + count) * FRAME
    pool = k.pool_of(m, frame)
    m.frame[start:end] = array("q", [0]) * (end - start)
    set_column(k, frame, count, FRAME_STATE, FRAME_IS_FREE)
    set_column(k, frame, count, FRAME_PREVIOUS, -1)
    links = array("q", range(frame + 1, frame + count + 1))
    links[-1] = m.kernel[pool]
    m.frame[start + FRAME_NEXT : end : FRAME] = links
    m.kernel[pool] = frame
    m.kernel[pool + POOL_COUNT] += count
    mark_frames(k, frame, count)
    k.emit(m, FRAME_FREE, k.pfn_of(m, frame), count, 0)


def zero_run(k: Linked, frame: int, count: int, page_size: int) -> None:
    """Clear frames: of those that were never written there is nothing to clear."""
    for start, end in list(k.recorder.written(frame * page_size, (frame + count) * page_size)):
        k.zero_words(k.m.ram8, start >> 3, (end - start) >> 3)
        k.recorder.mark(start, end)


def copy_run(k: Linked, to: int, frame: int, count: int, page_size: int) -> None:
    """Copy what was written to frames into as many others."""
    zero_run(k, to, count, page_size)
    shift = (to - frame) * page_size
    for start, end in list(k.recorder.written(frame * page_size, (frame + count) * page_size)):
        k.copy_words(k.m.ram8, (start + shift) >> 3, k.m.ram8, start >> 3, (end - start) >> 3)
        k.recorder.mark(start + shift, end + shift)


def set_next(k: Linked, frame: int, following: int) -> None:
    """Let the free list go on with another frame behind this one."""
    if k.m.frame[frame * FRAME + FRAME_NEXT] != following:
        k.m.frame[frame * FRAME + FRAME_NEXT] = following
        k.mark_frame(k.m, frame)


def set_column(k: Linked, frame: int, count: int, column: int, value: int) -> None:
    """Give a column of frames one value."""
    start, end = frame * FRAME + column, (frame + count) * FRAME
    k.m.frame[start:end:FRAME] = array("q", [value]) * count


def mark_frames(k: Linked, frame: int, count: int) -> None:
    """The rows of frames have changed."""
    first, end = frame >> FRAME_PIECE, ((frame + count - 1) >> FRAME_PIECE) + 1
    k.m.framedirty[first:end] = bytes([1]) * (end - first)
