"""A walk as boxes with arrows, as many side by side as fit the screen."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Cells = list[tuple[str, str]]

WIDTH = 80
NUMBER = 4  # columns for an index, at least


class Box:
    """A table, or the page at the end: `index` is the entry that the walk uses, of `count`.

    `content` is what stands there; `follows`: an arrow leads on from it.
    """

    __slots__ = ("content", "count", "follows", "index", "title")

    def __init__(self, title: str, index: int, count: int, content: str, follows: bool) -> None:
        self.title, self.index, self.count = title, index, count
        self.content, self.follows = content, follows


def drawing(boxes: list[Box], width: int = WIDTH) -> Iterator[Cells]:
    """All boxes, in bands where they do not fit beside each other."""
    number = max([NUMBER, *(len(str(box.count - 1)) for box in boxes)])
    inner = max(max(len(box.content), len(box.title) - 8) for box in boxes)
    gap = number + 5
    whole = inner + 4 + gap
    room = max(1, (width - 2) // whole)  # an arrow may leave the last one
    for first in range(0, len(boxes), room):
        yield from band(boxes[first : first + room], number, inner, first > 0)


def band(boxes: list[Box], number: int, inner: int, entered: bool) -> Iterator[Cells]:
    """Boxes side by side; `entered`: an arrow comes from the band above."""
    rows: list[Cells] = [[] for _ in range(7)]
    for place, box in enumerate(boxes):
        arrow = entered or place > 0
        followed = place + 1 < len(boxes)
        cells = box_rows(box, number, inner, arrow, after=followed)
        before = boxes[place - 1].follows if place else False
        for row, cell in enumerate(cells):
            rows[row] += [("", joint(row, before, place > 0, arrow)), *cell]
    for *left, (style, text) in rows:
        yield [*left, (style, text.rstrip())]


def joint(row: int, follows: bool, inside: bool, arrow: bool) -> str:
    """The three columns before a box's numbers, where the arrow from the box before it climbs; two
    before the first box."""
    if not inside:
        return "  "
    if row == 2 and arrow:
        return "  +"
    if not follows:
        return "   "
    return {3: "  |", 4: "--+"}.get(row, "   ")


def box_rows(box: Box, number: int, inner: int, arrow: bool, after: bool) -> list[Cells]:
    """Seven rows: title, border, first entry, gap, the entry, gap, border."""
    width = number + 2 + inner + 4
    edge = "+" + "-" * (inner + 2) + "+"
    start = "0" if box.index else ""
    first = ("-->" + start.rjust(number - 2)) if arrow else start.rjust(number + 1)
    side = "+" if box.follows else "|"
    dots = "." if box.index else ""

    def row(label: str, text: str) -> Cells:
        return [("", f"{label:>{number + 1}} | {text:{inner}} |")]

    rest = " " * (inner - len(box.content)) + f" {side}" + "-->" * (box.follows and not after)
    middle = [
        ("decides", f"{box.index:>{number + 1}}"),
        ("", " | "),
        ("entry" if box.follows else "number", box.content),
        ("", rest),
    ]
    return [
        [("title", f"{box.title:>{width}}")],
        [("", " " * (number + 2) + edge)],
        row(first, dots),
        row("", ":"),
        middle,
        row("", ":"),
        [("", f"{box.count - 1:>{number + 1}} {edge}")],
    ]
