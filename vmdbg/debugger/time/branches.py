"""Branches: the past is changed by starting another history there; the one that was stays as it was."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.time.actions import Changing
    from vmdbg.debugger.time.checkpoints import Checkpoints
    from vmdbg.debugger.time.types import Action, Position
    from vmdbg.machine.snapshot import Snapshot

MOST = 16  # branches that are kept; the oldest goes first
COPIES = 8  # of the state that one keeps which the machine is not on


class Branch:
    """One history.  It is `parent`'s up to `time`; its actions from number `inherited` on are its own.

    The rest is the timeline's while the machine is on it, and kept here otherwise.
    """

    KEPT = ("checkpoints", "actions", "undone", "marks", "end", "booted", "arranged")
    __slots__ = (*KEPT, "inherited", "number", "parent", "time")
    if TYPE_CHECKING:
        checkpoints: Checkpoints
        actions: list[Action]
        marks: dict[str, Position]
        end: int
        booted: int
        arranged: Snapshot | None

    def __init__(self, number: int, parent: int, time: int, inherited: int = 0) -> None:
        self.number, self.parent, self.time, self.inherited = number, parent, time, inherited

    def take(self, line: Changing) -> None:
        """Keep the history of a timeline."""
        for name in self.KEPT:
            setattr(self, name, getattr(line, name))

    def give(self, line: Changing) -> None:
        """Let a timeline go on with this history; it is nowhere in particular."""
        line.leave()
        line.near = None
        for name in self.KEPT:
            setattr(line, name, getattr(self, name))


class Branches:
    """All branches of a timeline by number; it is on `current`."""

    def __init__(self, time: int) -> None:
        self.current = Branch(1, 0, time)
        self.by_number = {1: self.current}
        self.last = 1

    def part(self, line: Changing, time: int, fresh: bool = False) -> Branch:
        """Leave the history that there is behind; the timeline goes on from `time` in a new branch.

        A `fresh` one is nobody's change of the other: it has no parent.
        """
        old = self.current
        old.take(line)
        self.last += 1
        inherited = [action for action in line.actions if action.time < time]
        new = self.by_number[self.last] = Branch(self.last, 0 if fresh else old.number, time, len(inherited))
        line.checkpoints = old.checkpoints.copy()
        line.actions, line.undone, line.marks = inherited, [], dict(line.marks)
        old.checkpoints.rest(COPIES)
        self.current = new
        line.cut(time)
        if len(self.by_number) > MOST:
            del self.by_number[min(number for number in self.by_number if number != old.number)]
        return new

    def switch(self, line: Changing, number: int) -> None:
        """Put the timeline on another branch; whoever calls goes to a place of it."""
        self.current.take(line)
        self.current.checkpoints.rest(COPIES)
        self.current = self.by_number[number]
        self.current.give(line)

    def begun_by(self, line: Changing, time: int) -> bool:
        """Did the action of that time begin the present branch, and is the one it came from still there?"""
        own = line.actions[self.current.inherited :]
        return (
            self.current.parent in self.by_number and bool(own) and own[0].time == time == self.current.time
        )

    def holding(self, mark: str) -> tuple[int, Position] | None:
        """The branch, other than the present one, that has a checkpoint or bookmark; and its time."""
        for branch in self.by_number.values():
            if branch is not self.current and mark in branch.marks:
                return branch.number, branch.marks[mark]
        return None
