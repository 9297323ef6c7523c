"""Results as HTML, for notebooks: the lines of the text, in the colours of the default theme.

Those are of middle brightness, so that they read on light pages and on dark ones.  Styles are written into
the elements, for a notebook drops style sheets.
"""

from __future__ import annotations

from html import escape

from vmdbg.debugger.styles import COLOURS, THEMES
from vmdbg.units import visible
from vmdbg.views.drawing import svg
from vmdbg.views.theme import OWN, rgb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmdbg.views.drawing import Drawing
    from vmdbg.views.result import Line

FITTED = '<svg style="max-width: 100%; height: auto" '
BLOCK = '<pre style="line-height: 1.3">{}</pre>'


def declarations(role: str) -> str:
    """How a role looks, in CSS; empty for one that has no look of its own."""
    colour, intensity = THEMES["default"].get(role, ("none", "normal"))
    parts = []
    if COLOURS[colour] >= OWN:
        parts.append("color: #{:02x}{:02x}{:02x}".format(*rgb(COLOURS[colour])))
    if intensity == "bold":
        parts.append("font-weight: bold")
    return "; ".join(parts)


def html_of(lines: Iterable[Line], pictures: Iterable[Drawing] = ()) -> str:
    """An element that shows some lines of a result, below its pictures."""
    drawn = "".join(svg(picture).replace("<svg ", FITTED, 1) for picture in pictures)
    return drawn + BLOCK.format("\n".join(map(line_html, lines)))


def line_html(line: Line) -> str:
    """One line, its fragments in the colours of their roles."""
    if isinstance(line, str):
        return escape(visible(line), quote=False)
    out = []
    for role, text in line:
        style, shown = declarations(role), escape(visible(text), quote=False)
        out.append(f'<span style="{style}">{shown}</span>' if style and text.strip() else shown)
    return "".join(out)
