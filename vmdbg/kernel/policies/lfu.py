"""Least frequently used, in memory: the page with the fewest accesses since it came in leaves.

A count begins with the access that brought the page in, and is forgotten when the page leaves ("in-cache
LFU"; the perfect one keeps counts of pages that are out).  Of equal counts the page that came first
leaves.  (Tanenbaum, Modern Operating Systems, 3.4.7, "not frequently used", which counts ticks instead of
accesses.)
"""

from __future__ import annotations

from vmdbg.engine import writes
from vmdbg.kernel.evictable import may_leave
from vmdbg.kernel.policies.facts import ACCESSES, Facts
from vmdbg.kernel.policies.nodes import node_unload
from vmdbg.kernel.policies.queue import queue_append, queue_remove, queued
from vmdbg.state.tables import FRAME, FRAME_NEXT, KERNEL_OLDEST, NODE, NODE_COUNT

FACTS = Facts("the one with the fewest accesses since it came in", ACCESSES, queue=True, counters=True)


@writes(fills=True)
def policy_load(m, frame):
    queue_append(m, frame)
    m.node[frame * NODE + NODE_COUNT] = 0


@writes(fills=True)
def policy_unload(m, frame):
    queue_remove(m, frame)
    node_unload(m, frame)


@writes(fills=True)
def policy_use(m, frame):
    if queued(m, frame):
        m.node[frame * NODE + NODE_COUNT] += 1


@writes(fills=True)
def victim(m, pid):
    found = -1
    fewest = 0
    frame = m.kernel[KERNEL_OLDEST]
    while frame >= 0:
        count = m.node[frame * NODE + NODE_COUNT]
        if (found < 0 or count < fewest) and may_leave(m, frame, pid):
            found = frame
            fewest = count
        frame = m.frame[frame * FRAME + FRAME_NEXT]
    return found
