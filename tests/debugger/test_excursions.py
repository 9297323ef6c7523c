"""Questions to the past leave no trace; what was seen of a future that is not to be is forgotten."""

from __future__ import annotations

from array import array

import pytest

from vmdbg.debugger import accesses
from vmdbg.debugger.stops.patterns import Pattern
from vmdbg.debugger.stops.stops import Stops
from vmdbg.debugger.time import event_log
from vmdbg.debugger.time.fence import Fence
from vmdbg.debugger.time.forward import forward
from vmdbg.debugger.time.questions import find_back, visit, visit_branch
from vmdbg.debugger.time.search import scan
from vmdbg.debugger.time.timeline import Timeline
from vmdbg.debugger.time.types import AT_INTERRUPT, Arrival
from vmdbg.errors import UserError
from vmdbg.inspect.target import boot_program
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.state import events

READ, EXIT = 0, 16


def reading_machine(cpus: list[int] | None = None, count: int = 30) -> Machine:
    """Processes that read `count` times, one for each of `cpus`, on which it runs alone (-1: on any)."""
    cpus = [-1] if cpus is None else cpus
    values = {"machine.program": "", "machine.warm": 0, "kernel.swapped": "", "kernel.quantum": 2}
    machine = Machine(load_config("tutorial16").with_({**values, "machine.cpus": max(0, *cpus) + 1}))
    rows = [[kind | 1 << 8 | 1 << 16, va, 0, 0] for kind, va in [(READ, 256 * (n % 8)) for n in range(count)]]
    words = array("q", [word for row in [*rows, [EXIT | 1 << 16, 0, 0, 0]] for word in row])
    specs = [
        ProcessSpec(f"p{number}", None, cpu, [RegionSpec("heap", 0, 0x8000, 11)], words[:])
        for number, cpu in enumerate(cpus)
    ]
    machine.load(Program("test", "test.vmp", [], specs))
    return machine


@pytest.fixture
def timeline() -> Timeline:
    found = Timeline(reading_machine(), Stops())
    found.stops.signals.enabled = False
    return found


def write(timeline: Timeline, value: int) -> None:
    timeline.act(f"write {value}", lambda machine: accesses.access(machine, 0x700, 1, 1, value))


def everything(timeline: Timeline) -> tuple[object, ...]:
    """What an excursion puts back."""
    m = timeline.machine.m
    log = [(event.kind, event.operation, event.number) for event in event_log.read_log(m)]
    return (
        timeline.machine.digest(), timeline.position, timeline.stops, timeline.branch, timeline.end,
        list(timeline.branch.undone), log, bytes(m.mask), timeline.runner.interrupts.entered,
    )  # fmt: skip


# -- what an excursion puts back


@pytest.mark.parametrize("inside", [0, 2])
@pytest.mark.parametrize("error", [None, UserError, KeyboardInterrupt, ZeroDivisionError, SystemExit])
def test_an_excursion_leaves_no_trace_however_it_ends(
    timeline: Timeline, error: type[BaseException] | None, inside: int
) -> None:
    forward(timeline, 12)
    timeline.go(5)
    write(timeline, 1)
    timeline.undo()
    timeline.go(3, inside)
    timeline.machine.m.control[event_log.CONTROL_LOGGED] = 1
    before = everything(timeline)

    def wander() -> None:
        with timeline.excursion(Stops()):
            timeline.travel(8)
            timeline.go(timeline.end + 4)
            timeline.switch(2)
            event_log.start_log(timeline.machine.m)
            timeline.cursor.execute()
            event_log.start_log(timeline.machine.m)
            if error is not None:
                raise error("on the way")

    if error is None:
        wander()
    else:
        with pytest.raises(error):
            wander()
    assert everything(timeline) == before
    assert timeline.redo().name == "write 1"


def test_questions_leave_no_trace(timeline: Timeline) -> None:
    forward(timeline, 12)
    timeline.go(5)
    write(timeline, 1)
    timeline.go(3, 2)
    before = everything(timeline)

    def fail(machine: Machine) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        visit(timeline, 1, 0, fail)
    with pytest.raises(KeyboardInterrupt):
        visit_branch(timeline, 1, None, fail)
    with pytest.raises(UserError, match="No branch number 7"):
        visit_branch(timeline, 7, None, lambda machine: None)
    assert visit_branch(timeline, 1, (12, 0), lambda machine: machine.operations) == 12
    assert find_back(timeline, [Pattern(events.READ)])[0] is not None
    assert scan(timeline, [Pattern(events.READ)], 0, 6)
    with pytest.raises(ZeroDivisionError):
        scan(timeline, [Pattern(events.READ)], 0, 6, lambda event: bool(1 // 0))
    timeline.predict("write 2", lambda machine: accesses.access(machine, 0x700, 1, 1, 2))
    assert everything(timeline) == before


def test_a_position_that_ctrl_c_kept_from_being_reached_is_not_looked_at(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "go", lambda *position: Arrival(AT_INTERRUPT))
    with pytest.raises(KeyboardInterrupt):
        visit(timeline, 20, 0, lambda machine: machine.operations)
    assert timeline.position == (0, 0)


# -- a future that is not to be


def looked_ahead(timeline: Timeline, size: int) -> None:
    """Try to go beyond the end of the program, with checkpoints on the way."""
    timeline.branch.checkpoints.spacing, timeline.runner.size = 4, size
    with pytest.raises(UserError, match="The program ends"):
        timeline.go(1000)


@pytest.mark.parametrize("size", [3, 1000])
def test_checkpoints_of_a_future_without_a_command_are_forgotten(timeline: Timeline, size: int) -> None:
    plain = Timeline(reading_machine(), Stops())
    plain.go(2)
    write(plain, 42)
    plain.go(20)

    timeline.go(2)
    looked_ahead(timeline, size)
    write(timeline, 42)
    timeline.go(25)
    timeline.go(20)
    assert timeline.machine.digest() == plain.machine.digest()


@pytest.mark.parametrize("size", [3, 1000])
def test_the_same_where_the_command_is_done_again(timeline: Timeline, size: int) -> None:
    timeline.go(2)
    write(timeline, 42)
    timeline.go(20)
    digest = timeline.machine.digest()
    timeline.undo()
    looked_ahead(timeline, size)
    timeline.redo()
    timeline.go(25)
    timeline.go(20)
    assert timeline.machine.digest() == digest


# -- a fence in what boot executed


def booted() -> Timeline:
    machine = Machine(load_config("default"))
    boot_program(machine)
    found = Timeline(machine, Stops())
    assert found.begin < found.booted
    return found


def test_what_ran_from_a_fence_over_the_end_of_boot_is_the_record() -> None:
    timeline = booted()
    end = timeline.booted + 9
    timeline.go(3)
    fence = Fence(timeline)
    timeline.go(end)
    digest = timeline.machine.digest()
    fence.remove()
    assert (timeline.position, timeline.end) == ((end, 0), end)
    for time in (timeline.begin, 5):
        timeline.go(time)
        timeline.go(end)
        assert timeline.machine.digest() == digest


def test_what_was_undone_at_a_fence_does_not_change_boot() -> None:
    timeline = booted()
    end = timeline.booted + 9
    timeline.go(end)
    digest = timeline.machine.digest()
    timeline.go(3)
    fence = Fence(timeline)
    timeline.act("flush", lambda machine: accesses.flush(machine, None))
    timeline.undo()
    fence.remove()
    timeline.go(end)
    assert timeline.machine.digest() == digest


# -- who is next


@pytest.mark.parametrize("cpus", [[-1, -1, -1], [1, -1, 1], [1, 1], [2, 1, 2]])
def test_the_process_that_is_next_is_the_one_that_runs(cpus: list[int]) -> None:
    timeline = Timeline(reading_machine(cpus, 6), Stops())
    seen = set()
    while timeline.location is not None:
        expected = timeline.location.pid
        told = [
            event.pid for event in timeline.operation_events() if event.kind in (events.READ, events.EXIT)
        ]
        assert told == [expected]
        seen.add(expected)
        timeline.go(timeline.machine.operations + 1)
    assert seen == set(range(1, len(cpus) + 1))
