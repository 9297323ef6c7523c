"""A run under pressure, stopped with Ctrl-C, saved, loaded in another process and continued."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

END = 45_000  # operations
PROMPT = b"(vmdbg) "


def vmdbg(*arguments: str) -> str:
    """What a batch run prints."""
    command = [sys.executable, "-m", "vmdbg", "-nx", "-batch", "-ex", "set engine interpreted", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def digest_of(text: str) -> str:
    """The digest that `save machine` told last."""
    return text.rpartition("digest ")[2].split(".")[0]


def cpu_seconds(pid: int) -> float:
    """What a process has used: a wait by the clock may end before it was given any (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_it_ends_as_one_that_nobody_interrupted(tmp_path: Path) -> None:
    half, end, plain = tmp_path / "half", tmp_path / "end", tmp_path / "plain"
    lines = f"set engine interpreted\ncontinue\nwhen\nsave machine {half}\nquit\n"
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "vmdbg", "-nx", "-q", "-m", "pressure"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
    ) as session:  # fmt: skip
        assert session.stdin is not None
        assert session.stdout is not None
        session.stdin.write(lines.encode())
        session.stdin.close()
        seen = b""
        while seen.count(PROMPT) < 2:
            seen += session.stdout.read(1)
        goal = cpu_seconds(session.pid) + 0.3
        while cpu_seconds(session.pid) < goal:
            time.sleep(0.01)
        session.send_signal(signal.SIGINT)
        text = session.stdout.read().decode()
    assert "Program received signal SIGINT, Interrupt." in text
    stopped = int(text.rpartition("Time ")[2].split(":")[0])
    assert 0 < stopped < END
    loaded = vmdbg("-ex", f"load machine {half}", "-ex", f"goto {END}", "-ex", f"save machine {end}")
    alone = vmdbg("-m", "pressure", "-ex", f"goto {END}", "-ex", f"save machine {plain}")
    assert f"{END}:0" in loaded
    assert f"{END}:0" in alone
    assert digest_of(loaded) == digest_of(alone) != ""
