"""`Session`: every command gives what the prompt prints, and the object of its JSON form."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest

from vmdbg import CommandResult, Session, UserError
from vmdbg.shell.boot import open_target
from vmdbg.shell.command import SHELL
from vmdbg.shell.startup import make_session

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
# What a command shows that is not the machine's: the time of day, the terminal, other files.
ELSEWHERE = {
    "machine",
    "load machine",
    "save machine",
    "sweep",
    "replay",
    "source",
    "help",
    "quit",
    "show version",
}


class Prompt:
    """The session of a person, its lines executed one by one."""

    def __init__(self) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.session = make_session(self.out, self.err)
        self.session.settings.set("confirm", False)
        self.session.target = open_target(self.session, "default", "")

    def type(self, line: str) -> str:
        self.out.seek(0)
        self.out.truncate()
        self.session.interpreter.try_line(line)
        return self.out.getvalue().removesuffix("\n")


def examples() -> list[tuple[str, str, bool]]:
    """Name, example, and has it a JSON form: of all commands that look at a machine or change it."""
    registry = Prompt().session.interpreter.registry
    registry.load_all()
    return [
        (command.name, example, "json" in command.forms)
        for command in registry.commands()
        for example in command.examples
        if command.effect != SHELL and command.name not in ELSEWHERE
    ]


@pytest.mark.parametrize(
    "every", [pytest.param(1, marks=pytest.mark.slow), pytest.param(11, marks=pytest.mark.long)]
)
def test_texts_and_data_are_those_of_the_prompt(every: int) -> None:
    ours, texts, objects = Session(), Prompt(), Prompt()
    checked = 0
    for name, example, has_json in examples()[::every]:
        try:
            found = ours.run(example)
        except UserError:
            found = CommandResult(example, ours._out.getvalue())
        assert str(found) == texts.type(example), example
        if not (has_json and example.startswith(name) and "/" not in example):
            objects.type(example)
            continue
        printed = objects.type(name + "/json" + example[len(name) :])
        assert found.data == (json.loads(printed) if printed else None), example
        checked += found.data is not None
    assert checked > 40 // every


def test_a_result_is_text_data_records_and_html() -> None:
    with Session() as session:
        found = session.run("walk 0x401234")
        assert (found["pa"], found.data["pa"], found.record.pa) == (0x108234,) * 3
        assert (found.record.steps[-1].level, type(found.record).__name__) == ("PT", "Walk")
        assert found.record == session.walk(0x401234).record
        with pytest.raises(dataclasses.FrozenInstanceError):
            found.record.pa = 0
        assert str(found).splitlines()[-1] == "0x401234 -> 0x108234  pfn 0x108, 4 KiB, r-xu"
        assert '<span style="color: #0087af">0x108234</span>' in found._repr_html_()
        assert found._repr_html_().count("<svg ") == 1
        assert ">PT 0x106000</text>" in found._repr_html_()
        assert "<svg " not in session.run("ps")._repr_html_()
        assert "&lt;" in session.echo("<b>")._repr_html_()
        assert [row["pid"] for row in session.ps()] == [1]
        assert len(session.tlb()) == len(session.tlb().data) > 3
        assert session.run("echo hi").data is None
        assert [type(part) for part in session.run("walk 0x401234\nps").data] == [dict, list]


def test_commands_are_methods() -> None:
    session = Session()
    assert str(session.translate(0x404000, "w", pid=1)) == str(session.run("translate 0x404000 w -pid 1"))
    assert str(session.walk(address=0x401234, v=True)) == str(session.run("walk/v 0x401234"))
    assert str(session.tlb.lookup(0x401234)).startswith("L1i: set 1")
    assert str(session.print("1 + 1", format="x")) == "$1 = 0x2"
    assert str(session.x("0x404000", format="2xb")).split()[-2:] == ["0x01", "0x00"]
    assert session.info.registers("cr3")[0]["value"] == 0x103000
    assert str(session.fault(0x408000, "w", n=True)).startswith("Predicted, nothing done")
    assert "exited normally" in str(session.continue_())
    assert "current" not in dir(session)
    assert {"walk", "reverse_step", "run", "state"} <= set(dir(session))
    assert "lookup" in dir(session.tlb)
    assert (session.why.__doc__ or "").startswith(
        "Say which rule of the hardware allows or refuses an access."
    )
    assert repr(session.tlb.lookup) == "<command tlb lookup>"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: s.run("nonsense"), UserError, "Undefined command"),
        (lambda s: s.walk(), UserError, "Argument required"),
        (lambda s: s.walk(1, 2), TypeError, "walk does not take 2; usage: walk"),
        (lambda s: s.walk(1, hat=2), TypeError, "does not take hat"),
        (lambda s: s.walk(1, address=2), TypeError, "given twice"),
        (lambda s: s.info(), TypeError, "is followed by"),
        (lambda s: s.run("quit"), UserError, "cannot end the session"),
        (lambda s: s.tlb.nonsense, AttributeError, 'no command "tlb nonsense"'),
        (lambda s: s._nonsense, AttributeError, "no command"),
    ],
)
def test_mistakes_raise_and_change_nothing(call: Any, error: type[Exception], message: str) -> None:
    session = Session()
    before = session.info.machine()["digest"]
    with pytest.raises(error, match=message):
        call(session)
    assert session.info.machine()["digest"] == before


def test_sessions_know_nothing_of_one_another() -> None:
    with Session() as one, Session("tutorial16") as other:
        one.run("define sizes\necho one\nend")
        one.set("$x = 5")
        one.write(0x408000, 1)
        assert str(one.run("sizes")) == "one"
        assert str(one.print("$x")).endswith("= 5")
        with pytest.raises(UserError, match="Undefined command"):
            other.run("sizes")
        assert str(other.print("$x")).endswith("= void")
        assert (str(one.when()), str(other.when())) == ("Time 13:0.", "Time 0:0.")
    with pytest.raises(ValueError, match="closed"):
        one.run("when")


def test_a_machine_a_program_and_settings() -> None:
    session = Session(program=EXAMPLES / "belady.vmp", settings={"kernel.policy": "fifo", "tlb.l1": "4x4"})
    assert session.ps()[0]["name"] == "belady"
    assert "L1: 4 sets of 4 ways" in str(session.info.machine())
    with pytest.raises(UserError, match="Undefined machine"):
        Session("nonsense")
    with pytest.raises(UserError):
        Session(settings={"nonsense": 1})


def test_remarks_go_beside_the_text() -> None:
    found = Session().run("translate 010000000")
    assert found.remarks == ("warning: 010000000 is read as octal: 0x200000.  In binary it is 0b010000000.",)
    assert "warning" not in str(found)


def test_the_state_is_buffers() -> None:
    session = Session()
    state = session.state
    assert {"frame", "tlb", "process", "ram1"} <= set(state)
    frame = state.frame
    assert (frame.view.shape, len(frame), frame.view.readonly) == ((16384, 8), 16384, True)
    assert next(iter(frame.columns)) == "state"
    pids = frame["pid"]
    found = session.walk(0x401234)
    pfn = found["pa"] >> 12
    assert (pids[pfn], frame.view[pfn, list(frame.columns).index("pid")]) == (1, 1)
    assert state.ram[found["pa"]] == int(str(session.x("0x401234", format="1ub")).split()[-1])
    assert state["process"].name == "process"
    with pytest.raises(AttributeError, match="no table nonsense"):
        state.nonsense  # noqa: B018
    with pytest.raises(TypeError):
        pids[0] = 1
