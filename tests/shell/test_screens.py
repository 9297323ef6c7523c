"""The screens that people learn from, as golden transcripts: words, columns, numbers.

Each file in `screens/` begins with `$ vmdbg -q -m MACHINE`; every `(vmdbg) LINE` after it is executed in one
session, and what follows is all that it prints, results and errors.
"""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from vmdbg.shell.boot import open_target
from vmdbg.shell.startup import make_session

SCREENS = Path(__file__).parent / "screens"
PROMPT = "(vmdbg) "
WIDTH = 80


def replayed(text: str) -> str:
    """The transcript as this vmdbg writes it."""
    lines = text.splitlines()
    assert lines[0].startswith("$ vmdbg -q -m "), lines[0]
    stream = io.StringIO()
    session = make_session(stream, stream)
    session.target = open_target(session, lines[0].split()[-1], "")
    stream.write(lines[0] + "\n")
    for line in lines[1:]:
        if line.startswith(PROMPT):
            stream.write(line + "\n")
            session.interpreter.try_line(line.removeprefix(PROMPT))
    session.output.flush()
    return stream.getvalue()


@pytest.mark.parametrize("screen", sorted(SCREENS.glob("*.txt")), ids=lambda path: path.stem)
def test_a_screen_is_what_it_was(screen: Path, request: pytest.FixtureRequest) -> None:
    golden = screen.read_text(encoding="utf-8")
    found = replayed(golden)
    if request.config.getoption("--update-transcripts"):
        screen.write_text(found, encoding="utf-8")
    assert found == golden
    assert [line for line in found.splitlines() if len(line) > WIDTH] == []


def test_there_are_screens() -> None:
    assert len(list(SCREENS.glob("*.txt"))) >= 6
