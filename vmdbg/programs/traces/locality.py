"""What a pass over a trace found: stack distances, from which curves and histograms come; the working set."""

from __future__ import annotations

import math
from collections import namedtuple
from itertools import accumulate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: An interval of a trace: its accesses, the sum of the sizes of the working set after each of them, the least
#: and the greatest of these, and how many accesses were to pages that were not in it.  As in the table
#: `interval`.
Interval = namedtuple("Interval", "accesses total least most misses")
#: A row of a histogram: distances from `low` to `high`, and accesses.
Bin = namedtuple("Bin", "low high accesses")

#: Quantile 0.975 of Student's distribution with 7 degrees of freedom: of the mean of 8 groups.
QUANTILE = 2.365


class Distances:
    """How many accesses of a trace have each stack distance.

    `accesses` are those of the whole trace; `counts[d]` those of distance d, and `pages` the different pages,
    of the part `rate` of all pages that was looked at (1: all of them).  `groups` are the same of parts of a
    sample.  What is asked for is of the whole trace, estimated if `rate` is below 1.
    """

    def __init__(self, accesses: int, pages: int, counts: list[int], rate: float = 1.0) -> None:
        self.accesses, self.sampled_pages, self.counts, self.rate = accesses, pages, counts, rate
        self.groups: list[Distances] = []
        self._up_to = list(accumulate(counts)) or [0]

    @property
    def sampled(self) -> int:
        """The accesses that were looked at: the first one of each page has no distance."""
        return self._up_to[-1] + self.sampled_pages

    @property
    def pages(self) -> int:
        """Different pages."""
        return round(self.sampled_pages / self.rate)

    def _missed(self, frames: float) -> float:
        """Accesses that were looked at and that LRU with so many frames misses.

        The distance of a page in a sample is 1 and those of the pages above it that are in the sample; so
        many frames are that part of them.
        """
        exact = 1 + (frames - 1) * self.rate
        place = min(int(exact), len(self._up_to) - 1)
        more = self._up_to[min(place + 1, len(self._up_to) - 1)] - self._up_to[place]
        return self.sampled - self._up_to[place] - (exact - int(exact)) * more

    def misses(self, frames: float) -> float:
        """What LRU with so many frames misses.

        An estimate is of the accesses that the sample should have had, that part of all: what it has too few
        or too many of are accesses to few, much used pages, which hit (SHARDS-adj).
        """
        return min(float(self.accesses), self._missed(frames) / self.rate)

    def ratio(self, frames: float) -> float:
        """Misses for each access."""
        return self.misses(frames) / self.accesses if self.accesses else 0.0

    def bounds(self, frames: int) -> tuple[float, float]:
        """Between which ratios that of the whole trace is, in 95 of 100 samples; for all pages it is `ratio`.

        Three errors.  Which pages a sample has: from how its groups differ (the method of random groups:
        Wolter, Introduction to Variance Estimation, chapter 2; with the correction for a sample that is no
        small part of all pages).  How many of the pages above one it has, which says where on the curve the
        number of frames is.  And whether the accesses that it has too few or too many of hit, or miss as the
        others do.
        """
        there, count = self.ratio(frames), len(self.groups)
        if not count:
            return there, there
        ratios = [group.ratio(frames) for group in self.groups]
        mean = sum(ratios) / count
        variance = sum((ratio - mean) ** 2 for ratio in ratios) / (count * (count - 1))
        chance = QUANTILE * math.sqrt(variance * (1 - self.rate))
        off = 2 * math.sqrt(frames * (1 - self.rate) / self.rate)
        like_others = self._missed(frames) / self.sampled
        low = min(there, like_others) - math.hypot(chance, there - self.ratio(frames + off))
        high = max(there, like_others) + math.hypot(chance, self.ratio(max(1, frames - off)) - there)
        return max(0.0, low), min(1.0, high)

    def bends(self, most: int) -> list[int]:
        """Numbers of frames between which the curve is drawn: all that differ, or as many as `most`, which
        are close together where there are few frames."""
        last = max(1, self.pages)
        if last <= most:
            return list(range(1, last + 1))
        return sorted({round(last ** (step / (most - 1))) for step in range(most)})

    def histogram(self) -> list[Bin]:
        """Accesses by distance: 1, 2, 3 to 4, 5 to 8, and so on; what a sample cannot tell apart is one
        row."""
        found: list[float] = []
        least = (math.ceil(1 / self.rate) - 1).bit_length()
        for place, count in enumerate(self.counts):
            if count:
                distance = 1 + round((place - 1) / self.rate)
                number = max(0, (distance - 1).bit_length() - least)
                found += [0.0] * (number + 1 - len(found))
                found[number] += count / self.rate
        if self.rate < 1 and found:
            found[0] = max(0.0, found[0] + self.accesses - self.sampled / self.rate)
        lows = (1, *((1 << least + number) + 1 for number in range(len(found))))
        return [Bin(lows[number], 1 << least + number, round(count)) for number, count in enumerate(found)]


def powers_of_two(last: int) -> list[int]:
    """1, 2, 4 and so on, and the last number."""
    return sorted({1 << place for place in range(last.bit_length())} | {last}) if last > 0 else []


class WorkingSet:
    """The working set of a trace: the pages of the last `window` accesses, in intervals of `every` accesses.

    `pages` are the different pages of the trace.
    """

    def __init__(self, window: int, every: int, pages: int, intervals: list[Interval]) -> None:
        self.window, self.every, self.pages, self.intervals = window, every, pages, intervals

    @property
    def whole(self) -> Interval:
        """The whole trace as one interval."""
        return joined(self.intervals) if self.intervals else Interval(0, 0, 0, 0, 0)

    def coarser(self, most: int) -> WorkingSet:
        """The same in longer intervals, at most so many."""
        intervals, every = self.intervals, self.every
        while len(intervals) > most:
            intervals, every = in_pairs(intervals), 2 * every
        return WorkingSet(self.window, every, self.pages, intervals)


def joined(intervals: Sequence[Interval]) -> Interval:
    """Several intervals, one behind the other, as one."""
    return Interval(
        sum(one.accesses for one in intervals),
        sum(one.total for one in intervals),
        min(one.least for one in intervals),
        max(one.most for one in intervals),
        sum(one.misses for one in intervals),
    )


def in_pairs(intervals: Sequence[Interval]) -> list[Interval]:
    """Each two intervals as one; the last may stay alone."""
    return [joined(intervals[at : at + 2]) for at in range(0, len(intervals), 2)]


def continued(before: list[Interval], after: list[Interval], every: int) -> list[Interval]:
    """Intervals of `every` accesses and those behind them; what the last one lacks, the first one has."""
    if before and after and before[-1].accesses < every:
        return [*before[:-1], joined([before[-1], after[0]]), *after[1:]]
    return before + after
