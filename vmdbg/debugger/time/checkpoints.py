"""Checkpoints: snapshots that are kept along a run, from which the past is run again."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.machine.snapshot import Snapshot

MOST = 256  # copies kept; beyond that every second one goes, and new ones come half as often
BUDGET = 512 << 20  # bytes that the copies may hold besides what they share; the same beyond that
SPACING = 20_000  # operations between two copies, at first
SHARE = 8  # seconds to be run for each second that the last copy took
LEAST = 0.2  # seconds to be run after any copy: nobody notices that the past is run so long again
OBJECT = 40  # bytes that a chunk takes besides what is in it


class Checkpoints:
    """Copies by time, the first at the beginning of the record; that one always stays."""

    def __init__(self, time: int, first: Snapshot, budget: int = BUDGET) -> None:
        self.times = [time]
        self.snapshots = [first]
        self.sizes = [0]  # bytes of each that the one before does not share
        self.spacing = SPACING
        self.budget = budget
        self.wait_until = 0.0  # seconds of running before which no more are taken

    def before(self, time: int) -> tuple[int, Snapshot]:
        """The nearest copy at or before a time."""
        index = max(0, bisect_right(self.times, time) - 1)
        return self.times[index], self.snapshots[index]

    def wants(self, time: int, ran: float = math.inf) -> bool:
        """Is another copy due at `time`, after `ran` seconds of running?"""
        return ran >= self.wait_until and time - self.before(time)[0] >= self.spacing

    def took(self, seconds: float, ran: float) -> None:
        """Note that a copy took `seconds`, after `ran` seconds of running: the next copy has to wait."""
        self.wait_until = ran + max(SHARE * seconds, LEAST)

    def add(self, time: int, snapshot: Snapshot) -> None:
        """Keep a copy, unless there is one of that time."""
        index = bisect_right(self.times, time)
        if self.times[index - 1] == time:
            return
        self.times.insert(index, time)
        self.snapshots.insert(index, snapshot)
        self.sizes.insert(index, unshared(self.snapshots[index - 1], snapshot))
        while len(self.times) > 2 and (len(self.times) > MOST or sum(self.sizes) > self.budget):
            self.thin()

    def thin(self) -> None:
        """Let every second copy go, and take new ones half as often."""
        self.spacing *= 2
        del self.times[1::2], self.snapshots[1::2]
        pairs = zip(self.snapshots, self.snapshots[1:], strict=False)
        self.sizes = [0, *(unshared(before, after) for before, after in pairs)]

    def copy(self) -> Checkpoints:
        """A list of the same copies, which can be cut and thinned independently."""
        other = Checkpoints(self.times[0], self.snapshots[0], self.budget)
        other.times, other.snapshots, other.sizes = self.times[:], self.snapshots[:], self.sizes[:]
        other.spacing = self.spacing
        return other

    def shrink(self, most: int) -> None:
        """Keep at most `most` copies, while the machine is on another branch."""
        while len(self.times) > max(2, most):
            self.thin()

    def forget(self, time: int) -> int:
        """Forget the copies before a time, but the last one; the time of the first that is left."""
        place = min(bisect_left(self.times, time), len(self.times) - 1)
        del self.times[:place], self.snapshots[:place], self.sizes[:place]
        return self.times[0]

    def cut(self, time: int) -> None:
        """Forget all copies after a time."""
        index = max(1, bisect_right(self.times, time))
        del self.times[index:], self.snapshots[index:], self.sizes[index:]


def unshared(before: Snapshot, after: Snapshot) -> int:
    """Bytes of the chunks of a copy that are not those of the one before it."""
    total = 0
    for table, chunks in after.chunks.items():
        known = before.chunks[table]
        for number in chunks.differing(known.resized(len(chunks))):
            chunk = chunks[number]
            total += OBJECT + len(chunk) if chunk is not None else 0
    return total
