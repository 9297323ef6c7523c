"""save breakpoints, save session: scripts that make the same again."""

from __future__ import annotations

from pathlib import Path

import pytest

from .test_breakpoints import PROGRAM, Prompt

ACTS = [
    "set kernel.policy fifo",
    "set listsize 7",
    "set $v = 7",
    "define twice\nprint $arg0\nend",
    "run",
    "goto 6",
    "write 0x500 $v",
    "print *(char*)0x500 = $v + 1",
    "set var {int}0x510 = $",
    "bookmark here",
    "checkpoint",
    "step 2",
    "swapout 0x100",
    "fork 1",
    "process 2",
    "goto 3",
    "write 0x600 1",
    "step",
    "display/x $_operations",
]
STOPS = [
    "break 5 if $_operations > 4",
    "commands 1\nsilent\nprint 1\nend",
    "tbreak 6",
    "catch tlb-miss 0x100 -pid 1",
    "ignore 3 4",
    "watch -entry 0x100",
    "disable 3",
    'dprintf 8,"bye %d\\n", $_operations',
    "enable count 2 4",
    "catch fault",
    "enable delete 6",
    "break *0x10 if $_pid == 2",
    "enable once 7",
]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "work.vmp"
    path.write_text(PROGRAM)
    return path


def play(prompt: Prompt, lines: list[str]) -> None:
    for line in lines:
        prompt.session.interpreter.run_lines("test", line.split("\n"))


@pytest.mark.long
@pytest.mark.parametrize("length", [1, 5, 7, 9, 12, 13, 14, 15, 17, 18, len(ACTS)])
@pytest.mark.parametrize("events", [0, 2])
def test_a_session_played_again_ends_in_the_same_state(
    program: Path, tmp_path: Path, length: int, events: int
) -> None:
    first = Prompt(str(program))
    play(first, ACTS[:length])
    if events:
        first.run(f"stepi {events}")
    script = tmp_path / "saved.vmdbg"
    assert first.run(f"save session {script}") == f"Saved to file '{script}'.\n"
    second = Prompt()
    play(second, [script.read_text()])
    ours, theirs = first.session, second.session
    assert theirs.timeline.position == ours.timeline.position
    assert theirs.target.machine.digest() == ours.target.machine.digest()
    assert theirs.timeline.bookmarks == ours.timeline.bookmarks
    assert [a.command for a in theirs.timeline.actions] == [a.command for a in ours.timeline.actions]
    assert theirs.target.machine.config.values == ours.target.machine.config.values
    assert theirs.settings.number("listsize") == ours.settings.number("listsize")


def test_stops_saved_and_sourced_are_listed_alike(program: Path, tmp_path: Path) -> None:
    first, script = Prompt(str(program)), tmp_path / "stops.vmdbg"
    assert first.run(f"save breakpoints {script}") == "Nothing to save.\n"
    play(first, STOPS)
    listed = first.run("info breakpoints")
    first.run(f"save breakpoints {script}")
    second = Prompt(str(program))
    play(second, [script.read_text()])
    assert second.run("info breakpoints") == listed
    assert first.error("save breakpoints") == "Argument required (file name in which to save)\n"
    assert first.error("save session") == "Argument required (file name in which to save)\n"


def test_a_machine_from_a_file_is_loaded_again(program: Path, tmp_path: Path) -> None:
    first, saved, script = Prompt(str(program)), tmp_path / "m", tmp_path / "s"
    first.run(
        "run", "goto 3", f"save machine {saved}", f"load machine {saved}", "step", f"save session {script}"
    )
    second = Prompt()
    play(second, [script.read_text()])
    assert second.session.target.machine.digest() == first.session.target.machine.digest()
    assert second.session.timeline.position == first.session.timeline.position
