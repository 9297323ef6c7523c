"""quiz: keys against models that know nothing of vmdbg, marks at the right step, sheets."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest

from vmdbg.errors import UserError
from vmdbg.exercises.of_machine import Source, make
from vmdbg.exercises.papers import ONE_LEVEL, TWO_LEVELS, on_paper
from vmdbg.exercises.questions import KINDS, Ask, Question, ratio
from vmdbg.exercises.sums import cost_question, replace_question
from vmdbg.inspect.context import find_context
from vmdbg.inspect.target import boot_named
from vmdbg.inspect.walk import walk_tables
from vmdbg.machine.config import preset_names
from vmdbg.state.tables import BANK_BASE

Model = Callable[[str], ModuleType]
MANY = [pytest.param(50, id="50"), pytest.param(1000, marks=pytest.mark.slow, id="1000")]
LIVE = ["default", "x86_32", "sv39", pytest.param("sv48", marks=pytest.mark.slow)]


def questions(source: Source, kind: str, count: int) -> list[tuple[Question, int]]:
    """So many questions of a kind, with the address that each asks about."""
    found = []
    for number in range(count):
        question = make(source, kind, Random(f"{kind} {number}"), number / count)
        address = re.search(r"0x[0-9a-f]+", question.text)
        assert address is not None
        found.append((question, int(address[0], 16)))
    return found


def answers(question: Question) -> list[Any]:
    return [ask.answer for ask in question.asks]


def papers(count: int, kind: str) -> list[tuple[Source, int]]:
    """Machines on paper from different seeds, for so many questions in all."""
    return [(on_paper(kind, seed), min(25, count - seed * 25)) for seed in range(-(-count // 25))]


@pytest.mark.parametrize("count", MANY)
@pytest.mark.parametrize("kind", ["translate", "walk", "fault", "why"])
def test_the_key_is_what_the_listing_says(kind: str, count: int, model: Model) -> None:
    paper = model("exercises")
    for source, some in papers(count, TWO_LEVELS):
        assert source.listing is not None
        memory = paper.pages_of(source.listing([]))
        root = source.context.root
        for question, va in questions(source, kind, some):
            walked = paper.two_levels(memory, root, va)
            goes = "fault" if walked.pa is None else walked.pa
            level = ("PD", "PT")[len(walked.entries) - 1]
            index = (va >> 10, va >> 5 & 31)[len(walked.entries) - 1]
            assert (
                answers(question)
                == {
                    "translate": [va >> 10, va >> 5 & 31, va & 31, goes],
                    "walk": [*walked.addresses, goes],
                    "fault": ["none", "none"] if walked.pa is not None else [level, "not-present"],
                    "why": [f"{level}[{index}]", "V"],
                }[kind]
            ), question.text
            # What is printed with the question is enough to answer it.
            printed = {line.partition(":")[0] for line in question.given[1:]}
            assert {f"page {at // 32:3}" for at in walked.addresses} <= printed


@pytest.mark.parametrize("count", MANY)
def test_the_key_of_a_tlb_is_what_the_listing_says(count: int, model: Model) -> None:
    paper = model("exercises")
    hits = 0
    for source, some in papers(count, ONE_LEVEL):
        assert source.listing is not None
        tlb = paper.tlb_of(source.listing([]))
        assert 7 <= len(tlb) <= 10  # a set that was full lost some
        for question, va in questions(source, "tlb", some):
            found = paper.look_up(tlb, va)
            wanted = [found.page, found.set, found.tag, "miss", "miss"]
            if found.frame is not None:
                wanted[3:] = ["hit", found.frame * 64 + va % 64]
                hits += 1
            assert answers(question) == wanted, question.text
    assert count // 4 < hits < count


@pytest.mark.parametrize("count", MANY)
def test_the_key_of_a_reference_string_is_the_textbook_s(count: int, model: Model) -> None:
    replacement = model("replacement")
    policies = set()
    for number in range(count):
        question = replace_question(Random(f"replace {number}"), number / count)
        policy, frames = question.command.split()[2], int(question.command.split()[4])
        pages = [int(page) for page in question.given[0].split()]
        faults = getattr(replacement, policy)([(page, False) for page in pages], frames)
        places = {place for place, *_ in faults}
        row = "".join("F" if place in places else "H" for place in range(len(pages)))
        assert answers(question) == [row, len(faults)], question.command
        policies.add(policy)
    assert policies == {"fifo", "lru", "opt", "clock"}


@pytest.mark.parametrize("count", MANY)
def test_the_key_of_a_time_is_the_formula_s(count: int, model: Model) -> None:
    paper = model("exercises")
    for number in range(count):
        question = cost_question(Random(f"cost {number}"), number / count)
        hit, miss, mean = paper.times(question.text)
        assert question.asks[-1].answer == mean, question.text
        if hit is not None:
            assert answers(question)[:2] == [hit, miss]


@pytest.mark.parametrize("count", MANY)
@pytest.mark.parametrize("name", LIVE)
def test_questions_about_a_machine_by_an_independent_walk(name: str, count: int, model: Model) -> None:
    walker = model("walker")
    machine = boot_named(name).machine
    layout = walker.LAYOUTS[machine.format.name]
    source = Source(machine, find_context(machine, mode=0))
    base, memory = memory_of(machine)
    for question, va in questions(source, "translate", count):
        top = make_walk(source, va)[0] & -(1 << layout.bits[0]) * layout.width
        found = walker.walk(layout, memory, base, top, va)
        assert question.asks[-1].answer == (found.pa if found.kind == "leaf" else "fault"), question.text
        for ask, shift, bits in zip(
            question.asks[: len(found.entries)], layout.shifts, layout.bits, strict=False
        ):
            assert ask.answer == va >> shift & (1 << bits) - 1


def make_walk(source: Source, va: int) -> list[int]:
    """The addresses of the entries of a walk."""
    return [step.address for step in walk_tables(source.machine, source.context.root, va).steps]


def memory_of(machine: Any) -> tuple[int, bytearray]:
    """The RAM of a machine and where it begins."""
    return int(machine.m.bank[BANK_BASE]), bytearray(machine.m.ram1)


@pytest.mark.parametrize("count", MANY)
@pytest.mark.parametrize("name", ["default", "sv39"])
def test_the_field_that_decides_turns_the_verdict(name: str, count: int, model: Model) -> None:
    """In a model of the walk: with that field of that entry turned the access is allowed, or goes further."""
    walker = model("walker")
    machine = boot_named(name).machine
    layout, form = walker.LAYOUTS[machine.format.name], machine.format
    source = Source(machine, find_context(machine, mode=0))
    base, memory = memory_of(machine)
    for question, va in questions(source, "why", count):
        root = make_walk(source, va)[0] & -(1 << layout.bits[0]) * layout.width
        level, index = re.fullmatch(r"(\w+)\[(\d+)\]", question.asks[0].answer).groups()
        depth = [one.name for one in form.levels].index(level)
        before = walker.walk(layout, memory, base, root, va)
        assert int(index) == va >> layout.shifts[depth] & (1 << layout.bits[depth]) - 1
        access = question.command.split()[2]
        assert not allowed(before, access)
        field = next(one for one in form.fields if one.name == question.asks[1].answer)
        at = before.entries[depth] - base
        byte, bit = at + field.low // 8, 1 << field.low % 8
        memory[byte] ^= bit
        after = walker.walk(layout, memory, base, root, va)
        memory[byte] ^= bit
        assert allowed(after, access) or after.kind != before.kind or len(after.entries) > len(before.entries)


def allowed(walked: Any, access: str) -> bool:
    """May a user make an access?  Rights are a nibble of r, w, x, u."""
    return walked.kind == "leaf" and bool(walked.rights >> "rwx".index(access) & walked.rights >> 3 & 1)


@pytest.mark.parametrize("count", MANY)
@pytest.mark.parametrize("name", ["default", "sv39"])
def test_faults_by_an_independent_walk(name: str, count: int, model: Model) -> None:
    walker = model("walker")
    machine = boot_named(name).machine
    layout = walker.LAYOUTS[machine.format.name]
    source = Source(machine, find_context(machine, mode=0))
    base, memory = memory_of(machine)
    for question, va in questions(source, "fault", count):
        root = make_walk(source, va)[0] & -(1 << layout.bits[0]) * layout.width
        found = walker.walk(layout, memory, base, root, va)
        level, kind = answers(question)
        if found.kind != "leaf":
            assert (level, kind) == (machine.format.levels[len(found.entries) - 1].name, "not-present")
        else:
            assert kind == ("none" if allowed(found, question.command.split()[2]) else "protection")


@pytest.mark.parametrize("name", preset_names())
def test_every_machine_has_questions_or_says_why_not(name: str) -> None:
    machine = boot_named(name).machine
    if name in ("tutorial16", "tutorial16-hw", "pressure"):  # others have touched pages when they boot
        machine.run(machine.config["machine.warm"] + 1)
    try:
        source = Source(machine, find_context(machine, mode=0))
    except UserError:
        assert name in ("bare", "pages", "partitions", "trace")
        return
    for kind in ("translate", "walk", "fault", "why", "tlb"):
        for number in range(4):
            try:
                question = make(source, kind, Random(number), number / 4)
            except UserError:
                assert kind in {"tlb", "why"}
                continue
            assert all(ask.mark(typed({"answer": ask.answer}), int).right for ask in question.asks)


# -- at the prompt


@pytest.fixture
def shell(make_shell):
    """A shell on the machine default."""
    found = make_shell(target=False)
    found.session.open_target = lambda: boot_named("default")
    return found


def keyed(shell, line: str) -> list[dict[str, Any]]:
    """The questions of a line, with their keys."""
    return list(shell.session.interpreter.result_of(line).data())


def typed(step: dict[str, Any]) -> str:
    """A right answer, as somebody types it."""
    return str(step["answer"])


def wrong(step: dict[str, Any]) -> str:
    """A wrong answer of the same sort."""
    answer = step["answer"]
    if isinstance(answer, str):
        if set(answer) <= set("FH") and len(answer) > 1:
            return ("F" if answer[0] == "H" else "H") + answer[1:]
        return {"hit": "miss", "miss": "hit"}.get(answer, "7" if answer == "fault" else "nonsense")
    return str(answer + 7)


@pytest.mark.parametrize("kind", KINDS)
def test_fifty_wrong_answers_are_marked_at_the_right_step(kind: str, shell) -> None:
    rng = Random(kind)
    paper = "-paper " if kind in ("translate", "fault") else ""
    found = keyed(shell, f"quiz/json {kind} {paper}-seed 3 -n 8")
    lines, marks = [f"quiz {kind} {paper}-seed 3 -n 8 -steps"], []
    for question in found:
        steps = question["steps"]
        bad = rng.randrange(len(steps) + 1)
        lines += [typed(step) for step in steps[:bad]]
        if bad < len(steps):
            lines.append(wrong(steps[bad]))
            where = f"Wrong at step {bad + 1} of {len(steps)}: " if len(steps) > 1 else "Wrong: "
            marks.append(where)
        else:
            marks.append("Right.")
    text = shell.script("\n".join([*lines, "print $_quiz"]))
    said = [line for line in text.splitlines() if line.startswith(("Wrong", "Right"))]
    assert len(said) == len(marks) == 8
    assert all(line.startswith(mark) for line, mark in zip(said, marks, strict=True))
    assert f"$1 = {marks.count('Right.')}" in text
    assert f"{marks.count('Right.')} of 8 right (seed 3)." in text
    for question, mark in zip(found, marks, strict=True):
        assert (f'"{question["command"]}" says:\n' in text) >= (mark != "Right.")


def test_the_reason_is_what_the_command_says(shell) -> None:
    for kind in KINDS:
        question = keyed(shell, f"quiz/json {kind} -seed 8")[0]
        text = shell.script(f"quiz {kind} -seed 8\n\n")
        proof = text.partition(f'"{question["command"]}" says:\n')[2]
        said = shell.run(question["command"])
        known = [line for line in said.splitlines() if "oracle" not in line]
        assert proof.startswith(known[0]), (kind, proof, said)
        assert known[-1].partition("  FIFO")[0] in proof or kind == "replace"


def test_words_that_can_stand_for_an_answer() -> None:
    address = Ask("physical address, or fault", 0x108, "0x108", other="fault")
    assert address.mark("0x108", lambda text: int(text, 0)).right
    assert address.mark("fault", lambda text: int(text, 0)).remark == "physical address is 0x108."
    entry = Ask("entry", "PT[3]", "PT[3]")
    assert entry.mark("pt 3", int).right
    assert not entry.mark("pt 4", int).right
    row = Ask("row", "FFH", "F F H", places=["1", "2", "1"])
    assert row.mark("f, f; h", int).right
    assert row.mark("FHH", int).remark == "reference 2 (page 2) is a fault, not a hit."
    assert not row.mark("FF", int).understood
    assert ratio("1/2") == ratio("0.5") == ratio("0.5 ns")
    assert ratio("1/0") is ratio("x") is None


def test_what_cannot_be_read_is_asked_again(shell) -> None:
    text = shell.script("quiz cost -seed 1\nnonsense\n1 +\n0\n")
    assert text.count('" is no number.') == 2
    assert "Wrong: effective access time is" in text
    assert "0 of 0 right" in shell.script("quiz cost -seed 1\nq\n")
    assert "0 of 1 right" in shell.script("quiz -seed 1 -n 2\n\nq\n")


def test_what_makes_no_sense(shell) -> None:
    errors = shell.errors("quiz what", "quiz -n 0", "quiz sheet x.pdf", "quiz sheet x.md -n 20000")
    assert [line.partition(":")[0] for line in errors.splitlines() if not line.startswith("Valid")] == [
        "Undefined item",
        "0 questions",
        "x.pdf",
        "20000 questions",
    ]


def test_a_machine_without_tables(make_shell) -> None:
    shell = make_shell(target=False)
    shell.session.open_target = lambda: boot_named("partitions")
    assert "quiz replace and quiz cost need none" in shell.errors("quiz translate -seed 1")
    with pytest.raises(UserError):
        make(on_paper(TWO_LEVELS, 1), "tlb", Random(1), 0.5)


# -- sheets


@pytest.mark.parametrize("form", ["md", "html", "tex"])
def test_a_sheet_and_its_key(form: str, shell, tmp_path: Path, model: Model) -> None:
    line = f"quiz sheet sheet.{form} -key key.{form} -seed 5 -n 2"
    assert shell.run(line) == f"Wrote sheet.{form} and key.{form}: 14 questions, seed 5.\n"
    here = tmp_path / "here"
    sheet, key = (here / f"sheet.{form}").read_text(), (here / f"key.{form}").read_text()
    assert len(re.findall(r"page {1,3}\d+: (?:[0-9a-f]{2} ){31}[0-9a-f]{2}", sheet)) == 128
    assert "VPN PPN Valid" in sheet
    assert "Set  Tag PPN Valid" in sheet
    shell.run(line)
    assert (sheet, key) == ((here / f"sheet.{form}").read_text(), (here / f"key.{form}").read_text())
    shell.run(line.replace("-seed 5", "-seed 6"))
    assert sheet != (here / f"sheet.{form}").read_text()
    for question in keyed(shell, "quiz/json walk -paper -seed 5 -n 2"):
        for step in question["steps"]:
            assert step["shown"] in key
            assert f"{step['shown']}</b>" not in sheet


def test_an_isolated_script_writes_no_sheet(shell, tmp_path: Path) -> None:
    (tmp_path / "here" / "s.vmdbg").write_text("quiz sheet x.md\n")
    assert 'No "quiz sheet" in an isolated script.' in shell.errors("source -isolated s.vmdbg")
    assert not (tmp_path / "here" / "x.md").exists()


@pytest.mark.long
def test_at_a_terminal(start: Callable[..., Any]) -> None:
    terminal = start("-q")
    terminal.type("quiz translate -seed 7 -steps")
    terminal.see("index into PML4? ")
    terminal.type("0")
    terminal.see("index into PDPT? ")
    terminal.type("nonsense")
    terminal.see('No symbol "nonsense" in current context.')
    terminal.see("index into PDPT? ")
    terminal.type("1")
    terminal.see("Wrong at step 2 of 6: index into PDPT is 0.")
    terminal.see("0 of 1 right (seed 7).")
    terminal.prompt()
    terminal.type("quiz cost -seed 2 -n 2")
    terminal.see("in ns? ")
    terminal.press(terminal.CTRL_C)
    terminal.see("Quit")
    terminal.prompt()
    terminal.type("print $_quiz")
    terminal.see("$1 = 0")
    terminal.type("quiz cost -seed 2 -n 2")
    terminal.see("in ns? ")
    terminal.press(terminal.CTRL_D)
    terminal.prompt()
