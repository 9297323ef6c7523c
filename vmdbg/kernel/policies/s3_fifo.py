"""S3-FIFO: three queues; a page that is used once leaves a small one soon, the others stay in the main one.

A page comes into the small queue, or into the main one if its number is among the ghosts.  Each use but the
one that brings it in counts, up to 3.  If the small queue has its share, a tenth of the pages that
fit (`pages_that_fit`), at least one, a page leaves it: the oldest one, unless it was used more than
once; that is moved to the main queue, its count 0, and the next is looked at.  Else, or if the main queue is
above its share by then, a page leaves that: the oldest one, if its count is 0; others go back to the newest
end, their count less by one.  Only what leaves the small queue becomes a ghost; there are as many as the main
queue's share.  (Yang et al., SOSP 2023, algorithm 1.)
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.kernel.policies.facts import ACCESSES, Facts
from vmdbg.kernel.policies.nodes import (
    FIRST_LIST,
    drop_oldest_ghost,
    ghost_drop,
    ghost_of,
    is_hit,
    leave_ghost,
    list_size,
    node_append,
    node_load,
    node_remove,
    node_unload,
    oldest_of,
    pages_that_fit,
)
from vmdbg.state.tables import (
    NODE,
    NODE_COUNT,
    NODE_PID,
    NODE_VA,
)

FACTS = Facts(
    "the oldest of the small queue that was not used twice, or of the main queue that was not used",
    ACCESSES,
    lists=("small", "main"),
    ghosts=("ghost",),
)
SMALL, MAIN, GHOST = FIRST_LIST, FIRST_LIST + 1, FIRST_LIST + 2
MOST_USES, SHARE = 3, 10


@writes(fills=True)
def policy_load(m, frame):
    node_load(m, frame)
    m.node[frame * NODE + NODE_COUNT] = 0
    ghost = ghost_of(m, m.node[frame * NODE + NODE_PID], m.node[frame * NODE + NODE_VA])
    if ghost < 0:
        node_append(m, frame, SMALL)
    else:
        ghost_drop(m, ghost)
        node_append(m, frame, MAIN)


@writes(fills=True)
def policy_unload(m, frame):
    node_unload(m, frame)


@writes(fills=True)
def policy_use(m, frame):
    if m.node[frame * NODE + NODE_COUNT] < MOST_USES and is_hit(m, frame):
        m.node[frame * NODE + NODE_COUNT] += 1


@writes(fills=True)
def victim(m, pid):
    most = pages_that_fit(m, SMALL, MAIN)
    share = small_share(most)
    frame = -1
    if list_size(m, SMALL) < share:
        frame = of_main(m, pid)
    while frame < 0:
        frame = oldest_of(m, SMALL, pid)
        if frame < 0:
            return of_main(m, pid)
        if m.node[frame * NODE + NODE_COUNT] < 2:
            leave_ghost(m, frame, GHOST)
            if list_size(m, GHOST) > most - share:
                drop_oldest_ghost(m, GHOST)
            return frame
        node_remove(m, frame)
        m.node[frame * NODE + NODE_COUNT] = 0
        node_append(m, frame, MAIN)
        frame = -1
        if list_size(m, MAIN) > most - share:
            frame = of_main(m, pid)
    return frame


@reads
def small_share(pages):
    """How many of all pages the small queue should have."""
    if pages < SHARE:
        return 1
    return pages // SHARE


@writes
def of_main(m, pid):
    """The oldest frame of the main queue that was not used, out of its queue; -1 if none can leave."""
    while True:
        frame = oldest_of(m, MAIN, pid)
        if frame < 0:
            return -1
        count = m.node[frame * NODE + NODE_COUNT]
        node_remove(m, frame)
        if count == 0:
            return frame
        m.node[frame * NODE + NODE_COUNT] = count - 1
        node_append(m, frame, MAIN)
