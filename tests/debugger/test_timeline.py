"""Positions, going to and from them, acting and undoing: the state is what it was, in both engines."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg.debugger import accesses
from vmdbg.debugger.stops.stops import Stops
from vmdbg.debugger.time.forward import events_from_here, forward, step
from vmdbg.debugger.time.timeline import Timeline
from vmdbg.debugger.time.types import AT_END, AT_LIMIT, AT_STOP
from vmdbg.errors import UserError
from vmdbg.inspect.target import boot_program
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec

READ, WRITE, FETCH, EXIT = 0, 1, 2, 16
PRESETS = ("tutorial16", "default")


def row(kind: int, va: int = 0, value: int = 0, line: int = 1) -> list[int]:
    return [kind | 1 << 8 | line << 16, va, value, 0]


def machine_with(
    operations: list[list[int]], preset: str = "tutorial16", processes: int = 1, **values: object
) -> Machine:
    named = {name.replace("__", "."): value for name, value in values.items()}
    bare = {"machine.program": "", "machine.warm": 0, "kernel.swapped": ""}
    machine = Machine(load_config(preset).with_({**bare, **named}))
    rows = array("q", [word for operation in [*operations, row(EXIT)] for word in operation])
    base = 0 if preset == "tutorial16" else 0x400000
    size = 0x8000
    specs = [
        ProcessSpec(f"p{number}", None, -1, [RegionSpec("heap", base, size, 11)], rows[:])
        for number in range(processes)
    ]
    machine.load(Program("test", "test.vmp", [], specs))
    return machine


def preset(name: str) -> Machine:
    machine = Machine(load_config(name))
    boot_program(machine)
    return machine


def timeline(machine: Machine, engine: str = "interpreted") -> Timeline:
    found = Timeline(machine, Stops())
    found.stops.signals.enabled = False
    if engine == "compiled":
        machine.compile()
    found.runner.engine = engine
    return found


def base_of(name: str) -> int:
    return 0 if name == "tutorial16" else 0x400000


# -- an operation stopped at each of its events


def first_touch(name: str) -> Machine:
    return machine_with([row(WRITE, base_of(name) + 0x10, 0x2A)], name)


def major_fault(name: str) -> Machine:
    base = base_of(name)
    machine = machine_with([row(WRITE, base, 7), row(READ, base)], name)
    machine.run(1)
    machine.swap_out(1, base)
    return machine


def copy_to_swap(name: str) -> Machine:
    """The second touch needs the only frame: the first page goes to swap."""
    page = Machine(load_config(name)).format.page_size
    base = base_of(name)
    first = load_config(name)["kernel.first_frame"]
    few = {"kernel__user_frames": 1, "kernel__table_frames": 8, "kernel__first_frame": first}
    return machine_with([row(WRITE, base, 7), row(WRITE, base + page, 8)], name, kernel__limit=0, **few)


def segmentation_fault(name: str) -> Machine:
    return machine_with([row(READ, base_of(name)), row(READ, base_of(name) + 0xF000)], name)


CASES = {
    "first touch": (first_touch, 0, "fault-minor"),
    "major fault": (major_fault, 1, "fault-major"),
    "copy to swap": (copy_to_swap, 1, "swap-out"),
    "SIGSEGV": (segmentation_fault, 1, "signal"),
}


@pytest.mark.long
@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("case", CASES)
def test_stopped_at_each_event_and_run_again_it_ends_the_same(case: str, name: str) -> None:
    make, operation, expected = CASES[case]
    plain = timeline(make(name))
    plain.go(operation)
    events = plain.operation_events()
    assert expected in {event.name for event in events}
    forward(plain, operation + 1)
    wanted = plain.machine.digest()

    stopped = timeline(make(name))
    stopped.go(operation)
    seen = set()
    for number in range(1, len(events) + 1):
        stopped.go(operation, number)
        assert stopped.position == (operation, number)
        seen.add(stopped.machine.digest())
        forward(stopped, operation + 1)
        assert stopped.position == (operation + 1, 0)
        assert stopped.machine.digest() == wanted
    assert len(seen) > 1


@pytest.mark.parametrize("name", PRESETS)
def test_event_by_event_to_the_end_and_back_to_the_same_digest(name: str) -> None:
    line = timeline(major_fault(name))
    begin, digests = line.position, {line.position: line.machine.digest()}
    while list(events_from_here(line, 1)):
        digests[line.position] = line.machine.digest()
    assert line.location is None
    for position in sorted(digests, reverse=True):
        line.go(*position)
        assert line.machine.digest() == digests[position]
    assert line.position == begin


def test_single_events_are_those_of_the_whole_operation() -> None:
    line = timeline(first_touch("tutorial16"))
    whole = [(event.name, event.a, event.b, event.c) for event in line.operation_events()]
    assert [name for name, *_ in whole][:3] == ["tlb-miss", "trap", "table-read"]
    one_by_one = [next(events_from_here(line, 1)) for _ in whole]
    assert [(event.name, event.a, event.b, event.c) for event in one_by_one] == whole
    assert [event.number for event in one_by_one] == list(range(1, len(whole) + 1))


def test_a_position_that_is_not_there_changes_nothing() -> None:
    line = timeline(first_touch("tutorial16"))
    list(events_from_here(line, 4))
    before, digest = line.position, line.machine.digest()
    for wrong in ((0, 99), (7, 0), (-1, 0)):
        with pytest.raises(UserError):
            line.go(*wrong)
        assert (line.position, line.machine.digest()) == (before, digest)


# -- both engines, and the way between them


@pytest.mark.long
@pytest.mark.parametrize("name", PRESETS)
def test_a_program_runs_to_the_same_end_in_each_engine(name: str, engine: str) -> None:
    plain, other = timeline(preset(name)), timeline(preset(name), engine)
    for line in (plain, other):
        assert forward(line).kind == AT_END
    assert plain.position == other.position
    assert plain.machine.digest() == other.machine.digest()


def test_a_stop_is_found_at_its_event_in_each_engine(engine: str) -> None:
    line = timeline(preset("default"), engine)
    line.stops.catch("fault-minor")
    arrival = forward(line)
    assert (arrival.kind, arrival.event.name) == (AT_STOP, "fault-minor")
    place = line.position
    assert place.events == arrival.event.number
    assert line.operation_events()[place.events - 1].name == "fault-minor"
    plain = timeline(preset("default"))
    plain.go(*place)
    assert plain.machine.digest() == line.machine.digest()
    assert forward(line).kind == AT_END


def test_single_events_after_a_long_run() -> None:
    line = timeline(preset("default"))
    line.go(line.begin, 5)
    assert line.position.events == 5
    assert next(events_from_here(line, 1)).number == 6


# -- acting and undoing

ACTIONS = {
    "swapout": lambda machine: accesses.swap_out(machine, 1, 0x406000),
    "swapout pages": lambda machine: accesses.swap_out_pages(machine, 3),
    "swapout process": lambda machine: accesses.swap_out_process(machine, 1),
    "swapin": lambda machine: accesses.swap_in(machine, 1, 0x407000),
    "read": lambda machine: accesses.access(machine, 0x407000, READ, 8),
    "write": lambda machine: accesses.access(machine, 0x408000, WRITE, 8, 0x1234),
    "fetch": lambda machine: accesses.access(machine, 0x401000, FETCH, 4),
    "kill": lambda machine: accesses.access(machine, 0x5000, READ),
    "flush": lambda machine: accesses.flush(machine, None),
    "flush all": lambda machine: accesses.flush(machine, None, everything=True),
    "flush page": lambda machine: accesses.flush_page(machine, 0x404000),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_undo_restores_the_digest_and_redo_brings_it_back(name: str) -> None:
    line = timeline(preset("default"))
    before, start = line.machine.digest(), line.position
    _, action = line.act(name, ACTIONS[name])
    after = line.machine.digest()
    assert line.position == (start.operations + 1, 0)
    assert after != before
    assert line.undo() is action
    assert (line.position, line.machine.digest()) == (start, before)
    line.redo()
    assert line.machine.digest() == after


def test_a_prediction_changes_nothing() -> None:
    line = timeline(preset("default"))
    before = line.machine.digest()
    done, action = line.predict("fault", ACTIONS["kill"])
    assert done.killed
    assert done.frames > 500
    assert "signal" in {row.name for row in action.events}
    assert (line.machine.digest(), line.end, line.actions) == (before, line.booted, [])


def test_an_action_that_fails_changes_nothing() -> None:
    line = timeline(preset("default"))
    list(events_from_here(line, 3))
    before, position = line.machine.digest(), line.position
    with pytest.raises(UserError):
        line.act("swapout", lambda machine: accesses.swap_out(machine, 1, 0x5000))
    assert (line.machine.digest(), line.position) == (before, position)


def test_an_action_inside_an_operation_finishes_it_first() -> None:
    line = timeline(preset("default"))
    list(events_from_here(line, 3))
    start = line.position
    _, action = line.act("flush", ACTIONS["flush"])
    assert action.finished
    assert action.time == start.operations + 1
    assert line.position == (start.operations + 2, 0)


def test_actions_are_part_of_the_past_that_is_run_again() -> None:
    line = timeline(preset("default"))
    line.act("swapout", ACTIONS["swapout"])
    forward(line, 2000)
    line.act("write", ACTIONS["write"])
    forward(line, 4000)
    digest = line.machine.digest()
    line.go(line.begin)
    line.go(3000, 1)
    forward(line, 4000)
    assert line.machine.digest() == digest


def test_acting_in_the_past_asks_and_starts_a_branch() -> None:
    line = timeline(preset("default"))
    asked: list[str] = []
    line.confirm = lambda question: bool(asked.append(question))
    forward(line, 100)
    line.go(50)
    digest = line.machine.digest()
    with pytest.raises(UserError, match="Not confirmed"):
        line.act("flush", ACTIONS["flush"])
    assert len(asked) == 1
    assert (line.machine.digest(), line.end) == (digest, 100)
    line.confirm = lambda question: True
    line.act("flush", ACTIONS["flush"])
    assert (line.end, line.branches.current.number) == (51, 2)
    line.switch(1)
    assert (line.position, line.actions) == ((100, 0), [])


def test_nothing_to_undo_and_nothing_to_redo() -> None:
    line = timeline(preset("tutorial16"))
    with pytest.raises(UserError, match="Nothing to undo"):
        line.undo()
    with pytest.raises(UserError, match="Nothing to redo"):
        line.redo()


# -- several processes


def test_step_counts_the_operations_of_its_own_process() -> None:
    operations = [row(READ, 256 * number) for number in range(6)]
    line = timeline(machine_with(operations, processes=2, kernel__quantum=2))
    assert line.location.pid == 1
    assert step(line, 3).kind == AT_LIMIT
    # Two of its own, two of the other process, and one of its own again.
    assert line.position == (5, 0)
    assert line.location.pid == 1


def test_positions_are_exact_where_processes_take_turns() -> None:
    operations = [row(WRITE, 256 * number, number) for number in range(8)]
    line = timeline(machine_with(operations, processes=3, kernel__quantum=2))
    line.stops.catch("switch")
    places = []
    while (arrival := forward(line)).kind == AT_STOP:
        places.append((line.position, line.machine.digest()))
        assert arrival.event.name == "switch"
    assert arrival.kind == AT_END
    assert len(places) > 8
    for place, digest in reversed(places):
        line.go(*place)
        assert line.machine.digest() == digest


def test_ended_processes_are_told() -> None:
    line = timeline(machine_with([row(READ, 0xF000)], processes=2))
    arrival = forward(line)
    assert [(process.pid, process.status) for process in arrival.ended] == [(1, 139), (2, 139)]


# -- positions in random order, acting and undo between


@settings(max_examples=drawn(25))
@given(st.data())
def test_going_anywhere_ends_in_the_state_that_was_there(data: st.DataObject) -> None:
    places = st.integers(0, 11)
    operations = data.draw(
        st.lists(st.tuples(st.sampled_from([READ, WRITE, FETCH]), places), min_size=3, max_size=12)
    )
    rows = [row(kind if kind != FETCH else READ, 256 * page, page) for kind, page in operations]
    machine = machine_with(rows, processes=2, kernel__user_frames=4, kernel__limit=0, kernel__quantum=3)
    line = timeline(machine)
    line.branch.checkpoints.spacing = data.draw(st.integers(1, 8))
    known = {line.position: machine.digest()}
    for _ in range(data.draw(st.integers(3, 14))):
        choice = data.draw(st.sampled_from(["event", "operation", "go", "act", "undo"]))
        if choice == "event":
            list(events_from_here(line, data.draw(st.integers(1, 9))))
        elif choice == "operation":
            forward(line, machine.operations + data.draw(st.integers(1, 5)))
        elif choice == "go":
            line.go(*data.draw(st.sampled_from(sorted(known))))
            assert machine.digest() == known[line.position]
        elif choice == "act":
            if line.location is None:
                continue
            page = data.draw(places)
            here = line.position, machine.digest()
            try:
                line.act(
                    "access", lambda machine, page=page: accesses.access(machine, 256 * page, WRITE, 1, 9)
                )
            except UserError:  # the operation that is finished first ends the last process
                assert (line.position, machine.digest()) == here
                continue
            before = (line.position.operations - 1, 0)
            known = {place: digest for place, digest in known.items() if place <= before}
        elif any(action.time < machine.operations for action in line.actions):
            line.undo()
            known = {place: digest for place, digest in known.items() if place <= line.position}
        known[line.position] = machine.digest()
    for place in sorted(known, reverse=True):
        line.go(*place)
        assert machine.digest() == known[place]
