"""A drawing of boxes, words and arrows in greys, and its forms: SVG, a page, TikZ, PDF.

Units are points, from the top left.  On a slide of 960 points, as presentations have them, words are 20
points high.  Greys are few and differ by more than a copier takes away; borders are black.
"""

from __future__ import annotations

import io
import re
from html import escape

from vmdbg.errors import UserError
from vmdbg.views.plot_file import METADATA, require

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

SIZE = 20  # of words
ADVANCE = 0.602 * SIZE  # of a character of the typeface, DejaVu Sans Mono
LINE = 28  # from one line of words to the next
WIDTH = 960
MARGIN = 16
PLAIN, LIGHT, MIDDLE, DARK = 1.0, 0.9, 0.78, 0.62  # from white to black
FACE = "DejaVu Sans Mono, Menlo, Consolas, monospace"
HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}pt" height="{height}pt" viewBox="0 0 {width} {height}" \
role="img" aria-label="{title}" font-family="{face}" font-size="{size}" fill="#000">
<title>{title}</title>"""
MARKER = (
    '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M0 0L10 5L0 10z"/></marker></defs>'
)
PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>body {{ margin: 1rem; background: #fff; }} svg {{ max-width: 100%; height: auto; }}</style></head>
<body>
{svg}</body>
</html>
"""
ESCAPED = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "#": r"\#", "%": r"\%", "&": r"\&", "$": r"\$",
    "_": r"\_", "^": r"\^{}", "~": r"\~{}",
}  # fmt: skip
LIGATURE = re.compile(r"([-,<>'`])(?=\1)")  # where TeX makes one sign of two, such as a dash of "--"


class Box:
    """A rectangle with a grey; `dashed`: its border says that something is missing."""

    __slots__ = ("dashed", "grey", "height", "width", "x", "y")

    def __init__(
        self, x: float, y: float, width: float, height: float, grey: float = PLAIN, dashed: bool = False
    ) -> None:
        self.x, self.y, self.width, self.height = x, y, width, height
        self.grey, self.dashed = grey, dashed


class Words:
    """A line of text; `y` is that of its baseline, `anchor` is "start", "middle" or "end"."""

    __slots__ = ("anchor", "bold", "text", "x", "y")

    def __init__(self, x: float, y: float, text: str, anchor: str = "start", bold: bool = False) -> None:
        self.x, self.y, self.text, self.anchor, self.bold = x, y, text, anchor, bold


class Arrow:
    """A line through points, with a head at the last one."""

    __slots__ = ("head", "points")

    def __init__(self, points: Sequence[tuple[float, float]], head: bool = True) -> None:
        self.points, self.head = list(points), head


class Drawing:
    """What is drawn, in order: later shapes lie on earlier ones.

    `graph` are lines in the language of Graphviz, of a drawing that is a graph too.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.shapes: list[Box | Words | Arrow] = []
        self.graph: list[str] = []

    def box(
        self, x: float, y: float, width: float, height: float, grey: float = PLAIN, dashed: bool = False
    ) -> None:
        """A rectangle."""
        self.shapes.append(Box(x, y, width, height, grey, dashed))

    def words(self, x: float, y: float, text: str, anchor: str = "start", bold: bool = False) -> None:
        """A line of text."""
        if text:
            self.shapes.append(Words(x, y, text, anchor, bold))

    def arrow(self, *points: tuple[float, float], head: bool = True) -> None:
        """A line."""
        self.shapes.append(Arrow(points, head))

    @property
    def size(self) -> tuple[float, float]:
        """Width and height with margins: that of a slide, or more."""
        right, bottom = float(WIDTH - MARGIN), 0.0
        for shape in self.shapes:
            if isinstance(shape, Box):
                right, bottom = max(right, shape.x + shape.width), max(bottom, shape.y + shape.height)
            elif isinstance(shape, Arrow):
                right = max(right, *(x for x, _ in shape.points))
                bottom = max(bottom, *(y for _, y in shape.points))
            else:
                length = len(shape.text) * ADVANCE
                right = max(right, shape.x + length * {"start": 1, "middle": 0.5, "end": 0}[shape.anchor])
                bottom = max(bottom, shape.y + SIZE / 4)
        return right + MARGIN, bottom + MARGIN


def number(value: float) -> str:
    """A length: at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")


def grey_of(value: float) -> str:
    """A grey in CSS."""
    level = round(255 * value)
    return f"#{level:02x}{level:02x}{level:02x}"


def svg(drawing: Drawing) -> str:
    """The drawing as SVG; its words are text."""
    width, height = (number(length) for length in drawing.size)
    out = [
        HEAD.format(width=width, height=height, title=escape(drawing.title), face=FACE, size=SIZE),
        MARKER,
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for shape in drawing.shapes:
        if isinstance(shape, Box):
            place = zip(
                ("x", "y", "width", "height"), (shape.x, shape.y, shape.width, shape.height), strict=True
            )
            where = " ".join(f'{name}="{number(length)}"' for name, length in place)
            dash = ' stroke-dasharray="6 4"' if shape.dashed else ""
            out.append(f'<rect {where} fill="{grey_of(shape.grey)}" stroke="#000" stroke-width="1.5"{dash}/>')
        elif isinstance(shape, Arrow):
            points = " ".join(f"{number(x)},{number(y)}" for x, y in shape.points)
            head = ' marker-end="url(#head)"' if shape.head else ""
            out.append(f'<polyline points="{points}" fill="none" stroke="#000" stroke-width="2"{head}/>')
        else:
            anchor = f' text-anchor="{shape.anchor}"' if shape.anchor != "start" else ""
            bold = ' font-weight="bold"' if shape.bold else ""
            out.append(
                f'<text x="{number(shape.x)}" y="{number(shape.y)}"{anchor}{bold} xml:space="preserve">'
                f"{escape(shape.text, quote=False)}</text>"
            )
    return "\n".join([*out, "</svg>", ""])


def page(drawing: Drawing) -> str:
    """The drawing as a page of its own."""
    return PAGE.format(title=escape(drawing.title), svg=svg(drawing))


def tikz(drawing: Drawing) -> str:
    """The drawing for \\input in LaTeX, with the package tikz."""
    out = [
        f"% {drawing.title}: \\usepackage{{tikz}}, then \\input this file, or to fit the page",
        r"% \resizebox{\linewidth}{!}{\input{FILE}}.  \usepackage{lmodern} has a bold typewriter face.",
        r"\begin{tikzpicture}[x=1pt,y=-1pt,>=latex]",
    ]
    anchors = {"start": "base west", "middle": "base", "end": "base east"}
    for shape in drawing.shapes:
        if isinstance(shape, Box):
            style = f"fill=black!{round(100 * (1 - shape.grey))},line width=0.8pt" + ",dashed" * shape.dashed
            corner = f"({number(shape.x + shape.width)},{number(shape.y + shape.height)})"
            out.append(rf"\draw[{style}] ({number(shape.x)},{number(shape.y)}) rectangle {corner};")
        elif isinstance(shape, Arrow):
            points = " -- ".join(f"({number(x)},{number(y)})" for x, y in shape.points)
            out.append(rf"\draw[{'->,' * shape.head}line width=1.6pt] {points};")
        else:
            text = "".join(ESCAPED.get(letter, letter) for letter in shape.text).replace("  ", r"\ \ ")
            text = LIGATURE.sub(r"\1{}", text)
            face = r"\frenchspacing\ttfamily" + r"\bfseries" * shape.bold
            out.append(
                rf"\node[anchor={anchors[shape.anchor]},inner sep=0,font={face}\fontsize{{{SIZE}}}{{24}}"
                rf"\selectfont] at ({number(shape.x)},{number(shape.y)}) {{{text}}};"
            )
    return "\n".join([*out, r"\end{tikzpicture}", ""])


def dot(drawing: Drawing) -> str:
    """The graph of a drawing for Graphviz.  UserError if it is none."""
    if not drawing.graph:
        raise UserError("This picture is no graph: .dot is for walks and tables.")
    head = ["rankdir=LR;", 'node [shape=plain, fontname="DejaVu Sans Mono", fontsize=20];']
    lines = "\n".join(f"  {line}" for line in [*head, *drawing.graph])
    return f"digraph vmdbg {{\n{lines}\n}}\n"


def pdf(drawing: Drawing) -> bytes:
    """The drawing as PDF, the same bytes each time.  UserError without matplotlib."""
    matplotlib = require()
    width, height = drawing.size
    buffer = io.BytesIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"pdf.fonttype": 42, "font.family": "DejaVu Sans Mono", "font.size": SIZE})
        figure = matplotlib.figure.Figure(figsize=(width / 72, height / 72))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        for shape in drawing.shapes:
            place(axes, shape, matplotlib.patches)
        figure.savefig(buffer, format="pdf", metadata=METADATA["pdf"])
    return buffer.getvalue()


def place(axes: Any, shape: Box | Words | Arrow, patches: Any) -> None:
    """One shape, for matplotlib."""
    if isinstance(shape, Box):
        axes.add_patch(
            patches.Rectangle(
                (shape.x, shape.y), shape.width, shape.height, facecolor=str(shape.grey), edgecolor="0",
                linewidth=1.5, linestyle="--" if shape.dashed else "-",
            )
        )  # fmt: skip
    elif isinstance(shape, Arrow):
        xs, ys = zip(*shape.points, strict=True)
        axes.plot(xs, ys, color="0", linewidth=2)
        if shape.head:
            how = {"arrowstyle": "-|>", "color": "0", "lw": 2, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", shape.points[-1], shape.points[-2], arrowprops=how)
    else:
        align = {"start": "left", "middle": "center", "end": "right"}[shape.anchor]
        weight = "bold" if shape.bold else "normal"
        axes.text(shape.x, shape.y, shape.text, ha=align, va="baseline", weight=weight, parse_math=False)


FORMS: dict[str, Callable[[Drawing], bytes]] = {
    "svg": lambda drawing: svg(drawing).encode(),
    "html": lambda drawing: page(drawing).encode(),
    "pdf": pdf,
    "tex": lambda drawing: tikz(drawing).encode(),
    "dot": lambda drawing: dot(drawing).encode(),
}


def form_of(file: str) -> str:
    """The form that the name of a file asks for.  UserError for another one."""
    found = file.rpartition(".")[2].lower()
    if found not in FORMS or "." not in file:
        raise UserError(f"{file}: expected a name that ends in .svg, .html, .pdf, .tex or .dot.")
    if found == "pdf":
        require()
    return found
