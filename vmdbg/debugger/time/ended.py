"""Processes that ended while the machine ran."""

from __future__ import annotations

from vmdbg.kernel.calls.processes import live_processes, process_name
from vmdbg.kernel.faults import CAUSE_LIMIT, CAUSE_POLICY
from vmdbg.kernel.scheduler import PROCESS_IS_ENDED
from vmdbg.state.tables import (
    PROCESS,
    PROCESS_CAUSE,
    PROCESS_LIMIT,
    PROCESS_OOM,
    PROCESS_STATE,
    PROCESS_STATUS,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.machine.machine import Machine


class Ended:
    """A process that ended: `status` is its exit status, or 128 + the signal that killed it.

    `cause` says more of a kill: CAUSE_LIMIT, of `limit` frames; CAUSE_MEMORY or CAUSE_POLICY, of `score`.
    """

    __slots__ = ("cause", "limit", "name", "pid", "score", "status")

    def __init__(
        self, pid: int, name: str, status: int, cause: int = 0, limit: int = 0, score: int = 0
    ) -> None:
        self.pid, self.name, self.status = pid, name, status
        self.cause, self.limit, self.score = cause, limit, score

    @property
    def at_limit(self) -> bool:
        """Was it killed because it was at its limit of frames?"""
        return self.cause == CAUSE_LIMIT

    @property
    def by_policy(self) -> bool:
        """Was it killed because a policy in a file named no page, although there were some?"""
        return self.cause == CAUSE_POLICY


def ended_since(machine: Machine, alive: list[int]) -> list[Ended]:
    """Those of the processes, given by their numbers, that have ended by now."""
    k, still = machine.k, set(live_processes(machine.k))
    columns = (PROCESS_STATUS, PROCESS_CAUSE, PROCESS_LIMIT, PROCESS_OOM)
    rows = len(k.m.process) // PROCESS  # in the past there may be fewer
    return [
        Ended(pid, process_name(k, pid), *(k.m.process[pid * PROCESS + column] for column in columns))
        for pid in alive
        if pid not in still and pid < rows and k.m.process[pid * PROCESS + PROCESS_STATE] == PROCESS_IS_ENDED
    ]
