"""info machine, registers, stats, frames, swap: tables of what there is."""

from __future__ import annotations

from vmdbg.units import format_size
from vmdbg.views.address_space import size_column
from vmdbg.views.plot import Plot, Series
from vmdbg.views.policy import with_oracle
from vmdbg.views.result import ADDRESS, NUMBER, Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from vmdbg.inspect.notation import Notation


def machine_lines(facts: dict[str, Any], summary: str) -> Iterator[str]:
    """`info machine`."""
    levels = ", ".join(f"{level['level']} {level['bits']}" for level in facts["levels"])
    pages = ", ".join(format_size(size) for size in facts["page_sizes"])
    frames = ", ".join(f"{count} {state}" for state, count in facts["frames"].items() if count)
    yield f"Machine {facts['machine']}: {summary}."
    yield f"format   {facts['va_bits']}-bit addresses, levels by index bits: {levels}"
    yield f"         entries of {facts['entry_bytes']} B, pages of {pages} ({facts['manual']})"
    for array in facts["tlb"]:
        serves = {(True, True): "", (True, False): ", fetches", (False, True): ", data"}
        what = serves[array["fetches"], array["data"]]
        sizes = ", ".join(format_size(size) for size in array["page_sizes"])
        held = f", pages of {sizes}" if array["page_sizes"] != facts["page_sizes"] else ""
        yield f"tlb      {array['level']}: {array['sets']} sets of {array['ways']} ways{what}{held}"
        yield f"         reach {reach_text(array['page_sizes'], array['reach'])}"
    filled = "the kernel fills it" if facts["software_walk"] else "a walker fills it"
    kind = f"{facts['replacement']} replacement" + (", inclusive" if facts["inclusive"] else "")
    yield f"         {filled}, {kind}" if facts["tlb"] else "tlb      none"
    caches = [f"{cache['entries']} of the {cache['level']}" for cache in facts["walk_caches"]]
    if caches:
        yield f"         page-walk caches of entries: {', '.join(caches)}"
    yield f"cpus     {facts['cpus']}"
    yield f"frames   {frames}"
    yield f"swap     {facts['slots'] - facts['free_slots']} of {facts['slots']} slots in use"
    yield f"policy   {with_oracle(facts['policy'])}"
    yield f"program  {facts['program'] or 'none'}"
    yield f"time     {facts['operations']} operations"
    yield f"digest   {facts['digest']}"


def reach_text(page_sizes: Sequence[int], reach: Sequence[int]) -> str:
    """`256 KiB by 4 KiB pages, 128 MiB by 2 MiB`: bytes that the entries of an array translate."""
    first, *others = [
        (format_size(size), format_size(held)) for size, held in zip(page_sizes, reach, strict=True)
    ]
    return ", ".join([f"{first[1]} by {first[0]} pages", *(f"{held} by {size}" for size, held in others)])


def registers_table(rows: Iterable[dict[str, Any]], several: bool) -> Table:
    """`info registers`, as GDB: name, hex, meaning."""
    columns = [
        Column("cpu", kind=NUMBER, shown=several),
        Column("register"),
        Column("value", kind=ADDRESS),
        Column("meaning", wraps=True),
    ]
    return Table(columns, rows, headers=several)


def stats_table(rows: Iterable[dict[str, Any]], notes: Callable[[], Iterable[str]]) -> Table:
    """`info stats`."""
    columns = [Column("event"), Column("count", kind=NUMBER), Column("help", "what", wraps=True)]
    return Table(columns, rows, notes=notes, empty="Nothing has happened.")


def faults_table(rows: list[dict[str, Any]], plot: Callable[[], Plot]) -> Table:
    """`info faults`; the picture is one over time."""
    columns = [
        Column("pid", kind=NUMBER),
        Column("name"),
        Column("fault"),
        Column("count", kind=NUMBER),
        Column("cycles", kind=NUMBER),
        Column("help", "what", wraps=True),
    ]
    return Table(
        columns, rows, notes=lambda: [faults_total(rows)] if rows else [], empty="No faults.", plot=plot
    )


def faults_over_time(rows: list[dict[str, Any]], every: int) -> Table:
    """`info faults -every`: intervals of so many operations; kinds that never happened are not shown."""
    kinds = [key for key in rows[0] if key not in ("time", "operations")] if rows else []
    columns = [
        Column("time", kind=NUMBER),
        Column("operations", kind=NUMBER, shown=False),
        *(
            Column(key.replace("-", "_"), key, NUMBER, shown=any(row[key] for row in rows) or key == kinds[0])
            for key in kinds
        ),
    ]
    return Table(
        columns,
        [list(row.values()) for row in rows],
        empty="Nothing was executed.",
        plot=lambda: faults_plot(rows, every),
    )


def faults_plot(rows: list[dict[str, Any]], every: int) -> Plot:
    """Faults over the time of a run, a line for each kind that happened."""
    times = [row["time"] for row in rows]
    kinds = [key for key in rows[0] if key.startswith("fault-")] if rows else []
    each = "each operation" if every == 1 else f"each {every} operations"
    return Plot(
        "Page faults over time",
        "operations",
        f"faults in {each}",
        [
            Series(kind, times, [row[kind] for row in rows])
            for kind in kinds
            if any(row[kind] for row in rows)
        ],
    )


def faults_total(rows: list[dict[str, Any]]) -> str:
    """`12 served, 1 not, 12000 cycles.`"""
    served = sum(row["count"] for row in rows if row["fault"] != "signal")
    signals = sum(row["count"] for row in rows) - served
    return f"{served} served, {signals} not, {sum(row['cycles'] for row in rows)} cycles."


def first_mapping(show: Notation, row: dict[str, Any]) -> str:
    """The first address of those that map a frame, and how many more there are."""
    found = row["mappings"]
    if not found:
        return "-"
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f"{show.va(found[0]['va'])} in {found[0]['pid']}{more}"


def frames_table(show: Notation, rows: Iterable[dict[str, Any]], notes: Callable[[], Iterable[str]]) -> Table:
    """`info frames`."""
    columns = [
        Column("pfn", kind=ADDRESS, format=show.pfn),
        Column("frames", kind=NUMBER),
        Column("state"),
        Column("pid", kind=NUMBER),
        Column("maps", kind=NUMBER, shown=False),
        Column("slot", kind=NUMBER),
        Column("mapped", "mapped at", exported=False),
        Column("va", kind=ADDRESS, shown=False),
        Column("entry_address", kind=ADDRESS, shown=False),
    ]

    def cells() -> Iterator[dict[str, Any]]:
        for row in rows:
            first = row["mappings"][0] if row["mappings"] else {}
            yield {**row, **first, "pid": row["pid"], "mapped": first_mapping(show, row)}

    return Table(columns, cells(), notes=notes)


def slots_table(show: Notation, rows: Iterable[dict[str, Any]], notes: Callable[[], Iterable[str]]) -> Table:
    """`swap`."""
    columns = [
        Column("slot", kind=NUMBER),
        Column("pid", kind=NUMBER),
        Column("va", "page", kind=ADDRESS, format=show.va),
        Column("refs", kind=NUMBER),
        Column("pfn", "also in", kind=ADDRESS, format=lambda pfn: "-" if pfn is None else show.pfn(pfn)),
    ]
    return Table(columns, rows, notes=notes)


def regions_table(show: Notation, rows: Iterable[dict[str, Any]]) -> Table:
    """`info regions`: of all processes."""
    columns = [
        Column("pid", kind=NUMBER),
        Column("start", kind=ADDRESS, format=show.va),
        Column("end", kind=ADDRESS, format=show.va),
        Column("size", align=">", format=format_size),
        Column("rights"),
        size_column("page_size", "page", shown=False),
        size_column("resident"),
        size_column("swapped"),
        Column("kind", "region"),
    ]
    return Table(columns, rows, empty="No regions.")
