"""Processes whose operations come bit by bit, from a trace: the table `op` has a part of them at a time.

The last row of the part is OP_FEED.  A process that comes to it is given the next part by its feed, in place
of this one: that is no operation, and nothing happens in it but that rows change.  The row says where the
trace goes on, so that the state is all that a feed has to know: a machine that was put back to the past is
given the same rows again.
"""

from __future__ import annotations

import contextlib

from vmdbg.errors import UserError
from vmdbg.kernel.scheduler import OP_EXIT, OP_KIND
from vmdbg.state.tables import CPU, CPU_PID, KERNEL_CPU, OP, PROCESS, PROCESS_PC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from vmdbg.machine.machine import Machine

    class Feed(Protocol):
        """Where the operations of one process come from: `file` is how a user knows it."""

        file: str
        forgotten: int

        def refill(self, machine: Machine, pid: int) -> None:
            """Put the next rows in place, and the process at the first of them.  UserError if there are
            none to be had; then nothing has changed."""


class NotReady(UserError):
    """A pipe has nothing yet, and the user pressed Ctrl-C: the process waits at the end of its rows."""


OP_FEED = OP_EXIT + 8  # word 1: accesses before the next row; word 2: where it is in the trace
NO_FEED = "The rest of the trace is not there any more; replay it again."


def is_fed(machine: Machine) -> bool:
    """If the current process is at the end of its rows, it is given more.  UserError: there are none."""
    pid = machine.m.cpu[machine.m.kernel[KERNEL_CPU] * CPU + CPU_PID]
    if not waits(machine, pid):
        return False
    if pid not in machine.feeds:
        raise UserError(NO_FEED)
    with contextlib.suppress(NotReady):  # whoever runs the machine looks for Ctrl-C
        machine.feeds[pid].refill(machine, pid)
    return True


def waits(machine: Machine, pid: int) -> bool:
    """Is a process at the end of its rows, and has its trace more?"""
    m = machine.m
    return bool(m.op[m.process[pid * PROCESS + PROCESS_PC] * OP] & OP_KIND == OP_FEED)


def feed_all(machine: Machine) -> None:
    """No process is left at the end of its rows, unless its feed has an error to tell: that comes when it is
    to run."""
    for pid, feed in machine.feeds.items():
        if waits(machine, pid):
            with contextlib.suppress(UserError):
                feed.refill(machine, pid)


def forgotten(machine: Machine) -> int:
    """Operations executed before which the machine's past cannot be run again: a pipe's records are gone."""
    return max([feed.forgotten for feed in machine.feeds.values()], default=0)
