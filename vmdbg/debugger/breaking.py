"""Breakpoints: stops before an operation, by its line in the program or by the address that it accesses.

No event says that an operation begins; what an access does first is to look into the TLB, and a system
call tells of itself.  Those events are caught, by address where that is possible, and asked whether they
are the operation's first.
"""

from __future__ import annotations

from vmdbg.debugger.place import next_row
from vmdbg.debugger.stops import ANY, KEEP, Pattern
from vmdbg.errors import UserError
from vmdbg.kernel.scheduler import OP_END, OP_EXIT, OP_KIND, OP_LINE, OP_LOOP, OP_WIDTH
from vmdbg.machine.rows import rows_taken, spread
from vmdbg.state import events
from vmdbg.state.tables import OP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from vmdbg.debugger.happenings import Happening
    from vmdbg.debugger.stops import Stop, Stops
    from vmdbg.machine.machine import Machine

BREAKPOINT = "breakpoint"
FIRST = (events.TLB_HIT, events.TLB_L2_HIT, events.TLB_MISS)  # what an access may tell first
OUTSIDE = (events.TRAP, events.BUS_ERROR)  # if its address is none of the format's
CALLS = (events.EXIT, events.FORK, events.MMAP, events.MUNMAP, events.MPROTECT, events.BRK)
FIRST_NUMBER = 2  # a switch may come before them
WIDEST = 8  # bytes of an access


def rows_of_line(m: Any, line: int) -> list[int]:
    """The rows of the program's operations on a line."""
    found = []
    row, last = 1, len(m.op) // OP
    while row < last:
        word = m.op[row * OP]
        kind = word & OP_KIND
        if word >> OP_LINE == line and kind not in (OP_LOOP, OP_END):
            found.append(row)
        row += rows_taken(word)
    return found


def span(m: Any, row: int) -> tuple[int, int]:
    """The lowest and highest address that an access, a range or a pattern begins at."""
    first = m.op[row * OP + 1]
    count, step = spread(m.op, row * OP)
    last = first + (count - 1) * step
    return min(first, last), max(first, last)


def patterns_of(m: Any, rows: list[int], pid: int) -> list[Pattern]:
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


def break_line(stops: Stops, machine: Machine, line: int, disposition: str = KEEP, pid: int = ANY) -> Stop:
    """A stop before each operation of the first line from `line` on that has one."""
    rows: set[int] = set()

    def aim(target: Machine) -> None:
        program, m = target.program, target.m
        if program is None:
            raise UserError("No program is loaded.", 'Use "file FILE".')
        lines = {m.op[row * OP] >> OP_LINE for row in range(1, len(m.op) // OP)}
        later = sorted(number for number in lines if number >= line > 0 and rows_of_line(m, number))
        if not later:
            raise UserError(f'No line {line} in file "{base_name(program.file)}".')
        found = rows_of_line(m, later[0])
        rows.clear()
        rows.update(found)
        stop.what, stop.patterns = f"{base_name(program.file)}:{later[0]}", patterns_of(m, found, pid)
        stop.test = lambda row: row.number <= FIRST_NUMBER and next_row(target, row.pid) in rows

    stop = stops.add(BREAKPOINT, "", [], disposition)
    return aimed(stops, stop, aim, machine)


def break_address(
    stops: Stops, machine: Machine, va: int, text: str, disposition: str = KEEP, pid: int = ANY
) -> Stop:
    """A stop before each access that touches the byte at an address (as tables keep it)."""

    def aim(target: Machine) -> None:
        def test(row: Happening) -> bool:
            word = int(target.m.op[next_row(target, row.pid) * OP])
            width = max(1, (word >> OP_WIDTH) & 15)
            return row.number <= FIRST_NUMBER and row.a <= va < row.a + width

        stop.test = test

    patterns = [Pattern(kind, pid, low=va - WIDEST + 1, high=va) for kind in FIRST]
    stop = stops.add(BREAKPOINT, text, patterns, disposition)
    return aimed(stops, stop, aim, machine)


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
