"""trace curve, trace reuse, trace workingset: what a pass over a trace measured."""

from __future__ import annotations

from os.path import basename

from vmdbg.units import format_size
from vmdbg.views.document import Document
from vmdbg.views.plot import Plot, Series
from vmdbg.views.result import NUMBER, Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from vmdbg.programs.traces.locality import Distances, WorkingSet

DRAWN = 400  # points of a curve
FEW = 200  # pages of a sample that are too few
ROWS = 32  # intervals that the text has, at most


def share(part: float, whole: float) -> float:
    """A part of 1; 0 of nothing."""
    return part / whole if whole else 0.0


def decimals(value: float) -> str:
    """A ratio: `0.0253`; small ones with more digits."""
    return f"{value:.6f}" if value < 0.001 else f"{value:.4f}"


def of_trace(file: str, page_size: int, found: Distances) -> dict[str, Any]:
    """What JSON says first of curves and histograms."""
    return {
        "file": file,
        "page_size": page_size,
        "accesses": found.accesses,
        "pages": found.pages,
        "sample": found.rate if found.rate < 1 else None,
        "sampled_pages": found.sampled_pages,
    }


def heading(file: str, page_size: int, accesses: int, pages: int, about: bool = False) -> str:
    """`ls.lackey: 1000000 accesses to 269 pages of 4 KiB (1076 KiB)`"""
    size = format_size(pages * page_size)
    return (
        f"{file}: {accesses} accesses to {'about ' * about}{pages} pages of {format_size(page_size)} ({size})"
    )


def sample_notes(found: Distances) -> list[str]:
    """What is to be said of an estimate."""
    if found.rate >= 1:
        return []
    part = f"{found.rate:.6f}".rstrip("0")
    lines = [
        f"An estimate (SHARDS) from {part} of the pages: {found.sampled_pages}, {found.sampled} accesses."
    ]
    if found.sampled_pages < FEW:
        lines.append(f"A sample of less than {FEW} pages says little: a larger -sample is better.")
    return lines


# -- trace curve


def curve_document(file: str, page_size: int, found: Distances, frames: Sequence[int]) -> Document:
    """Misses of LRU by number of frames."""
    rows = [(size, round(found.misses(size)), found.ratio(size), *found.bounds(size)) for size in frames]
    keys = ("frames", "misses", "ratio", "low", "high")
    estimated = found.rate < 1

    def lines() -> Iterator[Any]:
        columns = [
            Column("frames", kind=NUMBER),
            Column("size", align=">", format=format_size),
            Column("misses", kind=NUMBER),
            Column("ratio", "miss ratio", NUMBER, format=decimals),
            Column("low", kind=NUMBER, format=decimals, shown=estimated),
            Column("high", kind=NUMBER, format=decimals, shown=estimated),
        ]
        drawn = [(size, size * page_size, *row) for size, *row in rows]
        yield heading(file, page_size, found.accesses, found.pages, estimated) + ", LRU."
        yield from Table(columns, drawn, notes=curve_notes(found)).lines()

    return Document(
        lambda: {
            **of_trace(file, page_size, found),
            "curve": [dict(zip(keys, row, strict=True)) for row in rows],
        },
        lines,
        [Column(key) for key in keys],
        lambda: rows,
        plot=lambda: curve_plot(file, page_size, found),
    )


def curve_notes(found: Distances) -> list[str]:
    """Which part of the misses no number of frames avoids, or how good the estimate is."""
    if found.rate < 1:
        return [*sample_notes(found), "For 95 of 100 samples the ratio of all pages is from low to high."]
    return [f"{found.pages} of the misses are first accesses, which no number of frames avoids."]


def curve_plot(file: str, page_size: int, found: Distances) -> Plot:
    """The miss-ratio curve, with the band of its error."""
    xs = found.bends(DRAWN)
    if found.rate < 1:
        xs = [x for x in xs if x * found.rate >= 1] or xs
    estimated = found.rate < 1
    return Plot(
        f"{basename(file)}: misses of LRU{', estimated' if estimated else ''}",
        f"frames of {format_size(page_size)}",
        "misses per access",
        [
            Series(
                "LRU", xs, [found.ratio(x) for x in xs], [found.bounds(x) for x in xs] if estimated else None
            )
        ],
        binary=True,
        log_y=True,
    )


# -- trace reuse


def reuse_document(file: str, page_size: int, found: Distances) -> Document:
    """Accesses by stack distance, in powers of two."""
    rows, hits = [], 0
    for low, high, accesses in found.histogram():
        hits += accesses
        rows.append((low, high, accesses, share(accesses, found.accesses), share(hits, found.accesses)))
    keys = ("low", "high", "accesses", "share", "hits")

    def lines() -> Iterator[Any]:
        columns = [
            Column("distance", align=">"),
            Column("accesses", kind=NUMBER),
            Column("share", kind=NUMBER),
            Column("hits", "up to here", NUMBER),
        ]
        drawn = [(span(low, high), count, *map(percent, parts)) for low, high, count, *parts in rows]
        first = ("first", found.pages, percent(share(found.pages, found.accesses)), "")
        yield heading(file, page_size, found.accesses, found.pages, found.rate < 1) + "."
        yield from Table(columns, [*drawn, first], notes=sample_notes(found)).lines()

    return Document(
        lambda: {
            **of_trace(file, page_size, found),
            "first": found.pages,
            "histogram": [dict(zip(keys, row, strict=True)) for row in rows],
        },
        lines,
        [Column(key) for key in keys],
        lambda: rows,
        plot=lambda: Plot(
            f"{basename(file)}: reuse of pages",
            f"stack distance, pages of {format_size(page_size)}",
            "accesses",
            [Series("accesses", [span(row[0], row[1]) for row in rows], [row[2] for row in rows])],
            log_y=True,
        ),
    )


def span(low: int, high: int) -> str:
    """`1`, `5-8`"""
    return str(high) if low == high else f"{low}-{high}"


def percent(part: float) -> str:
    """A part of 1 in percent, to a hundredth."""
    return f"{100 * part:.2f} %"


# -- trace workingset


def working_set_document(file: str, page_size: int, found: WorkingSet, rows: int) -> Document:
    """The working set over time; the text has at most so many rows (0: all)."""
    whole = found.whole
    accesses = whole.accesses
    keys = ("first", "accesses", "mean", "least", "most", "misses")

    def cells(of: WorkingSet) -> list[tuple[Any, ...]]:
        made, first = [], 0
        for one in of.intervals:
            mean = round(share(one.total, one.accesses), 3)
            made.append((first, one.accesses, mean, one.least, one.most, one.misses))
            first += one.accesses
        return made

    def lines() -> Iterator[Any]:
        shown = found.coarser(rows) if rows else found
        columns = [
            Column("first", "from", NUMBER),
            Column("accesses", shown=False),
            Column("mean", "mean pages", NUMBER, format=lambda mean: f"{mean:.1f}"),
            Column("least", kind=NUMBER),
            Column("most", kind=NUMBER),
            Column("misses", kind=NUMBER),
        ]
        mean = share(whole.total, whole.accesses)
        yield heading(file, page_size, accesses, found.pages) + "."
        yield f"Working set of the last {found.window} accesses, by intervals of {shown.every}:"
        yield from Table(columns, cells(shown)).lines()
        size = f"mean {mean:.1f} pages ({round(mean * page_size / 1024)} KiB)"
        ratio = decimals(share(whole.misses, whole.accesses))
        yield f"{size}, {whole.least} to {whole.most}; {whole.misses} misses, {ratio} of all accesses."

    def data() -> dict[str, Any]:
        return {
            "file": file,
            "page_size": page_size,
            "accesses": accesses,
            "pages": found.pages,
            "window": found.window,
            "every": found.every,
            "mean": round(share(whole.total, whole.accesses), 3),
            "least": whole.least,
            "most": whole.most,
            "misses": whole.misses,
            "ratio": share(whole.misses, whole.accesses),
            "intervals": [dict(zip(keys, row, strict=True)) for row in cells(found)],
        }

    return Document(
        data,
        lines,
        [Column(key) for key in keys],
        lambda: cells(found),
        plot=lambda: working_set_plot(file, page_size, found),
    )


def working_set_plot(file: str, page_size: int, found: WorkingSet) -> Plot:
    """Means of the intervals, with the band from the least to the most."""
    xs, first = [], 0
    for one in found.intervals:
        xs.append(first)
        first += one.accesses
    return Plot(
        f"{basename(file)}: working set of the last {found.window} accesses",
        "accesses",
        f"pages of {format_size(page_size)}",
        [
            Series(
                "mean",
                xs,
                [share(one.total, one.accesses) for one in found.intervals],
                [(one.least, one.most) for one in found.intervals],
            )
        ],
    )
