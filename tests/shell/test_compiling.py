"""Ctrl-C, SIGTERM and the end of a session while something is compiled, as processes on a terminal.

Nothing crashes, the terminal is as it was found, and after a normal end the code is in the cache.
"""

from __future__ import annotations

import importlib.util
import io
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from vmdbg.engine import cache

pytestmark = [
    pytest.mark.long,
    pytest.mark.engine,
    pytest.mark.skipif(importlib.util.find_spec("llvmlite") is None, reason="llvmlite is not installed"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]
LONG = """process long
region heap 0x400000 64K rw
loop 100000000
  read 0x400000 .. 0x404000 step 64
end
"""
INTERRUPT = "\x03"
Start = Callable[..., "Run"]


class Run:
    """vmdbg on a terminal, with an empty cache."""

    def __init__(self, child: pexpect.spawn, folder: Path) -> None:
        self.child, self.folder = child, folder
        self.found = termios.tcgetattr(child.child_fd)[:4]
        self.said = child.logfile_read = io.StringIO()

    def type(self, line: str) -> None:
        self.child.expect_exact("(vmdbg)")
        self.child.send(line + "\r")

    def wait_for_the_compiler(self) -> None:
        """Until LLVM is loaded, and a second thread runs."""
        process = Path("/proc") / str(self.child.pid)
        for _ in range(3000):
            assert self.child.isalive()
            tasks = len(os.listdir(process / "task"))
            if tasks > 1 and "llvmlite" in (process / "maps").read_text(errors="replace"):
                return
            time.sleep(0.01)
        raise AssertionError("nothing is compiled")

    def kept(self) -> list[str]:
        """The objects in the cache; each is whole."""
        names = os.listdir(self.folder) if self.folder.exists() else []
        return [name for name in names if cache.read(str(self.folder), name) is not None]

    def ended(self) -> int:
        """The exit status, or the signal as a negative number.  The terminal is as it was."""
        self.child.expect(pexpect.EOF)
        assert termios.tcgetattr(self.child.child_fd)[:4] == self.found
        self.child.close()
        for word in ("Traceback", "Exception", "internal", "Segmentation", "Aborted"):
            assert word not in self.said.getvalue()
        return self.child.exitstatus if self.child.signalstatus is None else -self.child.signalstatus


@pytest.fixture
def start(user_environment: dict[str, str], tmp_path: Path) -> Start:
    (tmp_path / "long.vmp").write_text(LONG)
    children = []

    def make(*arguments: str) -> Run:
        folder = tmp_path / "cache"
        plain = pexpect.spawn("true")
        plain.expect(pexpect.EOF)
        child = pexpect.spawn(
            str(tmp_path / "bin" / "vmdbg"),
            ["-nx", "-q", "long.vmp", "-ex", "set confirm off", *arguments],
            env={**user_environment, "TERM": "xterm", "VMDBG_CACHE": str(folder)},
            cwd=str(tmp_path),
            timeout=60,
            encoding="utf-8",
        )
        children.append(child)
        run = Run(child, folder)
        run.found = termios.tcgetattr(plain.child_fd)[:4]
        plain.close()
        return run

    yield make  # type: ignore[misc]
    for child in children:
        child.close(force=True)


@pytest.mark.parametrize("times", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_ctrl_c_ends_the_command_that_waits_and_the_code_is_kept(start: Start, times: int) -> None:
    run = start("-ex", "set engine compiled")
    run.type("run")
    run.wait_for_the_compiler()
    for _ in range(times):
        run.child.send(INTERRUPT)
        time.sleep(0.05)
    run.child.expect_exact("Quit")
    run.type("print 6 * 7")
    run.child.expect_exact("$1 = 42")
    run.type("quit")
    assert run.ended() == 0
    assert len(run.kept()) == 1


def test_after_ctrl_c_the_same_command_waits_for_the_same_code(start: Start) -> None:
    run = start("-ex", "set engine compiled")
    run.type("run")
    run.wait_for_the_compiler()
    run.child.send(INTERRUPT)
    run.child.expect_exact("Quit")
    run.type("step 300000")
    run.child.expect_exact("300000:0")
    assert len(run.kept()) == 1
    run.type("quit")
    assert run.ended() == 0
    assert len(run.kept()) == 1


@pytest.mark.parametrize(
    ("interrupts", "end"),
    [
        (0, "quit\r"),
        pytest.param(3, "\x04", marks=pytest.mark.slow),
        pytest.param(0, "\x04", marks=pytest.mark.slow),
        pytest.param(3, "quit\r", marks=pytest.mark.slow),
    ],
)
def test_the_end_of_a_session_waits_for_the_code(start: Start, end: str, interrupts: int) -> None:
    run = start()
    run.type("run")
    run.wait_for_the_compiler()
    run.child.send(INTERRUPT)
    run.child.expect_exact("Program received signal SIGINT, Interrupt.")
    run.child.expect_exact("(vmdbg)")
    run.child.send(end)
    for _ in range(interrupts):
        time.sleep(0.1)
        if run.child.isalive():
            run.child.send(INTERRUPT)
    while interrupts and run.child.expect_exact([pexpect.EOF, "Quit"]):  # Ctrl-C came before "quit" began
        run.child.expect_exact("(vmdbg)")
        run.child.send(end)
    assert run.ended() == 0
    assert len(run.kept()) == 1


@pytest.mark.parametrize(
    "where", ["waiting", pytest.param("running", marks=pytest.mark.slow), "at the prompt"]
)
def test_sigterm_ends_it_at_once(start: Start, where: str) -> None:
    run = start(*(("-ex", "set engine compiled") if where == "waiting" else ()))
    run.type("run")
    run.wait_for_the_compiler()
    if where == "at the prompt":
        run.child.send(INTERRUPT)
        run.child.expect_exact("(vmdbg)")
        time.sleep(0.1)
    run.child.kill(signal.SIGTERM)
    assert run.ended() == -signal.SIGTERM


@pytest.mark.parametrize(
    "signals", [(), pytest.param((signal.SIGINT,) * 3, marks=pytest.mark.slow), (signal.SIGTERM,)]
)
def test_in_a_batch(
    user_environment: dict[str, str], tmp_path: Path, signals: tuple[signal.Signals, ...]
) -> None:
    """What runs at its end has its code kept; Ctrl-C ends the command, SIGTERM all of it."""
    (tmp_path / "long.vmp").write_text(LONG)
    folder = tmp_path / "cache"
    with subprocess.Popen(
        [str(tmp_path / "bin" / "vmdbg"), "-nx", "-batch", "long.vmp", "-ex", "step 1000000"],
        env={**user_environment, "VMDBG_CACHE": str(folder)},
        cwd=tmp_path,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        if signals:
            while "llvmlite" not in Path(f"/proc/{child.pid}/maps").read_text(errors="replace"):
                assert child.poll() is None
                time.sleep(0.01)
            for number in signals:
                child.send_signal(number)
                time.sleep(0.1)
        out, err = child.communicate(timeout=120)
    assert "Traceback" not in err
    if signal.SIGTERM in signals:
        assert child.returncode == -signal.SIGTERM
        return
    assert child.returncode == 0
    assert err in ("", "Quit\n")
    assert "1000000:0" in out or signals
    assert len(os.listdir(folder)) == 1
    assert cache.read(str(folder), os.listdir(folder)[0])
