"""What watches a machine sees the same in each tier of both engines, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg.engine.native import Code
from vmdbg.machine.check.invariants import check
from vmdbg.machine.machine import Halted, Machine
from vmdbg.state import events
from vmdbg.state.events import EVENTS, MASK_LOG, MASK_STOPS
from vmdbg.state.tables import (
    CONTROL_LOGGED,
    CONTROL_STOP,
    CONTROL_STOP_AT,
    CONTROL_STOPPED_KIND,
    CONTROL_STOPS,
    LOG,
    STOP,
    STOP_ACTION,
    STOP_CPU,
    STOP_HIGH,
    STOP_HITS,
    STOP_KIND,
    STOP_LOW,
    STOP_PID,
    STOP_VALUE,
)

OPERATIONS = 300
rows = st.tuples(
    st.sampled_from([event.kind for event in EVENTS]),
    st.sampled_from((-1, -1, 0, 1, 2)),
    st.sampled_from((-1, -1, 0, 1)),
    st.sampled_from((0, 0, 1)),
    st.sampled_from((0, 0x400000, -(1 << 63))),
    st.sampled_from((0, 100, 0x401000, (1 << 63) - 1)),
    st.sampled_from((0, 0, 1)),
)


def watch(machine: Machine, stops: list[tuple[int, ...]], log: bool) -> None:
    m = machine.m
    for place, row in enumerate(sorted(stops)):  # the engine wants them by kind
        columns = (STOP_KIND, STOP_PID, STOP_CPU, STOP_VALUE, STOP_LOW, STOP_HIGH, STOP_ACTION)
        for column, value in zip(columns, row, strict=True):
            m.stop[place * STOP + column] = value
        m.mask[row[0]] |= MASK_STOPS
    m.control[CONTROL_STOPS] = len(stops)
    if log:
        for event in EVENTS:
            m.mask[event.kind] |= MASK_LOG


def seen(machine: Machine, stops: int, codes: list[Code | None]) -> list[Any]:
    """Run to the end, from stop to stop, in each of the codes by turns; what was seen at each stop.

    None is the interpreted engine.
    """
    found: list[Any] = []
    for turn in range(40):
        before = machine.operations
        machine.compiled = codes[turn % len(codes)]
        machine.run(OPERATIONS, machine.compiled is not None)
        control = machine.m.control
        hits = [machine.m.stop[row * STOP + STOP_HITS] for row in range(stops)]
        stop = control[CONTROL_STOP]
        found.append((machine.operations, stop, control[CONTROL_STOPPED_KIND] if stop else -1, hits))
        if machine.operations == before or machine.operations >= OPERATIONS:
            break
    logged = min(machine.m.control[CONTROL_LOGGED] * LOG, len(machine.m.log))
    return [*found, list(machine.m.log[:logged]), machine.digest(), machine.counts()]


@pytest.mark.long
@pytest.mark.engine
@pytest.mark.parametrize("build", ["default", pytest.param("two-cpus", marks=pytest.mark.slow)])
def test_stops_and_logs_are_the_same(
    build: str, model: Callable[[str], ModuleType], ready: Callable[[Machine], Machine], both: None
) -> None:
    machines = model("machines")
    quick: list[Code | None] = []

    @hypothesis.settings(max_examples=drawn(40), deadline=None)
    @hypothesis.given(machines.cases(machines.BUILDS[build]), st.lists(rows, max_size=3), st.booleans())
    def scenario(case: Any, stops: list[tuple[int, ...]], log: bool) -> None:
        full = ready(case.boot()).compiled
        if not quick:
            quick.append(case.boot().build().quick())
        results = []
        for codes in ([None], [full], quick, [*quick, None, full]):
            machine = case.boot()
            watch(machine, stops, log)
            results.append(seen(machine, len(stops), codes))
        assert all(result == results[0] for result in results)

    scenario()


@pytest.mark.long
def test_watching_changes_nothing(model: Callable[[str], ModuleType]) -> None:
    machines = model("machines")

    @hypothesis.settings(max_examples=drawn(40), deadline=None)
    @hypothesis.given(
        st.sampled_from(sorted(machines.BUILDS)).flatmap(lambda name: machines.cases(machines.BUILDS[name])),
        st.lists(rows, max_size=3),
    )
    def scenario(case: Any, stops: list[tuple[int, ...]]) -> None:
        plain, watched = case.boot(), case.boot()
        watch(watched, stops, True)
        results = seen(watched, len(stops), [None])
        plain.run(watched.operations)
        assert results[-2:] == [plain.digest(), plain.counts()]

    scenario()


@pytest.mark.long
def test_an_operation_left_at_any_event_is_made_again(model: Callable[[str], ModuleType]) -> None:
    """To go to an event: leave the operation there; to go on: put its start back and run it again."""
    machines = model("machines")

    @hypothesis.settings(max_examples=drawn(40), deadline=None)
    @hypothesis.given(
        st.sampled_from(sorted(machines.BUILDS)).flatmap(lambda name: machines.cases(machines.BUILDS[name])),
        st.integers(0, 60),
    )
    def scenario(case: Any, operations: int) -> None:
        machine = case.boot()
        machine.run(operations)
        before, start = machine.snapshot(), machine.operations
        watch(machine, [], True)
        machine.run(start + 1)
        after, number = machine.digest(), 0
        while True:
            number += 1
            machine.restore(before)
            machine.m.control[CONTROL_LOGGED] = 0
            machine.m.control[CONTROL_STOP_AT] = number
            try:
                machine.run(start + 1)
            except Halted:
                check(machine)  # names what is in transit, if anything is
                assert machine.m.control[CONTROL_LOGGED] == number
                continue
            finally:
                machine.m.control[CONTROL_STOP_AT] = 0
            assert machine.digest() == after
            break

    scenario()


def test_there_is_room_for_all_kinds() -> None:
    assert len(EVENTS) <= events.KINDS
