"""A plot as a file, SVG, PNG or PDF, by matplotlib: greys, for a slide or a page, the same bytes each
time."""

from __future__ import annotations

import io

from vmdbg.errors import UserError
from vmdbg.files import write_whole
from vmdbg.views.plot import log_ticks, short, ticks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.views.plot import Plot

MISSING = 'Pictures in files need matplotlib: pip install "vmdbg[plot]".'
#: What a file of each format says of its making: nothing that differs from one time to the next.
METADATA: dict[str, dict[str, str | None]] = {
    "svg": {"Date": None, "Creator": "vmdbg"},
    "png": {"Software": "vmdbg"},
    "pdf": {"CreationDate": None, "Creator": "vmdbg", "Producer": "vmdbg"},
}
#: On a slide of 13.33 inches, as presentations have them, the text is 20 points high.
STYLE = {
    "figure.figsize": (13.33, 7.5),
    "figure.dpi": 100,
    "font.size": 20,
    "axes.titlesize": 22,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 1.2,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.88",
    "grid.linewidth": 1.0,
    "lines.linewidth": 3,
    "lines.markersize": 9,
    "legend.frameon": False,
    "svg.hashsalt": "vmdbg",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}
GREYS = ("0.0", "0.45", "0.65", "0.25", "0.55")
DASHES = ("-", "--", "-.", ":", (0, (7, 2, 1, 2, 1, 2)))
MARKS = "os^Dvx"
MOST_INSIDE = 6  # lines whose names stand in the picture
FEW = 24  # points of a line that are marked
BAND = "0.85"
X_TICKS, Y_TICKS = 9, 7


def format_of(file: str) -> str:
    """`svg`, `png` or `pdf`, as the name of a file says.  UserError for another one."""
    found = file.rpartition(".")[2].lower()
    if found not in METADATA or "." not in file:
        raise UserError(f"{file}: expected a name that ends in .svg, .png or .pdf.")
    return found


def require() -> Any:
    """matplotlib.  UserError without it."""
    try:
        import matplotlib.figure
    except ImportError:
        raise UserError(MISSING) from None
    return matplotlib


def picture(plot: Plot, format: str) -> bytes:
    """The content of a file.  UserError without matplotlib."""
    matplotlib = require()
    if not plot.series:
        raise UserError("Nothing to draw.")
    buffer = io.BytesIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a picture does not depend on a file of the user's
        matplotlib.rcParams.update(STYLE)
        figure = matplotlib.figure.Figure(layout="constrained")
        axes = figure.add_subplot()
        draw(plot, axes)
        figure.savefig(buffer, format=format, metadata=METADATA[format])
    return buffer.getvalue()


def draw(plot: Plot, axes: Any) -> None:
    """The axes and what is on them."""
    axes.set_title(plot.title, loc="left", pad=16)
    axes.set_xlabel(plot.x)
    axes.set_ylabel(plot.y)
    if plot.log_y:
        axes.set_yscale("log")
    if plot.bars:
        axes.bar(plot.series[0].xs, plot.series[0].ys, color=GREYS[1], width=0.8)
        axes.grid(visible=False, axis="x")
        axes.tick_params(axis="x", labelsize=16)
    else:
        if plot.log_x:
            axes.set_xscale("log", base=2)
        draw_lines(plot, axes)
    label_axes(plot, axes)


def draw_lines(plot: Plot, axes: Any) -> None:
    """Lines that differ in grey, dashes and, if they have few points, marks."""
    few = all(len(series.xs) <= FEW for series in plot.series)
    for place, series in enumerate(plot.series):
        if series.band is not None:
            lows, highs = zip(*series.band, strict=True)
            axes.fill_between(series.xs, lows, highs, color=BAND, linewidth=0)
        axes.plot(
            series.xs,
            series.ys,
            color=GREYS[place % len(GREYS)],
            linestyle=DASHES[(place + place // len(GREYS)) % len(DASHES)],
            marker=MARKS[place % len(MARKS)] if few else "",
            label=series.name,
        )
    if len(plot.series) > MOST_INSIDE:  # a legend that would cover lines
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=16, handlelength=3)
    elif len(plot.series) > 1:
        axes.legend(loc="best", fontsize=18, handlelength=3)


def label_axes(plot: Plot, axes: Any) -> None:
    """Round numbers on the axes, and none between them."""
    axes.minorticks_off()
    values = [y for series in plot.series for y in series.ys]
    if plot.log_y:
        low, high = axes.get_ylim()
        places = log_ticks(low, high, 10, Y_TICKS)
    else:
        axes.set_ylim(bottom=min(0, *values))
        low, high = axes.get_ylim()
        places = ticks(low, high, Y_TICKS)
    axes.set_yticks(places, [short(place) for place in places])
    if plot.bars:
        return
    xs: list[Any] = sorted({x for series in plot.series for x in series.xs})
    if plot.log_x:
        places = log_ticks(xs[0], xs[-1], 2, X_TICKS)
        axes.set_xticks(places, [short(place, 1024) for place in places])
    else:
        low, high = axes.get_xlim()
        places = xs if len(xs) <= X_TICKS else ticks(low, high, X_TICKS)
        axes.set_xticks(places, [short(place) for place in places])


def write_picture(plot: Plot, path: str, format: str) -> None:
    """Write a file, which takes the place of an old one when it is whole.  UserError."""
    write_whole(path, picture(plot, format))
