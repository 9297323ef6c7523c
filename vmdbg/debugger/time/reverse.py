"""Going back on a timeline: by events, by operations, to the last stop.

Whoever goes back comes to rest before the event that stops: going on from there executes it.
"""

from __future__ import annotations

from vmdbg.debugger.stops.breakpoints import opening
from vmdbg.debugger.stops.stops import Stops
from vmdbg.debugger.time import event_log
from vmdbg.debugger.time.location import current_process, next_row
from vmdbg.debugger.time.timeline import MOST_CROSSINGS
from vmdbg.debugger.time.types import AT_BEGIN, AT_INTERRUPT, AT_LIMIT, AT_STOP, Arrival
from vmdbg.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from vmdbg.debugger.stops.stops import Pattern, Stop
    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.debugger.time.location import Place
    from vmdbg.debugger.time.timeline import Timeline
    from vmdbg.debugger.time.types import Crossing
    from vmdbg.machine.machine import Machine

LOG_ROWS = 1 << 15  # matches that are looked through at a time
WINDOW = 512  # operations that are looked through at a time


def back_events(line: Timeline, count: int) -> Arrival:
    """Go back by `count` events."""
    with line.runner.interrupts as interrupts:
        while count > 0:
            if interrupts.take():
                return Arrival(AT_INTERRUPT)
            time, events = line.position
            if events:
                step = min(count, events)
                line.go(time, events - step)
                count -= step
                continue
            if time == line.begin:
                return Arrival(AT_BEGIN)
            line.go(time - 1)
            if line.action_at(time - 1) is not None:
                continue
            rows = line.operation_events()
            if rows:
                line.enter(rows[-1].number)
    return Arrival(AT_LIMIT)


def starts(line: Timeline, first: int, last: int) -> list[tuple[int, int]]:
    """Process and row of each operation from `first` up to `last`, where the machine then stands.

    An acting command counts as an operation of process 0.
    """
    found = []
    line.travel(first)
    while line.machine.operations < last:
        if line.action_at(line.machine.operations) is not None:
            found.append((0, 0))
        else:
            pid = current_process(line.machine)
            found.append((pid, next_row(line.machine, pid) if pid else 0))
        if line.advance(line.machine.operations + 1, hurry=True) != AT_LIMIT:
            break
    return found


def back_operations(line: Timeline, count: int, over: bool = False) -> Arrival:
    """Go back by `count` operations of the current process; inside one, to its start first.

    With `over` a range of accesses counts as one.
    """
    with line.runner.interrupts as interrupts:
        if line.inside and count > 0:
            line.go(line.machine.operations)
            count -= 1
        pid = current_process(line.machine)
        landing = end = line.machine.operations
        group = -1
        while end > line.begin and (count > 0 or group >= 0) and not interrupts.came:
            first = max(line.begin, end - WINDOW)
            for place, (owner, row) in reversed(list(enumerate(starts(line, first, end), first))):
                if pid and owner not in (pid, 0):
                    continue
                if group < 0 or row != group:
                    if count == 0:
                        group = -1
                        break
                    count -= 1
                    group = row if over else -1
                landing = place
                if count == 0 and not over:
                    break
            else:
                end = first
                continue
            break
        line.travel(landing if count == 0 else line.begin)
        return Arrival(AT_INTERRUPT if interrupts.take() else AT_BEGIN if count else AT_LIMIT)


def back_to_stop(line: Timeline) -> Arrival:
    """Go back to before the last event at which a stop holds, or to the beginning."""
    with line.runner.interrupts:
        line.runner.begin()
        moment = line.moment()
        time, events = line.position
        if events:
            told = line.halted_by()
            line.go(time)
            found = last_match(line, time, line.operation_events(), events, told)
            if found is not None:
                return found
        last = time
        while last > line.begin:
            first = line.checkpoints.before(last - 1)[0]
            times = matches(line, first, last)
            while times is None:  # more than the log can hold: in the later half there are fewer
                first += (last - first + 1) // 2
                times = matches(line, first, last)
            if line.machine.operations < last:
                line.put(moment)
                return Arrival(AT_INTERRUPT)
            for operation in sorted(times, reverse=True):
                line.travel(operation)
                found = last_match(line, operation, line.operation_events())
                if found is not None:
                    return found
            last = first
        line.travel(line.begin)
        return Arrival(AT_BEGIN)


def matches(line: Timeline, first: int, last: int) -> set[int] | None:
    """The operations from `first` up to `last` at which stops may hold; the machine is at `last`, or was
    interrupted.  None if they are more than the log can hold.
    """
    if event_log.log_rows(line.machine.m) < LOG_ROWS:
        line.machine.grow("log", LOG_ROWS)
    line.travel(first)
    crossings: list[Crossing] = []
    line.advance(last, log=crossings)
    m, stops = line.machine.m, line.stops
    if last - first > 1 and (event_log.overflowed(m) or len(crossings) > MOST_CROSSINGS):
        return None
    found = {crossing.operation for crossing in crossings if stops.at_row(crossing.row, crossing.pid)}
    for row in event_log.read_log(m):
        if any(stop.may_hold(row) for stop in stops.concern(row)):
            found.add(row.operation)
    return found


def last_match(
    line: Timeline, time: int, rows: list[LoggedEvent], end: int | None = None, told: Sequence[Stop] = ()
) -> Arrival | None:
    """From the start of operation `time`: stand before the last of its events, up to the `end`-th, at which
    a stop holds, or at its start if one holds there.  For the `end`-th those that are `told` do not."""
    first = opening(rows)
    moment = line.moment()
    line.to_base()
    found = line.stops.found(rows, line.access_width())
    line.put(moment)
    for row, held in reversed(list(zip(rows, found, strict=True))[:end]):
        stops = [stop for stop in held if row is first or not stop.before]
        if row.number == end:
            stops = [stop for stop in stops if stop not in told]
        if not any(stop.may_hold(row) for stop in stops):
            continue
        line.go(time, row.number)
        crossed = [stop for stop in stops if stop.action is None and line.stops.cross(stop, row)]
        if crossed:
            arrival = Arrival.at(line.machine, crossed, row)
            arrival.back = True
            before = all(stop.before for stop in crossed)
            line.go(time, 0 if before else row.number - 1)
            if before:
                arrival.stops = [*line.cross_row(), *crossed]
            return arrival
    line.go(time)
    crossed = line.cross_row()
    return Arrival(AT_STOP, crossed) if crossed else None


def visit(line: Timeline, operations: int, events: int, look: Callable[[Machine], Any]) -> Any:
    """What `look(machine)` says at a position of the record; the machine stays where it is.

    UserError if there is no such position.
    """
    moment, end = line.moment(), line.end
    try:
        if line.position != (operations, events):
            line.go(operations, events)
        return look(line.machine)
    finally:
        line.put(moment)
        line.end = end


def visit_branch(
    line: Timeline, number: int, place: tuple[int, int] | None, look: Callable[[Machine], Any]
) -> Any:
    """What `look(machine)` says at a position of a branch, by default its end; the machine stays where it is.

    UserError if there is no such branch, or no such position of it.
    """
    if number not in line.branches.by_number:
        raise UserError(f"No branch number {number}.")
    moment, before = line.moment(), line.branches.current.number
    try:
        if number != before:
            line.branches.switch(line, number)
            line.travel(line.end)
        there = place or (line.end, 0)
        if there[0] > line.end:
            raise UserError(f"Branch {number} goes from {line.begin}:0 to {line.end}:0.")
        return visit(line, *there, look)
    finally:
        if number != before:
            line.branches.switch(line, before)
            line.put(moment)


def find_back(
    line: Timeline,
    patterns: list[Pattern],
    find: Callable[[list[LoggedEvent], int], list[LoggedEvent]] | None = None,
) -> tuple[LoggedEvent | None, Place | None, str]:
    """The last event before now that is one of the patterns; the machine stays where it is.

    With it the place of its operation, or None and the name of the command whose operation it was.  `find`
    tells of the events of an operation, and the bytes that it accesses, which are meant.
    """
    stops, moment, end = line.stops, line.moment(), line.end
    now, name = line.position, ""
    line.stops = Stops()
    line.stops.signals.enabled = False
    stop = line.stops.add("search", "", patterns)
    if find is not None:
        stop.find, stop.kinds = find, tuple(pattern.kind for pattern in patterns)
    try:
        arrival = back_to_stop(line)
        row, place = arrival.event, line.place if arrival.kind == AT_STOP else None
    finally:
        line.stops = stops
        line.put(moment)
        line.end = end
    for action in line.actions:
        if action.time < now.operations and (row is None or action.time > row.operation):
            events = action.events if find is None else find(action.events, 1)
            for event in events:
                if any(pattern.matches(event) for pattern in patterns):
                    row, place, name = event, None, action.name
    return row, place, name


def record(
    line: Timeline, first: int, last: int, reach: int | None = None
) -> list[tuple[int, str, list[LoggedEvent]]]:
    """Time, text and events of each operation from `first` up to `last`; the machine stays where it is.

    UserError if the record, which may be taken to reach further than its end, does not reach so far.
    """
    from vmdbg.debugger.time.location import operation_text

    if not line.begin <= first <= last <= (line.end if reach is None else reach):
        raise UserError(f"The record goes from {line.begin}:0 to {line.end}:0.")
    found: list[tuple[int, str, list[LoggedEvent]]] = []
    with line.runner.interrupts as interrupts:
        moment = line.moment()
        line.travel(min(first, line.end))
        while (time := line.machine.operations) < last and not interrupts.came:
            action = line.action_at(time)
            if action is not None:
                found.append((time, action.name, action.events))
                line.machine.restore(action.after)
                continue
            pid = current_process(line.machine)
            if not pid:
                break
            text = operation_text(line.machine, next_row(line.machine, pid), pid)
            found.append((time, text, line.whole()))
        line.put(moment)
    return found
