"""A fence in the past of a timeline: while it stands, the record begins where it was put up."""

from __future__ import annotations

from vmdbg.debugger.time.branches import Branches
from vmdbg.debugger.time.checkpoints import Checkpoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.debugger.time.timeline import Timeline


class Fence:
    """Put up by being made; the operation in which the machine stands is finished first.

    Nothing behind it can be gone to, undone or asked.  Once it is removed, what happened in front of it is
    the end of the record, in a branch of its own if the machine had gone further before.
    """

    KEPT = ("begin", "end", "actions", "undone", "marks", "checkpoints", "branches")

    def __init__(self, line: Timeline) -> None:
        with line.runner.interrupts:
            line.settle()
            line.note_end()
        self.line, self.time = line, line.machine.operations
        self.kept = self.present()
        line.begin = line.end = self.time
        line.actions, line.undone, line.marks, line.near = [], [], {}, None
        line.checkpoints = Checkpoints(self.time, line.machine.snapshot())
        line.branches = Branches(self.time)

    def present(self) -> dict[str, Any]:
        """The record of the timeline as it is."""
        return {name: getattr(self.line, name) for name in self.KEPT}

    def remove(self, torn: bool = False) -> None:
        """Take it away.  `torn`: somebody broke off in the middle of an operation; the machine is then put
        to the end of what is known of it."""
        line = self.line
        if torn:
            with line.runner.interrupts:
                line.end = max(line.end, line.checkpoints.times[-1])
                line.travel(line.end)
        new = self.present()
        for name, value in self.kept.items():
            setattr(line, name, value)
        line.near = None
        if new["end"] == self.time and not new["actions"]:
            return
        if line.end > self.time:
            line.branches.part(line, self.time)
        copies = new["checkpoints"]
        for time, snapshot in zip(copies.times[1:], copies.snapshots[1:], strict=True):
            line.checkpoints.add(time, snapshot)
        line.actions += new["actions"]
        line.undone = []
        line.end = new["end"]
