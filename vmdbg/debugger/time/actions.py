"""Changing a machine on its timeline: acting commands, undoing them, the branches that begin with them."""

from __future__ import annotations

from vmdbg.debugger.time import event_log
from vmdbg.debugger.time.branches import Branches
from vmdbg.debugger.time.checkpoints import Checkpoints
from vmdbg.debugger.time.cursor import Standing
from vmdbg.debugger.time.runner import Runner
from vmdbg.debugger.time.types import Action, Position, Undone
from vmdbg.errors import UserError
from vmdbg.state.tables import KERNEL_OPERATIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from vmdbg.machine.machine import Machine
    from vmdbg.machine.snapshot import Snapshot


class Changing(Standing):
    """A machine, its record from `begin` to `end`, and the commands that changed it.

    `tell` gets lines that all should see; `confirm(question)` is asked before the past is changed.
    """

    def __init__(self, machine: Machine, tell: Callable[..., None], confirm: Callable[[str], bool]) -> None:
        super().__init__(machine)
        self.confirm = confirm
        self.runner = Runner(machine, tell)
        self.booted = self.begin = self.end = machine.operations
        self.arranged: Snapshot | None = None
        here = machine.snapshot()
        if machine.first is not None:
            # What boot executed is past: the record begins before it.
            self.begin, self.arranged = 0, here
            self.checkpoints = Checkpoints(0, machine.first)
            self.checkpoints.add(self.booted, here)
        else:
            self.checkpoints = Checkpoints(self.begin, here)
        self.actions: list[Action] = []
        self.undone: list[Undone] = []
        self.marks: dict[str, Position] = {}  # checkpoints and bookmarks by name
        self.near: tuple[int, Snapshot] | None = None  # the operation that was searched last
        self.branches = Branches(self.begin)
        self.acting: Action | None = None
        self.spell: Callable[[], str] | None = None  # the command that is acting, as it can be typed again

    @property
    def untouched(self) -> bool:
        """Has nothing happened since boot?"""
        return self.end == self.booted and not self.inside

    def arrange(self, before: int) -> None:
        """The machine ran on from operation `before`: where that was during boot, and it came to boot's end,
        it is as boot left it, with the pages that the configuration names swapped out."""
        if self.arranged is not None and before < self.booted == self.machine.operations:
            self.machine.restore(self.arranged)

    def act(self, name: str, function: Callable[[Machine], Any]) -> tuple[Any, Action]:
        """Change the machine: `function(machine)` does it, and counts as one operation.

        The operation in which the machine stands is finished first.  What `function` returns, and
        the action.  If it raises, nothing has changed.  Inside another one it is part of that.
        """
        if self.acting is not None:
            return function(self.machine), self.acting
        past = self.machine.operations + bool(self.inside) < self.end
        if past and not self.confirm(
            f"The machine is at {self.position}, and has been at {self.end}:0.\n"
            f"Changing it here starts a branch; what came after stays in branch "
            f"{self.branches.current.number}.  Go on? "
        ):
            raise UserError("Not confirmed.")
        with self.runner.interrupts:
            moment = self.moment()
            try:
                finished = self.settle()
                result, action = self.perform(name, function)
            except BaseException:
                self.put(moment)
                raise
            action.finished = finished
            if past:
                action.branch = self.branches.part(self, action.time).number
            self.actions.append(action)
            self.end = self.machine.operations
            self.undone.clear()
            return result, action

    def predict(self, name: str, function: Callable[[Machine], Any]) -> tuple[Any, Action]:
        """What `act` would do; nothing has changed afterwards."""
        with self.runner.interrupts:
            moment = self.moment()
            try:
                self.settle()
                return self.perform(name, function)
            finally:
                self.put(moment)

    def perform(self, name: str, function: Callable[[Machine], Any]) -> tuple[Any, Action]:
        """Execute an acting command, its events logged."""
        machine = self.machine
        time, before, counted = machine.operations, machine.snapshot(), event_log.totals(machine.m)
        event_log.aim_counters(machine)
        event_log.start_log(machine.m)
        action = self.acting = Action(name, time, before)
        action.line = (self.spell and self.spell()) or name
        try:
            with machine.blaming():
                result = function(machine)
        finally:
            self.acting = None
            event_log.stop_log(machine.m)
        now = event_log.totals(machine.m)
        action.events = event_log.read_log(machine.m)
        action.changes = event_log.amounts(counted, now, action.events)
        machine.m.kernel[KERNEL_OPERATIONS] += 1
        action.after = machine.snapshot()
        return result, action

    def cut(self, time: int) -> None:
        """Forget everything after a time."""
        if time < self.booted:
            self.booted, self.arranged = time, None  # this history is not the one that boot made
        self.checkpoints.cut(time)
        self.near = None
        self.marks = {name: place for name, place in self.marks.items() if place <= (time, 0)}
        self.actions = [action for action in self.actions if action.time < time]
        self.end = time

    def undo(self) -> Action:
        """Go back to before the last acting command before this time, and forget it.

        If it began a branch, the machine is on the one again that it came from.
        """
        now = self.machine.operations
        action = next((a for a in reversed(self.actions) if a.time < now), None)
        if action is None:
            raise UserError("Nothing to undo.")
        kept = Undone([a for a in self.actions if a.time >= action.time], self.end, self.moment())
        current = self.branches.current
        if self.branches.begun_by(self, action.time):
            kept.branch = current.number
            self.branches.switch(self, current.parent)
        else:
            self.leave()
            self.cut(action.time)
        self.machine.restore(action.before)
        self.undone.append(kept)
        return action

    def redo(self) -> Action:
        """Take back the last `undo`."""
        if not self.undone:
            raise UserError("Nothing to redo.")
        kept = self.undone.pop()
        if kept.branch in self.branches.by_number:
            self.branches.switch(self, kept.branch)
        else:
            self.actions += kept.actions
            self.end = kept.end
        self.put(kept.moment)
        return kept.actions[0]
