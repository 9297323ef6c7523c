"""The formulas of `calc` once more, by counting: tables are built of prefixes, accesses are added up.

Nothing here comes from the code that is tested.
"""

from __future__ import annotations

from fractions import Fraction
from math import lcm


def level_bits(bits: int, page: int, entry: int) -> list[int]:
    """Index bits of each level, the root's first: tables are put on top until all addresses are covered."""
    covered, widths = 0, []
    while 1 << covered < page:
        covered += 1
    width = 0
    while 1 << (width + 1) <= page // entry:
        width += 1
    while covered < bits:
        widths.append(min(width, bits - covered))
        covered += widths[-1]
    return widths[::-1]


def prefixes(numbers: list[int], widths: list[int]) -> list[int]:
    """The tables of each level that pages of these numbers need."""
    found, left = [], sum(widths)
    for width in widths:
        found.append(len({number >> left for number in numbers}))
        left -= width
    return found


def apart(count: int, bits: int) -> list[int]:
    """Numbers of so many bits that differ as high up as they can."""
    return [int(f"{number:0{bits}b}"[::-1], 2) for number in range(count)]


def mean_time(
    memory: Fraction, walk: int, ratio: Fraction | None, tlb: Fraction, faults: Fraction, service: Fraction
) -> Fraction:
    """The mean over as many accesses as the ratios divide, each added up by what it does."""
    hit_of = ratio if ratio is not None else Fraction(0)
    accesses = lcm(hit_of.denominator, 1) * faults.denominator
    total = Fraction(0)
    for number in range(accesses):
        if number % faults.denominator < faults.numerator:
            total += service
            continue
        if ratio is None:
            total += sum([memory] * walk, memory)
            continue
        total += tlb
        if number // faults.denominator >= hit_of.numerator:
            total += sum([memory] * walk, Fraction(0))
        total += memory
    return total / accesses
