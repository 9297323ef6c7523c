"""calc: the formulas with their numbers, step by step."""

from __future__ import annotations

from math import floor, log10

from vmdbg.inspect.calc import total_reach
from vmdbg.units import format_size
from vmdbg.views.document import Document
from vmdbg.views.result import NUMBER, Column, Record, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from fractions import Fraction
    from typing import Any

    from vmdbg.inspect.calc import AccessTime, Levels, Reach, Tables

MOST_PLACES = 12  # digits behind the point that are shown; more are rounded, and that is said
FEW_DIGITS = 6  # of a number that is rounded


def decimal_text(number: Fraction) -> str:
    """A number from 0 on in decimal, exact where that takes few digits, else rounded."""
    places = exact_places(number)
    if places is None:
        return f"{float(number):.{max(0, FEW_DIGITS - 1 - floor(log10(number)))}f}"
    digits = f"{number.numerator * 10**places // number.denominator:0{places + 1}}"
    return digits if places == 0 else f"{digits[:-places]}.{digits[-places:]}"


def exact_places(number: Fraction) -> int | None:
    """The digits behind the point that a number has; None if they are too many."""
    return next((n for n in range(MOST_PLACES + 1) if 10**n % number.denominator == 0), None)


def result_text(number: Fraction, unit: str = "") -> str:
    """`= 140 ns`; with a remark if it was rounded."""
    rounded = "" if exact_places(number) is not None else " (rounded)"
    return f"= {decimal_text(number)}{unit and ' ' + unit}{rounded}"


# -- levels


def split_text(found: Levels) -> str:
    """`9 + 9 + 9 + 9 + 12`: index bits from the root's, then those of the offset."""
    return " + ".join(map(str, (*found.split, found.offset)))


def level_lines(found: Levels) -> Iterator[str]:
    """How the number of levels comes about."""
    rest = found.bits - found.offset
    yield f"offset  log2({found.page}) = {found.offset} bits"
    whole = 1 << found.index == found.entries
    entries = f"{found.page} / {found.entry} = {found.entries} entries{' =' if whole else ', at least'}"
    yield f"table   {entries} 2^{found.index}: {found.index} bits a level"
    exact = f"{rest / found.index:.2f}".rstrip("0").rstrip(".")
    up = "" if rest % found.index == 0 else f", rounded up: {len(found.split)}"
    yield f"levels  ({found.bits} - {found.offset}) / {found.index} = {exact}{up}"
    yield f"split   {split_text(found)} = {found.bits} bits"
    if found.split[0] < found.index:
        yield f"root    {1 << found.split[0]} of {found.entries} entries in use"


def level_data(found: Levels) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "va_bits": found.bits,
        "page_size": found.page,
        "entry_size": found.entry,
        "offset_bits": found.offset,
        "entries": found.entries,
        "index_bits": found.index,
        "levels": len(found.split),
        "split": found.split,
    }


def levels_record(found: Levels) -> Record:
    """calc levels."""
    return Record(level_data(found), lambda: level_lines(found))


# -- reach


def reach_line(found: Reach) -> str:
    """`16 * 4 = 64 entries * 4 KiB = 256 KiB`."""
    product = f"{found.sets} * {found.ways} = " if found.sets else ""
    entries = f"{found.entries} entr{'y' if found.entries == 1 else 'ies'}"
    return f"{product}{entries} * {format_size(found.page)} = {format_size(found.size)}"


def reach_document(found: Sequence[Reach]) -> Document:
    """calc reach."""

    def lines() -> Iterator[str]:
        yield from map(reach_line, found)
        if len(found) > 1:
            sizes = " + ".join(format_size(each.size) for each in found)
            yield f"{sizes} = {format_size(total_reach(found))}, if no page is in two of them"

    rows = [{"entries": each.entries, "page_size": each.page, "reach": each.size} for each in found]
    return Document(
        lambda: {"arrays": rows, "reach": total_reach(found)},
        lines,
        [Column(key, kind=NUMBER) for key in ("entries", "page_size", "reach")],
        lambda: [list(row.values()) for row in rows],
    )


# -- effective access time


def access_lines(found: AccessTime, unit: str) -> Iterator[str]:
    """Hit, miss, the mean of both, faults, and what a goal takes."""
    text = decimal_text
    memory, tlb = text(found.memory), text(found.tlb)
    walk = f"{found.levels} * {memory} + {memory}" if found.levels else memory
    if found.ratio is None:
        yield (
            f"access  {walk} {result_text(found.access, unit)}"
            if found.levels
            else (f"access  {memory}{unit and ' ' + unit}")
        )
    else:
        yield f"hit     {tlb} + {memory} {result_text(found.hit, unit)}"
        yield f"miss    {tlb} + {walk} {result_text(found.miss, unit)}"
        parts = f"{text(found.ratio)} * {text(found.hit)} + {text(1 - found.ratio)} * {text(found.miss)}"
        yield f"access  {parts} {result_text(found.access, unit)}"
    if found.faults is not None:
        rate, access = text(found.faults), text(found.access)
        parts = f"(1 - {rate}) * {access} + {rate} * {text(found.service)}"
        yield f"fault   {parts} {result_text(found.effective, unit)}"
    times = found.effective / found.memory
    what = "memory access" if times == 1 else "memory accesses"
    yield f"times   {text(found.effective)} / {memory} {result_text(times, what)}"
    if found.goal is not None:
        yield from goal_lines(found)


def goal_lines(found: AccessTime) -> Iterator[str]:
    """What an access time that was asked for takes."""
    text, goal, needed = decimal_text, decimal_text(found.goal), result_text(found.needed)
    if found.service is not None:
        if found.needed == 1:
            yield f"goal    {goal} is kept even if every access faults"
            return
        access = text(found.access)
        parts = f"({goal} - {access}) / ({text(found.service)} - {access})"
        yield f"goal    {parts} {needed}: highest rate of faults"
        if found.needed:
            yield f"        one in {text(1 / found.needed)} accesses"
        return
    if found.needed == 0:
        yield f"goal    {goal} is kept even if every access misses"
        return
    hit, miss = text(found.hit), text(found.miss)
    yield f"goal    ({miss} - {goal}) / ({miss} - {hit}) {needed}: least hit ratio"


def access_record(found: AccessTime, unit: str) -> Record:
    """calc eat."""

    def number(value: Fraction | None) -> float | None:
        return None if value is None else float(value)

    data = {
        "unit": unit or None,
        "hit_ratio": number(found.ratio),
        "tlb": number(found.tlb),
        "memory": number(found.memory),
        "levels": found.levels,
        "hit": number(found.hit),
        "miss": number(found.miss),
        "access": number(found.access),
        "fault_rate": number(found.faults),
        "service": number(found.service),
        "effective": number(found.effective),
        "slowdown": float(found.effective / found.memory),
        "goal": number(found.goal),
        "needed": number(found.needed),
    }
    return Record(data, lambda: access_lines(found, unit))


# -- sizes of tables


def table_lines(found: Tables) -> Iterator[Any]:
    """A flat table, one of several levels, and an inverted one."""
    walk, page = found.walk, format_size(found.walk.page)
    size = walk.entry
    power = f"2^({walk.bits} - {walk.offset}) = 2^{found.flat.entry_bits}"
    yield f"flat      {power} entries * {size} B = {format_size(found.flat.size)}"
    if found.inverted is not None:
        entries = f"{format_size(found.ram)} / {page} = {found.inverted} entries * {size} B"
        yield f"inverted  {entries} = {format_size(found.inverted * size)}, for all processes"
    yield f"levels    {split_text(walk)} = {walk.bits} bits; a table takes a page"
    mapped = f"{format_size(found.mapped)} / {page}"
    up = ", rounded up" * (found.mapped % walk.page > 0)
    yield f"mapped    {mapped}{up} = {found.pages} page{'s' * (found.pages != 1)}"
    names = ("together", "apart", "all")
    rows: list[list[Any]] = [
        [str(row.level), *(getattr(row, name) for name in names)] for row in found.levels
    ]
    sums = [sum(getattr(row, name) for row in found.levels) for name in names]
    rows += [["tables", *sums], ["size", *(format_size(count * walk.page) for count in sums)]]
    columns = [Column("level"), Column("together", align=">"), Column("apart", align=">")]
    yield from Table([*columns, Column("all", "all mapped", align=">")], rows).lines()


def table_data(found: Tables) -> dict[str, Any]:
    """The same as plain data."""
    page, rows = found.walk.page, found.levels
    return {
        **level_data(found.walk),
        "flat_entries": 1 << found.flat.entry_bits,
        "flat_size": found.flat.size,
        "pages": found.pages,
        "tables": [row._asdict() for row in rows],
        "together_size": page * sum(row.together for row in rows),
        "apart_size": page * sum(row.apart for row in rows),
        "all_size": page * sum(row.all for row in rows),
        "inverted_entries": found.inverted,
        "inverted_size": None if found.inverted is None else found.inverted * found.walk.entry,
    }


def table_document(found: Tables) -> Document:
    """calc table."""
    return Document(
        lambda: table_data(found),
        lambda: table_lines(found),
        [Column(key, kind=NUMBER) for key in ("level", "together", "apart", "all")],
        lambda: found.levels,
    )
