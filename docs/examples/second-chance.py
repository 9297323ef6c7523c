"""Second chance: the page that came first leaves, unless it was accessed; then it is taken to have just come.

(Tanenbaum, Modern Operating Systems, 3.4.4.)  It is CLOCK with a queue in place of the hand: the same faults.
"""

from vmdbg.engine import writes
from vmdbg.kernel.evictable import may_leave
from vmdbg.kernel.policies.clock import age
from vmdbg.kernel.policies.queue import queue_append, queue_remove
from vmdbg.state.tables import FRAME, FRAME_NEXT, KERNEL_OLDEST, KERNEL_USER_END, KERNEL_USER_FIRST


@writes
def policy_load(m, frame):
    queue_append(m, frame)


@writes
def policy_unload(m, frame):
    queue_remove(m, frame)


@writes
def victim(m, pid):
    chances = 2 * (m.kernel[KERNEL_USER_END] - m.kernel[KERNEL_USER_FIRST])
    frame = m.kernel[KERNEL_OLDEST]
    while frame >= 0 and chances > 0:
        chances -= 1
        following = m.frame[frame * FRAME + FRAME_NEXT]
        if may_leave(m, frame, pid):
            if not age(m, frame):
                return frame
            queue_remove(m, frame)
            queue_append(m, frame)
        if following < 0:
            following = m.kernel[KERNEL_OLDEST]
        frame = following
    return -1
