"""Counts without end: results stream, Ctrl-C ends them at once, and what cannot be meant is refused."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

HUGE = "1" + "0" * 5000
LARGE = "99999999999"
ENDLESS = "process p\nregion data 0x1000 4K rw\nloop\n  read 0x1000\nend\n"
SECONDS = 60
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(user_environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts vmdbg, and kills it after a while: what writes nothing, or never ends, fails."""
    begun: list[tuple[subprocess.Popen[str], threading.Timer]] = []

    def make(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [str(tmp_path / "bin" / "vmdbg"), "-nx", "-batch", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=user_environment,
            cwd=tmp_path,
        )
        begun.append((process, threading.Timer(SECONDS, process.kill)))
        begun[-1][1].start()
        return process

    yield make
    for process, timer in begun:
        timer.cancel()
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "line",
    [
        *(f"x/{HUGE}x 0x401000", "xp/18446744073709551615g 0x0", "x/-18446744073709551615s 0x401000"),
        *(f"step {HUGE}", "step 18446744073709551615", "stepi 9223372036854775808", f"next {HUGE}"),
        *(f"reverse-step {HUGE}", f"reverse-stepi {HUGE}", f"continue {HUGE}", f"print 1@{HUGE}"),
    ],
    ids=lambda line: line[:16],
)
def test_counts_that_cannot_be_meant(run_vmdbg: Callable[..., object], line: str) -> None:
    done = run_vmdbg("-batch", "-ex", "step", "-ex", line, "-ex", "when/json")
    assert done.stderr == "Numeric constant too large.\n"  # type: ignore[attr-defined]
    assert '"time": "13:0"' in done.stdout  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "line", [f"xp/{LARGE}g 0", f"stepi/json {LARGE}", f"stepi/csv {LARGE}", f"stepi {LARGE}"]
)
def test_a_large_count_streams_and_stops_at_once(start: Start, line: str) -> None:
    process = start("-ex", line)
    assert process.stdout is not None
    rows = [process.stdout.readline() for _ in range(300)]
    assert all(rows)
    process.send_signal(signal.SIGINT)
    asked = time.monotonic()
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - asked < 5  # 0.2 s where nothing else runs
    assert errors == "Quit\n"
    assert process.returncode == 1


def test_events_stream_as_the_machine_goes(run_vmdbg: Callable[..., object]) -> None:
    """Those of one command in one go, and of many, are the same; the machine ends in the same state."""
    one = run_vmdbg("-batch", "-ex", "stepi/csv 1200", "-ex", "when/json").stdout  # type: ignore[attr-defined]
    two = run_vmdbg(  # type: ignore[attr-defined]
        "-batch", *["-ex", "stepi/csv 600"] * 2, "-ex", "when/json"
    ).stdout
    rows = one.splitlines()
    again = two.splitlines()
    assert len(rows) == 1202
    assert [*again[:601], *again[602:]] == rows


def test_a_run_that_never_ends_says_so(start: Start, tmp_path: Path) -> None:
    (tmp_path / "endless.vmp").write_text(ENDLESS)
    process = start("endless.vmp", "-ex", "run")
    assert process.stderr is not None
    said = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert said.startswith("The run goes on, at ")
    assert (
        ': endless.vmp:3: this loop has no count and never ends.  Write "loop N", bound it with "step N"'
        in said
    )
    assert "endless.vmp:4" in out  # Ctrl-C ended it between two operations
