"""A script's loop takes no more than twice the time that gdb takes (CPU time of the whole process)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.gdb.conftest import usable_gdb

pytestmark = pytest.mark.long

LOOP = "set $i=0\nwhile $i<20000\nset $i=$i+1\nend\np $i\n"
TRIES = 3  # other processes share the caches: the best of a few is what the program needs


def seconds(arguments: list[str]) -> float:
    """The CPU time of a process, its output unread."""
    with open(os.devnull, "r+b") as nothing:
        actions = [(os.POSIX_SPAWN_DUP2, nothing.fileno(), descriptor) for descriptor in (0, 1, 2)]
        child = os.posix_spawnp(arguments[0], arguments, os.environ, file_actions=actions)
        _, status, usage = os.wait4(child, 0)
    assert status == 0
    return usage.ru_utime + usage.ru_stime


def test_twenty_thousand_turns(tmp_path: Path) -> None:
    script = tmp_path / "loop.gdb"
    script.write_text(LOOP)
    options = ["-nx", "-batch", "-x", str(script)]
    theirs = max(seconds([usable_gdb(), *options]) for _ in range(TRIES))
    ours = min(seconds([sys.executable, "-m", "vmdbg", *options]) for _ in range(TRIES))
    assert ours <= 2 * theirs, f"{ours:.2f} s, gdb {theirs:.2f} s"
