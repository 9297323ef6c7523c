"""What is drawn in the terminal and into files: some series of points over one axis, with names and units."""

from __future__ import annotations

import itertools
import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Number = int | float

LEAST = 1e-300  # what is smaller is 0
WIDE = 20  # the greatest value to the least one from which on an axis is logarithmic


class Series:
    """Points with one name.  `xs` are numbers, or texts: then they are bars.  `band` has a lower and an upper
    bound for each."""

    def __init__(
        self,
        name: str,
        xs: Sequence[Number] | Sequence[str],
        ys: Sequence[Number | None],
        band: Sequence[tuple[Number, Number]] | None = None,
    ) -> None:
        kept = [place for place, y in enumerate(ys) if y is not None]
        self.name = name
        self.xs = [xs[place] for place in kept]
        self.ys = [y for y in ys if y is not None]
        self.band = None if band is None else [band[place] for place in kept]


class Plot:
    """A picture: its title, what the axes are, with units, and the series.

    `binary`: the x axis is logarithmic, to base 2, where the numbers are far apart or powers of two.
    `log_y`: the y axis may be logarithmic; it is where values are far apart.
    """

    def __init__(
        self,
        title: str,
        x: str,
        y: str,
        series: Sequence[Series],
        *,
        binary: bool = False,
        log_y: bool = False,
    ) -> None:
        self.title, self.x, self.y, self.series = title, x, y, [one for one in series if one.xs]
        self.bars = any(isinstance(x, str) for one in self.series for x in one.xs)
        numbers = [] if self.bars else [x for one in self.series for x in one.xs]
        self.log_x = binary and (is_wide(numbers) or are_doubled(numbers))  # type: ignore[arg-type]
        self.log_y = log_y and is_wide([y for one in self.series for y in one.ys])


def is_wide(values: Sequence[Number]) -> bool:
    """Are values so far apart that small ones would not be seen?"""
    positive = [value for value in values if value > 0]
    return bool(positive) and max(positive) >= WIDE * min(positive)


def are_doubled(values: Sequence[Number]) -> bool:
    """Are there more than two values, all powers of two?"""
    return len(set(values)) > 2 and all(math.log2(value).is_integer() for value in values if value > 0)


def short(value: float, thousand: int = 1000) -> str:
    """A number on an axis: `64`, `10k`, `2.5M`, `0.001`; with a `thousand` of 1024 `64Ki`."""
    letters = ("", "k", "M", "G", "T") if thousand == 1000 else ("", "Ki", "Mi", "Gi", "Ti")
    place = 0
    while place + 1 < len(letters) and abs(value) >= thousand ** (place + 1):
        place += 1
    return f"{value / thousand**place:.6g}{letters[place]}"


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers from `low` to `high`, at most `most`: multiples of 1, 2 or 5 times a power of ten."""
    apart = (high - low) / max(1, most - 1)
    if apart < LEAST:
        return [low]
    step = 10.0 ** math.floor(math.log10(apart))
    factors = itertools.cycle((2, 2.5, 2))
    while len(multiples := range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)) > most:
        step *= next(factors)
    found = [round(place * step, 12) for place in multiples]
    return found or [low]


def log_ticks(low: float, high: float, base: int, most: int) -> list[float]:
    """Powers of a base from `low` to `high`, every one, or every second, third, ... so that `most` are
    enough; between few powers of ten also their multiples by 2 and 5."""
    first, last = math.ceil(math.log(low, base) - 1e-9), math.floor(math.log(high, base) + 1e-9)
    step = max(1, -(-(last - first + 1) // most))
    powers = [float(base) ** power for power in range(first, last + 1, step)]
    if base != 10 or len(powers) > 2:
        return powers
    finer = [factor * 10.0**power for power in range(first - 1, last + 1) for factor in (1, 2, 5)]
    return [place for place in finer if low * (1 - 1e-9) <= place <= high * (1 + 1e-9)] or [low]
