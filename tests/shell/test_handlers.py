"""Signal handlers at the prompt: predicted, entered by an access of the user's, stepped through and back."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from vmdbg.shell.boot import MachineSettings, open_target
from vmdbg.shell.startup import make_session

ROOT = Path(__file__).resolve().parents[2]


class Prompt:
    """A session with docs/examples/mender.vmp, and what it writes."""

    def __init__(self) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.session = make_session(self.out, self.err)
        program = ROOT / "docs" / "examples" / "mender.vmp"
        self.session.target = open_target(self.session, "", str(program))
        self.session.settings.attach_later(lambda: MachineSettings(self.session))

    def run(self, *lines: str) -> str:
        self.out.truncate(0)
        self.out.seek(0)
        for line in lines:
            self.session.interpreter.try_line(line)
        assert self.err.getvalue() == ""
        return self.out.getvalue()


@pytest.fixture
def prompt() -> Prompt:
    return Prompt()


def test_what_would_happen(prompt: Prompt) -> None:
    no = "Predicted, nothing done: SIGSEGV (MAPERR); process 1 has no handler."
    yes = "Predicted, nothing done: SIGSEGV (ACCERR); process 1 has a handler."
    assert prompt.run("fault -n 0x406000 w").splitlines()[0] == no
    lines = prompt.run("step", "fault -n 0x404000 x").splitlines()[2:]
    assert (lines[0], lines[-1]) == (yes, "result    process 1 goes on in its handler, line 16")
    data = json.loads(prompt.run("fault/j -n 0x404000 x"))
    assert (data["outcome"], data["signal"], data["predicted"]) == ("handled", "SIGSEGV", True)
    assert prompt.run("when") == "Time 1:0.\n"


def test_an_access_of_the_user_enters_the_handler(prompt: Prompt) -> None:
    prompt.run("step")
    before = prompt.session.target.machine.digest()
    assert "goes on in its handler, line 16" in prompt.run("fault 0x500000 w")
    assert prompt.run("step").splitlines()[-1].split("\t")[0] == "17      return"
    assert prompt.run("step").splitlines()[-1] == "9       write lost, 0x2a"
    assert "goes on in its handler" in prompt.run("read 0x500000")
    assert "killed" in prompt.run("set confirm off", "write 0x500000 1")
    prompt.run("undo", "undo", "goto 1")
    assert prompt.session.target.machine.digest() == before


@pytest.mark.long
def test_back_and_forth_through_a_handler(prompt: Prompt) -> None:
    machine = prompt.session.target.machine
    digests = {}
    for _ in range(14):
        when = prompt.run("when").split()[1]
        digests[when] = machine.digest()
        prompt.run("stepi")
    prompt.run("goto 4:9")
    for _ in range(12):
        prompt.run("reverse-stepi 2")
        when = prompt.run("when").split()[1]
        assert digests.get(when, machine.digest()) == machine.digest()
    assert when == "0:0."


def test_signals_need_not_stop(prompt: Prompt) -> None:
    table = ["Signal        Stop\tPrint\tPass to program\tDescription"]
    table.append("SIGSEGV       No\tNo\tYes\t\tSegmentation fault")
    assert prompt.run("handle SIGSEGV nostop").splitlines() == table
    assert prompt.run("run") == "Process 1 (mender) terminated with signal SIGSEGV, Segmentation fault.\n"
    assert prompt.session.target.machine.counts()["handler"] == 1
    assert "No more reverse-execution history." in prompt.run("reverse-continue")
    prompt.run("handle 11 stop")
    assert "Process 1 received signal SIGSEGV" in prompt.run("continue")
    prompt.run("handle all nostop", "handle 7 stop print")
    rows = json.loads(prompt.run("info signals/j"))
    assert {row["signal"]: row["stop"] for row in rows} == {
        "SIGBUS": True,
        "SIGKILL": False,
        "SIGSEGV": False,
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("handle", "Argument required (signal to handle)."),
        ("handle stop", "Argument required (signal to handle)."),
        ("handle SIGFOO stop", 'Unrecognized or ambiguous flag word: "SIGFOO".'),
        ("handle SIGSEGV nopass", "Signals always reach the process."),
        ("info signals 3", "Only signals 7, 9 and 11 are known here."),
    ],
)
def test_mistakes_about_signals(prompt: Prompt, line: str, message: str) -> None:
    prompt.session.interpreter.try_line(line)
    assert prompt.err.getvalue().splitlines()[0] == message
    assert len(prompt.session.stops.signals.patterns) == 1
