"""First in, first out: the page that has been in memory longest leaves."""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.kernel.policies.facts import ARRIVALS, Facts
from vmdbg.kernel.policies.queue import oldest_that_leaves, queue_append, queue_remove

FACTS = Facts("the one that has been in memory longest", ARRIVALS, queue=True)


@writes(fills=True)
def policy_load(m, frame):
    queue_append(m, frame)


@writes(fills=True)
def policy_unload(m, frame):
    queue_remove(m, frame)


@reads(fills=True)
def policy_use(m, frame):
    pass


@reads(fills=True)
def victim(m, pid):
    return oldest_that_leaves(m, pid)
