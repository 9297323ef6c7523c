"""What a person at a terminal sees while something takes long; and that nobody else sees it."""

from __future__ import annotations

import io
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vmdbg import progress
from vmdbg.engine import native
from vmdbg.machine.config import load_config
from vmdbg.programs.traces import contents
from vmdbg.shell.boot import MachineSettings, open_target
from vmdbg.shell.startup import make_session
from vmdbg.sweep import execute, work
from vmdbg.sweep.plan import points, read_axis

ROOT = Path(__file__).resolve().parent.parent
TRACE = ROOT / "tests" / "data" / "ls.lackey.xz"


class Terminal(io.StringIO):
    """A terminal of unknown width: what was written, and what stands in its line."""

    def isatty(self) -> bool:
        return True

    @property
    def line(self) -> str:
        """What a person sees in the last line."""
        seen = ""
        for piece in self.getvalue().rpartition("\n")[2].split("\r"):
            seen = piece + seen[len(piece) :]
        return seen.rstrip()

    @property
    def lines(self) -> list[str]:
        """Everything that stood in a line, one after the other."""
        return [text.rstrip() for text in re.split("[\r\n]", self.getvalue()) if text.strip()]


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    stream = Terminal()
    progress.show_on(stream)
    yield stream
    progress.show_on(None)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step is shown, however quick it is."""
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(progress, "PAUSE", 0.0)


def test_few_units_are_counted_and_their_rate_is_that_of_all(clock: Clock, terminal: Terminal) -> None:
    with progress.task("Sweeping", "points", 8) as task:
        clock.now += 4.0
        task.at(2)
        assert terminal.line == "Sweeping: 2 of 8 points, 12 s left"
        clock.now += 6.0
        task.at(5)
        assert terminal.line == "Sweeping: 5 of 8 points, 6 s left"
    assert terminal.line == ""


def test_nothing_in_the_first_second_and_then_how_much_how_fast_and_how_long(
    terminal: Terminal, clock: Clock
) -> None:
    with progress.task("Reading it", "B", 64 << 20) as task:
        clock.now += 0.9
        task.at(8 << 20)
        assert terminal.getvalue() == ""
        clock.now += 1.1
        task.at(16 << 20)
        assert terminal.line == "Reading it: 25%, 8.0 MiB/s, 6 s left"
        clock.now += 0.1
        task.at(17 << 20)
        assert terminal.line == "Reading it: 25%, 8.0 MiB/s, 6 s left"
        clock.now += 0.9
        task.at(48 << 20)
        assert terminal.line == "Reading it: 75%, 32.0 MiB/s, 0 s left"
    assert terminal.line == ""


def test_without_a_total_it_says_how_much(terminal: Terminal, clock: Clock) -> None:
    with progress.task("Running", "operations") as task:
        clock.now += 2
        task.at(90_000)
        assert terminal.line == "Running: 90000 operations, 45000 operations/s"
        clock.now += 2
        task.at(60_090_000)
        assert terminal.line == "Running: 60.1 million operations, 30.0 million operations/s"


def test_a_line_is_gone_when_a_task_fails(terminal: Terminal, clock: Clock) -> None:
    def interrupted() -> None:
        with progress.task("Running", "operations") as task:
            clock.now += 2
            task.at(1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert terminal.lines == ["Running: 1 operations, 0 operations/s"]
    assert terminal.line == ""


def test_what_is_no_terminal_gets_nothing(clock: Clock) -> None:
    stream = io.StringIO()
    progress.show_on(stream)
    with progress.task("Running", "operations") as task:
        clock.now += 9
        task.at(1)
    progress.show("Compiling ...")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (119, "119 s"), (150, "2 min"), (9000, "2 h")]
)
def test_times(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text


class Talk:
    """A session at a terminal, as `vmdbg -nx -m MACHINE` makes it."""

    def __init__(self, machine: str, terminal: Terminal, out: io.StringIO | None = None) -> None:
        self.terminal = terminal
        self.session = make_session(out or io.StringIO(), terminal)
        self.session.target = open_target(self.session, machine, "")
        self.session.settings.attach_later(lambda: MachineSettings(self.session))

    def said(self, *lines: str) -> list[str]:
        """What stood in the terminal's line, the last time empty, while these commands were executed."""
        self.terminal.seek(0)
        self.terminal.truncate()
        for line in lines:
            self.session.interpreter.command_line(line)
        assert self.terminal.line == ""
        return self.terminal.lines


@pytest.mark.long
@pytest.mark.usefixtures("at_once")
def test_a_trace_is_read_and_run(terminal: Terminal, tmp_path: Path) -> None:
    shutil.copy(TRACE, tmp_path)  # one that nobody has read
    talk = Talk("trace", terminal)
    reading = re.compile(r"Reading ls\.lackey\.xz: \d+%, [\d.]+ MiB/s(, \d+ s left)?")
    read = talk.said("set engine interpreted", f"file {tmp_path / TRACE.name}")
    assert read
    assert [line for line in read if not reading.fullmatch(line)] == []
    running = re.compile(r"Running: \d+%, [\d.]+( million)? operations/s, \d+ s left")
    assert running.fullmatch(talk.said("step 30000")[-1])


@pytest.mark.long
@pytest.mark.usefixtures("at_once")
def test_to_the_end_of_a_trace_it_is_known_how_far_it_is_and_in_a_loop_it_is_not(
    terminal: Terminal, tmp_path: Path
) -> None:
    talk = Talk("trace", terminal)
    (tmp_path / "few.lackey").write_bytes(b" L 1000,1\n" * 30_000)
    (run,) = talk.said("set engine interpreted", f"file {tmp_path / 'few.lackey'}", "continue")[-1:]
    assert run.startswith("Running: 100%, ")
    (tmp_path / "loop.vmp").write_text("region heap 0x1000 4K rw\nloop 9000\nread 0x1000\nend\n")
    lines = talk.said(f"file {tmp_path / 'loop.vmp'}", "continue")
    assert re.fullmatch(r"Running: \d+ operations, [\d.]+( million)? operations/s", lines[-1])


@pytest.mark.long
@pytest.mark.usefixtures("at_once")
def test_of_a_replay_it_is_known_about_how_far_it_is(terminal: Terminal, tmp_path: Path) -> None:
    talk = Talk("trace", terminal)
    (tmp_path / "many.lackey").write_bytes(b" L 1000,1\n" * 140_000)
    lines = talk.said("set engine interpreted", f"replay {tmp_path / 'many.lackey'}")
    running = re.compile(r"Running: (\d+)%, [\d.]+( million)? operations/s(, \d+ s left)?")
    shares = [int(found[1]) for line in lines if (found := running.fullmatch(line))]
    assert shares == sorted(shares)
    assert any(20 < share < 80 for share in shares)


@pytest.mark.long
@pytest.mark.usefixtures("at_once")
def test_of_a_point_of_a_sweep_it_is_known_how_far_it_is(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its trace stays in memory or is read again; and before that, how far it was looked through."""
    monkeypatch.setenv("VMDBG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(native, "available", lambda: False)
    talk = Talk("trace", terminal)
    (tmp_path / "many.lackey").write_bytes(b" L 1000,1\n" * 140_000)
    running = re.compile(r"Running: (\d+)%, [\d.]+( million)? operations/s(, \d+ s left)?")
    for long in (1 << 20, 1000):
        monkeypatch.setattr(contents, "LONG", long)
        lines = talk.said(f"sweep -jobs 1 frames=16 {tmp_path / 'many.lackey'}")
        assert any(line.startswith("Reading many.lackey: ") for line in lines)
        shares = [int(found[1]) for line in lines if (found := running.fullmatch(line))]
        assert any(20 < share < 80 for share in shares)
        assert lines[-1].startswith("Sweeping: 1 of 1 points")
        contents._contents.clear()
        work._last.clear()


def test_a_sweep_tells_before_its_first_point_is_done(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(progress, "PAUSE", 0.01)
    trace = tmp_path / "few.lackey"
    trace.write_bytes(b" L 1000,1\n")
    machines = points(load_config("trace"), [read_axis("frames=3,4")], str(trace))

    def slowly(joblib: object, found: list[Any], *_: object) -> Iterator[Any]:
        deadline = time.monotonic() + 20
        while not terminal.lines and time.monotonic() < deadline:
            time.sleep(0.01)
        yield from ((point.key, {}) for point in found)

    monkeypatch.setitem(sys.modules, "joblib", ModuleType("joblib"))
    monkeypatch.setattr(execute, "in_processes", slowly)
    execute.run_sweep(machines, str(trace), jobs=2)
    assert terminal.lines[0] == "Sweeping: 0 of 2 points"
    assert terminal.line == ""


def test_points_that_run_here_are_told_by_nobody_else(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second thread's line came between that of a point and its end, and stayed on the screen."""
    monkeypatch.setitem(sys.modules, "joblib", None)  # as if it were not installed
    trace = tmp_path / "few.lackey"
    trace.write_bytes(b" L 1000,1\n")
    machines = points(load_config("trace"), [read_axis("frames=3,4")], str(trace))
    before, threads = threading.active_count(), []

    def run(key: str, *_: object) -> tuple[str, dict[str, Any]]:
        threads.append(threading.active_count())
        return key, {}

    monkeypatch.setattr(execute, "keyed", run)
    execute.run_sweep(machines, str(trace), jobs=0)
    assert threads == [before, before]


@pytest.mark.usefixtures("at_once")
def test_a_machine_is_loaded(terminal: Terminal, tmp_path: Path) -> None:
    said = Talk("default", terminal).said(
        f"save machine {tmp_path / 'kept'}", f"load machine {tmp_path / 'kept'}"
    )
    assert said
    assert [line for line in said if not line.startswith("Loading kept: ")] == []


@pytest.mark.long
@pytest.mark.usefixtures("at_once")
def test_what_is_printed_meanwhile_stands_alone(terminal: Terminal) -> None:
    talk = Talk("default", terminal, terminal)
    lines = talk.said("set engine interpreted", 'dprintf 33,"here\\n"', "continue")
    assert "here" in lines
    assert any(line.startswith("Running: ") for line in lines)


@pytest.mark.usefixtures("at_once")
def test_a_trace_is_read_again_if_it_changed_not_for_another_setting(
    terminal: Terminal, tmp_path: Path
) -> None:
    trace = tmp_path / "few.lackey"
    trace.write_bytes(b" L 1000,1\n" * 9)
    talk = Talk("trace", terminal)
    talk.said(f"file {trace}")
    before = talk.session.target.machine.program
    assert talk.said("set kernel.policy fifo") == []
    assert talk.session.target.machine.program is before
    trace.write_bytes(b" L 1000,1\n" * 8)
    assert talk.said("set kernel.policy lru")
    assert talk.session.target.machine.program.length == before.length - 1


def test_what_was_done_before_is_not_in_the_rate(terminal: Terminal, clock: Clock) -> None:
    """20 of 24 points were done before; one takes 10 s."""
    with progress.task("Sweeping", "points", 24, 20) as task:
        clock.now += 10
        task.at(21)
        assert terminal.line == "Sweeping: 21 of 24 points, 30 s left"
