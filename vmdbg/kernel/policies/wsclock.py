"""WSClock: a clock that knows working sets; a page leaves if its process did not use it for `kernel.tau`.

The virtual time of a process is the number of accesses that it has made.  The hand looks at each page once.
One whose accessed bit is set was used: the bit is cleared and the process's time noted.  Another one is old
if more than tau has passed since; the first old page that is clean leaves.  Where the original starts a
write of an old dirty page and goes on, a write here is done when the page leaves: after a turn without a
clean one, the first old page leaves.  If none is old, all are of working sets: the first clean page behind
the hand leaves, or else the first one.  (Carr & Hennessy, SOSP 1981; Tanenbaum, Modern Operating Systems,
3.4.9.)
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.kernel.evictable import frame_dirty, may_leave
from vmdbg.kernel.policies.clock import age
from vmdbg.kernel.policies.facts import ACCESSED_BITS, Facts
from vmdbg.kernel.policies.nodes import node_unload
from vmdbg.state.events import FETCH, KINDS_SHIFT, READ, WRITE
from vmdbg.state.tables import (
    FRAME,
    FRAME_PID,
    KERNEL_HAND,
    KERNEL_TAU,
    KERNEL_USER_END,
    KERNEL_USER_FIRST,
    NODE,
    NODE_TIME,
)

FACTS = Facts(
    "the first clean one behind the hand that its process has not used for a while (`kernel.tau`)",
    ACCESSED_BITS,
    hand=True,
    counters=True,
)
CPUS = 1  # bound at build


@reads
def virtual_time(m, pid):
    """Accesses that a process has made."""
    total = 0
    cpu = 0
    while cpu < CPUS:
        row = (pid * CPUS + cpu) << KINDS_SHIFT
        total += m.count[row + READ] + m.count[row + WRITE] + m.count[row + FETCH]
        cpu += 1
    return total


@writes(fills=True)
def policy_load(m, frame):
    m.node[frame * NODE + NODE_TIME] = virtual_time(m, m.frame[frame * FRAME + FRAME_PID])


@writes(fills=True)
def policy_unload(m, frame):
    node_unload(m, frame)


@reads(fills=True)
def policy_use(m, frame):
    pass


@writes(fills=True)
def victim(m, pid):
    first = m.kernel[KERNEL_USER_FIRST]
    end = m.kernel[KERNEL_USER_END]
    frame = m.kernel[KERNEL_HAND]
    if frame < first or frame >= end:
        frame = first
    old = -1
    clean = -1
    any_page = -1
    left = end - first
    while left > 0:
        left -= 1
        this = frame
        frame += 1
        if frame == end:
            frame = first
        if may_leave(m, this, pid):
            dirty = frame_dirty(m, this)
            now = virtual_time(m, m.frame[this * FRAME + FRAME_PID])
            if age(m, this):
                m.node[this * NODE + NODE_TIME] = now
            elif now - m.node[this * NODE + NODE_TIME] > m.kernel[KERNEL_TAU]:
                if not dirty:
                    m.kernel[KERNEL_HAND] = frame
                    return this
                if old < 0:
                    old = this
            if clean < 0 and not dirty:
                clean = this
            if any_page < 0:
                any_page = this
    if old < 0:
        old = clean
    if old < 0:
        old = any_page
    if old >= 0:
        frame = old + 1
        if frame == end:
            frame = first
        m.kernel[KERNEL_HAND] = frame
    return old
