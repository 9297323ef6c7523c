"""Where a machine stands: between two operations, or inside one, at one of its events."""

from __future__ import annotations

import contextlib

from vmdbg.debugger.time import event_log
from vmdbg.debugger.time.location import locate, next_row
from vmdbg.debugger.time.types import Moment, Position
from vmdbg.errors import UserError
from vmdbg.machine.machine import Halted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.debugger.time.location import Location
    from vmdbg.machine.machine import Machine
    from vmdbg.machine.snapshot import Snapshot

NOT_RUN = "The program is not being run."


class Cursor:
    """The position of one machine.

    Between two operations the machine is whole, and `inside` is 0.  Inside an operation the machine is as it
    was at the instant of the operation's event number `inside`, counted from 1.  Then `start` is the state at
    the operation's start, from which everything about the operation is run again, and `start_location` what
    `location` was there.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.inside = 0
        self.start: Snapshot | None = None
        self.start_location: Location | None = None

    # -- where

    @property
    def position(self) -> Position:
        """Operations executed, and events inside the current one."""
        return Position(self.machine.operations, self.inside)

    @property
    def location(self) -> Location | None:
        """The process and its current or next operation; None if no process can run."""
        return self.start_location if self.inside else locate(self.machine)

    def require_process(self) -> int:
        """The current process.  UserError if there is none."""
        where = self.location
        if where is None:
            raise UserError(NOT_RUN)
        return where.pid

    def row_of(self, pid: int) -> int:
        """The row of a process's current or next operation in the program."""
        if self.inside and self.start_location is not None and self.start_location.pid == pid:
            return self.start_location.row
        return next_row(self.machine, pid)

    # -- coming back

    def moment(self) -> Moment:
        """What `return_to` needs to come back here."""
        return Moment(self.start if self.inside and self.start else self.machine.snapshot(), self.inside)

    def return_to(self, moment: Moment) -> None:
        """Put the machine to a moment at which it was."""
        self.restore(moment.snapshot)
        if moment.events:
            self.enter(moment.events)

    def restore(self, snapshot: Snapshot) -> None:
        """Put the machine to a state between two operations."""
        self.inside, self.start, self.start_location = 0, None, None
        self.machine.restore(snapshot)

    @contextlib.contextmanager
    def rollback(self) -> Iterator[None]:
        """If an error or Ctrl-C ends the block, the machine stands where it stood before."""
        moment = self.moment()
        try:
            yield
        except BaseException:
            self.return_to(moment)
            raise

    # -- the current operation

    def to_start(self) -> None:
        """Go back to the start of the current operation."""
        if self.inside:
            assert self.start is not None
            self.restore(self.start)

    def enter(self, event: int, start: Snapshot | None = None) -> None:
        """From the start of an operation go to the instant of its event number `event`.

        `start` is the state there, if the caller has it.  UserError if the operation has fewer events; then
        the machine stands at its start.
        """
        machine, time = self.machine, self.machine.operations
        self.start, self.start_location = start or machine.snapshot(), locate(machine)
        event_log.start_log(machine.m, stop_at=event)
        try:
            machine.run(time + 1)
        except Halted:
            self.inside = event
            return
        finally:
            event_log.stop_log(machine.m)
        number = max((logged.number for logged in event_log.read_log(machine.m)), default=0)
        self.restore(self.start)
        raise UserError(f"Operation {time} has {number} events.")

    def execute(self, start: Snapshot | None = None) -> list[LoggedEvent]:
        """Execute the whole operation at whose start the machine stands; returns its events.

        `start` is the state there, if the caller has it.
        """
        machine = self.machine
        before = start or machine.snapshot()
        while True:
            event_log.start_log(machine.m)
            try:
                machine.run(machine.operations + 1)
            finally:
                event_log.stop_log(machine.m)
            if not event_log.overflowed(machine.m):
                return event_log.read_log(machine.m)
            machine.restore(before)
            machine.grow("log", 4 * event_log.log_rows(machine.m))
