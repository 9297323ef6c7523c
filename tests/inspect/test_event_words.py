"""Events are declared once: what is said of them, asked of the past and told of a command follows."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from vmdbg.debugger.access_story import MOVES
from vmdbg.debugger.time.event_log import LoggedEvent
from vmdbg.debugger.time.search import frame_patterns, slot_patterns
from vmdbg.inspect.changes import changes_told
from vmdbg.inspect.event_costs import PART_OF, SERVED
from vmdbg.inspect.event_fields import FIELDS, NOTATIONS
from vmdbg.inspect.event_words import EventWords
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.state.events import EVENTS, FAMILIES, Event, event
from vmdbg.views.accesses import MOVED_TEXTS

BRACES = re.compile(r"{(\w+):?([^}]*)}")


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.name)
def test_every_kind_has_words(kind: Event) -> None:
    assert kind.says
    assert kind.help
    for name, how in BRACES.findall(kind.says):
        assert name in kind.arguments or name in FIELDS
        assert "|" in how or how in NOTATIONS or not how


def test_every_field_and_notation_is_used() -> None:
    used = [found for kind in EVENTS for found in BRACES.findall(kind.says)]
    assert {name for name, _ in used} >= FIELDS.keys() - {"cpu"}
    assert {how for _, how in used} >= NOTATIONS.keys()


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.name)
def test_what_a_kind_names_are_its_arguments(kind: Event) -> None:
    assert len(kind.arguments) == len(kind.kinds) <= 3
    assert {kind.amount, kind.fills} - {""} <= set(kind.arguments)
    assert len(kind.changes) in (0, 2)
    assert bool(kind.rank) == bool(kind.changes)
    assert len(kind.places("start")) == len(kind.places("end")) <= 1


def test_every_fault_and_every_price_has_its_place() -> None:
    """Lists that are no part of a declaration: which event of an access weighs most, which part takes the
    cycles."""
    assert set(FAMILIES["fault"]) <= set(SERVED)
    assert {kind.cost for kind in EVENTS} - {""} == PART_OF.keys()
    assert set(MOVES) == MOVED_TEXTS.keys() <= {kind.name for kind in EVENTS}


def test_no_two_kinds_have_one_rank() -> None:
    ranks = [kind.rank for kind in EVENTS if kind.changes]
    assert len(ranks) == len(set(ranks))


@pytest.fixture
def new_kind() -> Iterator[Event]:
    """A kind that is declared in one line."""
    number = event(
        "test-moved", "pfn from:pfn slot", "memory", "a page was moved", "{from:pfn} -> {pfn:pfn}{where}",
        families="syscall", fills="pfn", changes="page moved|pages moved", rank=100,
    )  # fmt: skip
    yield EVENTS[number]
    EVENTS.pop()
    FAMILIES["syscall"].pop()


def test_a_new_kind_is_one_line(new_kind: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FIELDS, "where", lambda words, event: f", slot {event.c}")
    machine = Machine(MachineConfig())
    happened = LoggedEvent(new_kind.kind, 1, 1, 0, 1, 0x10A, 0x10B, 3)
    words = EventWords(machine)
    assert words.what(happened) == "0x10b -> 0x10a, slot 3"
    assert words.cost(happened) == machine.config["cost.memory"]
    assert [p.which for p in frame_patterns(0x10A) if p.kind == new_kind.kind] == [1, 2]
    assert [p.which for p in slot_patterns(3) if p.kind == new_kind.kind] == [3]
    state = machine.snapshot()
    assert changes_told(machine, state, state, [happened], {"test-moved": 2}) == ["2 pages moved"]
    assert FAMILIES["syscall"][-1] == "test-moved"
