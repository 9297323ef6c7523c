"""Pictures: in the terminal 80 columns of plain characters, in files the same bytes each time."""

from __future__ import annotations

import sys
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vmdbg.debugger.output import line_text
from vmdbg.errors import UserError
from vmdbg.views import plot_file, plot_terminal
from vmdbg.views.plot import Plot, Series, log_ticks, short, ticks

pytest.importorskip("plotext")
pytest.importorskip("matplotlib")

CURVE = Plot(
    "ls: misses of LRU",
    "frames of 4 KiB",
    "misses per access",
    [
        Series("lru", [1, 2, 4, 8, 1000], [0.5, 0.2, 0.1, 0.01, 0.001]),
        Series("opt", [1, 1000], [0.5, 0.0005]),
    ],
    binary=True,
    log_y=True,
)
BARS = Plot(
    "reuse", "distance", "accesses", [Series("accesses", ["1", "2", "3-4"], [1000, 70, 3])], log_y=True
)
SWING = Plot("set", "accesses", "pages", [Series("mean", [0, 10, 20], [3, 9, 4], [(1, 5), (8, 10), (2, 7)])])


def text(plot: Plot) -> list[str]:
    lines = plot_terminal.terminal_lines(plot)
    return [line_text(line) for line in lines]


def test_a_curve_in_the_terminal() -> None:
    lines = text(CURVE)
    assert lines[:2] == ["ls: misses of LRU", "misses per access"]
    assert lines[-2:] == ["frames of 4 KiB".center(80).rstrip(), "* lru   o opt"]
    assert [label for label in ("0.1+", "0.01+", "0.001+") if any(label in line for line in lines)] == [
        "0.1+",
        "0.01+",
        "0.001+",
    ]
    numbers = lines[-3].split()
    assert numbers == ["1", "4", "16", "64", "256"]
    assert len(lines) <= 23
    drawn = "".join(lines[2:-3])
    assert drawn.count("*") > 40
    assert drawn.count("o") > 20


def test_an_axis_of_many_ticks_is_drawn_once() -> None:
    """Between its ticks are no more than eight dashes."""
    lines = text(Plot("", "frames", "", [Series("lru", list(range(1, 270)), [1 / x for x in range(1, 270)])],
                      binary=True, log_y=True))  # fmt: skip
    borders = [place for place, line in enumerate(lines) if "-" * 8 in line]
    assert borders == [2, len(lines) - 3]


def test_bars_in_the_terminal() -> None:
    lines = text(BARS)
    heights = dict.fromkeys("abc", 0)
    for line in lines:
        for label, place in zip(heights, (12, 40, 70), strict=True):
            heights[label] += line[place : place + 1] == "#"
    assert heights["a"] > heights["b"] > heights["c"] > 0
    assert lines[-2].split() == ["1", "2", "3-4"]


def test_marks_have_the_styles_of_the_theme() -> None:
    styled = [
        part for line in plot_terminal.terminal_lines(CURVE) if not isinstance(line, str) for part in line
    ]
    assert {char for style, part in styled for char in part if style == plot_terminal.STYLES[0]} == {"*"}
    assert "".join(part for _, part in styled).count("*") == "".join(
        part for style, part in styled if style == plot_terminal.STYLES[0]
    ).count("*")
    assert {char for style, part in styled for char in part if style == plot_terminal.STYLES[1]} == {"o"}


POINTS = st.lists(
    st.tuples(st.integers(1, 1 << 40), st.one_of(st.just(0.0), st.floats(1e-9, 1e12))),
    min_size=1,
    max_size=30,
)


@settings(max_examples=15)
@given(st.lists(POINTS, min_size=1, max_size=4), st.booleans(), st.booleans())
def test_any_picture_fits_the_screen(
    series: list[list[tuple[int, float]]], binary: bool, log_y: bool
) -> None:
    made = [Series(f"s{place}", *zip(*sorted(points), strict=True)) for place, points in enumerate(series)]
    lines = text(Plot("title", "x", "y", made, binary=binary, log_y=log_y))
    assert max(map(len, lines)) <= 80
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert any("*" in line for line in lines[2:])


def test_what_has_no_points_is_no_picture() -> None:
    empty = Plot("title", "x", "y", [Series("s", [1], [None])])
    assert text(empty) == ["title", "Nothing to draw."]
    with pytest.raises(UserError, match="Nothing to draw"):
        plot_file.picture(empty, "svg")


@pytest.mark.parametrize("plot", [CURVE, BARS], ids=["curve", "bars"])
def test_an_svg_is_the_same_each_time_and_says_what_it_shows(plot: Plot) -> None:
    content = plot_file.picture(plot, "svg")
    assert content == plot_file.picture(plot, "svg")
    said = ["".join(node.itertext()) for node in ElementTree.fromstring(content).findall(".//{*}text")]
    assert {plot.title, plot.x, plot.y} <= set(said)
    if len(plot.series) > 1:
        assert {series.name for series in plot.series} <= set(said)
    assert b"<dc:date>" not in content


@pytest.mark.long
@pytest.mark.parametrize(("kind", "magic"), [("png", b"\x89PNG\r\n"), ("pdf", b"%PDF-")])
def test_other_files(kind: str, magic: bytes) -> None:
    content = plot_file.picture(SWING, kind)
    assert content.startswith(magic)
    assert b"CreationDate" not in content


@pytest.mark.parametrize("file", ["a.gif", "a", "svg", "a.svg.gz", ".svgz"])
def test_other_ends_of_names_are_refused(file: str) -> None:
    with pytest.raises(UserError, match=r"expected a name that ends in \.svg, \.png or \.pdf"):
        plot_file.format_of(file)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotext", None)
    with pytest.raises(UserError, match=r'needs plotext: pip install "vmdbg\[plot\]"'):
        text(CURVE)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match=r'need matplotlib: pip install "vmdbg\[plot\]"'):
        plot_file.picture(CURVE, "svg")


@pytest.mark.parametrize(
    ("value", "thousand", "said"),
    [
        (64, 1000, "64"),
        (1000, 1000, "1k"),
        (2.5e6, 1000, "2.5M"),
        (0.001, 1000, "0.001"),
        (1 << 16, 1024, "64Ki"),
    ],
)
def test_numbers_of_axes(value: float, thousand: int, said: str) -> None:
    assert short(value, thousand) == said


@settings(max_examples=40)
@example(low=1.0, span=800000001.0, most=5)
@given(st.floats(0, 1e9), st.floats(1e-6, 1e9), st.integers(2, 12))
def test_ticks_are_round_and_few(low: float, span: float, most: int) -> None:
    found = ticks(low, low + span, most)
    assert 1 <= len(found) <= most
    assert all(low - 1e-6 * (low + span) <= place <= (low + span) * 1.000001 for place in found)
    assert len(found) >= 2 or most < 5 or span < 1e-5 * low


def test_ticks_of_logarithmic_axes() -> None:
    assert log_ticks(1, 300, 2, 9) == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert log_ticks(1, 1 << 20, 2, 6) == [1, 16, 256, 4096, 65536, 1 << 20]
    assert log_ticks(0.0003, 0.5, 10, 6) == [0.001, 0.01, 0.1]
    assert log_ticks(234, 7600, 10, 6) == [500, 1000, 2000, 5000]


def test_the_names_of_many_lines_cover_none_of_them() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    series = [Series(f"policy {number}", [1, 2, 3], [20, 20 - number, 5]) for number in range(12)]
    figure = Figure(layout="constrained", figsize=(13.33, 7.5))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    plot_file.draw(Plot("title", "frames", "faults", series), axes)
    figure.draw_without_rendering()
    legend = axes.get_legend().get_window_extent()
    assert legend.x0 >= axes.get_window_extent().x1
    assert legend.x1 <= figure.bbox.x1
    assert len({(line.get_color(), str(line.get_linestyle())) for line in axes.get_lines()}) == 12
