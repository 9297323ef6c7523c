"""Watchpoints: stops at the events that change or touch an entry, bytes of memory, a frame, a slot."""

from __future__ import annotations

from vmdbg.debugger.stops import KEEP, Pattern
from vmdbg.hardware.paging import STEP_A, STEP_D
from vmdbg.state import events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.happenings import Happening
    from vmdbg.debugger.stops import Stop, Stops
    from vmdbg.machine.machine import Machine

WATCHPOINT, READS, ACCESSES = "watchpoint", "read watchpoint", "acc watchpoint"
WIDEST = 8
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

    def test(row: Happening) -> bool:
        if row.kind == events.ENTRY_WRITE:
            return row.b != row.c
        return row.b == address

    stop.quick, stop.values = test, entry_values
    return stop


def entry_values(machine: Machine, row: Happening) -> tuple[int, int]:
    """What an entry was and is, at an event that changed it."""
    if row.kind == events.ENTRY_WRITE:
        return row.b, row.c
    old = row.c
    if row.a & STEP_D:
        old = machine.k.cleaned(old)
    if row.a & STEP_A:
        old = machine.k.aged(old)
    return int(old), row.c


def watch_memory(stops: Stops, sort: str, what: str, pa: int, width: int, disposition: str = KEEP) -> Stop:
    """A stop at accesses of programs to `width` bytes at a physical address, whatever process makes them.

    A WATCHPOINT stops where the bytes change, READS where they are read, ACCESSES at both.
    """
    kinds = {
        WATCHPOINT: (events.WRITE,),
        READS: (events.READ, events.FETCH),
        ACCESSES: (events.READ, events.FETCH, events.WRITE),
    }[sort]
    patterns = [Pattern(kind, low=pa - WIDEST + 1, high=pa + width - 1) for kind in kinds]
    stop = stops.add(sort, what, patterns, disposition)

    def values(machine: Machine, row: Happening) -> tuple[int, int]:
        now = sum((machine.k.load(machine.m, pa + at, 1) & 255) << (8 * at) for at in range(width))
        if row.kind != events.WRITE:
            return now, now
        shift = 8 * (row.a - pa)
        changed = (row.b ^ row.c) & ((1 << 64) - 1)
        return now ^ ((changed << shift if shift >= 0 else changed >> -shift) & ((1 << (8 * width)) - 1)), now

    def test(row: Happening) -> bool:
        return sort != WATCHPOINT or row.b != row.c

    stop.quick, stop.values = test, values
    return stop


def watch_frame(stops: Stops, what: str, pfn: int, disposition: str = KEEP) -> Stop:
    """A stop at what the kernel does with a frame."""
    patterns = [Pattern(kind, low=pfn, high=pfn) for kind in FRAME_EVENTS]
    patterns += [Pattern(kind) for kind in SLOT_EVENTS]
    stop = stops.add(WATCHPOINT, what, patterns, disposition)
    stop.quick = lambda row: row.kind in FRAME_EVENTS or row.b == pfn
    return stop


def watch_slot(stops: Stops, what: str, slot: int, disposition: str = KEEP) -> Stop:
    """A stop where a slot of the swap area is written or read."""
    patterns = [Pattern(kind, low=slot, high=slot) for kind in SLOT_EVENTS]
    return stops.add(WATCHPOINT, what, patterns, disposition)
