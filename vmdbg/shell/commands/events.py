"""events, history, last write, last map: what happened, found by running the past again."""

from __future__ import annotations

from vmdbg.debugger.stops.conditions import Condition
from vmdbg.debugger.stops.patterns import Pattern
from vmdbg.debugger.time.past_words import PastWords
from vmdbg.debugger.time.questions import find_back, last_write, visit
from vmdbg.debugger.time.search import frame_patterns, page_history, scan, slot_patterns
from vmdbg.errors import UserError
from vmdbg.inspect.context import find_context
from vmdbg.inspect.event_words import EventWords
from vmdbg.inspect.translate import translate, walk
from vmdbg.inspect.walk import READ
from vmdbg.shell.command import PURE, Argument, Option, command, prefix
from vmdbg.shell.commands.catchpoints import kinds_of
from vmdbg.shell.kinds import ADDRESS, NUMBER, PROCESS, REST
from vmdbg.shell.times import operations_of
from vmdbg.state.events import ENTRY_WRITE, EVENTS
from vmdbg.units import s64
from vmdbg.views import result
from vmdbg.views.event_table import EventTable
from vmdbg.views.result import Column, Record, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.debugger.time.location import Location
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session


MOST_VISITS = 100_000  # events at whose instants a condition may look at the machine


class Question:
    """What `events` is asked: a range of times, kinds, a condition, what to group by."""

    def __init__(self, session: Session, text: str) -> None:
        self.session = session
        words, by, groups = f" {text} ".partition(" group by ")
        words, where, condition = words.partition(" where ")
        if (by and not groups.strip()) or (where and not condition.strip()):
            raise UserError("Argument required (an expression).")
        parts = words.split()
        self.range = parts.pop(0) if parts and is_range(session, parts[0]) else ""
        events = kinds_of(session, parts.pop(0)) if parts else EVENTS
        if parts:
            raise UserError(f'Junk at end of arguments: "{" ".join(parts)}".')
        self.kinds = [event.kind for event in events]
        self.condition = self.expression(condition) if where else None
        self.groups = [self.expression(part) for part in split_list(groups)] if by else []
        self.first, self.last = self.times()

    def expression(self, text: str) -> Condition:
        """An expression about events."""
        return Condition(text.strip(), self.session.evaluator, self.kinds)

    def times(self) -> tuple[int, int]:
        """The operations that are asked for, the last one not included."""
        timeline = self.session.timeline
        now, inside = timeline.position
        reach = max(timeline.end, now + bool(inside))
        if not self.range:
            if self.condition is not None or self.groups:
                return timeline.begin, now + bool(inside)
            first = now if inside else max(timeline.begin, now - 1)
            return first, min(first + 1, reach)
        first, last = operations_of(self.session, self.range, reach - 1)
        if not timeline.begin <= first < max(reach, timeline.begin + 1):
            raise UserError(f"The record goes from {timeline.begin}:0 to {timeline.end}:0.")
        return first, min(last + 1, reach)

    def patterns(self) -> list[Pattern]:
        """What to look for."""
        patterns = [Pattern(kind) for kind in self.kinds]
        return patterns if self.condition is None else self.condition.restrict(patterns)

    def rows(self) -> list[LoggedEvent]:
        """The events."""
        timeline, condition = self.session.timeline, self.condition
        if self.first >= self.last:
            return []
        if condition is None:
            return scan(timeline, self.patterns(), self.first, self.last)
        if condition.by_event:
            return scan(
                timeline, self.patterns(), self.first, self.last,
                lambda row: condition.holds(row, row.pid, row.operation),
            )  # fmt: skip
        rows = scan(timeline, self.patterns(), self.first, self.last)
        if len(rows) > MOST_VISITS:
            raise UserError(f"More than {MOST_VISITS} events: ask for fewer operations.")
        held: list[LoggedEvent] = []
        failed: list[UserError] = []
        for row in rows:
            try:
                held += [row] if self.holds_there(condition, row) else []
            except UserError as error:  # such as memory that is not mapped at that instant
                failed.append(error)
        if failed and len(failed) == len(rows):
            raise failed[0]
        return held

    def holds_there(self, condition: Condition, row: LoggedEvent) -> bool:
        """Is a condition on the machine true at the instant of an event?"""
        timeline = self.session.timeline
        if timeline.branch.action_at(row.operation) is not None:
            position = (row.operation + 1, 0)
        else:
            position = (row.operation, row.number)
        return bool(visit(timeline, *position, lambda machine: condition.holds(row, row.pid, row.operation)))


def is_range(session: Session, word: str) -> bool:
    """Is the word a time or a range of times?"""
    return (
        ".." in word or word[:1] in "+-" or word[:1].isdigit() or word in ("begin", "start", "end")
        or word in session.timeline.bookmarks
    )  # fmt: skip


def split_list(text: str) -> list[str]:
    """`a, f(b, c)` as its two parts."""
    parts, depth = [""], 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


@command(
    "events",
    group="time",
    needs=("run",),
    effect=PURE,
    arguments=[Argument("question", REST, optional=True)],
    usage="events[/json|/csv] [TIME|FROM..TO] [KIND] [where EXPR] [group by EXPR, ...]",
    forms=("json", "csv"),
    summary="The events of the past: all, those that EXPR is true of, or counts.",
    help="""
FROM and TO are operations of the record, both included; one that is left out is the end of the record.
Without them, the operation in which the machine stands or the one before; with "where" or "group by", all
of the record up to now.  Events are not stored: the past is run again.

EXPR is as in conditions: event, pid, cpu and the arguments of the event ("info events") are known by name.
"group by" counts the events for each combination of values: "group by event", "group by pid, va >> 12".""",
    examples=["events", "events begin.. where pid == 1 group by event", "events fault group by event"],
)
def events_command(session: Session, args: Args) -> object:
    question = Question(session, args.question or "")
    rows = question.rows()
    if question.groups:
        return grouped(session, question, rows)
    return story(session, rows, args.form)


def grouped(session: Session, question: Question, rows: list[LoggedEvent]) -> object:
    """How many events there are for each combination of values, the most frequent first."""
    words = EventWords(session.timeline.machine)
    counts: dict[tuple[Any, ...], list[int]] = {}
    for row in rows:
        key = tuple(group.value(row) for group in question.groups)
        entry = counts.setdefault(key, [0, 0])
        entry[0] += 1
        entry[1] += words.cost(row) or 0
    columns = [Column(group.text) for group in question.groups]
    columns += [Column("count", kind=result.NUMBER), Column("cycles", kind=result.NUMBER)]
    ordered = sorted(counts.items(), key=lambda item: (-item[1][0], [str(part) for part in item[0]]))
    return Table(columns, [[*key, *entry] for key, entry in ordered], empty="No events.")


def story(session: Session, rows: list[LoggedEvent], form: str) -> object:
    """Events of the record as rows."""
    timeline = session.timeline
    if not rows and not form:
        return "No events."
    return EventTable(timeline.machine, rows, words=PastWords(timeline, rows))


HISTORY_HELP = """
Each row is a time to go to ("goto 12:4").  It is not stored: the past is run again, from the record's begin
to now."""


@command(
    "history page",
    group="time",
    needs=("run",),
    effect=PURE,
    arguments=[Argument("address", ADDRESS, help="virtual address")],
    options=[Option("-pid", PROCESS, help="in that process")],
    forms=("json", "csv"),
    summary="The life of a page: its faults, frames, slots, and writes to its entries.",
    help=HISTORY_HELP,
    examples=["history page 0x406000"],
)
def history_page(session: Session, args: Args) -> object:
    pid = args.pid if args.pid is not None else session.timeline.require_process()
    return story(session, page_history(session.timeline, pid, s64(args.address)), args.form)


@command(
    "history frame",
    group="time",
    needs=("run",),
    effect=PURE,
    arguments=[Argument("pfn", NUMBER, help="number of the frame")],
    forms=("json", "csv"),
    summary="The life of a frame: when it was given, for what, evicted, and freed.",
    help=HISTORY_HELP,
    examples=["history frame 0x10c"],
)
def history_frame(session: Session, args: Args) -> object:
    timeline = session.timeline
    now = timeline.machine.operations + bool(timeline.inside)
    return story(session, scan(timeline, frame_patterns(args.pfn), timeline.begin, now), args.form)


@command(
    "history slot",
    group="time",
    needs=("run",),
    effect=PURE,
    arguments=[Argument("slot", NUMBER, help="number of the slot")],
    forms=("json", "csv"),
    summary="The life of a slot of the swap area: what was written to it, and read.",
    help=HISTORY_HELP,
    examples=["history slot 1"],
)
def history_slot(session: Session, args: Args) -> object:
    timeline = session.timeline
    now = timeline.machine.operations + bool(timeline.inside)
    return story(session, scan(timeline, slot_patterns(args.slot), timeline.begin, now), args.form)


LAST = prefix("last", group="time", summary="When something happened last.")


def answer(session: Session, found: tuple[LoggedEvent | None, Location | None, str], what: str) -> object:
    """The last event of the record that was looked for: when, what, by whom."""
    timeline = session.timeline
    row, location, command_name = found
    if row is None:
        line = f"{what}: not since {timeline.begin}:0, where the record begins."
        return Record(dict.fromkeys(("time", "event", "what", "command", "pid", "line")), [line])
    said = PastWords(timeline, [row]).what(row)
    by = f'command "{command_name}"' if location is None else f"process {location.pid}"
    if location is not None and location.line:
        by += f", {location.file}:{location.line}"
    time = f"{row.operation}:{row.number}"
    data: dict[str, Any] = {"time": time, "event": row.name, "what": said, "command": command_name or None}
    data |= {"pid": row.pid, "line": location.line if location is not None and location.line else None}
    return Record(data, [f"{time}  {row.name}  {said}", f"by {by}"])


@command(
    "last write",
    group="time",
    needs=("run",),
    effect=PURE,
    arguments=[Argument("address", ADDRESS, help="virtual address")],
    forms=("json",),
    summary="When a program last wrote the byte at an address, and which operation it was.",
    help="""
Whatever process wrote it by whatever address.  The page is followed back from frame to frame, through swap,
and into the process that this one was forked from.  The time can be given to "goto".""",
    examples=["last write 0x406000"],
)
def last_write_command(session: Session, args: Args) -> object:
    timeline, show = session.timeline, session.notation.va(args.address)
    found = last_write(timeline, timeline.require_process(), s64(args.address))
    if (
        found[0] is None
        and translate(session.machine, find_context(session.machine), args.address, READ).pa is None
    ):
        raise UserError(f"{show} is in no frame now.", '"last map" says when its entry was written.')
    return answer(session, found, f"{show} was written")


@command(
    "last map",
    group="time",
    needs=("run",),
    effect=PURE,
    arguments=[Argument("address", ADDRESS, help="virtual address")],
    forms=("json",),
    summary="When the kernel last wrote the page-table entry of an address.",
    help='It is the entry at which a walk ends now.  The time can be given to "goto".',
    examples=["last map 0x406000"],
)
def last_map(session: Session, args: Args) -> object:
    walked, _ = walk(session.machine, find_context(session.machine), args.address)
    if not walked.steps:
        raise UserError(f"{session.notation.va(args.address)} has no entry.")
    at = walked.steps[-1].address
    show = session.notation
    what = f"The entry of {show.va(args.address)} at {show.pa(at)} was written"
    return answer(session, find_back(session.timeline, [Pattern(ENTRY_WRITE, low=at)]), what)
