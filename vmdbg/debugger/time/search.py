"""Searching the past for events: it is run again, compiled if it can be, and what matches is logged."""

from __future__ import annotations

from vmdbg.debugger.stops.patterns import Pattern
from vmdbg.debugger.stops.stops import Stops
from vmdbg.debugger.time import event_log
from vmdbg.debugger.time.logged_run import run_logged
from vmdbg.debugger.time.questions import visit
from vmdbg.errors import UserError
from vmdbg.hardware.walk import STEP_A, STEP_D
from vmdbg.kernel.scheduler import PROCESS_IS_FREE
from vmdbg.state import events
from vmdbg.state.events import EVENTS
from vmdbg.state.tables import CONTROL_STEPS, PATH, PATH_ADDRESS, PROCESS, PROCESS_ROOT, PROCESS_STATE
from vmdbg.units import s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.debugger.time.timeline import Timeline
    from vmdbg.machine.machine import Machine

LOG_ROWS = 1 << 15  # matches of one window
WINDOW = 20_000  # operations that are run at a time, at first
MOST_ROWS = 1_000_000  # matches that an answer may hold
HIGHEST = (1 << 63) - 1


def scan(
    timeline: Timeline,
    patterns: list[Pattern],
    first: int,
    last: int,
    wanted: Callable[[LoggedEvent], bool] = lambda event: True,
    take: Callable[[LoggedEvent], None] | None = None,
) -> list[LoggedEvent]:
    """The events of operations from `first` up to `last` that are one of the patterns, and `wanted`.

    With `take` each is handed over instead.  The machine stays where it is.  Ctrl-C ends it with what was
    found.  UserError if there are more than MOST_ROWS.
    """
    found: list[LoggedEvent] = []
    by_kind: dict[int, list[Pattern]] = {}
    for pattern in patterns:
        by_kind.setdefault(pattern.kind, []).append(pattern)

    def keep(event: LoggedEvent) -> None:
        if any(pattern.matches(event) for pattern in by_kind.get(event.kind, ())) and wanted(event):
            if take is not None:
                take(event)
            else:
                found.append(event)
                if len(found) > MOST_ROWS:
                    raise UserError(f"More than {MOST_ROWS} events: ask for fewer operations.")

    with timeline.runner.interrupts as interrupts, timeline.excursion(of_patterns(patterns)):
        timeline.runner.begin()
        event_log.require_rows(timeline.machine, LOG_ROWS)
        timeline.travel(min(first, timeline.end))
        timeline.run_to(first, interruptible=False)
        at, window = first, WINDOW
        while at < last and not interrupts.came:
            logged, at, window = run_window(timeline, at, min(last, at + window), window)
            for event in logged:
                keep(event)
    return found


def of_patterns(patterns: list[Pattern]) -> Stops:
    """Stops that catch the patterns, with true numbers of events."""
    stops = Stops()
    stops.signals.enabled = False
    stops.numbering = True
    stops.add("search", "", patterns)
    return stops


def run_window(timeline: Timeline, first: int, last: int, window: int) -> tuple[list[LoggedEvent], int, int]:
    """Run operations from `first`, where the machine stands, up to `last`, or as far as the log holds.

    What matched, those of acting commands too, where the machine then stands, and how many operations to
    run next.
    """
    machine = timeline.machine
    run_logged(timeline, last, [])
    logged, here = event_log.read_log(machine.m), machine.operations
    if event_log.overflowed(machine.m):
        here = logged[-1].operation
        if here == first:  # one operation has more than that
            machine.grow("log", 4 * event_log.log_rows(machine.m))
        timeline.travel(here)
        logged = [event for event in logged if event.operation < here]
        window = max(1, window // 2)
    elif len(logged) < LOG_ROWS // 4:
        window *= 2
    if here < last and not event_log.overflowed(machine.m) and here == first:
        here = last  # the program has ended, or Ctrl-C came
    for action in timeline.actions:
        if first <= action.time < here:
            logged += action.events
    return sorted(logged, key=lambda event: (event.operation, event.number)), here, window


# -- the life of a page, a frame, a slot


def frame_patterns(pfn: int) -> list[Pattern]:
    """What happens to a frame."""
    return with_argument("pfn", pfn, pfn)


def slot_patterns(slot: int) -> list[Pattern]:
    """What happens to a slot of the swap area."""
    return with_argument("slot", slot, slot)


def with_argument(kind: str, low: int, high: int) -> list[Pattern]:
    """The events that have an argument of a kind (see `vmdbg.state.events.event`) from `low` to `high`."""
    return [
        Pattern(event.kind, low=low, high=high, which=which)
        for event in EVENTS
        for which in event.places(kind)
    ]


def page_history(timeline: Timeline, pid: int, va: int) -> list[LoggedEvent]:
    """What happened to the page of a virtual address (signed) of a process, from the record's begin to now.

    Its page-table entries at every level, its faults, and what the kernel did with the frames it had.
    """
    form, now = timeline.machine.format, timeline.machine.operations + bool(timeline.inside)
    low = va & -form.page_size
    high = low + form.page_size - 1
    depths = entry_addresses(timeline, pid, va, now)
    addresses, with_range = list(depths), {event.kind for event in EVENTS if event.places("start")}
    leaves = {address for address in depths if depths[address] == max(depths.values())}
    patterns = [Pattern(events.ENTRY_WRITE, low=address) for address in addresses]
    patterns += [Pattern(events.WALK_STEP, low=address, which=2) for address in addresses]
    patterns += with_argument("history", low, high)
    patterns += [Pattern(kind) for kind in (*with_range, events.FORK)]
    frames: set[int] = set()  # that the page has had

    def wanted(event: LoggedEvent) -> bool:
        if event.kind == events.WALK_STEP:
            return bool(event.a & (STEP_A | STEP_D)) and event.b in leaves
        if event.kind == events.ENTRY_WRITE:
            if event.a in leaves:
                frames.add(timeline.machine.k.leaf_frame(event.c, len(form.levels) - 1) >> form.page_bits)
            return True
        if event.kind in with_range:
            return event.pid == pid and event.arguments["start"] <= va < event.arguments["end"]
        if event.kind == events.FORK:
            return pid in (event.a, event.b)
        if "pfn" in EVENTS[event.kind].arguments:
            return event.pid == pid or event.arguments["pfn"] in frames
        return event.pid == pid

    return scan(timeline, patterns, timeline.begin, now, wanted)


def entry_addresses(timeline: Timeline, pid: int, va: int, now: int) -> dict[int, int]:
    """The physical addresses of the entries that a walk of an address of a process has read: their depths.

    Tables that were made since the record began are followed through their events.
    """
    machine, form = timeline.machine, timeline.machine.format

    def walked(machine: Machine) -> dict[int, int]:
        process = pid * PROCESS
        if process >= len(machine.m.process) or machine.m.process[process + PROCESS_STATE] == PROCESS_IS_FREE:
            return {}
        machine.k.walk(machine.m, machine.m.process[process + PROCESS_ROOT], s64(va))
        steps = machine.m.control[CONTROL_STEPS]
        return {machine.m.path[step * PATH + PATH_ADDRESS]: step for step in range(steps)}

    found = {**visit(timeline, timeline.begin, 0, walked), **walked(machine)}

    def follow(event: LoggedEvent) -> None:
        if event.c in found:
            found[(event.a << form.page_bits) + form.index(va, event.b) * form.entry_bytes] = event.b

    scan(timeline, [Pattern(events.TABLE_ALLOC)], timeline.begin, now, take=follow)
    return found
