"""plot, and what it draws: trace curve, reuse and workingset, info faults -every, sweep -plot."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from vmdbg.machine.config import load_config
from vmdbg.shell.boot import open_target

pytest.importorskip("plotext")
pytest.importorskip("matplotlib")

BELADY = "1 2 3 4 1 2 5 1 2 3 4 5"


@pytest.fixture
def trace(shell: Any) -> str:
    """The string with Belady's anomaly, in the folder of the session."""
    Path("belady.lackey").write_text("".join(f" L {int(page):x}000,1\n" for page in BELADY.split()))
    return "belady.lackey"


@pytest.fixture
def booted(shell: Any) -> Any:
    """A machine that has run, its faults in its record."""
    shell.session.target = open_target(shell.session, load_config("default").name, "")
    return shell


def test_a_curve(shell: Any, trace: str) -> None:
    assert shell.run(f"trace curve -page 4K {trace}").splitlines() == [
        "belady.lackey: 12 accesses to 5 pages of 4 KiB (20 KiB), LRU.",
        "frames    size  misses  miss ratio",
        "     1   4 KiB      12      1.0000",
        "     2   8 KiB      12      1.0000",
        "     4  16 KiB       8      0.6667",
        "     5  20 KiB       5      0.4167",
        "5 of the misses are first accesses, which no number of frames avoids.",
    ]
    data = json.loads(shell.run(f"trace curve/json {trace} -frames 4,3 -page 4K"))
    assert [(row["frames"], row["misses"]) for row in data["curve"]] == [(3, 10), (4, 8)]
    assert data["sample"] is None


def test_a_sample_says_that_it_is_an_estimate(shell: Any, trace: str) -> None:
    text = shell.run(f"trace curve -sample 1/2 {trace} -frames 4 -page 4K")
    assert "to about" in text
    assert "An estimate (SHARDS) from 0.5 of the pages" in text
    assert text.splitlines()[1].split() == ["frames", "size", "misses", "miss", "ratio", "low", "high"]


def test_a_histogram(shell: Any, trace: str) -> None:
    assert shell.run(f"trace reuse -page 4K {trace}").splitlines()[1:] == [
        "distance  accesses    share  up to here",
        "       1         0   0.00 %      0.00 %",
        "       2         0   0.00 %      0.00 %",
        "     3-4         4  33.33 %     33.33 %",
        "     5-8         3  25.00 %     58.33 %",
        "   first         5  41.67 %",
    ]


def test_a_working_set(shell: Any, trace: str) -> None:
    assert shell.run(f"trace workingset -page 4K -window 4 -every 6 {trace}").splitlines()[1:] == [
        "Working set of the last 4 accesses, by intervals of 6:",
        "from  mean pages  least  most  misses",
        "   0         3.0      1     4       4",
        "   6         3.7      3     4       4",
        "mean 3.3 pages (13 KiB), 1 to 4; 8 misses, 0.6667 of all accesses.",
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("trace curve -frames 4,x {}", "-frames: expected a number of frames, or several"),
        ("trace curve -frames 0 {}", "-frames: expected a number of frames, or several"),
        ("trace curve -sample 2 {}", "-sample: expected a part of the pages"),
        ("trace curve -sample 1/0 {}", "-sample: expected a part of the pages"),
        ("trace reuse -page 3000 {}", "-page: expected a power of two"),
        ("trace workingset -window 0 {}", "-window: expected a number from 1."),
        ("trace workingset -every -1 {}", "-every: expected a number from 1."),
        ("trace curve nothing", "nothing: No such file or directory."),
        ("plot map", '"map" has no picture.'),
        ("plot nonsense {}", 'Undefined command: "nonsense".'),
        ("plot curve {} > a.gif", "expected a name that ends in .svg, .png or .pdf."),
        ("plot curve {} >", "Argument required (file to write)."),
        ("plot > a.svg", "Argument required (what to draw)."),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(shell: Any, trace: str, line: str, said: str) -> None:
    assert said in shell.errors(line.format(trace))
    assert sorted(path.name for path in Path().iterdir()) == [trace]


def test_a_picture_in_the_terminal_has_no_colours_of_its_own(shell: Any, trace: str) -> None:
    short, long = shell.run(f"plot curve {trace}"), shell.run(f"plot trace curve {trace}")
    assert short == long
    assert "frames of 256 B" in short
    assert short.isascii()
    assert "\x1b" not in short
    assert max(map(len, short.splitlines())) <= 80


@pytest.mark.long
def test_a_picture_in_a_file(shell: Any, trace: str) -> None:
    assert shell.run(f"plot compare fifo lru -frames 3,4 {BELADY} > belady.svg") == "Wrote belady.svg.\n"
    content = Path("belady.svg").read_text(encoding="utf-8")
    assert ">fifo</text>" in content
    shell.run(f"plot compare fifo lru -frames 3,4 {BELADY} > belady.svg")
    assert Path("belady.svg").read_text(encoding="utf-8") == content
    assert "nowhere/a.svg: No such file or directory." in shell.errors(f"plot curve {trace} > nowhere/a.svg")
    said = shell.errors("plot curve nothing > nowhere/a.svg")  # before anything is computed
    assert "nowhere/a.svg: No such file or directory." in said
    assert "nothing" not in said


def test_a_restricted_session_draws_in_its_folder_only(make_shell: Any) -> None:
    cage = make_shell(restricted=True)
    line = "plot compare fifo -frames 3,4 1 2 3 > {}"
    assert "are not allowed in a restricted session." in cage.errors(line.format("../a.svg"))
    assert cage.run(line.format("a.svg")) == "Wrote a.svg.\n"


def test_completion(shell: Any, trace: str) -> None:
    complete = shell.interpreter.complete
    assert "plot curve" in complete("plot cu")
    assert complete("plot curve bel") == [f"plot curve {trace}"]
    assert complete("plot trace curve -fr") == ["plot trace curve -frames"]
    assert complete(f"plot curve {trace} > bel") == [f"plot curve {trace} > {trace}"]
    assert complete("trace curve -frames 3,4 bel") == [f"trace curve -frames 3,4 {trace}"]


def test_what_is_not_installed_is_said_before_anything_runs(
    booted: Any, trace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotext", None)
    for line in ("plot curve nothing", f"sweep -plot policy=fifo {trace}"):
        assert 'needs plotext: pip install "vmdbg[plot]".' in booted.errors(line)


def test_faults_over_time(booted: Any) -> None:
    before = booted.run("when")
    rows = json.loads(booted.run("info faults/json -every 5"))
    assert [(row["time"], row["operations"]) for row in rows] == [(0, 5), (5, 5), (10, 2)]
    total = json.loads(booted.run("info faults/json"))
    for kind in ("minor", "file"):
        counted = sum(row["count"] for row in total if row["fault"] == f"fault-{kind}")
        assert sum(row[f"fault_{kind}"] for row in rows) == counted
    assert booted.run("plot faults").startswith("Page faults over time\n")
    assert booted.run("when") == before
    assert "-every: expected a number from 1." in booted.errors("info faults -every 0")


@pytest.mark.long
def test_a_sweep_is_drawn(booted: Any, trace: str) -> None:
    booted.run("machine trace", "set kernel.policy fifo")
    text = booted.run(f"sweep -plot -jobs 1 tlb.l1=4x4,8x4 user_frames=3,4 {trace}")
    assert text.startswith("l1   frames  faults")
    assert "belady.lackey: page faults by l1, frames\n" in text
    assert text.endswith("* 4x4   o 8x4\n")
    line = f"-jobs 1 tlb.l1=4x4,8x4 {trace}"
    bars = booted.run(f"plot sweep -measure walks {line}").splitlines()
    assert bars[:2] == ["belady.lackey: walks by l1", "walks"]
    assert bars[-2].split() == ["4x4", "8x4"]
    assert json.loads(booted.run(f"sweep/json -plot {line}"))[0]["faults"] == 5


@pytest.mark.long
def test_every_command_that_says_so_has_a_picture(booted: Any, trace: str) -> None:
    lines = {
        "info faults": "info faults -every 3",
        "policy compare": f"policy compare fifo -frames 3 {BELADY}",
        "sweep": f"sweep -jobs 1 tlb.l2=off {trace}",
        "trace curve": f"trace curve {trace}",
        "trace reuse": f"trace reuse {trace}",
        "trace workingset": f"trace workingset {trace}",
    }
    registry = booted.interpreter.registry
    registry.load_all()
    assert {command.name for command in registry.commands() if command.plots} == set(lines)
    for line in lines.values():
        assert booted.interpreter.result_of(line).plot().series
