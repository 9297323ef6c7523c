"""Questions to the past: it is run again, compiled if it can be, and what matches is logged."""

from __future__ import annotations

from functools import partial

from vmdbg.debugger.stops.stops import Pattern, Stops
from vmdbg.debugger.stops.watchpoints import LIVE, flipped
from vmdbg.debugger.time import event_log
from vmdbg.debugger.time.reverse import find_back, visit
from vmdbg.errors import UserError
from vmdbg.hardware.walk import STEP_A, STEP_D
from vmdbg.inspect.translate import page_of, walk_tables
from vmdbg.kernel.scheduler import PROCESS_IS_FREE
from vmdbg.state import events
from vmdbg.state.events import EVENTS
from vmdbg.state.tables import CONTROL_STEPS, PATH, PATH_ADDRESS, PROCESS, PROCESS_ROOT, PROCESS_STATE
from vmdbg.units import s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.debugger.time.location import Place
    from vmdbg.debugger.time.timeline import Timeline
    from vmdbg.machine.machine import Machine

LOG_ROWS = 1 << 15  # matches of one window
WINDOW = 20_000  # operations that are run at a time, at first
MOST_ROWS = 1_000_000  # matches that an answer may hold
HIGHEST = (1 << 63) - 1
#: Kinds with an argument `va` that are too common to belong to the life of a page.
COMMON = ("tlb-hit", "tlb-l2-hit", "tlb-miss", "tlb-fill", "retry", "walk-cache-hit", "bus-error")
RANGES = (events.MMAP, events.MUNMAP, events.MPROTECT)
OF_FRAMES = ("frame-alloc", "frame-free", "table-alloc", "age", "evict", "swap-out", "swap-in", "swap-drop",
             "file-read", "file-drop", "file-write")  # fmt: skip


def scan(
    line: Timeline,
    patterns: list[Pattern],
    first: int,
    last: int,
    wanted: Callable[[LoggedEvent], bool] = lambda row: True,
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

    def keep(row: LoggedEvent) -> None:
        if any(pattern.matches(row) for pattern in by_kind.get(row.kind, ())) and wanted(row):
            if take is not None:
                take(row)
            else:
                found.append(row)
                if len(found) > MOST_ROWS:
                    raise UserError(f"More than {MOST_ROWS} events: ask for fewer operations.")

    with line.runner.interrupts as interrupts:
        moment, stops, end = line.moment(), line.stops, line.end
        line.stops = of_patterns(patterns)
        try:
            line.runner.begin()
            if event_log.log_rows(line.machine.m) < LOG_ROWS:
                line.machine.grow("log", LOG_ROWS)
            line.travel(min(first, line.end))
            if line.machine.operations < first:
                line.advance(first, hurry=True)
            at, window = first, WINDOW
            while at < last and not interrupts.came:
                rows, at, window = run_window(line, at, min(last, at + window), window)
                for row in rows:
                    keep(row)
        finally:
            line.stops = stops
            line.put(moment)
            line.end = end
    return found


def of_patterns(patterns: list[Pattern]) -> Stops:
    """Stops that catch the patterns, with true numbers of events."""
    stops = Stops()
    stops.signals.enabled = False
    stops.numbering = True
    stops.add("search", "", patterns)
    return stops


def run_window(line: Timeline, first: int, last: int, window: int) -> tuple[list[LoggedEvent], int, int]:
    """Run operations from `first`, where the machine stands, up to `last`, or as far as the log holds.

    What matched, those of acting commands too, where the machine then stands, and how many operations to
    run next.
    """
    machine = line.machine
    line.advance(last, log=[])
    rows, here = event_log.read_log(machine.m), machine.operations
    if event_log.overflowed(machine.m):
        here = rows[-1].operation
        if here == first:  # one operation has more than that
            machine.grow("log", 4 * event_log.log_rows(machine.m))
        line.travel(here)
        rows = [row for row in rows if row.operation < here]
        window = max(1, window // 2)
    elif len(rows) < LOG_ROWS // 4:
        window *= 2
    if here < last and not event_log.overflowed(machine.m) and here == first:
        here = last  # the program has ended, or Ctrl-C came
    for action in line.actions:
        if first <= action.time < here:
            rows += action.events
    return sorted(rows, key=lambda row: (row.operation, row.number)), here, window


# -- the life of a page, a frame, a slot


def frame_patterns(pfn: int) -> list[Pattern]:
    """What happens to a frame."""
    found = [Pattern(events.FAULT_COW, low=pfn, which=which) for which in (2, 3)]
    for name in OF_FRAMES:
        event = events.BY_NAME[name]
        found.append(Pattern(event.kind, low=pfn, which=event.arguments.index("pfn") + 1))
    return found


def slot_patterns(slot: int) -> list[Pattern]:
    """What happens to a slot of the swap area."""
    return [
        Pattern(event.kind, low=slot, which=event.arguments.index("slot") + 1)
        for event in EVENTS
        if "slot" in event.arguments
    ]


def page_history(line: Timeline, pid: int, va: int) -> list[LoggedEvent]:
    """What happened to the page of a virtual address (signed) of a process, from the record's begin to now.

    Its page-table entries at every level, its faults, and what the kernel did with the frames it had.
    """
    form, now = line.machine.format, line.machine.operations + bool(line.inside)
    low = va & -form.page_size
    high = low + form.page_size - 1
    depths = entry_addresses(line, pid, va, now)
    addresses = list(depths)
    leaves = {address for address in depths if depths[address] == max(depths.values())}
    patterns = [Pattern(events.ENTRY_WRITE, low=address) for address in addresses]
    patterns += [Pattern(events.WALK_STEP, low=address, which=2) for address in addresses]
    for event in EVENTS:
        if "va" in event.arguments and event.name not in COMMON:
            patterns.append(Pattern(event.kind, low=low, high=high, which=event.arguments.index("va") + 1))
    patterns += [Pattern(kind) for kind in (*RANGES, events.FORK)]
    frames: set[int] = set()  # that the page has had

    def wanted(row: LoggedEvent) -> bool:
        if row.kind == events.WALK_STEP:
            return bool(row.a & (STEP_A | STEP_D)) and row.b in leaves
        if row.kind == events.ENTRY_WRITE:
            if row.a in leaves:
                frames.add(line.machine.k.leaf_frame(row.c, len(form.levels) - 1) >> form.page_bits)
            return True
        if row.kind in RANGES:
            return row.pid == pid and row.a <= va < row.b
        if row.kind == events.FORK:
            return pid in (row.a, row.b)
        if "pfn" in EVENTS[row.kind].arguments:
            return row.pid == pid or row.arguments["pfn"] in frames
        return row.pid == pid

    return scan(line, patterns, line.begin, now, wanted)


def last_write(line: Timeline, pid: int, va: int) -> tuple[LoggedEvent | None, Place | None, str]:
    """The last write before now to the byte at a virtual address (signed) of a process, by whomever.

    The page is followed back: from frame to frame, through swap, and into the process that it was forked
    from.  What `find_back` gives; the machine stays where it is.
    """
    moment, end = line.moment(), line.end
    try:
        while True:
            pa, entry = mapped_at(line.machine, pid, va)
            patterns = [] if pa is None else [Pattern(events.WRITE, low=pa - 7, high=pa)]
            patterns += [] if entry is None else [Pattern(events.ENTRY_WRITE, low=entry)]
            if not patterns:
                return None, None, ""
            row, place, name = find_back(line, patterns, partial(writes_to, pa))
            if row is None or row.kind == events.WRITE:
                return row, place, name
            line.go(row.operation)
            action = line.action_at(row.operation)
            rows = line.operation_events() if action is None else action.events
            parent = next((r.a for r in rows if r.kind == events.FORK and r.b == pid), 0)
            pid = parent or pid
            if action is None and not parent:
                line.go(row.operation, row.number - 1)
    finally:
        line.put(moment)
        line.end = end


def mapped_at(machine: Machine, pid: int, va: int) -> tuple[int | None, int | None]:
    """The physical address of a byte of a process, and of the entry at which its walk ends; None: none."""
    row = pid * PROCESS
    if row >= len(machine.m.process) or machine.m.process[row + PROCESS_STATE] not in LIVE:
        return None, None
    walk = walk_tables(machine, machine.m.process[row + PROCESS_ROOT], va)
    entry = s64(walk.steps[-1].address) if walk.steps else None
    if not walk.maps:
        return None, entry
    page, size = page_of(machine, walk)
    return page + (va & (size - 1)), entry


def writes_to(pa: int | None, rows: list[LoggedEvent], width: int) -> list[LoggedEvent]:
    """Those of an operation's events that write the byte at a physical address, and all of other kinds."""
    return [
        row
        for row in rows
        if row.kind == events.ENTRY_WRITE
        or (row.kind == events.WRITE and pa is not None and reaches(row, pa, width))
    ]


def reaches(row: LoggedEvent, pa: int, width: int) -> bool:
    """Does a write of `width` bytes (at least) reach a physical address?"""
    return row.a <= pa and (pa < row.a + width or bool(flipped(row, pa - row.a, 1)))


def entry_addresses(line: Timeline, pid: int, va: int, now: int) -> dict[int, int]:
    """The physical addresses of the entries that a walk of an address of a process has read: their depths.

    Tables that were made since the record began are followed through their events.
    """
    machine, form = line.machine, line.machine.format

    def walked(machine: Machine) -> dict[int, int]:
        row = pid * PROCESS
        if row >= len(machine.m.process) or machine.m.process[row + PROCESS_STATE] == PROCESS_IS_FREE:
            return {}
        machine.k.walk(machine.m, machine.m.process[row + PROCESS_ROOT], s64(va))
        steps = machine.m.control[CONTROL_STEPS]
        return {machine.m.path[step * PATH + PATH_ADDRESS]: step for step in range(steps)}

    found = {**visit(line, line.begin, 0, walked), **walked(machine)}
    unsigned = va & ((1 << form.va_bits) - 1)

    def follow(row: LoggedEvent) -> None:
        if row.c in found:
            level = form.levels[row.b]
            index = (unsigned >> level.shift) & ((1 << level.bits) - 1)
            found[(row.a << form.page_bits) + index * form.entry_bytes] = row.b

    scan(line, [Pattern(events.TABLE_ALLOC)], line.begin, now, take=follow)
    return found
