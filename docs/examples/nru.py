"""Not recently used: a page of the lowest class leaves; its accessed bit counts 2, its dirty bit 1.

Then all accessed bits are cleared.  (Tanenbaum, Modern Operating Systems, 3.4.2, which clears them at every
tick of a clock.)
"""

from vmdbg.engine import writes
from vmdbg.kernel.evictable import frame_accessed, frame_dirty, may_leave
from vmdbg.kernel.policies.clock import age
from vmdbg.state.tables import KERNEL_USER_END, KERNEL_USER_FIRST


@writes
def victim(m, pid):
    found = -1
    lowest = 4
    frame = m.kernel[KERNEL_USER_FIRST]
    while frame < m.kernel[KERNEL_USER_END]:
        if may_leave(m, frame, pid):
            number = 2 * frame_accessed(m, frame) + frame_dirty(m, frame)
            if number < lowest:
                found = frame
                lowest = number
            age(m, frame)
        frame += 1
    return found
