"""Random: any resident page, by a linear congruential generator of 31 bits (ISO C's example)."""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.kernel.evictable import may_leave
from vmdbg.state.tables import KERNEL_RANDOM, KERNEL_USER_END, KERNEL_USER_FIRST

MULTIPLIER, INCREMENT, MASK = 1103515245, 12345, 0x7FFFFFFF


@reads(fills=True)
def policy_load(m, frame):
    pass


@reads(fills=True)
def policy_unload(m, frame):
    pass


@reads(fills=True)
def policy_use(m, frame):
    pass


@writes(fills=True)
def victim(m, pid):
    state = (m.kernel[KERNEL_RANDOM] * MULTIPLIER + INCREMENT) & MASK
    m.kernel[KERNEL_RANDOM] = state
    first = m.kernel[KERNEL_USER_FIRST]
    count = m.kernel[KERNEL_USER_END] - first
    tries = 0
    while tries < count:
        frame = first + ((state >> 8) + tries) % count
        if may_leave(m, frame, pid):
            return frame
        tries += 1
    return -1
