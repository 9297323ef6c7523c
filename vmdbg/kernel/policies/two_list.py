"""Two lists: inactive pages, which leave, and active ones, as in Linux; moved by accessed bits.

A page comes in as the newest of the inactive list.  A search first moves the oldest active pages to the
newest end of the inactive list, their bits cleared, while there are more active than inactive pages.  Then
it takes the oldest inactive page.  If its bit is clear the page leaves; if it is set, the bit is cleared,
and the page gets its second chance as the newest inactive one; if that happens to it once more, it becomes
the newest active one. (Linux: mm/vmscan.c, shrink_inactive_list, folio_check_references,
shrink_active_list.  Linux looks at many pages at a time, keeps anonymous pages and those of files in lists
of their own, and remembers refaults: not so here.)
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.kernel.policies.clock import age
from vmdbg.kernel.policies.facts import ACCESSED_BITS, Facts
from vmdbg.kernel.policies.nodes import (
    FIRST_LIST,
    list_size,
    node_append,
    node_load,
    node_remove,
    node_unload,
    oldest_of,
)
from vmdbg.state.tables import LIST, LIST_OLDEST, NODE, NODE_COUNT

FACTS = Facts(
    "the oldest inactive one whose accessed bit is clear", ACCESSED_BITS, lists=("inactive", "active")
)
INACTIVE, ACTIVE = FIRST_LIST, FIRST_LIST + 1


@writes(fills=True)
def policy_load(m, frame):
    node_load(m, frame)
    node_append(m, frame, INACTIVE)


@writes(fills=True)
def policy_unload(m, frame):
    node_unload(m, frame)


@reads(fills=True)
def policy_use(m, frame):
    pass


@writes(fills=True)
def victim(m, pid):
    while list_size(m, ACTIVE) > list_size(m, INACTIVE):
        node = m.list[ACTIVE * LIST + LIST_OLDEST]
        age(m, node)
        deactivate(m, node)
    while True:
        frame = oldest_of(m, INACTIVE, pid)
        if frame < 0:
            frame = oldest_of(m, ACTIVE, pid)
            if frame < 0:
                return -1
            age(m, frame)
            deactivate(m, frame)
        elif not age(m, frame):
            return frame
        else:
            second_chance(m, frame)


@writes
def deactivate(m, frame):
    """Move a page to the newest end of the inactive list."""
    node_remove(m, frame)
    m.node[frame * NODE + NODE_COUNT] = 0
    node_append(m, frame, INACTIVE)


@writes
def second_chance(m, frame):
    """The oldest inactive page was used: it becomes the newest one, the next time the newest active one."""
    seen = m.node[frame * NODE + NODE_COUNT]
    node_remove(m, frame)
    m.node[frame * NODE + NODE_COUNT] = 1 - seen
    node_append(m, frame, INACTIVE + seen)
