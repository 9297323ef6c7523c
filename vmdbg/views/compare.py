"""compare, compare translation: machines side by side."""

from __future__ import annotations

from vmdbg.units import format_size
from vmdbg.views.document import Document
from vmdbg.views.policy import oracle_note
from vmdbg.views.result import NUMBER, Column, Table
from vmdbg.views.sweep import BYTES, MEASURES, POLICY, header, measure_text, text_of, without_first_level

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from vmdbg.machine.config import MachineConfig
    from vmdbg.machine.setting import Setting
    from vmdbg.sweep.translation import Way
    from vmdbg.views.result import Line

    Measures = dict[str, Any]


def difference(before: Any, after: Any) -> float | None:
    """By how much a measure is larger on the second machine; None where one of them has none."""
    if before is None or after is None:
        return None
    found: float = round(after - before, 3)
    return found


def ratio(before: Any, after: Any) -> float | None:
    """How many times as large a measure is on the second machine; None where that cannot be said."""
    return round(after / before, 3) if before and after is not None else None


def compare_table(
    setting: Setting,
    values: Sequence[object],
    found: Sequence[Measures],
    configs: Sequence[MachineConfig] = (),
) -> Document:
    """Two machines that differ in a setting: each measure of both, the difference, and how many times; with
    their configurations also what is odd about these."""
    names = [*map(text_of(setting, values), values)]
    first, second = found

    def rows() -> list[list[Any]]:
        measured = [(name, first.get(name), second.get(name)) for name in MEASURES]
        return [[name, *both, difference(*both), ratio(*both)] for name, *both in measured]

    columns = [Column("measure"), Column("first", kind=NUMBER), Column("second", kind=NUMBER)]
    columns += [Column("difference", kind=NUMBER), Column("ratio", kind=NUMBER)]

    def lines() -> Iterator[Line]:
        shown = [Column("measure", header=""), *(Column(name, name, NUMBER) for name in names)]
        shown += [Column("difference", kind=NUMBER), Column("times", kind=NUMBER)]
        yield from Table(shown, [written(row) for row in rows() if row[1:3] != [None, None]]).lines()
        for name, row in zip(names, found, strict=True):
            if "error" in row:
                yield f"{name}: {row['error']}"
            if row.get("formula"):
                yield f"{name}: {row['formula']}"
        yield from oracle_note(names) if setting.name == POLICY else []
        yield from without_first_level(configs, found) if configs else []

    def data() -> dict[str, Any]:
        measures = [{name: row.get(name) for name in (*MEASURES, "error")} for row in found]
        return {
            "setting": setting.name,
            "values": list(values),
            "machines": measures,
            "differences": {row[0]: row[3] for row in rows()},
            "ratios": {row[0]: row[4] for row in rows()},
        }

    def exported() -> list[list[Any]]:
        errors = [row.get("error") for row in found]
        return [*rows(), *([["error", *errors, None, None]] if any(errors) else [])]

    return Document(data, lines, columns, exported)


def written(row: Sequence[Any]) -> list[str]:
    """A row of `compare` as it reads: differences with a sign, sizes as sizes."""
    name, first, second, more, times = row
    text = measure_text(name)
    sign = "+" if (more or 0) > 0 else "-" if (more or 0) < 0 else ""
    size = format_size(abs(more)) if name in BYTES and more else str(abs(more or 0))
    said = "-" if more is None else sign + size
    return [header(name), text(first), text(second), said, "-" if times is None else f"{times}"]


COLUMNS = (
    Column("who", "who translates"),
    Column("hit_rate", "TLB hits", NUMBER, format=lambda rate: "-" if rate is None else f"{rate:.2f} %"),
    Column("entries_per_access", "entries read", NUMBER, format=lambda number: f"{number:.3f}"),
    Column("traps_per_access", "traps", NUMBER, format=lambda number: f"{number:.3f}"),
    Column("translation", kind=NUMBER, format=lambda cycles: f"{cycles:.2f}"),
    Column("cycles_per_access", "cycles", NUMBER, format=lambda cycles: f"{cycles:.2f}"),
    Column("factor", kind=NUMBER, format=lambda factor: "-" if factor is None else f"{factor:.2f}"),
)


def translation_table(ways: Sequence[Way], found: Sequence[Measures], memory: int) -> Document:
    """The ways to translate of one program: what each access costs, and how many times what it would cost
    without translation, `memory` cycles."""

    def cells() -> Iterator[dict[str, Any]]:
        for way, row in zip(ways, found, strict=True):
            if "error" not in row and row["accesses"]:
                yield way_cells(way, row, memory)

    keys = [column.key for column in COLUMNS]

    def lines() -> Iterator[Line]:
        rows = [{**row, "who": way_name(row["who"], row["with_tlb"])} for row in cells()]
        yield from Table(list(COLUMNS), rows).lines()
        yield f"Of one access; the factor is to {memory} cycles, an access without translation."
        for way, row in zip(ways, found, strict=True):
            if "error" in row:
                yield f"{way_name(way.who, way.tlb)}: {row['error']}"
            elif row["accesses"]:
                yield f"{way_name(way.who, way.tlb)}: {row['formula']}"

    return Document(
        lambda: list(cells()),
        lines,
        [Column(key) for key in (*keys, "with_tlb")],
        lambda: [[row[key] for key in (*keys, "with_tlb")] for row in cells()],
    )


def way_name(who: str, tlb: bool) -> str:
    """`kernel, no TLB`."""
    return f"{who}, {'TLB' if tlb else 'no TLB'}"


def way_cells(way: Way, row: Measures, memory: int) -> dict[str, Any]:
    """What the table shows of one way."""
    accesses = row["accesses"]
    cycles = row["cycles_per_access"] + memory
    return {
        "who": way.who,
        "with_tlb": way.tlb,
        "hit_rate": round(100 - 100 * row["tlb_misses"] / row["lookups"], 3) if way.tlb else None,
        "entries_per_access": round(row["entries_read"] / accesses, 6),
        "traps_per_access": round(row["traps"] / accesses, 6),
        "translation": row["cycles_per_access"],
        "cycles_per_access": round(cycles, 3),
        "factor": round(cycles / memory, 3) if memory else None,
    }
