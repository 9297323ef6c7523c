"""Each `.gdb` file beside this one is typed into gdb and into vmdbg's expressions; the answers are equal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.long  # each case starts gdb and vmdbg

SESSIONS = sorted(Path(__file__).parent.glob("*.gdb"))


def commands_of(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.stem)
def test_the_same_answers_as_gdb(path: Path, compare: Callable[..., None]) -> None:
    commands = commands_of(path)
    assert len(commands) > 50
    compare(commands)
