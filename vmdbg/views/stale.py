"""A TLB entry that disagrees with the tables: what each says, and which operation owes the flush."""

from __future__ import annotations

from vmdbg.debugger.stops.patterns import Pattern
from vmdbg.debugger.time.questions import find_back
from vmdbg.formats.contract import ACCESS_READ
from vmdbg.hardware.tlb import KEY_SIZE, WORD_RIGHTS
from vmdbg.hardware.walk_cache import STALE_TABLE
from vmdbg.inspect.context import find_context
from vmdbg.inspect.stale import table_disagreement
from vmdbg.inspect.tlb_rows import cached_rows
from vmdbg.inspect.translate import outcome_of
from vmdbg.inspect.walk import Outcome, walk_tables
from vmdbg.state.events import ENTRY_WRITE, POKE
from vmdbg.views.event_words import Teller
from vmdbg.views.translate import outcome_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.debugger.time.timeline import Timeline
    from vmdbg.views.result import Line


def stale_lines(timeline: Timeline, row: LoggedEvent) -> Iterator[Line]:
    """Of the event `tlb-stale` at which the machine stands: TLB, tables, what is owed since when."""
    machine = timeline.machine
    teller = Teller(machine)
    va, key, word = row.a, row.b, row.c
    context = find_context(machine, row.pid, cpu=row.cpu)
    walk = walk_tables(machine, context.root, va, row.cpu)
    if word & STALE_TABLE:
        yield from stale_table_lines(timeline, row)
        return
    cached = Outcome(va, row.pid, ACCESS_READ, context.mode)
    cached.pa, cached.rights = machine.k.word_address(word, key & KEY_SIZE, va), word & WORD_RIGHTS
    cached.page_size = 1 << machine.format.page_shifts[key & KEY_SIZE]
    where = f"  (cpu {row.cpu}{held_in(teller, va, row)})"
    yield [("", "TLB     "), *outcome_line(teller.show, cached), ("", where)]
    tables = outcome_of(machine, context, walk, ACCESS_READ, check=False)
    yield [("", "tables  "), *outcome_line(teller.show, tables, cached=False)]
    changed = find_change(timeline, walk.last.address) if walk.steps else ""
    yield f"owed    a flush of vpn {teller.vpn(va)}{changed}"


def stale_table_lines(timeline: Timeline, row: LoggedEvent) -> Iterator[Line]:
    """As `stale_lines`, of an entry of a page-walk cache, which leads to another table than the tables do."""
    machine = timeline.machine
    teller, context = Teller(machine), find_context(machine, row.pid, cpu=row.cpu)
    walk = walk_tables(machine, context.root, row.a, row.cpu)
    depth = len(machine.format.levels) - 1 - (row.b & KEY_SIZE)
    reason = table_disagreement(machine, walk, depth, row.c & ~STALE_TABLE)[1]
    yield f"cache   {teller.table_text(row.b, row.c)}  (cpu {row.cpu})"
    yield f"tables  {reason}"
    changed = find_change(timeline, walk.steps[min(depth, len(walk.steps) - 1)].address)
    yield f"owed    a flush of vpn {teller.vpn(row.a)}{changed}"


def held_in(teller: Teller, va: int, row: LoggedEvent) -> str:
    """`, L1 set 6 way 0`: where the entry is."""
    context = find_context(teller.machine, row.pid, cpu=row.cpu)
    rows = cached_rows(teller.machine, context, va, ACCESS_READ)
    return f", {teller.way(rows[0][0])}" if rows else ""


def find_change(timeline: Timeline, address: int) -> str:
    """` since 14:3, munmap at stale.vmp:9`: who last changed an entry."""
    patterns = [Pattern(kind, low=address, high=address) for kind in (ENTRY_WRITE, POKE)]
    row, location, command = find_back(timeline, patterns)
    if row is None:
        return ""
    if location is None:
        return f' since {row.operation}:{row.number}, command "{command}"'
    line = f" at {location.file}:{location.line}" if location.line else ""
    return f" since {row.operation}:{row.number}, {location.operation.split(' ')[0]}{line}"
