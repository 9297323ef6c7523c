"""Least recently used, exact: the page that was not accessed for longest leaves.

No hardware tells a kernel of every access; as a yardstick for those that only see A bits.
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.kernel.policies.facts import ACCESSES, Facts
from vmdbg.kernel.policies.queue import oldest_that_leaves, queue_append, queue_remove, queued
from vmdbg.state.tables import KERNEL_NEWEST

FACTS = Facts("the one whose last access is longest ago; no hardware offers this", ACCESSES, queue=True)


@writes(fills=True)
def policy_load(m, frame):
    queue_append(m, frame)


@writes(fills=True)
def policy_unload(m, frame):
    queue_remove(m, frame)


@writes(fills=True)
def policy_use(m, frame):
    if m.kernel[KERNEL_NEWEST] != frame and queued(m, frame):
        queue_remove(m, frame)
        queue_append(m, frame)


@reads(fills=True)
def victim(m, pid):
    return oldest_that_leaves(m, pid)
