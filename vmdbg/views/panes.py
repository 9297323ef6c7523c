"""Panes of the full screen: rectangles with a title, next to and below one another, and the line of time.

A pane shows lines of a view that has been drawn already: they are cut, and marked where something changed.
"""

from __future__ import annotations

from vmdbg.units import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmdbg.views.result import Line

    Cells = list[tuple[str, str]]

MARK = "!"  # before a line in which something changed


class Pane:
    """What one pane shows.  `lines` are pairs: did it change, and the line; `first` is the first one that is
    seen, where all of them do not fit."""

    __slots__ = ("first", "focused", "lines", "title")

    def __init__(
        self, title: str, lines: Sequence[tuple[bool, Line]], first: int = 0, focused: bool = False
    ) -> None:
        self.title, self.lines, self.first, self.focused = title, lines, first, focused


def cut(line: Line, width: int) -> Cells:
    """A line in exactly so many columns."""
    out: Cells = []
    left = width
    for style, text in [("", line)] if isinstance(line, str) else line:
        shown = visible(text.replace("\t", "  "))[:left]
        left -= len(shown)
        if shown:
            out.append((style, shown))
        if not left:
            break
    return [*out, ("", " " * left)] if left else out


def is_header(line: Line) -> bool:
    """Is a line the header of a table, which is seen wherever the table is?"""
    return not isinstance(line, str) and {style for style, text in line if text.strip()} == {"title"}


def pane_rows(pane: Pane, width: int, height: int) -> list[Cells]:
    """A pane as rows of exactly `width` columns, its title first."""
    name = f" {pane.title} "[: max(0, width - 1)]
    rule = "=" if pane.focused else "-"
    title: Cells = [("metadata", rule), ("title", name), ("metadata", rule * (width - 1 - len(name)))]
    shown = list(pane.lines[pane.first : pane.first + height - 1])
    if pane.first and shown and is_header(pane.lines[0][1]):
        shown[0] = pane.lines[0]
    rows = [title]
    for changed, line in shown:
        rows.append([("changed", MARK) if changed else ("", " "), *cut(line, width - 1)])
    return rows + [[("", " " * width)] for _ in range(height - len(rows))]


def beside(columns: Sequence[Sequence[Cells]], titles: Sequence[set[int]]) -> list[Cells]:
    """Columns of equal height with a border around each: `titles` are the rows of each that are titles."""
    rows = []
    for number, cells in enumerate(zip(*columns, strict=True)):
        edges = [number in found for found in titles]
        row: Cells = [("metadata", "+" if edges[0] else "|")]
        for place, cell in enumerate(cells):
            joined = edges[place] or (place + 1 < len(edges) and edges[place + 1])
            row += [*cell, ("metadata", "+" if joined else "|")]
        rows.append(row)
    return rows


def time_line(begin: int, position: str, now: int, end: int, width: int) -> Cells:
    """`+- 13:12 |----------o-----| 16:0  <- -> steps -+`: where the machine stands in its record."""
    lead, tail = f"- {position} ", f" {end}:0  <- -> step "
    room = max(3, width - 2 - len(lead) - len(tail) - 3)
    place = min(room - 1, (room - 1) * (now - begin) // max(1, end - begin))
    return cut(
        [
            ("metadata", "+- "),
            ("time", position),
            ("metadata", " |" + "-" * place),
            ("decides", "o"),
            ("metadata", "-" * (room - 1 - place) + "|"),
            ("time", f" {end}:0 "),
            ("metadata", " <- -> step -+"),
        ],
        width,
    )


def place_on_time_line(begin: int, position: str, end: int, width: int, column: int) -> int | None:
    """The operation at a column of the time line; None beside it."""
    first = len(f"+- {position} |")
    room = max(3, width - 2 - len(f"- {position} ") - len(f" {end}:0  <- -> step ") - 3)
    if not first <= column < first + room:
        return None
    return begin + round((column - first) * (end - begin) / max(1, room - 1))
