"""Going back on a timeline: by events, by operations, to the last stop.

Going back ends before the event at which a stop holds; going on from there executes that event.
"""

from __future__ import annotations

from vmdbg.debugger.stops.breakpoints import opening
from vmdbg.debugger.time import event_log
from vmdbg.debugger.time.forward import access_width, next_crossing, stops_before_next
from vmdbg.debugger.time.logged_run import run_logged, too_long
from vmdbg.debugger.time.types import AT_BEGIN, AT_INTERRUPT, AT_LIMIT, AT_STOP, Arrival, Crossing
from vmdbg.inspect.context import current_pid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vmdbg.debugger.stops.stops import Stop
    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.debugger.time.timeline import Timeline

LOG_ROWS = 1 << 15  # matches that are looked through at a time
WINDOW = 512  # operations that are looked through at a time


def back_events(timeline: Timeline, count: int) -> Arrival:
    """Go back by `count` events."""
    with timeline.runner.interrupts as interrupts:
        while count > 0:
            if interrupts.take():
                return Arrival(AT_INTERRUPT)
            time, events = timeline.position
            if events:
                some = min(count, events)
                timeline.go(time, events - some)
                count -= some
                continue
            if time == timeline.begin:
                return Arrival(AT_BEGIN)
            timeline.go(time - 1)
            if timeline.branch.action_at(time - 1) is not None:
                continue
            logged = timeline.operation_events()
            if logged:
                timeline.cursor.enter(logged[-1].number)
    return Arrival(AT_LIMIT)


def crossings(timeline: Timeline, first: int, last: int) -> list[Crossing]:
    """Run from time `first` to `last`, where the machine stays; returns the operations on the way.

    An acting command counts as an operation of process 0.
    """
    found = []
    timeline.travel(first)
    machine = timeline.machine
    while machine.operations < last:
        acts = timeline.branch.action_at(machine.operations) is not None
        found.append(Crossing(machine.operations, 0, 0) if acts else next_crossing(machine))
        if timeline.run_to(machine.operations + 1, interruptible=False) != AT_LIMIT:
            break
    return found


def crossings_back(timeline: Timeline) -> Iterator[Crossing]:
    """The operations before this time, the last one first, until Ctrl-C.

    The caller has to `travel` afterwards.
    """
    end = timeline.machine.operations
    while end > timeline.begin and not timeline.runner.interrupts.came:
        first = max(timeline.begin, end - WINDOW)
        yield from reversed(crossings(timeline, first, end))
        end = first


def back_operations(timeline: Timeline, count: int, over: bool = False) -> Arrival:
    """Go back by `count` operations of the current process; inside one, to its start first.

    With `over` a range of accesses counts as one.  At Ctrl-C the machine has gone back a part of the way.
    """
    with timeline.runner.interrupts as interrupts:
        if timeline.inside and count > 0:
            timeline.go(timeline.machine.operations)
            count -= 1
        pid = current_pid(timeline.machine)
        landing = timeline.machine.operations
        group = -1  # with `over`: the row of the range that the machine goes back through
        for crossing in crossings_back(timeline) if count > 0 else ():
            if pid and crossing.pid not in (pid, 0):
                continue
            if group < 0 or crossing.row != group:
                if count == 0:
                    break
                count -= 1
                group = crossing.row if over else -1
            landing = crossing.operation
            if count == 0 and not over:
                break
        timeline.travel(landing if count == 0 or interrupts.came else timeline.begin)
        return Arrival(AT_INTERRUPT if interrupts.take() else AT_BEGIN if count else AT_LIMIT)


def back_to_stop(timeline: Timeline) -> Arrival:
    """Go back to before the last event at which a stop holds, or to the beginning."""
    with timeline.runner.interrupts:
        timeline.runner.begin()
        moment = timeline.cursor.moment()
        time, events = timeline.position
        if events:
            # Stops that halted the machine at this very event do not halt it there again.
            halted = timeline.halted
            excluded = halted[1] if halted is not None and halted[0] == (time, events) else []
            timeline.go(time)
            found = last_match(timeline, timeline.operation_events(), events, excluded)
            if found is not None:
                return found
        last = time
        while last > timeline.begin:
            first = timeline.branch.checkpoints.before(last - 1)[0]
            times = matches(timeline, first, last)
            while times is None:  # too many for the log: look only at the later half
                first += (last - first + 1) // 2
                times = matches(timeline, first, last)
            if timeline.machine.operations < last:
                timeline.cursor.return_to(moment)
                return Arrival(AT_INTERRUPT)
            for operation in sorted(times, reverse=True):
                timeline.travel(operation)
                found = last_match(timeline, timeline.operation_events())
                if found is not None:
                    return found
            last = first
        timeline.travel(timeline.begin)
        return Arrival(AT_BEGIN)


def matches(timeline: Timeline, first: int, last: int) -> set[int] | None:
    """The operations from `first` up to `last` at which stops may hold; the machine is at `last`, or was
    interrupted.  None if they are more than the log can hold.
    """
    machine, stops = timeline.machine, timeline.stops
    event_log.require_rows(machine, LOG_ROWS)
    timeline.travel(first)
    crossed: list[Crossing] = []
    run_logged(timeline, last, crossed)
    if last - first > 1 and too_long(machine, crossed):
        return None
    found = {crossing.operation for crossing in crossed if stops.at_row(crossing.row, crossing.pid)}
    for event in event_log.read_log(machine.m):
        if any(stop.may_hold(event) for stop in stops.matching_caught(event)):
            found.add(event.operation)
    return found


def last_match(
    timeline: Timeline, logged: list[LoggedEvent], end: int | None = None, excluded: Sequence[Stop] = ()
) -> Arrival | None:
    """Stand before the last of an operation's events, up to the `end`-th, at which a stop holds; else at its
    start if a stop holds there; else return None.

    The machine is at that start when this is called.  At the `end`-th event the stops in `excluded` do not
    count.
    """
    machine, stops, time = timeline.machine, timeline.stops, timeline.machine.operations
    first = opening(logged)
    found = stops.matching_each(logged, access_width(machine))
    for event, matching in reversed(list(zip(logged, found, strict=True))[:end]):
        asked = [stop for stop in matching if event is first or not stop.before]
        if event.number == end:
            asked = [stop for stop in asked if stop not in excluded]
        if not any(stop.may_hold(event) for stop in asked):
            continue
        timeline.go(time, event.number)
        held = [stop for stop in asked if stop.action is None and stops.halts_at(stop, event)]
        if held:
            arrival = Arrival.at(machine, held, event)
            arrival.back = True
            before = all(stop.before for stop in held)
            timeline.go(time, 0 if before else event.number - 1)
            if before:
                arrival.stops = [*stops_before_next(timeline), *held]
            return arrival
    timeline.go(time)
    before_next = stops_before_next(timeline)
    return Arrival(AT_STOP, before_next) if before_next else None
