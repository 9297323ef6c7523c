"""The event `tlb-stale`: what the TLB says, what the tables say, and which operation owes the flush."""

from __future__ import annotations

from vmdbg.debugger.stops.patterns import Pattern
from vmdbg.debugger.time.questions import find_back
from vmdbg.formats.contract import ACCESS_READ
from vmdbg.hardware.tlb import KEY_SIZE, WORD_RIGHTS
from vmdbg.hardware.walk_cache import STALE_TABLE
from vmdbg.inspect.context import find_context
from vmdbg.inspect.event_words import EventWords
from vmdbg.inspect.stale import table_disagreement
from vmdbg.inspect.tlb_rows import cached_rows
from vmdbg.inspect.translate import outcome_of
from vmdbg.inspect.walk import Outcome, walk_tables
from vmdbg.state.events import ENTRY_WRITE, POKE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.debugger.time.timeline import Timeline
    from vmdbg.machine.machine import Machine


class Stale:
    """An entry that disagrees with the tables, at the event at which the machine stands.

    Of the TLB: `cached` and `tables` are where an access goes by each, `way` is the entry's place.  Of a
    page-walk cache, `cached` and `tables` are None: `entry` is what it holds, `reason` what the tables say.
    `vpn` is the page whose flush is owed, `since` who owes it; it is empty if nobody is known.
    """

    __slots__ = ("cached", "cpu", "entry", "reason", "since", "tables", "vpn", "way")

    def __init__(self, timeline: Timeline, event: LoggedEvent) -> None:
        machine = timeline.machine
        words = EventWords(machine)
        context = find_context(machine, event.pid, cpu=event.cpu)
        walk = walk_tables(machine, context.root, event.a, event.cpu)
        self.cpu, self.vpn = event.cpu, words.vpn(event.a)
        self.cached: Outcome | None = None
        self.tables: Outcome | None = None
        self.way = self.entry = self.reason = self.since = ""
        if event.c & STALE_TABLE:
            depth = len(machine.format.levels) - 1 - (event.b & KEY_SIZE)
            self.entry = words.table_text(event.b, event.c)
            self.reason = table_disagreement(machine, walk, depth, event.c & ~STALE_TABLE)[1]
            self.since = last_change(timeline, walk.steps[min(depth, len(walk.steps) - 1)].address)
            return
        self.cached = cached_outcome(machine, event, context.mode)
        rows = cached_rows(machine, context, event.a, ACCESS_READ)
        self.way = words.way(rows[0][0]) if rows else ""
        self.tables = outcome_of(machine, context, walk, ACCESS_READ, check=False)
        self.since = last_change(timeline, walk.last.address) if walk.steps else ""


def cached_outcome(machine: Machine, event: LoggedEvent, mode: int) -> Outcome:
    """Where an access goes by the entry of the TLB that an event tells of."""
    va, key, word = event.a, event.b, event.c
    cached = Outcome(va, event.pid, ACCESS_READ, mode)
    cached.pa, cached.rights = machine.k.word_address(word, key & KEY_SIZE, va), word & WORD_RIGHTS
    cached.page_size = 1 << machine.format.page_shifts[key & KEY_SIZE]
    return cached


def last_change(timeline: Timeline, address: int) -> str:
    """`14:3, munmap at stale.vmp:9`: who last changed an entry; empty if the record has nobody."""
    patterns = [Pattern(kind, low=address, high=address) for kind in (ENTRY_WRITE, POKE)]
    event, location, command = find_back(timeline, patterns)
    if event is None:
        return ""
    if location is None:
        return f'{event.operation}:{event.number}, command "{command}"'
    line = f" at {location.file}:{location.line}" if location.line else ""
    return f"{event.operation}:{event.number}, {location.operation.split(' ')[0]}{line}"
