"""The lists of a policy, and the pages that it remembers, held to its facts (`kernel.policies.nodes`)."""

from __future__ import annotations

from vmdbg.kernel.frames import FRAME_IS_USER
from vmdbg.kernel.policies import facts_of
from vmdbg.kernel.policies.nodes import FIRST_LIST, FREE_GHOSTS, LISTS
from vmdbg.machine.check.survey import chain, column
from vmdbg.state.tables import (
    FRAME,
    FRAME_DEPTH,
    LIST,
    LIST_NEWEST,
    LIST_OLDEST,
    LIST_SIZE,
    NODE,
    NODE_CHAIN,
    NODE_LIST,
    NODE_NEXT,
    NODE_PID,
    NODE_PREVIOUS,
    NODE_VA,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.machine.check.survey import Survey


def check_policy_lists(s: Survey) -> Iterator[str]:
    """Each frame that may be evicted is in one list of pages, each ghost in one of ghosts; links, sizes."""
    facts = facts_of(s.machine.config["kernel.policy"])
    if facts is None or not facts.lists:
        return
    names = ["", "free ghosts", *facts.lists, *facts.ghosts]
    where: dict[int, int] = {}
    for number in range(FREE_GHOSTS, LISTS):
        name = f"the policy's list of {names[number]}" if number < len(names) else f"list {number}"
        yield from check_list(s, number, name, where)
    frames, ghosts = len(s.states), FIRST_LIST + len(facts.lists)
    for node, number in enumerate(column(s.m.node, NODE, NODE_LIST)):
        if where.get(node, 0) != number:
            yield f"node {node} says it is in list {number} of the policy; it is in {where.get(node, 0)}"
        if node >= frames and not (number == FREE_GHOSTS or ghosts <= number < ghosts + len(facts.ghosts)):
            yield f"node {node} of the policy, a ghost, is in list {number}"
    depths = column(s.m.frame, FRAME, FRAME_DEPTH)
    for frame, state in enumerate(s.states):
        listed = FIRST_LIST <= where.get(frame, 0) < ghosts
        if listed != (state == FRAME_IS_USER and depths[frame] <= 1):
            yield f"frame {frame} is {'' if listed else 'not '}in a list of the policy"
    if facts.ghosts:
        yield from check_buckets(s, frames)


def check_list(s: Survey, number: int, name: str, where: dict[int, int]) -> Iterator[str]:
    """One list; its nodes are noted in `where`."""
    m, head, previous = s.m, number * LIST, -1
    members, wrong = chain(m.node, NODE, NODE_NEXT, m.list[head + LIST_OLDEST], -1)
    if wrong:
        yield f"{name} {wrong}"
    for node in members:
        if node in where:
            yield f"{name}: node {node} is in list {where[node]}, too"
        if m.node[node * NODE + NODE_PREVIOUS] != previous:
            yield f"{name}: node {node} has another one before it"
        where[node] = number
        previous = node
    if m.list[head + LIST_NEWEST] != previous:
        yield f"{name} ends at node {previous}, not at {m.list[head + LIST_NEWEST]}"
    if m.list[head + LIST_SIZE] != len(members):
        yield f"{name} has {len(members)} nodes, {m.list[head + LIST_SIZE]} are counted"


def check_buckets(s: Survey, frames: int) -> Iterator[str]:
    """Each ghost in use is found in the bucket of its page number, and no other node is in one."""
    m, seen = s.m, set[int]()
    for place, first in enumerate(m.bucket.tolist()):
        members, wrong = chain(m.node, NODE, NODE_CHAIN, first, -1)
        if wrong:
            yield f"bucket {place} of the policy's ghosts: the list {wrong}"
        for node in members:
            pid, va = m.node[node * NODE + NODE_PID], m.node[node * NODE + NODE_VA]
            if node in seen or s.k.bucket_of(m, pid, va) != place:
                yield f"node {node} is wrongly in bucket {place} of the policy's ghosts"
            seen.add(node)
    lists = column(m.node, NODE, NODE_LIST)
    for node in range(frames, len(lists)):
        if (lists[node] == FREE_GHOSTS) == (node in seen):
            yield f"node {node} of the policy is {'' if node in seen else 'not '}in a bucket"
