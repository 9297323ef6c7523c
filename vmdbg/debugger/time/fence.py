"""A fence in the past of a timeline: while it stands, the record begins where it was put up."""

from __future__ import annotations

from vmdbg.debugger.time.branches import Branch, Branches
from vmdbg.debugger.time.checkpoints import Checkpoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.time.timeline import Timeline


class Fence:
    """Put up by being made; the operation in which the machine stands is finished first.

    Nothing behind it can be gone to, undone or asked.  Once it is removed, what happened in front of it is
    the end of the record, in a branch of its own if the machine had gone further before.
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
        """Take it away.  `torn`: somebody broke off in the middle of an operation; the machine is then put
        to the end of what is known of it."""
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
