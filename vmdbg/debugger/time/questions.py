"""Questions to the past: how was the machine at a position, what did each operation do, which event was the
last of its kind?  The machine stays where it is.
"""

from __future__ import annotations

from functools import partial

from vmdbg.debugger.stops.patterns import Pattern
from vmdbg.debugger.stops.stops import Stops
from vmdbg.debugger.stops.watchpoints import LIVE, flipped
from vmdbg.debugger.time.forward import next_crossing
from vmdbg.debugger.time.location import operation_text
from vmdbg.debugger.time.reverse import back_to_stop
from vmdbg.debugger.time.types import AT_INTERRUPT, AT_STOP
from vmdbg.errors import UserError
from vmdbg.inspect.walk import page_of, walk_tables
from vmdbg.state import events
from vmdbg.state.tables import PROCESS, PROCESS_ROOT, PROCESS_STATE
from vmdbg.units import s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.debugger.time.location import Location
    from vmdbg.debugger.time.timeline import Timeline
    from vmdbg.machine.machine import Machine


def visit(timeline: Timeline, operations: int, events: int, look: Callable[[Machine], Any]) -> Any:
    """What `look(machine)` says at a position of the record.

    UserError if there is no such position.  KeyboardInterrupt if Ctrl-C came on the way.
    """
    with timeline.excursion():
        if timeline.position != (operations, events):
            if timeline.go(operations, events).kind == AT_INTERRUPT:
                raise KeyboardInterrupt
        return look(timeline.machine)


def visit_branch(
    timeline: Timeline, number: int, position: tuple[int, int] | None, look: Callable[[Machine], Any]
) -> Any:
    """What `look(machine)` says at a position of a branch, by default its end.

    UserError if there is no such branch, or no such position of it.
    """
    with timeline.excursion():
        timeline.switch(number)
        there = position or (timeline.end, 0)
        if there[0] > timeline.end:
            raise UserError(f"Branch {number} goes from {timeline.begin}:0 to {timeline.end}:0.")
        return visit(timeline, *there, look)


def record(
    timeline: Timeline, first: int, last: int, reach: int | None = None
) -> list[tuple[int, str, list[LoggedEvent]]]:
    """Time, text and events of each operation from `first` up to `last`, or as far as Ctrl-C lets it.

    UserError if the record, which may be taken to reach further than its end, does not reach so far.
    """
    if not timeline.begin <= first <= last <= (timeline.end if reach is None else reach):
        raise UserError(f"The record goes from {timeline.begin}:0 to {timeline.end}:0.")
    found: list[tuple[int, str, list[LoggedEvent]]] = []
    machine = timeline.machine
    with timeline.runner.interrupts as interrupts, timeline.excursion():
        timeline.travel(min(first, timeline.end))
        while (time := machine.operations) < last and not interrupts.came:
            action = timeline.branch.action_at(time)
            if action is not None:
                found.append((time, action.name, action.events))
                machine.restore(action.after)
                continue
            crossing = next_crossing(machine)
            if not crossing.pid:
                break
            text = operation_text(machine, crossing.row, crossing.pid)
            found.append((time, text, timeline.execute()))
    return found


def find_back(
    timeline: Timeline,
    patterns: list[Pattern],
    find: Callable[[list[LoggedEvent], int], list[LoggedEvent]] | None = None,
) -> tuple[LoggedEvent | None, Location | None, str]:
    """The last event before now that is one of the patterns.

    With it the location of its operation, or None and the name of the command whose operation it was.  `find`
    tells of the events of an operation, and the bytes that it accesses, which are meant.
    """
    now, name = timeline.position, ""
    stops = Stops()
    stops.signals.enabled = False
    stop = stops.add("search", "", patterns)
    if find is not None:
        stop.find, stop.kinds = find, tuple(pattern.kind for pattern in patterns)
    with timeline.excursion(stops):
        arrival = back_to_stop(timeline)
        found, location = arrival.event, timeline.location if arrival.kind == AT_STOP else None
    for action in timeline.actions:
        if action.time < now.operations and (found is None or action.time > found.operation):
            logged = action.events if find is None else find(action.events, 1)
            for event in logged:
                if any(pattern.matches(event) for pattern in patterns):
                    found, location, name = event, None, action.name
    return found, location, name


# -- the last write


def last_write(timeline: Timeline, pid: int, va: int) -> tuple[LoggedEvent | None, Location | None, str]:
    """The last write before now to the byte at a virtual address (signed) of a process, by whomever.

    The page is followed back: from frame to frame, through swap, and into the process that it was forked
    from.  What `find_back` gives.
    """
    with timeline.excursion():
        while True:
            pa, entry = mapped_at(timeline.machine, pid, va)
            patterns = [] if pa is None else [Pattern(events.WRITE, low=pa - 7, high=pa)]
            patterns += [] if entry is None else [Pattern(events.ENTRY_WRITE, low=entry)]
            if not patterns:
                return None, None, ""
            event, location, name = find_back(timeline, patterns, partial(writes_to, pa))
            if event is None or event.kind == events.WRITE:
                return event, location, name
            timeline.go(event.operation)
            action = timeline.branch.action_at(event.operation)
            logged = timeline.operation_events() if action is None else action.events
            parent = next((e.a for e in logged if e.kind == events.FORK and e.b == pid), 0)
            pid = parent or pid
            if action is None and not parent:
                timeline.go(event.operation, event.number - 1)


def mapped_at(machine: Machine, pid: int, va: int) -> tuple[int | None, int | None]:
    """The physical address of a byte of a process, and of the entry at which its walk ends; None: none."""
    process = pid * PROCESS
    if process >= len(machine.m.process) or machine.m.process[process + PROCESS_STATE] not in LIVE:
        return None, None
    walk = walk_tables(machine, machine.m.process[process + PROCESS_ROOT], va)
    entry = s64(walk.steps[-1].address) if walk.steps else None
    if not walk.maps:
        return None, entry
    page, size = page_of(machine, walk)
    return page + (va & (size - 1)), entry


def writes_to(pa: int | None, logged: list[LoggedEvent], width: int) -> list[LoggedEvent]:
    """Those of an operation's events that write the byte at a physical address, and all of other kinds."""
    return [
        event
        for event in logged
        if event.kind == events.ENTRY_WRITE
        or (event.kind == events.WRITE and pa is not None and reaches(event, pa, width))
    ]


def reaches(event: LoggedEvent, pa: int, width: int) -> bool:
    """Does a write of `width` bytes (at least) reach a physical address?"""
    return event.a <= pa and (pa < event.a + width or bool(flipped(event, pa - event.a, 1)))
