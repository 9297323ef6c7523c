"""Records a stretch of the past for the page that plays: what commands say at each event."""

from __future__ import annotations

import json
import os

from vmdbg import progress
from vmdbg.debugger.stops.patterns import Pattern
from vmdbg.debugger.time.past_words import PastWords
from vmdbg.debugger.time.search import scan
from vmdbg.debugger.time.types import AT_INTERRUPT
from vmdbg.errors import UserError
from vmdbg.machine.snapshot import changed_tables
from vmdbg.shell.times import operations_of
from vmdbg.state.events import EVENTS
from vmdbg.units import WORD_MASK
from vmdbg.views.player import Section, player_page
from vmdbg.views.result import json_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.machine.snapshot import Snapshot
    from vmdbg.shell.session import Session

MOST = 10_000  # moments
SECTIONS = (
    ("tlb", "TLB", "tlb", ("cpu", "level", "set", "way", "vpn", "pfn", "asid", "rights", "dirty", "check")),
    ("frames", "frames", "info frames", ("pfn", "frames", "state", "pid", "slot", "va")),
    (
        "tables", "page tables", "tables",
        ("level", "index", "count", "va", "entry", "kind", "table", "pa", "slot", "rights"),
    ),
    ("swap", "swap", "swap", ()),
    ("registers", "registers", "info registers", ("register", "value", "meaning")),
)  # fmt: skip
STEPS = ("level", "index", "entry_address", "entry", "kind", "flags", "rights")
OUTCOME = ("va", "outcome", "pa", "page_size", "rights", "region", "fault")
ADDRESSES = ("va", "pa", "root", "entry_address", "entry")

# Tables of the state that no section but the registers shows: counts, the policy's order, programs, contents.
UNSEEN = frozenset(("count", "future", "node", "list", "bucket", "op", "file8", "swap8"))
# What a section shows less than others.
UNSEEN_BY = {
    "info frames": UNSEEN | {"ram1", "array", "tlb"},
    "tables": UNSEEN | {"array", "tlb"},
    "swap": UNSEEN | {"array", "tlb"},
    "info registers": frozenset(),
}


def data_of(session: Session, line: str) -> Any:
    """The JSON of a command, and the names of its addresses; None where the machine has no such thing."""
    try:
        result = session.interpreter.result_of(line)
    except UserError:
        return None, ()
    found = json.loads("\n".join(str(part) for part in json_lines(result)))
    keys = [key for key, column in result.columns_by_key().items() if column.kind in ("address", "entry")]
    return found, keys


class Recorder:
    """Goes through a stretch of the record, and keeps what commands say at each moment of it."""

    def __init__(self, session: Session, first: int, last: int) -> None:
        self.session, self.timeline = session, session.timeline
        self.tables = [Section(*section) for section in SECTIONS]
        self.steps = Section("walk", "walk of the last address", "walk", STEPS, ADDRESSES)
        self.outcome = Section("outcome", "where it leads", "walk", OUTCOME, ADDRESSES)
        self.sections = [self.steps, self.outcome, *self.tables]
        self.moments: list[dict[str, Any]] = []
        self.first, self.last = first, last
        self.va: int | None = None
        self.before: Snapshot | None = None  # the state of the last moment, for which was asked
        self.asked: int | None = None  # its `va`
        self.states: list[int] = []

    def record(self) -> None:
        """All moments.  KeyboardInterrupt if Ctrl-C came; the machine stays where it was."""
        timeline = self.timeline
        rows = scan(timeline, [Pattern(event.kind) for event in EVENTS], self.first, self.last)
        count = len(rows) + self.last - self.first + 1
        if count > MOST:
            raise UserError(f"{count} moments: at most {MOST} fit a page; give FROM..TO.")
        words = PastWords(timeline, rows)
        by_time: dict[int, list[LoggedEvent]] = {}
        for row in rows:
            by_time.setdefault(row.operation, []).append(row)
        actions = {action.time: action.name for action in timeline.actions}
        with progress.task("Recording", "moments", count) as task, timeline.excursion():
            for operation in range(self.first, self.last + 1):
                self.at(operation, 0, None, "", actions.get(operation, ""))
                rows = by_time.get(operation, [])
                if operation in actions:  # a command: nobody can stand inside it
                    self.moments[-1]["told"] = [
                        [f"{operation}:{row.number}", row.name, words.what(row), words.cost(row)]
                        for row in rows
                    ]
                    continue
                for row in rows:
                    va = row.arguments.get("va")
                    self.va = self.va if va is None or row.name == "evict" else va & WORD_MASK
                    self.at(operation, row.number, words.cost(row), row.name, words.what(row))
                    task.at(len(self.moments))

    def at(self, operation: int, event: int, cycles: int | None, name: str, what: str) -> None:
        """One moment."""
        timeline = self.timeline
        if timeline.position != (operation, event) and timeline.go(operation, event).kind == AT_INTERRUPT:
            raise KeyboardInterrupt
        location = timeline.location
        self.moments.append(
            {
                "time": f"{operation}:{event}",
                "event": name,
                "what": what or (location.operation if location is not None else "the program has ended"),
                "cycles": cycles,
                "line": location.line if location is not None else 0,
                "s": self.states_here(),
            }
        )

    def states_here(self) -> list[int]:
        """The number of each section's state.  A command is asked if something changed that it shows."""
        state = self.session.machine.snapshot()
        changed = set(state.chunks) if self.before is None else changed_tables(state, self.before)
        self.before = state
        if changed - UNSEEN or self.va != self.asked:
            self.asked = self.va
            walked = None if self.va is None else data_of(self.session, f"walk {self.va:#x}")[0]
            self.states[:2] = [
                self.steps.add(walked.pop("steps") if walked else []),
                self.outcome.add([walked] if walked else []),
            ]
        for number, section in enumerate(self.tables, 2):
            if changed - UNSEEN_BY.get(section.command, UNSEEN):
                found, keys = data_of(self.session, section.command)
                section.addresses = sorted({*section.addresses, *keys, "va", "entry_address"})
                self.states[number : number + 1] = [section.add(found or [])]
        return list(self.states)

    def page(self) -> str:
        """The page."""
        program = self.session.machine.program
        name = os.path.basename(program.file) if program is not None else ""
        source = program.source_lines if program is not None else []
        title = f"vmdbg: {name or self.session.machine.config.name}, time {self.first} to {self.last}"
        return player_page(title, name, source, self.sections, self.moments)


def stretch(session: Session, text: str) -> tuple[int, int]:
    """The operations of `FROM..TO`; all of the record up to its end without it.  UserError."""
    timeline = session.timeline
    end = timeline.end
    if not text:
        return timeline.begin, end
    first, last = operations_of(session, text, end)
    if ".." not in text:
        last = first + 1
    if not timeline.begin <= first <= last <= end:
        raise UserError(f"The record goes from {timeline.begin}:0 to {end}:0.")
    return first, last
