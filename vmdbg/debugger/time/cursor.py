"""The instant at which a machine stands: between two operations, or inside one at an event."""

from __future__ import annotations

from vmdbg.debugger.time import event_log
from vmdbg.debugger.time.location import Place, next_row, place
from vmdbg.debugger.time.types import Ended, Moment, Position
from vmdbg.errors import UserError
from vmdbg.kernel.calls.processes import live_processes, process_name
from vmdbg.kernel.scheduler import PROCESS_IS_ENDED
from vmdbg.machine.machine import Halted
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
    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.machine.machine import Machine
    from vmdbg.machine.snapshot import Snapshot

NOT_RUN = "The program is not being run."


class Standing:
    """A machine and where it stands.

    `inside` is the number of the event inside the current operation, 0 between two operations; then
    `base` is the state at the operation's start, from which everything about it is run again.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.inside = 0
        self.base: Snapshot | None = None
        self.base_place: Place | None = None

    # -- where

    @property
    def position(self) -> Position:
        """Where the machine stands."""
        return Position(self.machine.operations, self.inside)

    @property
    def place(self) -> Place | None:
        """The process and its current or next operation; None if no process can run."""
        return self.base_place if self.inside else place(self.machine)

    def require_process(self) -> int:
        """The current process.  UserError if there is none."""
        where = self.place
        if where is None:
            raise UserError(NOT_RUN)
        return where.pid

    # -- moments

    def moment(self) -> Moment:
        """What `put` needs to come back here."""
        return Moment(self.base if self.inside and self.base else self.machine.snapshot(), self.inside)

    def put(self, moment: Moment) -> None:
        """Be at a moment again."""
        self.leave()
        self.machine.restore(moment.snapshot)
        if moment.events:
            self.enter(moment.events)

    def leave(self) -> None:
        """Be nowhere in particular: somebody restores a state next."""
        self.inside, self.base, self.base_place = 0, None, None

    def to_base(self) -> None:
        """Back to the start of the current operation."""
        if self.inside:
            assert self.base is not None
            self.machine.restore(self.base)
            self.leave()

    def enter(self, event: int, base: Snapshot | None = None) -> None:
        """From an operation's start (`base`, if it is known) to the instant of its `event`-th event.

        UserError if it has fewer; then the machine stands at its start.
        """
        machine, start = self.machine, self.machine.operations
        self.base, self.base_place = base or machine.snapshot(), place(machine)
        event_log.start_log(machine.m, stop_at=event)
        try:
            machine.run(start + 1)
        except Halted:
            self.inside = event
            return
        finally:
            event_log.stop_log(machine.m)
        number = max((row.number for row in event_log.read_log(machine.m)), default=0)
        machine.restore(self.base)
        self.leave()
        raise UserError(f"Operation {start} has {number} events.")

    def whole(self, base: Snapshot | None = None) -> list[LoggedEvent]:
        """Execute one operation, from its start (`base`, if it is known); its events."""
        machine = self.machine
        before = base or machine.snapshot()
        while True:
            event_log.start_log(machine.m)
            try:
                machine.run(machine.operations + 1)
            finally:
                event_log.stop_log(machine.m)
            if not event_log.overflowed(machine.m):
                rows = event_log.read_log(machine.m)
                self.arrange(machine.operations - 1)
                return rows
            machine.restore(before)
            machine.grow("log", 4 * event_log.log_rows(machine.m))

    def arrange(self, before: int) -> None:
        """The machine ran on from operation `before`: a timeline puts it as its history has it."""

    def settle(self) -> bool:
        """Finish the operation in which the machine stands; False if it stood between two."""
        if not self.inside:
            return False
        base = self.base
        self.to_base()
        self.whole(base)
        return True

    def ended(self, alive: list[int]) -> list[Ended]:
        """Those of the processes that have ended, by number."""
        k, still = self.machine.k, set(live_processes(self.machine.k))
        columns = (PROCESS_STATUS, PROCESS_CAUSE, PROCESS_LIMIT, PROCESS_OOM)
        rows = len(k.m.process) // PROCESS  # in the past there may be fewer
        return [
            Ended(pid, process_name(k, pid), *(k.m.process[pid * PROCESS + column] for column in columns))
            for pid in alive
            if pid not in still
            and pid < rows
            and k.m.process[pid * PROCESS + PROCESS_STATE] == PROCESS_IS_ENDED
        ]

    def row_of(self, pid: int) -> int:
        """The row of a process's operation."""
        if self.inside and self.base_place is not None and self.base_place.pid == pid:
            return self.base_place.row
        return next_row(self.machine, pid)
