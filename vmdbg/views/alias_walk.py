"""walk -alias, walk -slot: what the CPU and software read of the same entries, side by side."""

from __future__ import annotations

from vmdbg.views.result import ADDRESS, ENTRY, FLAG, Column, Table
from vmdbg.views.translate import outcome_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from vmdbg.inspect.alias_walk import Seen
    from vmdbg.inspect.notation import Notation
    from vmdbg.inspect.walk import Outcome
    from vmdbg.views.result import Line


def alias_table(show: Notation, found: Sequence[Seen], outcome: Outcome) -> Table:
    """A row for each entry; then where the walk ends, and what differs."""

    def other(seen: Seen) -> str:
        if seen.agrees:
            return "the same"
        return "fault" if seen.entry is None else show.entry(seen.entry)

    columns = [
        Column("name", "level", exported=False),
        Column("level", shown=False),
        Column("index", shown=False),
        Column("entry_address", "the walk", ADDRESS, format=show.pa),
        Column("entry", "reads", ENTRY, format=show.entry),
        Column("alias", "software at", ADDRESS, format=show.va),
        Column("said", "reads", exported=False),
        Column("alias_pa", kind=ADDRESS, shown=False),
        Column("alias_entry", kind=ENTRY, shown=False),
        Column("agrees", kind=FLAG, shown=False),
        Column("fault", shown=False),
    ]
    rows: list[list[Any]] = [
        [
            seen.step.name,
            seen.step.level,
            seen.step.index,
            seen.step.address,
            seen.step.entry,
            seen.va,
            other(seen),
            seen.outcome.pa,
            seen.entry,
            seen.agrees,
            seen.outcome.fault.kind if seen.outcome.fault is not None else None,
        ]
        for seen in found
    ]
    return Table(columns, rows, notes=lambda: notes(show, found, outcome), empty="The walk reads no entry.")


def notes(show: Notation, found: Sequence[Seen], outcome: Outcome) -> Iterator[Line]:
    """Where the walk ends, and a sentence on the first entry that software sees otherwise."""
    yield outcome_line(show, outcome, cached=False)
    other = next((seen for seen in found if not seen.agrees), None)
    if other is None:
        if found:
            yield "Software reads the entries that the CPU walks by."
        return
    at = f"Software that looks for {other.step.name} at {show.va(other.va)}"
    if other.outcome.fault is not None:
        yield f"{at} faults ({other.outcome.fault.kind})."
    elif other.place_agrees:
        yield f"{at} reads another word there."
    elif other.outcome.stale:
        yield f"{at} is led to {show.pa(other.outcome.pa or 0)} by a stale TLB entry."
    else:
        yield f"{at} is led to {show.pa(other.outcome.pa or 0)}, which is not what the CPU walks by."
