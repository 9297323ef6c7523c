"""The tree of page tables as a picture."""

from __future__ import annotations

from html import escape

from vmdbg.errors import UserError
from vmdbg.views.drawing import LINE, MARGIN, MIDDLE, PLAIN, WIDTH, Drawing
from vmdbg.views.pictures import BASE, GAP, GREY, MOST_ROWS, PORT, node, titled, width_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from vmdbg.inspect.notation import Notation


def tables_picture(title: str, show: Notation, root: int, runs: Sequence[Mapping[str, Any]]) -> Drawing:
    """The tree of page tables: a box a table, a line an entry in use, a column a level."""
    if not runs:
        raise UserError("No table has an entry in use: nothing to draw.")
    if len(runs) > MOST_ROWS:
        raise UserError(f"{len(runs)} entries: a picture has at most {MOST_ROWS}.")
    drawing, top = titled(title)
    groups = tables_of(show, root, runs)
    columns = columns_of(groups)
    for group in groups:
        column = columns[group.depth]
        group.x, group.y = column.x, max(column.free or top, group.asked)
        drawing.words(group.x, group.y + BASE, group.title, bold=True)
        y = group.y + LINE
        drawing.box(group.x, y, column.width, LINE * len(group.rows))
        siblings = -1
        for place, (text, child, leaf) in enumerate(group.rows):
            drawing.box(group.x, y + place * LINE, column.width, LINE, MIDDLE if leaf else PLAIN)
            drawing.words(group.x + 10, y + place * LINE + BASE, text)
            if child is not None:
                child.parent = (group.x + column.width, y + (place + 0.5) * LINE)
                child.asked = 0.0 if columns[child.depth] is column else y + (place - 1) * LINE
                child.sibling = siblings = siblings + 1
        column.free = y + LINE * len(group.rows) + 16
        if group.parent is not None:
            (x, start), end = group.parent, y + LINE / 2
            if x > group.x:  # below the table that names it, in the same column
                bend = x + 12 + LANE * (column.lanes % LANES)
                column.lanes += 1
                after = (group.x + width_of(group.title) + 8, group.y + 13)  # its title
                drawing.arrow((x, start), (bend, start), (bend, after[1]), after)
            else:
                bend = group.x - 14 - LANE * (group.sibling % LANES)  # so that these lines do not cross
                drawing.arrow((x, start), (bend, start), (bend, end), (group.x, end))
    drawing.graph = tables_graph(groups)
    return drawing


LANE, LANES = 8, 6  # between upright lines beside one another, and how many there are


class Column:
    """A column of tables; `free` is its next y, `lanes` the arrows beside it that stay in it."""

    def __init__(self, x: float, width: float) -> None:
        self.x, self.width, self.free, self.lanes = x, width, 0.0, 0


def columns_of(groups: Sequence[Group]) -> list[Column]:
    """A column for each level; where these are wider than a slide, the upper levels share one."""
    levels = max(group.depth for group in groups) + 1
    widths = [20 + max(group.width for group in groups if group.depth == depth) for depth in range(levels)]
    for shared in range(levels):
        parts = [max(widths[: shared + 1]), *widths[shared + 1 :]]
        gap = 1.6 * GAP + (LANE * LANES if shared else 0)  # behind the shared one
        ends = [MARGIN + sum(parts[:place]) + 1.6 * GAP * max(0, place - 1) + gap * (place > 0)
                for place in range(len(parts))]  # fmt: skip
        if ends[-1] + parts[-1] + MARGIN <= WIDTH or shared == levels - 1:
            break
    columns = [Column(x, width) for x, width in zip(ends, parts, strict=True)]
    return [columns[0]] * shared + columns


class Group:
    """One table of the tree: its entries as text, the table that each names, whether it maps a page."""

    def __init__(self, depth: int, title: str) -> None:
        self.depth, self.title = depth, title
        self.rows: list[tuple[str, Group | None, bool]] = []
        self.parent: tuple[float, float] | None = None
        self.x = self.y = self.asked = 0.0
        self.sibling = 0  # how many tables its parent names before it

    @property
    def width(self) -> float:
        """The width of its words."""
        return max(width_of(self.title), *(width_of(text) for text, _, _ in self.rows or [("", None, False)]))


def tables_of(show: Notation, root: int, runs: Sequence[Mapping[str, Any]]) -> list[Group]:
    """The tables in the order of the tree."""
    groups = [Group(0, f"{runs[0]['level']} {show.pa(root)}")]
    open_at: dict[int, Group] = {0: groups[0]}
    for place, run in enumerate(runs):
        depth, last = run["depth"], f"..{run['index'] + run['count'] - 1}" if run["count"] > 1 else ""
        name, child = f"{run['index']}{last}", None
        if run["table"] is not None:
            text = f"{name}: {show.pa(run['table'])}"
            if place + 1 < len(runs) and runs[place + 1]["depth"] == depth + 1:
                child = Group(depth + 1, f"{runs[place + 1]['level']} {show.pa(run['table'])}")
                groups.append(child)
                open_at[depth + 1] = child
        elif run["pa"] is not None:
            text = f"{name}: pfn {show.pfn(run['pa'] >> show.page_bits)} {run['rights']}"
        else:
            text = f"{name}: slot {run['slot']}" if run["slot"] else f"{name}: {run['kind']}"
        open_at[depth].rows.append((text, child, run["pa"] is not None))
    return groups


def tables_graph(groups: Sequence[Group]) -> list[str]:
    """The same for Graphviz."""
    names = {id(group): f"t{place}" for place, group in enumerate(groups)}
    lines = []
    for group in groups:
        rows = [
            (f"<b>{escape(group.title)}</b>", PORT),
            *((escape(text), GREY if leaf else PORT) for text, _, leaf in group.rows),
        ]
        lines.append(node(names[id(group)], rows))
        lines += [
            f"{names[id(group)]}:r{place} -> {names[id(child)]}:r0;"
            for place, (_, child, _) in enumerate(group.rows, 1)
            if child is not None
        ]
    return lines
