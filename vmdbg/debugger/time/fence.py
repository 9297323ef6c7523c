"""A fence: while it exists, the record of a timeline begins at the time at which it was made."""

from __future__ import annotations

from vmdbg.debugger.time.branches import Branch, Branches
from vmdbg.debugger.time.checkpoints import Checkpoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.time.timeline import Timeline


class Fence:
    """A new fence first finishes the operation in which the machine stands.

    Commands cannot go to earlier times, undo earlier commands or ask about them.  When the fence is removed,
    what happened after it becomes the end of the record, in a new branch if the old record was longer.
    """

    def __init__(self, timeline: Timeline) -> None:
        with timeline.runner.interrupts:
            timeline.finish_operation()
            timeline.note_end()
        machine, self.timeline, self.behind = timeline.machine, timeline, timeline.branches
        self.time = machine.operations
        branch = Branch(1, self.time, Checkpoints(self.time, machine.snapshot()))
        branch.booted, branch.boot_end = timeline.branch.booted, timeline.branch.boot_end
        timeline.branches = Branches(branch)

    def remove(self, torn: bool = False) -> None:
        """Remove the fence.  `torn`: a run was interrupted in the middle of an operation; then the machine is
        put to the end of the record."""
        timeline = self.timeline
        if torn:
            with timeline.runner.interrupts:
                timeline.branch.end = max(timeline.end, timeline.branch.checkpoints.times[-1])
                timeline.travel(timeline.end)
        new, timeline.branches = timeline.branch, self.behind
        if new.end == self.time and not new.actions:
            return
        if timeline.end > self.time:
            timeline.branches.part(self.time)
        branch = timeline.branch
        branch.booted, branch.boot_end = new.booted, new.boot_end
        copies = new.checkpoints
        for time, snapshot in zip(copies.times[1:], copies.snapshots[1:], strict=True):
            branch.checkpoints.add(time, snapshot)
        branch.actions += new.actions
        branch.undone = []
        branch.end = new.end
