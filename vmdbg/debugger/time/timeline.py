"""The timeline of one machine: its history, going to any time of it, changing it.

A position is operations executed and events inside the current one: `12:4`.  Between operations the machine
is whole; inside one it is as it was at the instant of that event.  The module `forward` runs the machine on,
`reverse` goes back, `questions` and `search` answer questions to the past.
"""

from __future__ import annotations

import contextlib
import time as clock
from functools import cached_property

from vmdbg.debugger.time import event_log
from vmdbg.debugger.time.actions import execute_action
from vmdbg.debugger.time.branches import Branches
from vmdbg.debugger.time.cursor import NOT_RUN, Cursor
from vmdbg.debugger.time.ended import ended_since
from vmdbg.debugger.time.endless import RunClock
from vmdbg.debugger.time.runner import FOREVER, Runner
from vmdbg.debugger.time.types import AT_END, AT_INTERRUPT, AT_LIMIT, Action, Arrival, Undone
from vmdbg.errors import UserError
from vmdbg.kernel.calls.processes import live_processes
from vmdbg.kernel.calls.syscalls import OP_FORK
from vmdbg.kernel.exits import REASON_IDLE
from vmdbg.kernel.scheduler import OP_KIND
from vmdbg.machine.feeds import forgotten
from vmdbg.state.tables import OP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from vmdbg.debugger.stops.stops import Stop, Stops
    from vmdbg.debugger.time.branches import Branch
    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.debugger.time.location import Location
    from vmdbg.debugger.time.types import Position
    from vmdbg.machine.machine import Machine
    from vmdbg.machine.snapshot import Snapshot


class Timeline:
    """The history of one machine.  Whoever runs or changes the machine does it through this.

    It has a `cursor`, which is where the machine stands; `branches`, all its histories, of which `branch` is
    the present one; a `runner`; and the `stops` that may halt the machine.  `tell(line)` gets lines that all
    should see; `confirm(question)` is asked before the past is changed.
    """

    def __init__(
        self,
        machine: Machine,
        stops: Stops,
        tell: Callable[..., None] = lambda line, **how: None,
        confirm: Callable[[str], bool] = lambda question: True,
    ) -> None:
        self.machine, self.stops, self.confirm = machine, stops, confirm
        self.cursor = Cursor(machine)
        self.branches = Branches.of_machine(machine)
        self.runner = Runner(machine, tell)
        self.run_clock = RunClock()
        self.spell: Callable[[], str] | None = None  # the command that is acting, as it can be typed again
        # Where stops halted the machine on its way forward, after an event.
        self.halted: tuple[Position, list[Stop]] | None = None
        self._acting: Action | None = None

    # -- where the machine stands, and what is known of its history

    @property
    def position(self) -> Position:
        """Where the machine stands."""
        return self.cursor.position

    @property
    def inside(self) -> int:
        """The number of the event inside the current operation; 0 between two operations."""
        return self.cursor.inside

    @property
    def location(self) -> Location | None:
        """The process and its current or next operation; None if no process can run."""
        return self.cursor.location

    def require_process(self) -> int:
        """The current process.  UserError if there is none."""
        return self.cursor.require_process()

    @property
    def branch(self) -> Branch:
        """The history that the machine is on."""
        return self.branches.current

    @property
    def begin(self) -> int:
        """Operations executed where the record begins."""
        return self.branches.begin

    @property
    def end(self) -> int:
        """Operations executed where the record ends."""
        return self.branch.end

    @property
    def booted(self) -> int:
        """Operations that boot executed."""
        return self.branch.booted

    @property
    def actions(self) -> list[Action]:
        """The commands that changed the machine, in order of time."""
        return self.branch.actions

    @property
    def bookmarks(self) -> dict[str, Position]:
        """Checkpoints and bookmarks of the user by name."""
        return self.branch.bookmarks

    @cached_property
    def forks(self) -> bool:
        """Is there a fork in the program?"""
        return any(word & OP_KIND == OP_FORK for word in self.machine.m.op[::OP])

    @property
    def untouched(self) -> bool:
        """Has nothing happened since boot?"""
        return self.end == self.booted and not self.inside

    @property
    def future(self) -> bool:
        """Did the machine go further than where it stands now?"""
        return self.position < (self.end, 0)

    def note_end(self) -> None:
        """The machine may have come further than ever."""
        self.branch.note(self.machine.operations)
        if self.machine.feeds and not self.inside:
            if self.forgets:
                self.keep_checkpoint()
            self.begin_at(forgotten(self.machine))

    # -- questions

    @contextlib.contextmanager
    def excursion(self, stops: Stops | None = None) -> Iterator[None]:
        """For a question to the past.  Inside the block the machine may go to any time of any branch, and
        `stops`, if they are given, take the place of the user's.

        However the block ends, also by an error or Ctrl-C: the machine stands where it stood, on its branch,
        with its stops, the end of its record, what can be redone, and its log.
        """
        with self.runner.interrupts:
            moment, log = self.cursor.moment(), event_log.keep_log(self.machine.m)
        branch, end, undone, own = self.branch, self.end, self.branch.undone[:], self.stops
        if stops is not None:
            self.stops = stops
        try:
            yield
        finally:
            with self.runner.interrupts:
                self.stops = own
                if self.branch is not branch:
                    self.branches.switch(branch.number)
                self.cursor.return_to(moment)
                branch.end, branch.undone = end, undone
                event_log.put_log(self.machine.m, log)

    def operation_events(self) -> list[LoggedEvent]:
        """All events of the operation in which the machine stands, or that is next; it stays there."""
        with self.runner.interrupts, self.excursion():
            self.cursor.to_start()
            return self.execute() if live_processes(self.machine.k) else []

    # -- running along the history

    def execute(self, start: Snapshot | None = None) -> list[LoggedEvent]:
        """From the start of an operation of the machine's (`start`, if the caller has it) execute all of it;
        its events."""
        events = self.cursor.execute(start)
        self.branch.finish_boot(self.machine, self.machine.operations - 1)
        return events

    def finish_operation(self) -> bool:
        """Execute the rest of the operation in which the machine stands; False if it stood between two."""
        if not self.inside:
            return False
        start = self.cursor.start
        self.cursor.to_start()
        self.execute(start)
        return True

    def goals(self, limit: int, interruptible: bool = True) -> Iterator[int]:
        """The way from here, between two operations, to time `limit`: up to which time to run now.

        The caller runs towards that for a while, and is then given the next goal.  What else the history says
        happens in between: commands that changed the machine, the end of boot.  Checkpoints are kept.  At
        Ctrl-C the way ends before `limit`, if it is `interruptible`.
        """
        machine, runner, branch = self.machine, self.runner, self.branch
        before = machine.operations
        while machine.operations < limit:
            branch.finish_boot(machine, before)
            now = before = machine.operations
            if branch.checkpoints.wants(now, runner.ran) or self.forgets:
                self.keep_checkpoint()
            remark = self.run_clock.remark(machine) if limit == FOREVER and not machine.feeds else ""
            if remark:
                runner.tell(remark, unattended=True)
            if interruptible and runner.interrupts.take():
                return
            action = branch.next_action(now)
            if action is not None and action.time == now:
                machine.restore(action.after)
                continue
            ahead = (action.time if action is not None else now, branch.booted)
            yield min([limit, *(time for time in ahead if time > now)])
        branch.finish_boot(machine, before)

    @property
    def forgets(self) -> bool:
        """Would the record, as it is, soon begin at a time from which it cannot be run again?"""
        machine = self.machine
        return bool(machine.feeds) and forgotten(machine) > self.branch.checkpoints.times[-1]

    def begin_at(self, time: int) -> None:
        """What cannot be run again, for records of a pipe are gone, is no part of the record any more."""
        self.branches.begin = self.branch.checkpoints.forget(time)

    def keep_checkpoint(self) -> None:
        """Keep a copy of the state, which is between two operations."""
        started = clock.monotonic()
        self.branch.checkpoints.add(self.machine.operations, self.machine.snapshot())
        if self.machine.feeds:
            self.begin_at(forgotten(self.machine))
        self.branch.checkpoints.took(clock.monotonic() - started, self.runner.ran)

    def run_to(self, limit: int, interruptible: bool = True) -> str:
        """From between two operations run to time `limit`, whatever stops there are: AT_LIMIT.

        Or why the machine came less far: AT_END, or AT_INTERRUPT if it is `interruptible`.
        """
        self.stops.remove(self.machine.m)
        for goal in self.goals(limit, interruptible):
            if self.runner.slice(goal) == REASON_IDLE:
                return AT_END
        return self.reached(limit)

    def reached(self, limit: int) -> str:
        """Why `goals` has none left: AT_LIMIT or AT_INTERRUPT."""
        return AT_LIMIT if self.machine.operations >= limit else AT_INTERRUPT

    # -- going to a time

    def travel(self, time: int) -> None:
        """Go to the start of an operation of the record, or to its end.  Ctrl-C has to wait."""
        self.cursor.restore(self.branch.nearest(time))
        if self.machine.operations < time:
            self.run_to(time, interruptible=False)

    def go(self, operations: int, events: int = 0) -> Arrival:
        """Go to a position, in the past or the future, without stopping on the way.

        UserError if there is no such position; then nothing has changed.
        """
        if operations < self.begin:
            raise UserError(f"The record begins at {self.begin}:0.")
        with self.runner.interrupts:
            self.runner.begin()
            alive = live_processes(self.machine.k)
            with self.cursor.rollback():
                self.travel(min(operations, self.end))
                why = self.run_to(operations)
                if why == AT_END:
                    raise UserError(f"The program ends at {self.machine.operations}:0.")
                if why == AT_LIMIT and events:
                    action = self.branch.action_at(operations)
                    if action is not None:
                        raise UserError(f'Operation {operations} was the command "{action.name}".')
                    self.cursor.enter(events)
            self.note_end()
            return Arrival(why, ended=ended_since(self.machine, alive))

    # -- changing the machine

    def act(self, name: str, function: Callable[[Machine], Any]) -> tuple[Any, Action]:
        """Change the machine: `function(machine)` does it, and counts as one operation.

        The operation in which the machine stands is finished first.  What `function` returns, and
        the action.  If it raises, nothing has changed.  Inside another action it is part of that.
        """
        if self._acting is not None:
            return function(self.machine), self._acting
        past = self.machine.operations + bool(self.inside) < self.end
        if past and not self.confirm(
            f"The machine is at {self.position}, and has been at {self.end}:0.\n"
            f"Changing it here starts a branch; what came after stays in branch "
            f"{self.branch.number}.  Go on? "
        ):
            raise UserError("Not confirmed.")
        with self.runner.interrupts:
            with self.cursor.rollback():
                finished = self.finish_operation()
                result, action = self._perform(name, function)
            action.finished = finished
            if past:
                action.branch = self.branches.part(action.time).number
            self.branch.add(action)
            return result, action

    def predict(self, name: str, function: Callable[[Machine], Any]) -> tuple[Any, Action]:
        """What `act` would do; nothing has changed afterwards."""
        with self.runner.interrupts, self.excursion():
            self.finish_operation()
            return self._perform(name, function)

    def _perform(self, name: str, function: Callable[[Machine], Any]) -> tuple[Any, Action]:
        action = self._acting = Action(name, self.machine.operations, self.machine.snapshot())
        action.command = (self.spell and self.spell()) or name
        try:
            return execute_action(self.machine, action, function), action
        finally:
            self._acting = None

    def undo(self) -> Action:
        """Go back to before the last acting command before this time, and forget it.

        If it began a branch, the machine is on the one again that it came from.
        """
        now = self.machine.operations
        action = next((a for a in reversed(self.actions) if a.time < now), None)
        if action is None:
            raise UserError("Nothing to undo.")
        undone = Undone([a for a in self.actions if a.time >= action.time], self.end, self.cursor.moment())
        if self.branches.begun_by(action.time):
            undone.branch = self.branch.number
            self.branches.switch(self.branch.parent)
        else:
            self.branch.cut(action.time)
        self.cursor.restore(action.before)
        self.branch.undone.append(undone)
        return action

    def redo(self) -> Action:
        """Take back the last `undo`.  UserError if there was none."""
        if not self.branch.undone:
            raise UserError("Nothing to redo.")
        undone = self.branch.undone.pop()
        if undone.branch in self.branches.by_number:
            self.branches.switch(undone.branch)
        else:
            self.branch.add_again(undone)
        self.cursor.return_to(undone.moment)
        return undone.actions[0]

    # -- other histories

    def switch(self, number: int) -> None:
        """Be on another branch, at its end.  UserError if there is none of that number."""
        if number not in self.branches.by_number:
            raise UserError(f"No branch number {number}.")
        if number != self.branch.number:
            with self.runner.interrupts:
                self.branches.switch(number)
                self.travel(self.end)

    def restart(self) -> None:
        """Be at the beginning; the record is empty.  One that commands changed stays as a branch.

        UserError if no process runs there; then nothing has changed.
        """
        with self.cursor.rollback():
            self.travel(self.begin)
            if self.location is None:
                raise UserError(NOT_RUN)
        if self.actions:
            self.branches.part(self.begin, orphan=True)
        self.branch.cut(self.begin)
        self.branch.undone.clear()

    def close(self) -> None:
        """Stop what works for the machine, which is used no longer."""
        self.runner.close()
