"""tutorial: played to the end with wrong turns, and resumed."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from vmdbg.exercises.lessons import Lesson, lessons, page
from vmdbg.inspect.target import boot_named
from vmdbg.shell.startup import attach_machine_settings

# What a person may type that does no step.
WRONG = ("wlak 0", "split 0x0003", "map", "translate 0x0004", "help walk", "x", "info machine")
LETTERS = [lesson.letter for lesson in lessons()]


@pytest.fixture
def state(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the place in the tutorial is kept."""
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    return home / "state" / "vmdbg" / "tutorial.json"


@pytest.fixture
def shell(make_shell, state: Path):
    found = make_shell(target=False)
    attach_machine_settings(found.session)
    found.session.open_target = lambda: boot_named("tutorial16")
    return found


def test_every_lesson_of_the_story_is_there() -> None:
    assert list("ABCDEF") == LETTERS
    for lesson in lessons():
        assert lesson.steps[0].machine
        assert all(step.do.endswith((".", "?")) and step.hint for step in lesson.steps)
        assert all(len(step.solution) for step in lesson.steps)


def test_the_page_is_made_of_the_lessons() -> None:
    text = page("<!-- made -->")
    assert text.count("\n## ") == len(lessons())
    assert "<!-- step" not in text
    assert "```vmdbg" in text


def test_a_lesson_is_read() -> None:
    lesson = Lesson(
        "# X. A title\n\nSome `text` and [a link](x.md).\n\n<!-- step\nmachine: m\ndo: Do it.\nsolution: a\n"
        "solution: b 1\ncheck: typed: b\n-->\n\n```vmdbg\n(vmdbg) b 1\n```\n\nMore.\n\n"
        "<!-- step\ndo: And this.\nsolution: c\n-->\n\nEnd.\n"
    )
    first, second = lesson.steps
    assert (lesson.letter, lesson.title) == ("X", "A title")
    assert (first.text, first.machine, first.do) == (['Some "text" and a link.'], "m", "Do it.")
    assert (first.solution, first.typed, second.typed) == (["a", "b 1"], "b", "")
    assert second.text == ["More."]
    assert lesson.page == (
        "## X. A title\n\nSome `text` and [a link](x.md).\n\n```vmdbg\n(vmdbg) b 1\n```\n\nMore.\n\nEnd.\n"
    )


@pytest.mark.long
@pytest.mark.parametrize("letter", LETTERS)
def test_a_lesson_to_its_end_with_wrong_turns(letter: str, shell, state: Path) -> None:
    place = LETTERS.index(letter)
    lesson = lessons()[place]
    shell.type(f"tutorial {letter}")
    for number, step in enumerate(lesson.steps):
        wrong = shell.type(WRONG[number % len(WRONG)])
        assert "Right." not in wrong, (letter, number, wrong)
        said = shell.type(*step.solution)
        assert said.count("Right.") == 1, (letter, number, said)
        if number + 1 < len(lesson.steps):
            assert f"{letter} {number + 2}/{len(lesson.steps)}" in said
            assert json.loads(state.read_text())["step"] == number + 1
    assert f"Lesson {letter} is done." in said
    assert (f"Next: {LETTERS[place + 1]}" in said) if letter != "F" else ("That was the last one." in said)
    assert letter in json.loads(state.read_text())["done"]
    shell.type("split 0x0001")
    assert shell.session.interpreter.watcher is None


def test_hints_and_ways(shell, state: Path) -> None:
    assert "You are in no lesson." in shell.errors("tutorial hint")
    shell.type("tutorial A")
    assert 'Hint: "split ADDRESS" does it.\n' in shell.type("tutorial hint")
    assert "  split 0x0110\n" in shell.type("tutorial hint")
    assert "A 2/" in shell.type("tutorial next")
    assert "A 1/" in shell.type("tutorial back")
    shell.type("tutorial back")
    assert "This is the first step." in shell.err()
    assert "The right command, but" in shell.type("split 0x0111")
    assert "Right." in shell.type("split 272")  # another way to say the same
    shell.type("tutorial next")
    assert "Not yet." in shell.type("read 0x100", "split 1", "split 2")
    assert "not-present" in shell.type("tutorial again", "translate 0x0100")
    assert "Left." in shell.type("tutorial quit")
    assert "Right." not in shell.type("stepi 11")
    assert "step 3" in shell.type("tutorial list")
    assert "A 3/" in shell.type("tutorial")


def test_the_machine_is_as_it_was_after_the_steps_before(shell, make_shell, state: Path) -> None:
    shell.type("tutorial A", "split 0x0110", "start", "stepi 11")
    other = make_shell(target=False)
    other.session.open_target = lambda: boot_named("default")
    said = other.type("tutorial")
    assert "The machine is tutorial16." in said
    assert "A 4/10" in said
    assert other.session.machine.digest() == shell.session.machine.digest()
    assert "Right." in other.type("step 3")


def test_a_machine_is_not_taken_away_unasked(shell) -> None:
    asked = []
    shell.type("start", "step 1")
    shell.session.ask = lambda question: asked.append(question) or "n"
    assert shell.type("tutorial") == ""
    assert shell.err() == "Not confirmed.\n"
    shell.session.ask = lambda question: asked.append(question) or "y"
    assert "A 1/" in shell.type("tutorial")
    shell.type("split 0x0110", "start", "tutorial quit")
    assert "A 3/" in shell.type("tutorial")
    assert asked == ["A lesson takes the place of this machine.  Go on? (y or n) "] * 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"lesson": "Z", "step": 1, "done": []}', '{"lesson": "A"}'])
def test_a_place_that_makes_no_sense_is_none(text: str, shell, state: Path) -> None:
    state.parent.mkdir(parents=True)
    state.write_text(text)
    assert "A 1/10" in shell.type("tutorial")


def test_a_place_that_cannot_be_kept_is_said(shell, state: Path) -> None:
    state.parent.parent.write_text("a file where a folder is expected")
    shell.type("tutorial")
    assert "warning: The place in the tutorial is not kept: " in shell.err()


def test_no_place_is_kept_in_a_restricted_session(make_shell, state: Path) -> None:
    shell = make_shell(restricted=True, target=False)
    shell.session.open_target = lambda: boot_named("tutorial16")
    assert "A 1/10" in shell.type("tutorial")
    assert not state.exists()


def test_no_lesson_in_an_isolated_script(shell, tmp_path: Path) -> None:
    (tmp_path / "here" / "s.vmdbg").write_text("tutorial\n")
    assert 'No "tutorial" in an isolated script.' in shell.errors("source -isolated s.vmdbg")


# -- at a terminal


def play(terminal, letters: list[str], wrong: bool = True) -> None:
    """Plays lessons to their ends, with a wrong turn at each step."""
    for letter in letters:
        steps = lessons()[LETTERS.index(letter)].steps
        for number, step in enumerate(steps):
            terminal.see(f"{letter} {number + 1}/{len(steps)}")
            terminal.prompt()
            if wrong:
                terminal.type(WRONG[number % 4])
                terminal.prompt()
            terminal.type(*step.solution)
            terminal.see("Right.")
        terminal.see(f"Lesson {letter} is done.")
        terminal.prompt()
        if letter != "F":
            terminal.type("tutorial")


@pytest.mark.long
def test_resumed_after_kill(start: Callable[..., object], home: Path) -> None:
    terminal = start("-q")
    terminal.type("tutorial B")
    terminal.see("B 1/3")
    terminal.type("overhead -sizes")
    terminal.see("B 2/3")
    terminal.child.kill(signal.SIGKILL)
    terminal.child.wait()
    kept = json.loads((home / ".local" / "state" / "vmdbg" / "tutorial.json").read_text())
    assert (kept["lesson"], kept["step"]) == ("B", 1)
    again = start("-q")
    again.type("tutorial")
    again.see("The machine is word-table.")
    again.see("B 2/3")
    again.prompt()
    again.type("overhead -flat 48 4K 8")
    again.see("Right.")
    again.see("B 3/3")


@pytest.mark.slow
def test_played_to_the_end(start: Callable[..., object]) -> None:
    terminal = start("-q")
    terminal.type("tutorial A")
    play(terminal, LETTERS)
    terminal.type("tutorial list")
    seen = terminal.see("F  ") + terminal.see("(vmdbg)")
    assert len(re.findall("done", seen)) == len(LETTERS)
