"""Random: any resident page leaves, by a linear congruential generator (`hardware.lcg`)."""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.hardware.lcg import lcg_next
from vmdbg.kernel.evictable import may_leave
from vmdbg.kernel.policies.facts import NOTHING, Facts
from vmdbg.state.tables import KERNEL_RANDOM, KERNEL_USER_END, KERNEL_USER_FIRST

FACTS = Facts("any", NOTHING)


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
    state = lcg_next(m.kernel[KERNEL_RANDOM])
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
