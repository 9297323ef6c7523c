"""Stops: which events they want, how often, and that they never touch the machine's state."""

from __future__ import annotations

import pytest

from vmdbg.debugger import accesses
from vmdbg.debugger.stops.conditions import Condition
from vmdbg.debugger.stops.patterns import Pattern
from vmdbg.debugger.stops.stops import DELETE, DISABLE, Stops
from vmdbg.debugger.time.event_log import LoggedEvent
from vmdbg.debugger.time.forward import forward
from vmdbg.debugger.time.timeline import Timeline
from vmdbg.debugger.time.types import AT_END, AT_STOP
from vmdbg.errors import UserError
from vmdbg.inspect.target import boot_program
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine
from vmdbg.state.tables import CONTROL_STOPS, OP


def line_of(name: str = "tutorial16") -> Timeline:
    machine = Machine(load_config(name))
    boot_program(machine)
    return Timeline(machine, Stops())


def stopped_at(line: Timeline) -> list[tuple[int, int, str]]:
    """Every place at which `continue` stops, up to the end."""
    places = []
    while (arrival := forward(line)).kind == AT_STOP:
        places.append((*line.position, arrival.event.name))
        assert len(places) < 100
    assert arrival.kind == AT_END
    return places


def test_a_catchpoint_stops_at_each_event_of_its_kind() -> None:
    line = line_of()
    line.stops.catch("tlb-miss")
    assert stopped_at(line) == [(0, 1, "tlb-miss"), (2, 1, "tlb-miss")]


def test_several_stops_of_one_event_all_hold() -> None:
    line = line_of()
    first, second = line.stops.catch("trap"), line.stops.catch("trap")
    assert forward(line).stops == [first, second]
    assert (first.hits, second.hits) == (1, 1)


def test_several_events_of_one_operation_are_several_stops() -> None:
    line = line_of()
    line.stops.catch("trap")
    line.stops.catch("fault-minor")
    assert [place[:2] for place in stopped_at(line)] == [(0, 2), (0, 7), (2, 2), (2, 7)]


@pytest.mark.long
def test_stops_never_change_a_digest() -> None:
    plain, watched = line_of("default"), line_of("default")
    for kind in ("tlb-miss", "fault-minor", "swap-in", "switch"):
        watched.stops.catch(kind)
    while forward(watched).kind == AT_STOP:
        pass
    forward(plain)
    assert watched.machine.digest() == plain.machine.digest()
    assert watched.machine.m.control[CONTROL_STOPS] == 0
    assert not any(watched.machine.m.mask)


def test_a_temporary_stop_goes_and_a_disabled_one_stays_quiet() -> None:
    line = line_of()
    line.stops.catch("tlb-miss", disposition=DELETE)
    once = line.stops.catch("trap", disposition=DISABLE)
    assert stopped_at(line) == [(0, 1, "tlb-miss"), (0, 2, "trap")]
    assert list(line.stops.by_number) == [2]
    assert not once.enabled


def test_an_ignore_count_passes_crossings_by_and_counts_them() -> None:
    line = line_of()
    stop = line.stops.catch("tlb-miss")
    stop.ignore = 1
    assert stopped_at(line) == [(2, 1, "tlb-miss")]
    assert (stop.hits, stop.ignore) == (2, 0)


def test_a_condition_is_asked_at_the_event_itself() -> None:
    line = line_of()
    stop = line.stops.catch("write")
    asked = []

    class OfMachine(Condition):
        def __init__(self) -> None:
            self.text, self.by_event = "of the machine", False

        def restrict(self, patterns: list[Pattern]) -> list[Pattern]:
            return patterns

        def holds(self, row: LoggedEvent | None, pid: int, operations: int) -> bool:
            asked.append(line.position)
            return operations == 2

    stop.condition = OfMachine()
    assert [place[0] for place in stopped_at(line)] == [2]
    assert [place.operations for place in asked] == [0, 2]
    assert all(place.events for place in asked)


def test_only_in_one_process() -> None:
    line = line_of()
    line.stops.catch("tlb-miss", pid=2)
    assert stopped_at(line) == []


def test_numbers_are_never_used_again() -> None:
    stops = Stops()
    first = stops.catch("trap")
    stops.delete(first)
    assert stops.catch("trap").number == 2
    with pytest.raises(UserError, match="No breakpoint number 1"):
        stops.get(1)
    with pytest.raises(UserError, match="Undefined event"):
        stops.catch("no-such-event")


def test_a_signal_halts_before_the_process_is_killed() -> None:
    machine = Machine(load_config("tutorial16"))
    boot_program(machine)
    machine.m.op[OP + 1] = 0xF000  # the program's first access: no region is there
    line = Timeline(machine, Stops())
    arrival = forward(line)
    assert arrival.stops == [line.stops.signals]
    assert arrival.event.name == "signal"
    assert line.location.pid == 1
    assert forward(line).ended[0].status == 139


@pytest.mark.long
def test_there_is_room_for_any_number_of_stops() -> None:
    """The table of stops grows, and a command that is run again does not make it small."""
    line = line_of()
    forward(line, 1)
    line.act("write", lambda machine: accesses.access(machine, 0x300, 1))
    line.go(0)
    for number in range(3000):
        line.stops.catch("tlb-miss", pid=100 + number)
    line.stops.catch("exit")
    assert stopped_at(line)[-1][2] == "exit"
