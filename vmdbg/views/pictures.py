"""What a slide shows of a machine: a walk, an address space, a TLB, frames, a time line."""

from __future__ import annotations

from html import escape

from vmdbg.debugger.output import line_text
from vmdbg.errors import UserError
from vmdbg.inspect.notation import Notation
from vmdbg.inspect.walk import byte_at, remark
from vmdbg.units import format_size
from vmdbg.views.drawing import ADVANCE, DARK, LIGHT, LINE, MARGIN, MIDDLE, PLAIN, WIDTH, Drawing
from vmdbg.views.translate import outcome_line, walk_boxes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from vmdbg.inspect.walk import Outcome, Walk
    from vmdbg.machine.machine import Machine
    from vmdbg.views.result import Table
    from vmdbg.views.walk_drawing import Box

BASE = 21  # from the top of a line to its baseline
GAP = 40  # between boxes, for an arrow
MOST_ROWS = 200  # of a picture


def titled(title: str) -> tuple[Drawing, float]:
    """A drawing with its title, and the y below it."""
    drawing = Drawing(title)
    drawing.words(MARGIN, MARGIN + BASE, title, bold=True)
    return drawing, MARGIN + LINE + 14


def width_of(text: str) -> float:
    """The width of a line of words."""
    return len(text) * ADVANCE


# -- a walk


def picture_of_walk(
    machine: Machine, walked: Walk, found: Outcome, time: str = "", reads: bool = True
) -> Drawing:
    """A walk, and if it `reads` the byte that is at its address now; `time` stands behind the title.
    UserError if no entry was read."""
    if not walked.steps:
        raise UserError("This walk reads no table: nothing to draw.")
    show = Notation(machine.format)
    title = f"walk {show.va(found.va)}: {machine.config.name}{time}"
    counts = [1 << level.bits for level in machine.format.levels]
    byte = byte_at(machine, found.pa) if found.pa is not None and reads else None
    boxes = walk_boxes(show, walked, found, counts, byte)
    remarks = [remark(machine, step) for step in walked.steps]
    end = line_text(outcome_line(show, found, cached=False))
    return walk_picture(title, boxes, remarks, end, found.pa is None)


def walk_picture(title: str, boxes: Sequence[Box], remarks: Sequence[str], end: str, fault: bool) -> Drawing:
    """The tables of a walk side by side, the entry that it uses in each, and where it ends."""
    drawing, top = titled(title)
    label = 10 + max(width_of(str(box.count - 1)) for box in boxes if box.follows or len(boxes) == 1)
    inner = 16 + max(max(width_of(box.content), width_of(box.title)) for box in boxes)
    whole = label + inner + GAP
    room = max(1, int((WIDTH - 2 * MARGIN + GAP) // whole))
    tall = 6 * LINE + 14
    before: tuple[float, float] | None = None
    for place, box in enumerate(boxes):
        x = MARGIN + place % room * whole + label
        y = top + place // room * (tall + LINE + 8) + LINE + 4
        if place and place % room == 0:  # a page has larger numbers than tables
            x += max(0, 10 + width_of(str(box.count - 1)) - label)
        missing = fault and place == len(boxes) - 1
        one_table(drawing, box, x, y, inner, missing)
        drawing.words(
            x + inner / 2, y + 5 * LINE + 4, remarks[place] if place < len(remarks) else "", "middle"
        )
        if before is not None:
            arrive(drawing, before, (MARGIN if place % room == 0 else x - label, x, y), place % room == 0)
        before = (x + inner, y + 2 * LINE) if box.follows else None
    rows = -(-len(boxes) // room)
    drawing.words(MARGIN, top + rows * (tall + LINE + 8) + BASE, end, bold=True)
    drawing.graph = walk_graph(boxes, remarks, end, fault)
    return drawing


def one_table(drawing: Drawing, box: Box, x: float, y: float, inner: float, missing: bool) -> None:
    """A table, or the page: first entry, the entry that is used, the last one."""
    drawing.words(x + inner / 2, y - 8, box.title, "middle", bold=True)
    drawing.box(x, y, inner, 4 * LINE)
    drawing.box(x, y + 1.5 * LINE, inner, LINE, PLAIN if missing else MIDDLE, dashed=missing)
    drawing.words(x + 8, y + 1.5 * LINE + BASE, box.content, bold=True)
    drawing.words(x - 6, y + 1.5 * LINE + BASE, str(box.index), "end", bold=True)
    if box.index:
        drawing.words(x - 6, y + BASE + 5, "0", "end")  # below the head of the arrow
    if box.index != box.count - 1:
        drawing.words(x - 6, y + 4 * LINE - 4, str(box.count - 1), "end")


def arrive(drawing: Drawing, start: tuple[float, float], to: tuple[float, float, float], below: bool) -> None:
    """The arrow from an entry to the table that it names; `below`: in the next row."""
    (x, y), (free, edge, top) = start, to
    if below:
        turn = top - LINE - 6
        drawing.arrow((x, y), (x + 8, y), (x + 8, turn), (free, turn), (free, top), (edge, top))
    else:
        middle = x + GAP / 3
        drawing.arrow((x, y), (middle, y), (middle, top), (edge, top))


def walk_graph(boxes: Sequence[Box], remarks: Sequence[str], end: str, fault: bool) -> list[str]:
    """The same for Graphviz; the last entry of a walk that ends in a fault is dashed."""
    lines = [f'label="{end}"; fontname="DejaVu Sans Mono"; fontsize=20;']
    for place, box in enumerate(boxes):
        remark = remarks[place] if place < len(remarks) else ""
        rows = [f"<b>{escape(box.title)}</b>", f"[{box.index}] {escape(box.content)}", escape(remark)]
        looks = [PORT, MISSING if fault and place == len(boxes) - 1 else GREY, PORT]
        lines.append(node(f"t{place}", [pair for pair in zip(rows, looks, strict=True) if pair[0]]))
        if box.follows and place + 1 < len(boxes):
            lines.append(f"t{place}:r1 -> t{place + 1}:r0;")
    return lines


PORT, GREY, MISSING = "", ' bgcolor="grey80"', ' style="dashed"'  # how a row of a table looks


def node(name: str, rows: Sequence[tuple[str, str]]) -> str:
    """A table of Graphviz: rows of HTML with their looks, each with a port."""
    cells = "".join(
        f'<tr><td port="r{place}"{look}>{row}</td></tr>' for place, (row, look) in enumerate(rows)
    )
    return (
        f'{name} [label=<<table border="0" cellborder="1" cellspacing="0" cellpadding="6">{cells}</table>>];'
    )


# -- an address space


def map_picture(title: str, show: Notation, regions: Sequence[Mapping[str, Any]]) -> Drawing:
    """An address space from its top to its bottom; what is not mapped is dashed and not to scale."""
    if not regions:
        raise UserError("No regions: nothing to draw.")
    drawing, y = titled(title)
    x = MARGIN + width_of(show.va(max(region["end"] for region in regions))) + 12
    right = max(width_of(region_words(region)) for region in regions)
    least = max(width_of(f"{region['kind']} {region['rights']}") + 36 for region in regions)
    wide = max(least, min(330.0, WIDTH - MARGIN - right - 14 - x))
    above: int | None = None
    for region in sorted(regions, key=lambda row: -row["start"]):
        if above is not None and above > region["end"]:
            drawing.box(x, y, wide, LINE, dashed=True)
            size = above - region["end"]
            drawing.words(
                x + wide / 2, y + BASE, f"{format_size(size)} free" if size < 1 << 30 else "...", "middle"
            )
            y += LINE
        grey = {"r": LIGHT, "w": MIDDLE}.get("w" if "w" in region["rights"] else "r", LIGHT)
        tall = 2.0 * LINE
        drawing.box(x, y, wide, tall, PLAIN if region["rights"] == "-" else grey)
        drawing.words(x + 12, y + tall / 2 + 7, region["kind"], bold=True)
        drawing.words(x + wide - 12, y + tall / 2 + 7, region["rights"], "end")
        if above != region["end"]:
            drawing.words(x - 8, y + BASE - 4, show.va(region["end"]), "end")
        drawing.words(x - 8, y + tall - 4, show.va(region["start"]), "end")
        drawing.words(x + wide + 14, y + tall / 2 + 7, region_words(region))
        above, y = region["start"], y + tall
    return drawing


def region_words(region: Mapping[str, Any]) -> str:
    """`64 KiB, 8 KiB in memory, 4 KiB in swap`."""
    parts = [format_size(region["end"] - region["start"])]
    if region["resident"]:
        parts.append(f"{format_size(region['resident'])} in memory")
    if region["swapped"]:
        parts.append(f"{format_size(region['swapped'])} in swap")
    return ", ".join(parts)


# -- a table


def table_picture(title: str, table: Table, keys: Sequence[str], marked: Mapping[int, str]) -> Drawing:
    """Columns of a table under their names; rows of `marked`, by number, are grey and have its words."""
    drawing, y = titled(title)
    columns = [(place, column) for place, column in enumerate(table.columns) if column.key in keys]
    rows = [[column.format(cells(row, column.key, place)) for place, column in columns] for row in table.rows]
    if len(rows) > MOST_ROWS:
        raise UserError(f"{len(rows)} rows: a picture has at most {MOST_ROWS}.")
    heads = [column.header for _, column in columns]
    widths = [max(map(len, [head, *(row[place] for row in rows)])) for place, head in enumerate(heads)]
    total = sum(widths) * ADVANCE + 24 * len(widths)
    drawing.box(MARGIN, y, total, LINE, LIGHT)
    line_of_cells(drawing, heads, widths, y, bold=True)
    for place, row in enumerate(rows):
        y += LINE
        drawing.box(MARGIN, y, total, LINE, DARK if place in marked else PLAIN)
        line_of_cells(drawing, row, widths, y, bold=place in marked)
        drawing.words(MARGIN + total + 10, y + BASE, marked.get(place, ""), bold=True)
    if not rows:
        drawing.words(MARGIN + 12, y + LINE + BASE, table.empty or "none")
    return drawing


def cells(row: Any, key: str, place: int) -> Any:
    """A cell of a row, which is a mapping or a sequence."""
    return row.get(key) if hasattr(row, "get") else row[place]


def line_of_cells(
    drawing: Drawing, texts: Sequence[str], widths: Sequence[int], y: float, bold: bool
) -> None:
    """The cells of one row."""
    x = MARGIN + 12.0
    for text, width in zip(texts, widths, strict=True):
        drawing.words(x, y + BASE, text, bold=bold)
        x += width * ADVANCE + 24


# -- frames


CELL_GREYS = {"T": DARK, "u": LIGHT, "U": LIGHT, "w": MIDDLE, "W": MIDDLE, "-": LIGHT}
IN_ROW = 32


def frames_picture(title: str, show: Notation, first: int, letters: str, legend: str) -> Drawing:
    """Physical memory, a cell a frame, 32 in a row; rows as the one before are left out, as in a hex dump."""
    drawing, y = titled(title)
    label = width_of(show.pfn(first + len(letters))) + 10
    side = (WIDTH - 2 * MARGIN - label) / IN_ROW
    last, left_out, drawn = "", False, 0
    for start in range(0, len(letters), IN_ROW):
        row = letters[start : start + IN_ROW]
        if row == last:
            if not left_out:
                drawing.words(MARGIN + label, y + BASE, "*", bold=True)
                y += LINE
            left_out = True
            continue
        last, left_out, drawn = row, False, drawn + 1
        if drawn > MOST_ROWS:
            raise UserError(f"A picture has at most {MOST_ROWS} rows of frames.")
        drawing.words(MARGIN + label - 10, y + BASE, show.pfn(first + start), "end")
        for place, letter in enumerate(row):
            x = MARGIN + label + place * side
            drawing.box(x, y, side, LINE, CELL_GREYS.get(letter, PLAIN))
            drawing.words(x + side / 2, y + BASE, "" if letter == "." else letter, "middle")
        y += LINE
    drawing.words(MARGIN, y + LINE + BASE - 10, legend)
    return drawing


# -- events over time


def time_picture(title: str, first: int, last: int, rows: Iterable[tuple[str, Sequence[int]]]) -> Drawing:
    """A line for each kind of event, a mark at each operation of `first` to `last` in which it happened."""
    drawing, y = titled(title)
    lines = list(rows)
    if not lines:
        raise UserError("None of these events happened: nothing to draw.")
    label = max(width_of(f"{name} {len(times)}") for name, times in lines) + 24
    x, wide = MARGIN + label, WIDTH - 2 * MARGIN - label
    count = max(1, last - first)
    for name, times in lines:
        drawing.words(MARGIN, y + BASE, f"{name} {len(times)}")
        drawing.box(x, y + 2, wide, LINE - 4, PLAIN)
        tick = max(2.0, min(10.0, wide / count - 1))
        for column in sorted({round((time - first) * (wide - tick) / count) for time in times}):
            drawing.box(x + column, y + 4, tick, LINE - 8, 0.0)
        y += LINE + 6
    drawing.words(x, y + BASE, str(first))
    drawing.words(x + wide, y + BASE, str(last), "end")
    drawing.words(x + wide / 2, y + BASE, "operations", "middle")
    return drawing
