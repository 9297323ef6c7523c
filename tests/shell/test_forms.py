"""Text, JSON and CSV of a result: whichever form is not asked for is not computed."""

from __future__ import annotations

import importlib
import io
from collections import Counter
from typing import Any

import pytest

from vmdbg.shell.boot import open_target
from vmdbg.shell.startup import make_session

COMMANDS = "vmdbg.shell.commands."
#: A command, and the functions that make its text and only that, and those that make data and only that.
FORMS = {
    "translate 0x401234": (
        ["translate.outcome_line", "translate.brief_outcome"],
        ["vmdbg.inspect.walk.Outcome.data"],
    ),
    "walk 0x401234": (["translate.walk_text"], ["translate.walk_data"]),
    "why 0x401234 w": (["translate.why_lines"], ["translate.why_data"]),
    "split 0x401234": (["translate.split_lines"], ["vmdbg.inspect.split.Parts.data"]),
    "tables": (["page_tables.tree_lines"], ["page_tables.tree_rows"]),
    "overhead": (["page_tables.overhead_lines"], []),
    "tlb lookup 0x401234": (["tlb.probe_lines"], ["tlb.probe_data"]),
    "tlb check": (["tlb.check_lines", "tlb.stale_words"], ["tlb.tlb_table"]),
    "fault 0x401234": (["accesses.fault_lines"], ["accesses.access_data"]),
    "info machine": (["status.machine_lines", "status.describe"], []),
    "info stats": (["status.rates"], []),
    "info frames": (["status.frame_summary"], []),
    "info faults": (["vmdbg.views.status.faults_total"], []),
    "swap": (["status.slot_summary"], []),
    "info program": (["run.banner"], ["run.banner_data"]),
}
PARTITIONS = {"overhead": (["vmdbg.views.page_tables.partitions_total"], ["page_tables.partitions_data"])}


def owner_of(path: str) -> tuple[Any, str]:
    """The module or class that has a function, and the function's name in it."""
    whole = path if path.startswith("vmdbg.") else COMMANDS + path
    holder, _, name = whole.rpartition(".")
    try:
        return importlib.import_module(holder), name
    except ModuleNotFoundError:
        module, _, owner = holder.rpartition(".")
        return getattr(importlib.import_module(module), owner), name


def counting(calls: Counter[str], path: str, function: Any) -> Any:
    """The function, which counts how often it is called."""

    def call(*given: Any, **named: Any) -> Any:
        calls[path] += 1
        return function(*given, **named)

    return call


def counted(monkeypatch: pytest.MonkeyPatch, paths: list[str]) -> Counter[str]:
    """How often each of the functions has been called since."""
    calls: Counter[str] = Counter()
    for path in paths:
        owner, name = owner_of(path)
        monkeypatch.setattr(owner, name, counting(calls, path, getattr(owner, name)))
    return calls


def made(machine: str, line: str) -> str:
    """What a command line writes at a machine that has run its program for a while."""
    out, errors = io.StringIO(), io.StringIO()
    session = make_session(out, errors)
    session.target = open_target(session, machine, "")
    session.interpreter.try_line(line)
    assert errors.getvalue() == ""
    return out.getvalue()


def check(
    monkeypatch: pytest.MonkeyPatch, machine: str, line: str, forms: tuple[list[str], list[str]]
) -> None:
    words, rest = line.split(" "), forms[0] + forms[1]
    place = next((at for at, word in enumerate(words) if word[:1].isdigit()), len(words)) - 1
    for form, wanted, spared in (("", 0, 1), ("/json", 1, 0), ("/csv", 2, 0)):
        if form == "/csv" and line == "info program":
            continue
        calls = counted(monkeypatch, rest)
        asked = " ".join([*words[:place], words[place] + form, *words[place + 1 :]])
        assert made(machine, asked)
        assert [path for path in forms[spared] if calls[path]] == [], asked
        first = forms[wanted][:1] if wanted < 2 else []
        assert all(calls[path] for path in first), asked
        monkeypatch.undo()


@pytest.mark.parametrize("line", FORMS)
def test_a_form_that_was_not_asked_for_is_not_computed(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    check(monkeypatch, "default", line, FORMS[line])


@pytest.mark.parametrize("line", PARTITIONS)
def test_so_with_partitions(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    check(monkeypatch, "partitions", line, PARTITIONS[line])
