"""Going back: by events, by operations, to the last stop."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg.debugger import accesses
from vmdbg.debugger.stops.stops import Stops
from vmdbg.debugger.time import reverse
from vmdbg.debugger.time.forward import events_from_here, forward, step
from vmdbg.debugger.time.questions import record
from vmdbg.debugger.time.timeline import Timeline
from vmdbg.debugger.time.types import AT_BEGIN, AT_INTERRUPT, AT_LIMIT, AT_STOP, Crossing
from vmdbg.errors import UserError
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec

RANGED = 0x80


def access(page: int, kind: int = 1) -> list[int]:
    return [kind | 1 << 8, 256 * page, page, 0]


def line_of(*rows: list[int], processes: int = 1, quantum: int = 2, spacing: int = 20_000) -> Timeline:
    config = load_config("tutorial16").with_({"machine.program": "", "kernel.quantum": quantum})
    machine = Machine(config)
    words = array("q")
    for row in [*rows, [16, 0, 0, 0]]:
        words.extend(row)
    specs = [
        ProcessSpec(f"p{number}", None, -1, [RegionSpec("heap", 0, 0x8000, 11)], words[:])
        for number in range(processes)
    ]
    machine.load(Program("test", "test.vmp", [], specs))
    line = Timeline(machine, Stops())
    line.branch.checkpoints.spacing = spacing
    return line


def test_events_back_are_the_same_instants_as_forward() -> None:
    line = line_of(access(0), access(0, 0), access(1))
    passed = [(line.position, line.machine.digest())]
    while list(events_from_here(line, 1)):
        passed.append((line.position, line.machine.digest()))
    inside = {place: digest for place, digest in passed if place.events}
    while reverse.back_events(line, 1).kind == AT_LIMIT:
        if line.position.events and line.position in inside:
            assert line.machine.digest() == inside.pop(line.position)
    # After an operation's last event nothing but its end is left: going back passes that event too.
    last = {place.operations: max(p.events for p in inside if p[0] == place[0]) for place in inside}
    assert sorted(inside) == [(0, 11), (1, 2), (2, 11), (3, last[3])]
    assert line.position == (0, 0)
    assert line.machine.digest() == passed[0][1]
    assert reverse.back_events(line, 1).kind == AT_BEGIN


def test_operations_back_are_those_of_the_process() -> None:
    line = line_of(*[access(page) for page in range(6)], processes=2)
    line.go(6)
    assert line.location.pid == 2
    assert reverse.back_operations(line, 2).kind == AT_LIMIT
    assert line.position == (2, 0)  # process 2 executed 2 and 3, and nothing before
    line.go(6)
    assert reverse.back_operations(line, 3).kind == AT_BEGIN
    assert line.position == (0, 0)


def test_ctrl_c_on_the_way_back_leaves_the_machine_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    line = line_of(*[access(page) for page in range(8)])
    line.go(8)
    monkeypatch.setattr(reverse, "WINDOW", 2)
    crossings, asked = reverse.crossings, []

    def interrupted(line: Timeline, first: int, last: int) -> list[Crossing]:
        asked.append(first)
        line.runner.interrupts.came = len(asked) == 2
        return crossings(line, first, last)

    monkeypatch.setattr(reverse, "crossings", interrupted)
    assert reverse.back_operations(line, 7).kind == AT_INTERRUPT
    assert line.position == (4, 0)


def test_inside_an_operation_the_first_step_back_is_to_its_start() -> None:
    line = line_of(access(0), access(1))
    line.go(1, 3)
    reverse.back_operations(line, 1)
    assert line.position == (1, 0)
    reverse.back_operations(line, 1)
    assert line.position == (0, 0)
    assert reverse.back_operations(line, 1).kind == AT_BEGIN


def test_a_range_is_one_step_back_when_stepping_over() -> None:
    ranged = [[1 | RANGED | 1 << 8, 0, 1, 0], [5, 256, 0, 0]]
    line = line_of(access(9), *ranged, access(8))
    line.go(6)
    reverse.back_operations(line, 1, over=True)
    assert line.position == (1, 0)
    line.go(6)
    reverse.back_operations(line, 1)
    assert line.position == (5, 0)


def test_step_over_a_range_forwards() -> None:
    ranged = [[1 | RANGED | 1 << 8, 0, 1, 0], [5, 256, 0, 0]]
    line = line_of(access(9), *ranged, access(8))
    step(line, 1, over=True)
    step(line, 1, over=True)
    assert line.position == (6, 0)


@pytest.mark.parametrize("spacing", [1, 3, 20_000])
def test_back_to_the_last_stop_comes_to_rest_before_the_event(spacing: int) -> None:
    line = line_of(*[access(page % 3) for page in range(9)], spacing=spacing)
    forward(line, 9)
    line.stops.catch("fault-minor")
    found = []
    while (arrival := reverse.back_to_stop(line)).kind == AT_STOP:
        found.append(line.position.operations)
        assert next(events_from_here(line, 1)).name == "fault-minor"
        line.go(arrival.event.operation, arrival.event.number - 1)
    assert arrival.kind == AT_BEGIN
    assert found == [2, 1, 0]
    assert line.position == (0, 0)


def test_stops_of_the_operation_in_which_the_machine_stands_come_first() -> None:
    line = line_of(access(0), access(1))
    line.go(1, 9)
    line.stops.catch("trap")
    assert reverse.back_to_stop(line).kind == AT_STOP
    assert line.position == (1, 1)
    assert reverse.back_to_stop(line).kind == AT_STOP
    assert line.position == (0, 1)


def test_the_stop_that_halted_the_machine_does_not_halt_it_again_on_the_way_back() -> None:
    line = line_of(access(0), access(1), access(2))
    line.stops.catch("fault-minor")
    for _ in range(2):
        arrival = forward(line)
    assert (arrival.event.name, line.position.operations) == ("fault-minor", 1)
    assert reverse.back_to_stop(line).kind == AT_STOP
    assert line.position.operations == 0
    forward(line)
    other = line.stops.catch("frame-alloc")
    back = reverse.back_to_stop(line)
    assert (back.event.name, back.stops) == ("frame-alloc", [other])


def test_commands_are_in_the_record() -> None:
    line = line_of(access(0), access(1))
    forward(line, 1)
    line.act("write 0x0200", lambda machine: accesses.access(machine, 0x200, 1))
    forward(line, 3)
    rows = record(line, 0, 3)
    assert [(time, text) for time, text, _ in rows] == [
        (0, "write 0x0000, 0x0"),
        (1, "write 0x0200"),
        (2, "write 0x0100, 0x1"),
    ]
    assert all(row.operation == time for time, _, events in rows for row in events)
    assert line.position == (3, 0)
    with pytest.raises(UserError):
        record(line, 0, 9)


@settings(max_examples=drawn(20))
@given(st.lists(st.integers(0, 5), min_size=2, max_size=8), st.integers(1, 4), st.integers(1, 30))
def test_there_and_back_again(pages: list[int], spacing: int, events: int) -> None:
    line = line_of(*[access(page) for page in pages], processes=2, spacing=spacing)
    begin = line.machine.digest()
    list(events_from_here(line, events))
    here, digest = line.position, line.machine.digest()
    reverse.back_events(line, 10_000)
    assert (line.position, line.machine.digest()) == ((0, 0), begin)
    line.go(*here)
    assert line.machine.digest() == digest
