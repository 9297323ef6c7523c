"""Copies of the machine's state along the way, from which the past is run again."""

from __future__ import annotations

from bisect import bisect_right

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.machine.snapshot import Snapshot

MOST = 128  # copies kept; beyond that every second one goes, and new ones come half as often
SPACING = 20_000  # operations between two copies, at first


class Checkpoints:
    """Copies by time, the first at the beginning of the record; that one always stays."""

    def __init__(self, time: int, first: Snapshot) -> None:
        self.times = [time]
        self.snapshots = [first]
        self.spacing = SPACING

    def before(self, time: int) -> tuple[int, Snapshot]:
        """The nearest copy at or before a time."""
        place = max(0, bisect_right(self.times, time) - 1)
        return self.times[place], self.snapshots[place]

    def wants(self, time: int) -> bool:
        """Is the nearest copy before `time` far enough away for another one?"""
        return time - self.before(time)[0] >= self.spacing

    def add(self, time: int, snapshot: Snapshot) -> None:
        """Keep a copy; one of the same time is replaced."""
        place = bisect_right(self.times, time)
        if self.times[place - 1] == time:
            self.snapshots[place - 1] = snapshot
            return
        self.times.insert(place, time)
        self.snapshots.insert(place, snapshot)
        if len(self.times) > MOST:
            self.spacing *= 2
            del self.times[1::2], self.snapshots[1::2]

    def cut(self, time: int) -> None:
        """Forget all copies after a time."""
        place = max(1, bisect_right(self.times, time))
        del self.times[place:], self.snapshots[place:]
