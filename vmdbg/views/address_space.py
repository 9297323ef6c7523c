"""map, ps: address spaces and processes as tables."""

from __future__ import annotations

from vmdbg.inspect.address_space import RunBlock
from vmdbg.inspect.notation import rights_text, size_text
from vmdbg.inspect.signals import signal_name
from vmdbg.units import WORD_MASK, format_size
from vmdbg.views.result import ADDRESS, NUMBER, RIGHTS, TEXT, Column, Table
from vmdbg.views.row_block import MOST_BLOCKS, RowBlock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from vmdbg.inspect.address_space import Run, Space
    from vmdbg.inspect.notation import Notation


def size_column(key: str, header: str | None = None, **more: Any) -> Column:
    """A column of sizes in bytes."""
    return Column(key, header, TEXT, align=">", format=lambda size: size_text(size or 0), **more)


def map_table(show: Notation, regions: Iterable[Space], notes: Iterable[str] = ()) -> Table:
    """The regions of a process."""
    columns = [
        Column("start", kind=ADDRESS, format=show.va),
        Column("end", kind=ADDRESS, format=show.va),
        Column("size", align=">", format=format_size),
        Column("rights", kind=RIGHTS),
        size_column("page_size", "page"),
        size_column("resident"),
        size_column("swapped"),
        Column("kind", "region"),
        Column("backing", shown=False),
    ]
    rows = (
        [
            region.start & WORD_MASK,
            region.end & WORD_MASK,
            region.end - region.start,
            rights_text(region.rights),
            region.page_size,
            region.resident,
            region.swapped,
            region.kind,
            region.backing,
        ]
        for region in regions
    )
    return Table(columns, rows, notes=notes, empty="No regions.")


def runs_table(
    show: Notation,
    runs: Iterable[tuple[Run | RunBlock, str]],
    empty: str,
    kernel: bool = False,
    folds: bool = False,
) -> Table:
    """Mapped pages, joined where addresses and frames go on; those of the kernel have no regions.  `folds`:
    what was shown before says where."""
    columns = [
        Column("start", kind=ADDRESS, format=show.va),
        Column("end", kind=ADDRESS, format=show.va),
        Column("size", align=">", format=format_size),
        Column("rights", kind=RIGHTS),
        size_column("page_size", "page"),
        Column("pa", kind=ADDRESS, format=show.pa),
        Column("pfn", kind=ADDRESS, format=show.pfn, shown=not kernel),
        Column("kind", "region", format=lambda kind: kind or "-", shown=not kernel),
        *([Column("like", "same as", kind=ADDRESS)] if folds else []),
    ]

    def row_of(run: Run, kind: str) -> list[Any]:
        return [
            run.start,
            run.end & WORD_MASK,
            run.end - run.start,
            rights_text(run.rights),
            run.page_size,
            run.pa,
            run.pa >> show.page_bits,
            kind or None,
            *([run.like] if folds else []),
        ]

    return Table(columns, rows_of(runs, row_of), empty=empty)


def rows_of(
    runs: Iterable[tuple[Run | RunBlock, str]], row_of: Callable[[Run, str], list[Any]]
) -> Iterator[list[Any] | RowBlock]:
    """The rows of runs; those of a block are made once."""
    made: dict[tuple[int, str], tuple[list[Run], list[list[Any]]]] = {}  # by identity of runs that it holds
    for run, kind in runs:
        if not isinstance(run, RunBlock):
            yield row_of(run, kind)
            continue
        key = id(run.runs), kind
        if key not in made:
            if len(made) >= MOST_BLOCKS:
                made.clear()
            made[key] = run.runs, [row_of(one, kind) for one in run.runs]
        yield RowBlock(made[key][1], (0, 1), run.base)


def process_state(row: dict[str, Any]) -> str:
    """`running`; of one that ended, how: `exit 3`, `SIGSEGV`."""
    status = row["status"]
    if status is None:
        return str(row["state"])
    return signal_name(status - 128) if status > 128 else f"exit {status}"


def process_table(show: Notation, processes: Iterable[dict[str, Any]], current: int) -> Table:
    """The processes; a star marks the current one."""
    columns = [
        Column("mark", "  pid", exported=False),
        Column("pid", kind=NUMBER, shown=False),
        Column("name"),
        Column("how", "state", exported=False),
        Column("state", shown=False),
        Column("asid", kind=NUMBER),
        Column("at", "root", style="address", exported=False),
        Column("root", kind=ADDRESS, shown=False),
        size_column("rss"),
        size_column("swapped"),
        size_column("tables"),
        Column("minor_faults", "minor", NUMBER),
        Column("major_faults", "major", NUMBER),
        size_column("limit", shown=False),
        Column("parent", kind=NUMBER, shown=False),
        Column("status", kind=NUMBER, shown=False),
    ]
    rows = (
        {
            **row,
            "how": process_state(row),
            "at": show.pa(row["root"]) if row["status"] is None else "-",
            "mark": f"{'*' if row['pid'] == current else ' '}{row['pid']:>4}",
        }
        for row in processes
    )
    return Table(columns, rows, empty="No processes.")


def score_table(processes: Iterable[dict[str, Any]]) -> Table:
    """Out-of-memory scores, the highest first: frames resident, swapped and in tables + adjustment."""
    columns = [
        Column("pid", kind=NUMBER),
        Column("name"),
        Column("frames", "rss", NUMBER),
        Column("slots", "swapped", NUMBER),
        Column("table_frames", "tables", NUMBER),
        Column("adjustment", kind=NUMBER),
        Column("score", kind=NUMBER),
        Column("limit", kind=NUMBER, shown=False),
    ]
    rows = sorted(processes, key=lambda row: (row["score"], row["pid"]), reverse=True)
    return Table(columns, rows, empty="No processes.")
