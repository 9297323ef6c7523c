"""Aging: each page has a register of 8 bits that its accessed bit is shifted into; the lowest number leaves.

A tick of the clock is a search for a victim: at each, the register of every page that may leave moves right
by one, the accessed bit becomes its highest bit and is cleared.  A page comes in with the register 0 and
its bit set.  Of equal numbers the page that came first leaves.  (Tanenbaum, Modern Operating Systems,
3.4.7.)
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.kernel.evictable import may_leave
from vmdbg.kernel.policies.clock import age
from vmdbg.kernel.policies.facts import ACCESSED_BITS, Facts
from vmdbg.kernel.policies.nodes import node_unload
from vmdbg.kernel.policies.queue import queue_append, queue_remove
from vmdbg.state.tables import FRAME, FRAME_NEXT, KERNEL_OLDEST, NODE, NODE_COUNT

FACTS = Facts(
    "the one whose accessed bits of the last eight searches, the newest first, are the lowest number",
    ACCESSED_BITS,
    queue=True,
    counters=True,
)
TOP = 0x80


@writes(fills=True)
def policy_load(m, frame):
    queue_append(m, frame)
    m.node[frame * NODE + NODE_COUNT] = 0


@writes(fills=True)
def policy_unload(m, frame):
    queue_remove(m, frame)
    node_unload(m, frame)


@reads(fills=True)
def policy_use(m, frame):
    pass


@writes(fills=True)
def victim(m, pid):
    found = -1
    lowest = 0
    frame = m.kernel[KERNEL_OLDEST]
    while frame >= 0:
        if may_leave(m, frame, pid):
            number = m.node[frame * NODE + NODE_COUNT] >> 1
            if age(m, frame):
                number |= TOP
            m.node[frame * NODE + NODE_COUNT] = number
            if found < 0 or number < lowest:
                found = frame
                lowest = number
        frame = m.frame[frame * FRAME + FRAME_NEXT]
    return found
