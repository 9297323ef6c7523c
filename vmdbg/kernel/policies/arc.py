"""ARC, adaptive replacement cache: pages used once and pages used again, and the page numbers that left each.

T1 has the pages that were used once lately, T2 those used at least twice, each in order of their last use;
B1 and B2 have the numbers of pages that left them.  A fault on a page of B1 says that T1 should be larger,
one of B2 that it should be smaller: its target p moves by the ratio of the sizes of B1 and B2, rounded
down, at least by 1.  c is the number of pages that fit (`pages_that_fit`).  The access that brings a page in
is its first use; the page that comes in is the one of the last fault.  (Megiddo & Modha, FAST 2003, figure
4.)
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.kernel.policies.facts import ACCESSES, Facts
from vmdbg.kernel.policies.nodes import (
    FIRST_LIST,
    drop_oldest_ghost,
    ghost_drop,
    ghost_of,
    ghost_of_fault,
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
    KERNEL_OPERATIONS,
    LIST,
    LIST_NEWEST,
    LIST_TARGET,
    NODE,
    NODE_LIST,
    NODE_PID,
    NODE_TIME,
    NODE_VA,
)

FACTS = Facts(
    "the one used longest ago of those used once, or of the others, whichever list is above its share",
    ACCESSES,
    lists=("T1", "T2"),
    ghosts=("B1", "B2"),
)
T1, T2, B1, B2 = FIRST_LIST, FIRST_LIST + 1, FIRST_LIST + 2, FIRST_LIST + 3


@writes(fills=True)
def policy_load(m, frame):
    node_load(m, frame)
    ghost = ghost_of(m, m.node[frame * NODE + NODE_PID], m.node[frame * NODE + NODE_VA])
    if ghost < 0:
        node_append(m, frame, T1)
    else:
        adapt(m, ghost)
        ghost_drop(m, ghost)
        node_append(m, frame, T2)


@writes(fills=True)
def policy_unload(m, frame):
    node_unload(m, frame)


@writes(fills=True)
def policy_use(m, frame):
    if m.list[T2 * LIST + LIST_NEWEST] != frame and is_hit(m, frame):
        node_remove(m, frame)
        node_append(m, frame, T2)


@writes(fills=True)
def victim(m, pid):
    most = pages_that_fit(m, T1, T2)
    ghost = ghost_of_fault(m)
    again = 0
    if ghost >= 0:
        adapt(m, ghost)
        if m.node[ghost * NODE + NODE_LIST] == B2:
            again = 1
    elif list_size(m, T1) + list_size(m, B1) >= most:
        if list_size(m, T1) >= most:
            frame = oldest_of(m, T1, pid)
            if frame >= 0:
                node_remove(m, frame)
            return frame
        drop_oldest_ghost(m, B1)
    elif list_size(m, T1) + list_size(m, T2) + list_size(m, B1) + list_size(m, B2) >= 2 * most:
        drop_oldest_ghost(m, B2)
    return replaced(m, pid, again)


@writes
def adapt(m, ghost):
    """The page of a ghost is asked for: move the target of T1, once an operation."""
    at = ghost * NODE
    if m.node[at + NODE_TIME] == m.kernel[KERNEL_OPERATIONS] + 1:
        return
    m.node[at + NODE_TIME] = m.kernel[KERNEL_OPERATIONS] + 1
    target = m.list[T1 * LIST + LIST_TARGET]
    first = list_size(m, B1)
    second = list_size(m, B2)
    if m.node[at + NODE_LIST] == B1:
        target += larger(second // first, 1)
    else:
        target -= larger(first // second, 1)
    most = pages_that_fit(m, T1, T2)
    m.list[T1 * LIST + LIST_TARGET] = larger(most - larger(most - target, 0), 0)


@reads
def larger(a, b):
    """The larger of two numbers."""
    if a > b:
        return a
    return b


@writes
def replaced(m, pid, again):
    """The frame that gives up its page, of T1 or T2, whose number is kept; -1 if none can.

    `again`: the page that comes in is one of B2.
    """
    target = m.list[T1 * LIST + LIST_TARGET]
    size = list_size(m, T1)
    first = size > target or (again and size == target)
    frame = -1
    if first:
        frame = oldest_of(m, T1, pid)
    if frame < 0:
        frame = oldest_of(m, T2, pid)
        if frame >= 0:
            leave_ghost(m, frame, B2)
            return frame
        frame = oldest_of(m, T1, pid)
    if frame >= 0:
        leave_ghost(m, frame, B1)
    return frame
