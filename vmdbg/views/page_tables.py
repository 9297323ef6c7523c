"""tables, overhead, rmap, aliases, pte: page tables as trees and as costs."""

from __future__ import annotations

from itertools import chain

from vmdbg.inspect.notation import rights_text, size_text
from vmdbg.units import format_size
from vmdbg.views.result import ADDRESS, ENTRY, NUMBER, RIGHTS, Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from vmdbg.formats.record import Format
    from vmdbg.inspect.notation import Notation
    from vmdbg.inspect.overhead import Flat, PageSize
    from vmdbg.inspect.page_tables import Cost, EntryRun

UNDECIDED = "-"
SMALL_ENTRY = 4
MANY = 10  # tables that take so many times what is resident are no percentage


# -- tables


def tree_lines(show: Notation, form: Format, root: int, runs: Iterable[EntryRun]) -> Iterator[str]:
    """The tree, one line an entry; leaves whose frames go on share a line."""
    rows = iter(runs)
    first = next(rows, None)  # before the header: the machine may have no tables
    yield f"{form.levels[0].name} at {show.pa(root)}"
    for run in chain([first] if first else [], rows):
        level = form.levels[run.depth].name
        indent = "  " * (run.depth + 1)
        last = f"..{run.index + run.count - 1}" if run.count > 1 else ""
        name = f"{level}[{run.index}{last}] {show.va(run.va)}"
        yield f"{indent}{name}: {tree_text(show, form, run)}"


def tree_text(show: Notation, form: Format, run: EntryRun) -> str:
    """What a run points to."""
    if run.points:
        text = f"{form.levels[run.depth + 1].name} at {show.pa(run.target)}"
        if run.above < 0:
            return text
        which = "the root" if run.above == 0 else f"the {form.levels[run.above].name} above"
        return f"{text}, {which} itself: recursive"
    if run.frames is not None:
        first, last = run.frames
        frames = show.pfn(first) + (f"..{show.pfn(last)}" if last > first else "")
        size = format_size(run.size)
        pages = size if run.count == 1 else f"{run.count} x {size}"
        return f"pfn {frames}, {pages}, {rights_text(run.rights)}"
    if run.word == "swapped":
        return f"slot {run.slot}"
    what = "reserved" if run.word == "reserved" else "not valid"
    return f"{what} ({show.entry(run.entry)})"


def tree_rows(form: Format, runs: Iterable[EntryRun]) -> Iterator[dict[str, Any]]:
    """The runs as JSON shows them."""
    for run in runs:
        yield {
            "depth": run.depth,
            "level": form.levels[run.depth].name,
            "index": run.index,
            "count": run.count,
            "va": run.va,
            "entry_address": run.address,
            "entry": run.entry,
            "kind": run.word,
            "recursive": run.above >= 0,
            "equal": run.equal,
            "table": run.target if run.points else None,
            "pa": run.target if not run.points and run.target >= 0 else None,
            "slot": run.slot or None,
            "rights": rights_text(run.rights),
        }


def tree_columns() -> list[Column]:
    """The columns of `tables/csv`."""
    addresses = ("va", "entry_address", "entry", "table", "pa")
    keys = (
        "depth", "level", "index", "count", "va", "entry_address", "entry", "kind", "recursive", "equal",
        "table", "pa", "slot", "rights",
    )  # fmt: skip
    return [Column(key, kind=ADDRESS if key in addresses else "text") for key in keys]


def vmprint_lines(root: int, entries: Iterable[tuple[int, int, int, int]]) -> Iterator[str]:
    """The tree as xv6's vmprint shows it; `entries` are (depth, index, entry, address that it names)."""
    yield f"page table 0x{root:016x}"
    for depth, index, entry, address in entries:
        yield f" {' '.join(['..'] * (depth + 1))}{index}: pte 0x{entry:016x} pa 0x{address:016x}"


# -- overhead


def share_text(share: float) -> str:
    """`1.74 %`, `0.0027 %`, `<0.0001 %`: more decimals where two would say nothing."""
    percent = 100 * share
    if percent >= 0.01 or not percent:
        return f"{percent:.2f} %"
    return f"{percent:.4f} %" if percent >= 0.0001 else "<0.0001 %"


def overhead_lines(costs: Sequence[Cost], data: dict[str, Any]) -> Iterator[str]:
    """What the tables take, level by level, and all together; `data` is what JSON shows."""
    entries = len(str(max((cost.entries for cost in costs), default=0)))
    total = (sum(cost.tables for cost in costs), sum(cost.size for cost in costs))
    rows = [
        (
            cost.level,
            str(cost.tables),
            format_size(cost.size),
            f"{cost.used:>{entries}} of {cost.entries:>{entries}}",
        )
        for cost in costs
    ]
    ratio = data["ratio"]
    share = ""
    if ratio is not None:
        factor = f"{share_text(ratio)} of" if ratio < MANY else f"{ratio:.0f} times the"
        share = f"= {factor} {format_size(data['resident'])} resident"
    end = [share, f"flat table: {format_size(data['flat'])}" if len(costs) > 1 else ""]
    rows.append(("total", str(total[0]), format_size(total[1]), "; ".join(filter(None, end))))
    widths = [
        max(len(head), *(len(row[place]) for row in rows))
        for place, head in enumerate(("level", "tables", "size"))
    ]
    yield f"{'level':{widths[0]}}  {'tables':>{widths[1]}}  {'size':>{widths[2]}}  entries in use"
    for level, tables, size, text in rows:
        yield f"{level:{widths[0]}}  {tables:>{widths[1]}}  {size:>{widths[2]}}  {text}".rstrip()
    if len(costs) == 1:
        entry, page, part = format_size(data["entry"]), format_size(data["page"]), share_text(data["share"])
        pair = f"table:data 1:{data['page'] // data['entry']}"
        yield f"{entry} of table for each page of {page}: {pair}, {part} of memory if full"


def flat_line(flat: Flat) -> str:
    """`2^20 entries of 4 B = 4 MiB a process`."""
    line = f"2^{flat.entry_bits} entries of {flat.entry} B = {format_size(flat.size)} a process"
    if flat.entry != SMALL_ENTRY:
        line += f" (with {SMALL_ENTRY} B entries: {format_size(flat.small)})"
    return line


def sizes_lines(unit: str, rows: Sequence[PageSize]) -> Iterator[str]:
    """The table of page sizes."""

    def amounts(counts: list[int]) -> list[str]:
        if unit != "word":
            return [format_size(count) for count in counts]
        width = max(len(str(count)) for count in counts)
        return [f"{count:>{width}} word{'s' if count != 1 else ' '}" for count in counts]

    pages, tables = amounts([row.page for row in rows]), amounts([row.table for row in rows])
    cells = [
        [
            pages[place],
            str(row.entries),
            tables[place],
            ratio(row),
            share_text(row.share),
            f"{row.lost:.1f}" + (f" {'words' if unit == 'word' else unit} (mean)" if place == 0 else ""),
        ]
        for place, row in enumerate(rows)
    ]
    heads = ["page", "entries", "table", "table:data", "of memory", "lost in a last page"]
    widths = [max(len(heads[place]), *(len(row[place]) for row in cells)) for place in range(5)]
    lost = max(len(row[5].split(" ")[0]) for row in cells)
    yield "  ".join(
        [f"{heads[0]:{widths[0]}}", f"{heads[1]:>{widths[1]}}", f"{heads[2]:{widths[2]}}"]
        + [f"{heads[3]:{widths[3]}}", f"{heads[4]:>{widths[4]}}", heads[5]]
    )
    for row in cells:
        number, _, rest = row[5].partition(" ")
        tail = f"{number:>{lost}}" + (f" {rest}" if rest else "")
        yield "  ".join(
            [f"{row[0]:>{widths[0]}}", f"{row[1]:>{widths[1]}}", f"{row[2]:{widths[2]}}"]
            + [f"{row[3]:{widths[3]}}", f"{row[4]:>{widths[4]}}", tail]
        )


def ratio(row: PageSize) -> str:
    """`1:16`: table to data."""
    data = row.page * row.entries
    if row.table <= data:
        return f"1:{data // row.table}"
    return f"{row.table // data}:1"


def partitions_table(show: Notation, rows: list[dict[str, Any]]) -> Table:
    """Who has which partition, and what is lost inside."""
    columns = [
        Column("partition", kind=NUMBER),
        Column("base", kind=ADDRESS, format=show.pa),
        Column("size", format=format_size, align=">", shown=False),
        Column("pid", kind=NUMBER),
        Column("name"),
        Column("used", format=size_text, align=">"),
        Column("wasted", "wasted inside", format=size_text, align=">"),
    ]
    return Table(columns, rows, notes=lambda: [partitions_total(rows)])


def partitions_total(rows: list[dict[str, Any]]) -> str:
    """How many partitions are in use, and how much in them is used and wasted."""
    used, wasted = (sum(row[key] for row in rows) for key in ("used", "wasted"))
    taken = sum(row["pid"] is not None for row in rows)
    share = f" ({100 * wasted / (used + wasted):.2f} %)" if taken else ""
    return (
        f"{taken} of {len(rows)} partitions of {format_size(rows[0]['size'])} in use: "
        f"{size_text(used)} used, {size_text(wasted)} wasted{share}."
    )


# -- rmap, aliases


def rmap_table(show: Notation, rows: Iterable[dict[str, Any]], empty: str) -> Table:
    """Who maps a frame."""
    columns = [
        Column("pfn", kind=ADDRESS, format=show.pfn),
        Column("pid", kind=NUMBER),
        Column("va", kind=ADDRESS, format=show.va),
        Column("entry_address", kind=ADDRESS, format=show.pa),
        Column("entry", kind=ENTRY, format=show.entry),
        Column("flags", format=" ".join),
    ]
    return Table(columns, rows, empty=empty)


def aliases_table(show: Notation, rows: Iterable[dict[str, Any]], empty: str) -> Table:
    """The addresses that lead to one place."""
    columns = [
        Column("pid", kind=NUMBER),
        Column("va", kind=ADDRESS, format=show.va),
        Column("entry_address", kind=ADDRESS, format=show.pa),
        Column("entry", kind=ENTRY, format=show.entry),
        Column("page_size", "page", format=format_size, align=">"),
        Column("rights", kind=RIGHTS),
    ]
    cells = ({**row, "rights": rights_text(row["rights"])} for row in rows)
    return Table(columns, cells, empty=empty)


# -- pte


def entry_table(rows: Iterable[dict[str, Any]], title: str) -> Table:
    """One entry, field by field."""
    columns = [
        Column("field"),
        Column("bits", align=">"),
        Column("value", kind=ADDRESS),
        Column("help", "meaning", format=lambda text: text or ""),
    ]
    return Table(columns, rows, title=[title])
