"""Branches: a change of the past begins another history there; the old history stays as it was."""

from __future__ import annotations

from vmdbg.debugger.time.checkpoints import Checkpoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.time.types import Action, Position, Undone
    from vmdbg.machine.machine import Machine
    from vmdbg.machine.snapshot import Snapshot

MOST = 16  # branches that are kept; the oldest goes first
COPIES = 8  # checkpoints that a branch keeps while the machine is on another one


class Branch:
    """One history of a machine, as far as it is known: up to `end` operations executed.

    `checkpoints` are copies of the state on the way, and `searched` is one more: the state at the start of
    the operation that was last searched for stops, with its time.  `actions` are the commands that changed
    the machine, in order of time, and `undone` those that `redo` brings back.  `bookmarks` are the positions
    of the user's checkpoints and bookmarks by name.  Boot executed `booted` operations and left the machine
    in the state `boot_end` (None: the state after the last of these operations).

    Up to `time` the history is that of branch number `parent` (0: there is none); the first `inherited`
    actions are from that branch.
    """

    __slots__ = (
        "actions",
        "bookmarks",
        "boot_end",
        "booted",
        "checkpoints",
        "end",
        "inherited",
        "number",
        "parent",
        "searched",
        "time",
        "undone",
    )  # fmt: skip

    def __init__(self, number: int, time: int, checkpoints: Checkpoints) -> None:
        self.number, self.time, self.checkpoints = number, time, checkpoints
        self.parent = self.inherited = 0
        self.booted = self.end = time
        self.boot_end: Snapshot | None = None
        self.searched: tuple[int, Snapshot] | None = None
        self.actions: list[Action] = []
        self.undone: list[Undone] = []
        self.bookmarks: dict[str, Position] = {}

    def parted(self, number: int, time: int) -> Branch:
        """A new branch with the history of this one up to a time."""
        new = Branch(number, time, self.checkpoints.copy())
        new.booted, new.boot_end = self.booted, self.boot_end
        new.actions, new.bookmarks = self.actions, self.bookmarks
        new.parent = self.number
        new.cut(time)
        new.inherited = len(new.actions)
        return new

    def cut(self, time: int) -> None:
        """Forget everything after a time."""
        if time < self.booted:
            self.booted, self.boot_end = time, None  # this history is not the one that boot made
        self.checkpoints.cut(time)
        self.searched = None
        self.bookmarks = {
            name: position for name, position in self.bookmarks.items() if position <= (time, 0)
        }
        self.actions = [action for action in self.actions if action.time < time]
        self.end = time

    def note(self, time: int) -> None:
        """The machine has come to a time: if that is further than ever, it is the end."""
        if time > self.end:
            self.end = time
            self.undone.clear()

    def add(self, action: Action) -> None:
        """Add a command that changed the machine at the end of this history."""
        self.forget_copies(action.time)
        self.actions.append(action)
        self.end = action.time + 1
        self.undone.clear()

    def add_again(self, undone: Undone) -> None:
        """Add commands again that were undone, with the end of the history that they had."""
        self.forget_copies(undone.actions[0].time)
        self.actions += undone.actions
        self.end = undone.end

    def forget_copies(self, time: int) -> None:
        """Forget the snapshots after a time, as another history follows it now."""
        self.checkpoints.cut(time)
        self.searched = None

    def action_at(self, time: int) -> Action | None:
        """The command that is the operation of that time; None if the machine executed that one."""
        action = self.next_action(time)
        return action if action is not None and action.time == time else None

    def next_action(self, time: int) -> Action | None:
        """The first command at or after a time."""
        return next((action for action in self.actions if action.time >= time), None)

    def nearest(self, time: int) -> Snapshot:
        """The last known state at or before a time."""
        known, snapshot = self.checkpoints.before(time)
        if self.searched is not None and known < self.searched[0] <= time:
            known, snapshot = self.searched
        for action in self.actions:
            if known <= action.time < time:
                known, snapshot = action.time + 1, action.after
        return snapshot

    def finish_boot(self, machine: Machine, before: int) -> None:
        """The machine ran on from time `before`: if it has come to the end of boot by that, it is put as boot
        left it, with the pages swapped out that the configuration names."""
        if self.boot_end is not None and before < self.booted == machine.operations:
            machine.restore(self.boot_end)


class Branches:
    """All branches of one machine by number; the machine is on `current`.

    `begin` is the time at which the record of them all begins; `last` is the highest number ever given.
    """

    def __init__(self, first: Branch) -> None:
        self.begin = first.time
        self.current = first
        self.by_number = {first.number: first}
        self.last = first.number

    @classmethod
    def of_machine(cls, machine: Machine) -> Branches:
        """The history that a machine has when it was just booted or loaded."""
        now, here = machine.operations, machine.snapshot()
        if machine.first is None:
            return cls(Branch(1, now, Checkpoints(now, here)))
        # What boot executed is past: the record begins before it.
        branch = Branch(1, 0, Checkpoints(0, machine.first))
        branch.checkpoints.add(now, here)
        branch.booted = branch.end = now
        branch.boot_end = here
        return cls(branch)

    def part(self, time: int, orphan: bool = False) -> Branch:
        """Leave the current branch as it is, and make a new branch that goes on from a time of it.

        An `orphan` has no parent: it is a new beginning, not a change of the past.
        """
        old = self.current
        self.last += 1
        new = self.by_number[self.last] = old.parted(self.last, time)
        if orphan:
            new.parent = 0
        old.checkpoints.shrink(COPIES)
        self.current = new
        if len(self.by_number) > MOST:
            del self.by_number[min(number for number in self.by_number if number != old.number)]
        return new

    def switch(self, number: int) -> None:
        """Make another branch the current one.  The caller puts the machine to a time of it."""
        self.current.checkpoints.shrink(COPIES)
        self.current = self.by_number[number]
        self.current.searched = None

    def begun_by(self, time: int) -> bool:
        """Did the command of that time begin the current branch, and is the parent still there?"""
        branch = self.current
        own = branch.actions[branch.inherited :]
        return branch.parent in self.by_number and bool(own) and own[0].time == time == branch.time

    def holding(self, bookmark: str) -> tuple[int, Position] | None:
        """The number of a branch, other than the current one, with a checkpoint or bookmark of that name, and
        the position of it there; None if there is no such branch."""
        for branch in self.by_number.values():
            if branch is not self.current and bookmark in branch.bookmarks:
                return branch.number, branch.bookmarks[bookmark]
        return None
