"""OPT, Belady's: the page that is not accessed for longest leaves.  The yardstick: none has fewer faults.

What the program accesses is computed before it runs (`machine.future`), so that the machine takes only
programs whose rows say it: one process, on one CPU, that has no child and handles no signal.  Of pages that
are not accessed any more, the one that came first leaves.  Accesses that the plan does not have, such as
those made at the prompt, change nothing in it.  (Belady, IBM Systems Journal 5(2), 1966.)
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.kernel.evictable import may_leave
from vmdbg.kernel.policies.facts import FUTURE, Facts
from vmdbg.kernel.policies.nodes import node_unload
from vmdbg.kernel.policies.queue import queue_append, queue_remove, queued
from vmdbg.state.tables import (
    FRAME,
    FRAME_NEXT,
    FRAME_RMAP,
    FUTURE_NEXT,
    FUTURE_PAGE,
    KERNEL_FUTURE,
    KERNEL_OLDEST,
    NODE,
    NODE_TIME,
    RMAP,
    RMAP_NEXT,
    RMAP_VA,
)
from vmdbg.state.tables import FUTURE as WIDTH

FACTS = Facts("the one that is not accessed for longest", FUTURE, queue=True, counters=True)
NEVER = 1 << 62
UNKNOWN = -1


@writes(fills=True)
def policy_load(m, frame):
    queue_append(m, frame)
    m.node[frame * NODE + NODE_TIME] = UNKNOWN


@writes(fills=True)
def policy_unload(m, frame):
    queue_remove(m, frame)
    node_unload(m, frame)


@writes(fills=True)
def policy_use(m, frame):
    at = m.kernel[KERNEL_FUTURE] * WIDTH
    if at + WIDTH < len(m.future) and queued(m, frame) and maps_page(m, frame, m.future[at + FUTURE_PAGE]):
        m.node[frame * NODE + NODE_TIME] = m.future[at + FUTURE_NEXT]
        m.kernel[KERNEL_FUTURE] += 1


@writes(fills=True)
def victim(m, pid):
    found = -1
    farthest = 0
    frame = m.kernel[KERNEL_OLDEST]
    while frame >= 0:
        if may_leave(m, frame, pid):
            time = m.node[frame * NODE + NODE_TIME]
            if time == UNKNOWN:
                time = next_access(m, frame)
                m.node[frame * NODE + NODE_TIME] = time
            if found < 0 or time > farthest:
                found = frame
                farthest = time
        frame = m.frame[frame * FRAME + FRAME_NEXT]
    return found


@reads
def maps_page(m, frame, va):
    """Is the frame mapped at a page address?"""
    row = m.frame[frame * FRAME + FRAME_RMAP]
    while row and m.rmap[row * RMAP + RMAP_VA] != va:
        row = m.rmap[row * RMAP + RMAP_NEXT]
    return row > 0


@reads(cold=True)
def next_access(m, frame):
    """Row of the table future in which the page of a frame is accessed next: of one that came unaccessed."""
    row = m.kernel[KERNEL_FUTURE]
    while (row + 1) * WIDTH < len(m.future):
        if maps_page(m, frame, m.future[row * WIDTH + FUTURE_PAGE]):
            return row
        row += 1
    return NEVER
