"""The queue of resident pages that policies keep: oldest first, linked through the frames."""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.kernel.evictable import may_leave, prefetch_entry
from vmdbg.kernel.frames import mark_frame
from vmdbg.state.tables import FRAME, FRAME_NEXT, FRAME_PREVIOUS, KERNEL_NEWEST, KERNEL_OLDEST


@writes
def queue_append(m, frame):
    """Put a frame at the newest end."""
    newest = m.kernel[KERNEL_NEWEST]
    mark_frame(m, frame)
    m.frame[frame * FRAME + FRAME_PREVIOUS] = newest
    m.frame[frame * FRAME + FRAME_NEXT] = -1
    if newest < 0:
        m.kernel[KERNEL_OLDEST] = frame
    else:
        mark_frame(m, newest)
        m.frame[newest * FRAME + FRAME_NEXT] = frame
    m.kernel[KERNEL_NEWEST] = frame


@writes
def queue_remove(m, frame):
    """Take a frame out."""
    previous = m.frame[frame * FRAME + FRAME_PREVIOUS]
    following = m.frame[frame * FRAME + FRAME_NEXT]
    if previous < 0:
        m.kernel[KERNEL_OLDEST] = following
    else:
        mark_frame(m, previous)
        m.frame[previous * FRAME + FRAME_NEXT] = following
    if following < 0:
        m.kernel[KERNEL_NEWEST] = previous
    else:
        mark_frame(m, following)
        m.frame[following * FRAME + FRAME_PREVIOUS] = previous
    mark_frame(m, frame)
    m.frame[frame * FRAME + FRAME_PREVIOUS] = -1
    m.frame[frame * FRAME + FRAME_NEXT] = -1


@reads
def queued(m, frame):
    """Is the frame in the queue?"""
    return m.frame[frame * FRAME + FRAME_PREVIOUS] >= 0 or m.kernel[KERNEL_OLDEST] == frame


@reads
def oldest_that_leaves(m, pid):
    """The oldest frame whose page may leave, of process `pid` (0: of all); -1 if there is none."""
    frame = m.kernel[KERNEL_OLDEST]
    while frame >= 0 and not may_leave(m, frame, pid):
        frame = m.frame[frame * FRAME + FRAME_NEXT]
    if frame >= 0:
        prefetch_entry(m, m.frame[frame * FRAME + FRAME_NEXT])
    return frame
