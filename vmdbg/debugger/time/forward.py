"""Going forward on a timeline: by single events, by operations, to the first stop that holds."""

from __future__ import annotations

from vmdbg.debugger.stops.breakpoints import opening, width_of
from vmdbg.debugger.time import event_log
from vmdbg.debugger.time.ended import ended_since
from vmdbg.debugger.time.location import next_row
from vmdbg.debugger.time.runner import FOREVER
from vmdbg.debugger.time.types import AT_END, AT_LIMIT, AT_STOP, Arrival, Crossing
from vmdbg.inspect.context import current_pid
from vmdbg.kernel.calls.processes import live_processes
from vmdbg.kernel.exits import REASON_IDLE
from vmdbg.state.tables import CONTROL_HIT, CONTROL_LOGGED, CONTROL_STOP, OP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.debugger.stops.stops import Stop
    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.debugger.time.timeline import Timeline
    from vmdbg.machine.machine import Machine

# -- to a stop


def forward(timeline: Timeline, limit: int = FOREVER, watch: bool = True, fresh: bool = False) -> Arrival:
    """Run to `limit` operations executed, or (`watch`) to the first stop that holds.

    A stop before the operation at which the machine stands holds only for a `fresh` start.
    """
    with timeline.runner.interrupts:
        timeline.runner.begin()
        timeline.run_clock.start()
        alive = live_processes(timeline.machine.k)
        try:
            arrival = run_to_stop(timeline, limit, watch, fresh)
        finally:
            timeline.note_end()
        arrival.ended = ended_since(timeline.machine, alive)
        timeline.halted = (timeline.position, arrival.stops) if arrival.event is not None else None
        return arrival


def run_to_stop(timeline: Timeline, limit: int, watch: bool = True, fresh: bool = False) -> Arrival:
    """As `forward`, but the caller has to note the new end of the record."""
    start = -1 if fresh or timeline.inside else timeline.machine.operations
    if timeline.inside:
        found = execute_to_stop(timeline, timeline.inside, watch)
        if found is not None:
            return found
    if not watch:
        return Arrival(timeline.run_to(limit))
    while True:
        why = run_watched(timeline, limit, passing=start)
        if why != AT_STOP:
            return Arrival(why)
        time = timeline.machine.m.control[CONTROL_HIT]
        timeline.travel(time)
        found = execute_to_stop(timeline, at_start=time != start)
        if found is not None:
            return found


def run_watched(timeline: Timeline, limit: int, passing: int = -1) -> str:
    """As `Timeline.run_to`, or AT_STOP if a stop may hold in the operation of time CONTROL_HIT or before it.

    After AT_STOP the machine is not between two operations: the caller has to restore a state.

    A stop before the operation of time `passing` does not hold.
    """
    machine, runner, stops = timeline.machine, timeline.runner, timeline.stops
    stops.install(machine)
    break_rows = stops.break_rows()
    try:
        for goal in timeline.goals(limit):
            machine.m.control[CONTROL_LOGGED] = 0
            if machine.operations == passing:
                reason = runner.slice(passing + 1)
            else:
                reason = runner.slice_to_breakpoint(goal, break_rows)
            if at_breakpoint(machine):
                crossing = next_crossing(machine)
                if not stops.passes_row(crossing.row, crossing.pid, crossing.operation):
                    return AT_STOP
                reason = runner.slice(machine.operations + 1)
            if machine.m.control[CONTROL_STOP] and not passes_events(timeline):
                return AT_STOP
            if reason == REASON_IDLE:
                return AT_END
        return timeline.reached(limit)
    finally:
        stops.remove(machine.m)


def at_breakpoint(machine: Machine) -> bool:
    """Did the last run end before an operation that has a breakpoint?"""
    return bool(machine.m.control[CONTROL_STOP] < 0)


def next_crossing(machine: Machine) -> Crossing:
    """The operation that is next; of process 0 if no process can run."""
    pid = current_pid(machine)
    return Crossing(machine.operations, next_row(machine, pid) if pid else 0, pid)


def passes_events(timeline: Timeline) -> bool:
    """After events that matched stop rows: do these events alone show that no stop holds?"""
    m = timeline.machine.m
    return not event_log.overflowed(m) and timeline.stops.passes(event_log.read_log(m))


def execute_to_stop(
    timeline: Timeline, passed: int = 0, watch: bool = True, at_start: bool = True
) -> Arrival | None:
    """Execute the rest of the current operation, unless (`watch`) a stop holds at an event after number
    `passed`: then stand there.  None if none holds.

    `at_start`: stops that halt before the operation are asked too, if no event is passed.
    """
    timeline.cursor.to_start()
    machine, stops, cursor = timeline.machine, timeline.stops, timeline.cursor
    start = machine.snapshot()
    timeline.branch.searched = machine.operations, start
    at_start = at_start and not passed
    before = stops_before_next(timeline) if watch and at_start else []
    width = access_width(machine)
    events = timeline.execute(start)
    first = opening(events) if at_start else None
    for event, found in zip(events, stops.matching_each(events, width) if watch else [], strict=False):
        asked = [stop for stop in found if event is first or not (stop.before or before)]
        if asked and event.number > passed:
            cursor.restore(start)
            cursor.enter(event.number, start)
            held = [stop for stop in asked if stops.halts_at(stop, event)]
            if held and not any(stop.before for stop in [*before, *held]):
                return Arrival.at(machine, held, event)
            before += [stop for stop in held if stop.before]
    if before:
        cursor.restore(start)
        return Arrival(AT_STOP, before)
    timeline.finish_operation()  # the machine may be at an event at which none held
    return None


def access_width(machine: Machine) -> int:
    """How many bytes the next operation accesses."""
    pid = current_pid(machine)
    return width_of(machine.m.op[next_row(machine, pid) * OP]) if pid else 1


def stops_before_next(timeline: Timeline) -> list[Stop]:
    """The stops that halt the machine before the next operation; counts a crossing of each."""
    machine = timeline.machine
    pid = current_pid(machine)
    stops = timeline.stops.at_row(next_row(machine, pid), pid) if pid else []
    return [stop for stop in stops if timeline.stops.halts_before(stop, pid, machine.operations)]


def landed(timeline: Timeline, arrival: Arrival) -> Arrival:
    """What to report where the machine came as far as was asked for: a stop before the next operation, if
    there is one that holds, else `arrival`."""
    if arrival.kind == AT_LIMIT and not timeline.inside:
        stops = stops_before_next(timeline)
        if stops:
            return Arrival(AT_STOP, stops, ended=arrival.ended)
    return arrival


# -- by operations


def step(timeline: Timeline, count: int, over: bool = False) -> Arrival:
    """Go on by `count` operations of the current process, however many others run between.

    With `over` a range of accesses counts as one.
    """
    pid = timeline.require_process()
    machine = timeline.machine
    with timeline.runner.interrupts:
        timeline.runner.begin()
        alive = live_processes(machine.k)
        arrival = Arrival(AT_LIMIT)
        while count > 0 and arrival.kind == AT_LIMIT and pid in live_processes(machine.k):
            row = timeline.cursor.row_of(pid) if over else -1
            arrival, executed = step_some(timeline, pid, 1 if over else count)
            if executed and not (over and arrival.kind == AT_LIMIT and timeline.cursor.row_of(pid) == row):
                count -= executed
        timeline.note_end()
        arrival.ended = ended_since(machine, alive)
        return arrival


def step_some(timeline: Timeline, pid: int, count: int) -> tuple[Arrival, int]:
    """Run to a stop, or on by at most `count` operations of a process; how many of them it executed."""
    machine, start = timeline.machine, timeline.cursor.start_location
    if timeline.inside:
        own = start is not None and start.pid == pid
        return execute_to_stop(timeline, timeline.inside) or Arrival(AT_LIMIT), int(own)
    before = machine.operations
    if current_pid(machine) != pid:
        return run_to_stop(timeline, before + 1), 0
    alone = len(live_processes(machine.k)) == 1 and not timeline.forks
    arrival = run_to_stop(timeline, before + (count if alone else 1))
    return arrival, machine.operations - before


# -- by events


def events_from_here(timeline: Timeline, count: int) -> Iterator[LoggedEvent]:
    """Go up to `count` events on; each is given when the machine stands behind its operation, or at the last
    of them.  Ctrl-C is raised between two operations."""
    while count > 0:
        with timeline.runner.interrupts:
            events = next_events(timeline, count)
        if events is None:
            return
        count -= len(events)
        yield from events


def next_events(timeline: Timeline, count: int) -> list[LoggedEvent] | None:
    """Execute the current operation, or the rest of it, but at most `count` events of it; these events.
    None if no process is left."""
    machine, cursor = timeline.machine, timeline.cursor
    passed = timeline.inside
    cursor.to_start()
    action = timeline.branch.action_at(machine.operations)
    if action is not None:
        cursor.restore(action.after)
        return []
    if not live_processes(machine.k):
        return None
    start = machine.snapshot()
    events = [event for event in timeline.execute(start) if event.number > passed]
    if events and len(events) >= count:
        cursor.restore(start)
        cursor.enter(events[count - 1].number, start)
        events = events[:count]
    timeline.note_end()
    return events
