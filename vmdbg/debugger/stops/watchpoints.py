"""Watchpoints: stops at the events that change or touch an entry, bytes of memory, a frame, a slot."""

from __future__ import annotations

from vmdbg.debugger.stops.breakpoints import FIRST
from vmdbg.debugger.stops.patterns import Pattern
from vmdbg.debugger.stops.stops import KEEP
from vmdbg.hardware.walk import STEP_A, STEP_D
from vmdbg.inspect.walk import page_of, walk_tables
from vmdbg.kernel.scheduler import PROCESS_IS_IDLE, PROCESS_IS_READY, PROCESS_IS_RUNNING
from vmdbg.state import events
from vmdbg.state.tables import PROCESS, PROCESS_ROOT, PROCESS_STATE
from vmdbg.units import s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.stops.stops import Stop, Stops
    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.machine.machine import Machine

WATCHPOINT, READS, ACCESSES = "watchpoint", "read watchpoint", "acc watchpoint"
WIDEST = 8
TOUCHES = {
    WATCHPOINT: (events.WRITE,),
    READS: (events.READ, events.FETCH),
    ACCESSES: (events.READ, events.FETCH, events.WRITE),
}
LIVE = (PROCESS_IS_READY, PROCESS_IS_RUNNING, PROCESS_IS_IDLE)
HIGHEST = (1 << 63) - 1
FRAME_EVENTS = (events.FRAME_ALLOC, events.FRAME_FREE, events.TABLE_ALLOC, events.EVICT, events.AGE)
SLOT_EVENTS = (events.SWAP_OUT, events.SWAP_DROP, events.SWAP_IN)


def watch_entry(stops: Stops, what: str, address: int, disposition: str = KEEP) -> Stop:
    """A stop where the page-table entry at a physical address changes: the kernel writes it, or a walk
    sets A or D."""
    patterns = [
        Pattern(events.ENTRY_WRITE, low=address, high=address),
        Pattern(events.WALK_STEP, low=STEP_A, high=HIGHEST),
    ]
    stop = stops.add(WATCHPOINT, what, patterns, disposition)

    def test(event: LoggedEvent) -> bool:
        if event.kind == events.ENTRY_WRITE:
            return event.b != event.c
        return event.b == address

    stop.quick, stop.values = test, entry_values
    return stop


def entry_values(machine: Machine, event: LoggedEvent) -> tuple[int, int]:
    """What an entry was and is, at an event that changed it."""
    if event.kind == events.ENTRY_WRITE:
        return event.b, event.c
    old = event.c
    if event.a & STEP_D:
        old = machine.k.cleaned(old)
    if event.a & STEP_A:
        old = machine.k.aged(old)
    return int(old), event.c


def watch_memory(stops: Stops, sort: str, what: str, pa: int, width: int, disposition: str = KEEP) -> Stop:
    """A stop at accesses of programs to `width` bytes at a physical address, whatever process makes them.

    A WATCHPOINT stops where the bytes change, READS where they are read, ACCESSES at both.
    """
    patterns = [Pattern(kind, low=pa - WIDEST + 1, high=pa + width - 1) for kind in TOUCHES[sort]]
    stop = stops.add(sort, what, patterns, disposition)
    stop.quick = lambda event: sort != WATCHPOINT or bool(flipped(event, pa - event.a, width))
    stop.values = lambda machine, event: values_at(machine, event, pa, width)
    return stop


def flipped(event: LoggedEvent, offset: int, width: int) -> int:
    """The bits that a write changes of `width` bytes that begin `offset` bytes behind its first one."""
    if event.kind != events.WRITE:
        return 0
    changed, shift = (event.b ^ event.c) & ((1 << 64) - 1), 8 * offset
    return (changed >> shift if shift >= 0 else changed << -shift) & ((1 << (8 * width)) - 1)


def values_at(machine: Machine, event: LoggedEvent, pa: int, width: int) -> tuple[int, int]:
    """What `width` bytes at a physical address were before an access, and are after it."""
    now = sum((machine.k.load(machine.m, pa + at, 1) & 255) << (8 * at) for at in range(width))
    return now ^ flipped(event, pa - event.a, width), now


def watch_virtual(
    stops: Stops, sort: str, what: str, space: tuple[int, int], width: int, disposition: str = KEEP
) -> Stop:
    """A stop at accesses that a process makes to `width` bytes at a virtual address (`space`: process and
    address, signed), whatever frame the page is in then."""
    pid, va = space
    kinds = TOUCHES[sort]
    stop = stops.add(sort, what, [], disposition)
    addresses: dict[tuple[int, int], int] = {}  # physical address of the bytes, by the time of the event

    def follow(machine: Machine) -> None:
        stop.patterns = []
        process = pid * PROCESS
        if process >= len(machine.m.process) or machine.m.process[process + PROCESS_STATE] not in LIVE:
            return
        walk = walk_tables(machine, machine.m.process[process + PROCESS_ROOT], va)
        stop.patterns = [
            Pattern(events.ENTRY_WRITE, low=s64(step.address), retargets=True) for step in walk.steps
        ]
        if walk.maps:
            page, size = page_of(machine, walk)
            pa = page + (va & (size - 1))
            stop.patterns += [Pattern(kind, pid, low=pa - WIDEST + 1, high=pa + width - 1) for kind in kinds]

    def find(logged: list[LoggedEvent], bytes_accessed: int) -> list[LoggedEvent]:
        found, at = [], None
        for event in logged:
            if event.kind in FIRST:
                at = event.a
            elif event.kind in kinds and event.pid == pid and at is not None:
                inside = at < va + width and va < at + bytes_accessed
                if inside and (sort != WATCHPOINT or flipped(event, va - at, width)):
                    addresses[event.operation, event.number] = event.a + va - at
                    found.append(event)
        return found

    stop.follow, stop.find, stop.kinds = follow, find, kinds
    stop.values = lambda machine, event: values_at(
        machine, event, addresses[event.operation, event.number], width
    )
    return stop


def watch_frame(stops: Stops, what: str, pfn: int, disposition: str = KEEP) -> Stop:
    """A stop at what the kernel does with a frame."""
    patterns = [Pattern(kind, low=pfn, high=pfn) for kind in FRAME_EVENTS]
    patterns += [Pattern(kind) for kind in SLOT_EVENTS]
    stop = stops.add(WATCHPOINT, what, patterns, disposition)
    stop.quick = lambda event: event.kind in FRAME_EVENTS or event.b == pfn
    return stop


def watch_slot(stops: Stops, what: str, slot: int, disposition: str = KEEP) -> Stop:
    """A stop where a slot of the swap area is written or read."""
    patterns = [Pattern(kind, low=slot, high=slot) for kind in SLOT_EVENTS]
    return stops.add(WATCHPOINT, what, patterns, disposition)
