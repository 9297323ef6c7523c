"""A plot as lines of text, by plotext: 80 columns, plain characters, colours of the theme."""

from __future__ import annotations

import math
from importlib.util import find_spec

from vmdbg.errors import UserError
from vmdbg.views.plot import log_ticks, short, ticks
from vmdbg.views.result import WIDTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from vmdbg.views.plot import Plot
    from vmdbg.views.result import Line

HEIGHT = 18  # lines, axes and their numbers among them
MARKS = "*ox#@%=&$ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: What each series is drawn in, by turns; the last one is for bounds of bands.
STYLES = ("address", "fault", "rights", "entry", "warning", "event")
BOUND, BOUND_STYLE = ".", "metadata"
PLAIN = str.maketrans("─│┌┐└┘├┤┬┴┼", "-|+++++++++")
X_TICKS, Y_TICKS = 9, 6


def require() -> None:
    """UserError if nothing can be drawn in the terminal."""
    if find_spec("plotext") is None:
        raise UserError('Drawing in the terminal needs plotext: pip install "vmdbg[plot]".')


def terminal_lines(plot: Plot) -> Iterator[Line]:
    """The lines of a plot.  UserError without plotext, or with more series than there are marks."""
    require()
    if len(plot.series) > len(MARKS):
        raise UserError(f"{len(plot.series)} series are too many for a picture.")
    yield [("title", plot.title)]
    if not plot.series:
        yield "Nothing to draw."
        return
    yield plot.y
    styles = {mark: STYLES[place % len(STYLES)] for place, mark in enumerate(MARKS)} | {BOUND: BOUND_STYLE}
    lines = canvas(plot)
    left = lines[0].index("+") + 1
    below = max(place for place, line in enumerate(lines) if line[left - 1 : left] == "+")
    yield lines[0]
    yield from (fragments(line, left, styles) for line in lines[1:below])
    yield from lines[below:]
    yield plot.x.center(WIDTH).rstrip()
    if len(plot.series) > 1:
        yield from legend(plot, styles)


def canvas(plot: Plot) -> list[str]:
    """The picture with its axes."""
    import plotext

    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(WIDTH, HEIGHT)
    values = [y for series in plot.series for y in series.ys]
    values += [bound for series in plot.series for pair in series.band or () for bound in pair]
    if plot.log_y:
        values = [value for value in values if value > 0]
        low: float = math.log10(min(values))
        if plot.bars:  # the least one is seen, too
            low = math.floor(low - 1e-9)
        plotext.ylim(low, math.log10(max(values)))
        places = log_ticks(10.0**low, max(values), 10, Y_TICKS)
        plotext.yticks([math.log10(place) for place in places], [short(place) for place in places])
    else:
        low, high = min(0, *values), max(values) or 1
        plotext.ylim(low, high)
        places = ticks(low, high, Y_TICKS)
        plotext.yticks(places, [short(place) for place in places])
    (draw_bars if plot.bars else draw_lines)(plotext, plot, low if plot.log_y else None)
    lines = str(plotext.build()).translate(PLAIN).replace("\x1b[0m", "").split("\n")
    return [line.rstrip() for line in lines if line.strip()]


def draw_bars(figure: Any, plot: Plot, low: float | None) -> None:
    """Bars, from 0, or on a logarithmic axis from 10**`low`."""
    series = plot.series[0]
    heights = [y if low is None else max(math.log10(y), low) if y > 0 else low for y in series.ys]
    figure.bar(series.xs, heights, marker="#", width=0.6, minimum=low or 0)


def draw_lines(figure: Any, plot: Plot, low: float | None) -> None:
    """Lines through points; values that a logarithmic axis does not have are left out."""

    def points(xs: Sequence[Any], ys: Sequence[float]) -> tuple[list[float], list[float]]:
        kept = [(x, y) for x, y in zip(xs, ys, strict=True) if low is None or y > 0]
        return (
            [math.log2(x) if plot.log_x else x for x, _ in kept],
            [y if low is None else max(low, math.log10(y)) for _, y in kept],
        )

    xs: list[Any] = [x for series in plot.series for x in series.xs]
    first, last = min(xs), max(xs)
    if plot.log_x:
        places = log_ticks(first, last, 2, X_TICKS)
        figure.xticks([math.log2(place) for place in places], [short(place, 1024) for place in places])
    else:
        places = sorted(set(xs)) if len(set(xs)) <= X_TICKS else ticks(first, last, X_TICKS)
        figure.xticks(places, [short(place) for place in places])
    for series in plot.series:
        for side in (0, 1) if series.band is not None else ():
            bounds = [pair[side] for pair in series.band or ()]
            figure.plot(*points(series.xs, bounds), marker=BOUND)
    for mark, series in zip(MARKS, plot.series, strict=False):
        figure.plot(*points(series.xs, series.ys), marker=mark)


def fragments(line: str, left: int, styles: dict[str, str]) -> Line:
    """A line of the canvas; the marks right of its axis, from column `left` on, have their styles."""
    out = [("", line[:left])]
    for char in line[left:]:
        style = styles.get(char, "")
        if out[-1][0] == style:
            out[-1] = (style, out[-1][1] + char)
        else:
            out.append((style, char))
    return out


def legend(plot: Plot, styles: dict[str, str]) -> Iterator[Line]:
    """The marks and the names of the series."""
    line: list[tuple[str, str]] = []
    used = 0
    for mark, series in zip(MARKS, plot.series, strict=False):
        if line and used + len(series.name) + 5 > WIDTH:
            yield line
            line, used = [], 0
        line += [("", "   " if line else ""), (styles[mark], mark), ("", f" {series.name}")]
        used += len(series.name) + 5
    yield line
