"""`info cost`: what operations cost, by what they spend it on."""

from __future__ import annotations

from vmdbg.state.events import EVENTS
from vmdbg.views.event_words import Teller
from vmdbg.views.result import NUMBER, Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.machine.machine import Machine

GROUPS = {"l1": "tlb", "l1+l2": "tlb", "trap": "trap", "memory": "memory", "minor": "fault", "major": "fault"}
PARTS = ("tlb", "trap", "memory", "fault")
LOOKUPS = ("tlb-hit", "tlb-l2-hit", "tlb-miss")  # the first that happened says how the TLB did


def how(rows: list[LoggedEvent]) -> str:
    """`tlb-miss, fault-minor`: the first look-up, and the faults."""
    names = [row.name for row in rows]
    first = [name for name in names if name in LOOKUPS][:1]
    faults = [name for name in names if name.startswith("fault-") or name == "signal"]
    return ", ".join(dict.fromkeys([*first, *faults])) or "-"


def operation_words(text: str) -> str:
    """An operation without the value that it writes."""
    return text.split(",", maxsplit=1)[0]


def cost_table(machine: Machine, operations: list[tuple[int, str, list[LoggedEvent]]]) -> Table:
    """A row for each operation: time, text and events of each are given."""
    teller = Teller(machine)
    columns = [Column("time", kind=NUMBER, align="<"), Column("operation")]
    columns += [Column(part, f"{part:>4}", kind=NUMBER) for part in PARTS]
    columns += [Column("cycles", kind=NUMBER), Column("how")]
    spent: list[int] = []

    def rows() -> Iterator[list[object]]:
        for operation in operations:
            row = cost_row(teller, *operation)
            spent.append(int(row[-2]))  # type: ignore[call-overload]
            yield row

    return Table(columns, rows(), notes=lambda: [total_line(spent)] if len(spent) > 1 else [])


def total_line(spent: list[int]) -> str:
    """`4 operations: 3246 cycles, 811.5 each.`"""
    total = sum(spent)
    mean = f"{total / len(spent):.1f}".removesuffix(".0")
    return f"{len(spent)} operations: {total} cycles, {mean} each."


def cost_row(teller: Teller, time: int, text: str, rows: list[LoggedEvent]) -> list[object]:
    """The cells of one operation; a part that costs nothing is None."""
    spent = dict.fromkeys(PARTS, 0)
    for row in rows:
        key = EVENTS[row.kind].cost
        if key:
            spent[GROUPS[key]] += teller.cost(row) or 0
    parts = [spent[part] or None for part in PARTS]
    return [time, operation_words(text), *parts, sum(spent.values()), how(rows)]
