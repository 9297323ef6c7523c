"""Most recently used: the page that was accessed last leaves first."""

from vmdbg.engine import reads, writes
from vmdbg.kernel.evictable import may_leave
from vmdbg.kernel.policies.queue import queue_append, queue_remove, queued
from vmdbg.state.tables import FRAME, FRAME_PREVIOUS, KERNEL_NEWEST


@writes
def policy_load(m, frame):
    queue_append(m, frame)


@writes
def policy_unload(m, frame):
    queue_remove(m, frame)


@writes
def policy_use(m, frame):
    if m.kernel[KERNEL_NEWEST] != frame and queued(m, frame):
        queue_remove(m, frame)
        queue_append(m, frame)


@reads
def victim(m, pid):
    frame = m.kernel[KERNEL_NEWEST]
    while frame >= 0 and not may_leave(m, frame, pid):
        frame = m.frame[frame * FRAME + FRAME_PREVIOUS]
    return frame
