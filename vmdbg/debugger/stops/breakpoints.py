"""Breakpoints: stops before an operation, by its line in the program or by the address that it accesses.

Where the rows of the operations are known, these rows get breakpoints, which cost a run nothing.  Sometimes
the row is not enough: a range or a pattern reaches the address only in some of its accesses, or the stop asks
for a process or has a condition.  Then the machine halts at the first event of the operation: for an access
the event of its search in the TLB, for a system call the event of the call.
"""

from __future__ import annotations

from vmdbg.debugger.stops.patterns import ANY, Pattern
from vmdbg.debugger.stops.stops import KEEP
from vmdbg.debugger.time.location import next_row
from vmdbg.errors import UserError
from vmdbg.kernel.scheduler import (
    OP_END,
    OP_EXIT,
    OP_KIND,
    OP_LINE,
    OP_LOOP,
    OP_PATTERNED,
    OP_RANGED,
    OP_WIDTH,
)
from vmdbg.state import events
from vmdbg.state.op_rows import OP_COUNT, OP_PLACES, OP_STEP
from vmdbg.state.tables import OP, OP_VA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from vmdbg.debugger.stops.stops import Stop, Stops
    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.machine.machine import Machine

BREAKPOINT = "breakpoint"
FIRST = (events.TLB_HIT, events.TLB_L2_HIT, events.TLB_MISS)  # what an access may tell first
OUTSIDE = (events.TRAP, events.BUS_ERROR)  # if its address is none of the format's
CALLS = (events.EXIT, events.FORK, events.MMAP, events.MUNMAP, events.MPROTECT, events.BRK)
OPENING = (*FIRST, *OUTSIDE, *CALLS)
WIDEST = 8  # bytes of an access


def rows_of(m: Any) -> Iterator[int]:
    """The rows of the program's operations."""
    row, last = 1, len(m.op) // OP
    while row < last:
        word = m.op[row * OP]
        if word & OP_KIND not in (OP_LOOP, OP_END):
            yield row
        row += 1 if not word & OP_RANGED else 3 if word & OP_PATTERNED and word & OP_KIND < OP_LOOP else 2


def rows_of_line(m: Any, line: int) -> list[int]:
    """The rows of the program's operations on a line."""
    return [row for row in rows_of(m) if m.op[row * OP] >> OP_LINE == line]


def rows_accessing(m: Any, va: int) -> list[int]:
    """The rows of the accesses that may touch the byte at an address (as tables keep it)."""
    found = []
    for row in rows_of(m):
        word = m.op[row * OP]
        if word & OP_KIND < OP_LOOP:
            low, high = span(m, row)
            if low <= va < high + width_of(word):
                found.append(row)
    return found


def span(m: Any, row: int) -> tuple[int, int]:
    """The lowest and highest address that an access, a range or a pattern of accesses may begin at."""
    word, first = m.op[row * OP], m.op[row * OP + OP_VA]
    if not word & OP_RANGED:
        return first, first
    places = m.op[row * OP + (OP_PLACES if word & OP_PATTERNED else OP_COUNT)]
    last = first + (places - 1) * m.op[row * OP + OP_STEP]
    return min(first, last), max(first, last)


def openings(m: Any, rows: Iterable[int], pid: int) -> list[Pattern]:
    """What to catch so that the first event of each of these operations is among it."""
    found: list[Pattern] = []
    for row in rows:
        if m.op[row * OP] & OP_KIND >= OP_EXIT:
            found += [Pattern(kind, pid) for kind in CALLS]
        else:
            low, high = span(m, row)
            found += [Pattern(kind, pid, low=low, high=high) for kind in FIRST]
            found += [Pattern(kind, pid) for kind in OUTSIDE]
    unique = {(p.kind, p.low, p.high): p for p in found}
    return list(unique.values())


def opening(logged: list[LoggedEvent]) -> LoggedEvent | None:
    """The event that an operation begins with, of all its events."""
    return next((event for event in logged if event.kind in OPENING), None)


def break_line(stops: Stops, machine: Machine, line: int, disposition: str = KEEP, pid: int = ANY) -> Stop:
    """A stop before each operation of the first line from `line` on that has one."""

    def aim(target: Machine) -> None:
        program, m = target.program, target.m
        if program is None:
            raise UserError("No program is loaded.", 'Use "file FILE".')
        if target.feeds:
            raise UserError(
                "The lines of a trace that is replayed come and go.", "Use break *ADDRESS or watch."
            )
        later = sorted(number for row in rows_of(m) if (number := m.op[row * OP] >> OP_LINE) >= line > 0)
        if not later:
            raise UserError(f'No line {line} in file "{base_name(program.file)}".')
        found = rows_of_line(m, later[0])
        stop.what, stop.break_rows = f"{base_name(program.file)}:{later[0]}", frozenset(found)
        stop.openings = openings(m, found, pid)
        stop.test = lambda event: next_row(target, event.pid) in stop.break_rows

    stop = stops.add(BREAKPOINT, "", [], disposition)
    stop.pid = pid
    return aimed(stops, stop, aim, machine)


def break_address(
    stops: Stops, machine: Machine, va: int, text: str, disposition: str = KEEP, pid: int = ANY
) -> Stop:
    """A stop before each access that touches the byte at an address (as tables keep it)."""

    def aim(target: Machine) -> None:
        m = target.m
        rows = [] if target.feeds else rows_accessing(m, va)  # rows of a trace come and go
        there = [row for row in rows if not m.op[row * OP] & OP_RANGED]
        ranges = len(there) < len(rows) or bool(target.feeds)
        reach = [Pattern(kind, pid, low=va - WIDEST + 1, high=va) for kind in FIRST]
        stop.break_rows = frozenset(there)
        stop.openings, stop.patterns = ([], reach) if ranges else (reach if there else [], [])

        def test(event: LoggedEvent) -> bool:
            if next_row(target, event.pid) in stop.rows:
                return False
            return event.a <= va < event.a + width_of(target.m.op[next_row(target, event.pid) * OP])

        stop.test = test

    stop = stops.add(BREAKPOINT, text, [], disposition)
    stop.pid, stop.address = pid, text
    return aimed(stops, stop, aim, machine)


def width_of(word: int) -> int:
    """Bytes of an access, by its row; a trace's count as one."""
    return max(1, (word >> OP_WIDTH) & 15)


def aimed(stops: Stops, stop: Stop, aim: Callable[[Machine], None], machine: Machine) -> Stop:
    """The stop, aimed at a machine, and at those that follow it; gone if that is impossible."""
    stop.before, stop.aim = True, aim
    try:
        aim(machine)
    except UserError:
        stops.delete(stop)
        stops.last -= 1
        raise
    return stop


def base_name(path: str) -> str:
    """The last part of a file's name."""
    return path.rpartition("/")[2]
