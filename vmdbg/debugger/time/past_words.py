"""Events of the past in words: said of the machine as it was then, not as it is."""

from __future__ import annotations

from bisect import bisect_right
from functools import partial

from vmdbg.debugger.stops.patterns import Pattern
from vmdbg.debugger.time.questions import visit
from vmdbg.debugger.time.search import scan
from vmdbg.inspect.event_fields import sentence
from vmdbg.inspect.event_words import EventWords
from vmdbg.inspect.tlb_rows import array_names
from vmdbg.kernel.frames import FRAME_IS_TABLE
from vmdbg.machine.snapshot import table_words
from vmdbg.state.events import TABLE_ALLOC
from vmdbg.state.tables import (
    ARRAY,
    ARRAY_BASE,
    ARRAY_MASK,
    ARRAY_SPAN,
    ARRAY_STRIDE,
    FRAME,
    FRAME_DEPTH,
    FRAME_STATE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.debugger.time.timeline import Timeline
    from vmdbg.debugger.time.types import Action
    from vmdbg.inspect.event_fields import Happened
    from vmdbg.machine.machine import Machine
    from vmdbg.machine.snapshot import Snapshot


class PastWords(EventWords):
    """Says what events of a timeline's record were, `rows` in order of time.

    Which frames held tables is asked of the machine at the first of them and of the events since; what lies
    before a change of the TLB's arrays is said by a machine that has the old ones.
    """

    def __init__(self, line: Timeline, rows: list[LoggedEvent]) -> None:
        super().__init__(line.machine)
        self.line, self.rows = line, rows
        self.tables: dict[int, list[tuple[tuple[int, int], int]]] | None = None
        self.texts: dict[Happened, str] = {}
        times = sorted(action.time for action in line.actions if changes_arrays(action))
        groups: dict[int, list[LoggedEvent]] = {}
        for row in rows if times else ():
            groups.setdefault(bisect_right(times, row.operation - 1), []).append(row)
        for members in groups.values():
            self.texts.update(visit(line, members[0].operation, 0, partial(self.told, members)))

    def told(self, rows: list[LoggedEvent], machine: Machine) -> dict[Happened, str]:
        """What to say of events at which the machine's TLB arrays are as they are now."""
        held, self.arrays = self.arrays, array_names(machine)
        try:
            return {row: sentence(self, row) for row in rows}
        finally:
            self.arrays = held

    def what(self, event: Happened) -> str:
        """What is said of one of the events."""
        said = self.texts.get(event)
        return sentence(self, event) if said is None else said

    def way_filled(self, row: Happened, array: int) -> str:
        """The way is told by the order alone: the TLB of then is gone."""
        ordered = self.machine.config["tlb.replacement"] in ("lru", "fifo")
        return super().way_filled(row, array) if ordered else ""

    def table_depth(self, frame: int, row: Happened | None) -> int:
        if row is None:
            return super().table_depth(frame, row)
        if self.tables is None:
            self.tables = self.known_tables()
        depth = -1
        for time, level in self.tables.get(frame, ()):
            if time > (row.operation, row.number):
                break
            depth = level
        return depth

    def known_tables(self) -> dict[int, list[tuple[tuple[int, int], int]]]:
        """By frame: the times, in order, since which it holds a table, and of which depth."""
        first, last = self.rows[0].operation, self.rows[-1].operation
        machine, bits = self.machine, self.machine.format.page_bits
        found = {frame: [((first, 0), depth)] for frame, depth in visit(self.line, first, 0, tables_now)}
        for row in scan(self.line, [Pattern(TABLE_ALLOC)], first, last + 1):
            frame = machine.k.frame_at(machine.m, row.a << bits)
            found.setdefault(frame, []).append(((row.operation, row.number), row.b))
        return found


def tables_now(machine: Machine) -> list[tuple[int, int]]:
    """The frames that hold tables, and their depths."""
    frame = machine.m.frame
    return [
        (number, frame[number * FRAME + FRAME_DEPTH])
        for number, state in enumerate(frame[FRAME_STATE::FRAME])
        if state == FRAME_IS_TABLE
    ]


def changes_arrays(action: Action) -> bool:
    """Does an acting command give the TLB other arrays?"""
    return arrays_of(action.before) != arrays_of(action.after)


def arrays_of(snapshot: Snapshot) -> list[bytes]:
    """What a snapshot says of the TLB arrays that does not change while they are used."""
    words = table_words(snapshot, "array")
    return [words[column::ARRAY].tobytes() for column in (ARRAY_BASE, ARRAY_MASK, ARRAY_SPAN, ARRAY_STRIDE)]
