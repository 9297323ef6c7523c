"""The panes of the full screen: which view each shows, and what the last step changed in it.

A pane looks at the machine (`look`: plain facts), and draws facts beside those of before the last step.
"""

from __future__ import annotations

from vmdbg.debugger.output import line_text
from vmdbg.debugger.stops.patterns import Pattern
from vmdbg.debugger.time.past_words import PastWords
from vmdbg.debugger.time.questions import visit
from vmdbg.debugger.time.search import scan
from vmdbg.errors import UserError
from vmdbg.inspect.base_and_bounds import registers_of
from vmdbg.inspect.context import find_context
from vmdbg.inspect.frame_cells import first_pfn, frame_cells, hand_of
from vmdbg.inspect.translate import walk
from vmdbg.inspect.walk import byte_at, remark
from vmdbg.state.events import EVENTS
from vmdbg.units import WORD_MASK
from vmdbg.views.event_table import EventTable
from vmdbg.views.frame_cells import LEGEND, cell_lines
from vmdbg.views.panes import Pane
from vmdbg.views.result import GAP, Table
from vmdbg.views.source import source_line
from vmdbg.views.translate import bounded_lines, narrow_walk_lines, walk_boxes, walk_lines
from vmdbg.views.walk_drawing import drawing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.shell.session import Session
    from vmdbg.views.result import Line

    Marked = list[tuple[bool, Line]]

MANY = 2000  # events of one operation that are drawn


class Moment:
    """What the panes show of one time of the machine: `position` on a branch, the events of its last
    operation, the address of its last access (None: none yet), and facts by name of the pane."""

    def __init__(self, session: Session) -> None:
        timeline = session.timeline
        self.machine, self.position = timeline.machine, timeline.position
        self.branch = timeline.branches.current.number
        self.events = last_events(session)
        self.va = last_address(self.events)
        self.facts: dict[str, Any] = {}

    def same(self, session: Session) -> bool:
        """Does the machine still stand there?"""
        timeline = session.timeline
        there = (timeline.machine, timeline.position, timeline.branches.current.number)
        return there == (self.machine, self.position, self.branch)


def last_events(session: Session) -> list[LoggedEvent]:
    """The events of the operation in which the machine stands, up to there, or of the one before."""
    timeline = session.timeline
    operations, inside = timeline.position
    first = operations if inside else operations - 1
    if first < timeline.begin:
        return []
    rows = scan(timeline, [Pattern(event.kind) for event in EVENTS], first, first + 1)
    return [row for row in rows if not inside or row.number <= inside][-MANY:]


def last_address(rows: Sequence[LoggedEvent]) -> int | None:
    """The virtual address that the last of some events is about."""
    for row in reversed(rows):
        va = row.arguments.get("va")
        if va is not None and row.name != "evict":
            return va & WORD_MASK
    return None


class View:
    """One pane: `look(session, moment)` gives facts, `draw(session, facts, old, width, height)` marked lines
    and the first of them to be seen; `old` are the facts before, or None."""

    def __init__(
        self,
        title: Callable[[Session, Moment], str],
        look: Callable[[Session, Moment, Moment | None], Any],
        draw: Callable[[Session, Any, Any, int, int], tuple[Marked, int]],
    ) -> None:
        self.title, self.look, self.draw = title, look, draw


# -- the program


def look_program(session: Session, moment: Moment, old: Moment | None) -> Any:
    """The lines of the program, and the next one; without a text, the next operation."""
    location, program = session.timeline.location, session.machine.program
    if program is None or not program.source_lines:
        return [location.operation if location is not None else "No program."], 1 if location else 0
    return program.source_lines, location.line if location is not None else 0


def draw_program(session: Session, facts: Any, old: Any, width: int, height: int) -> tuple[Marked, int]:
    """Lines as `list` shows them, ">" at the next one, which is in the middle."""
    texts, here = facts
    coloured = session.settings.flag("style sources")
    lines: Marked = []
    digits = len(str(len(texts)))
    for number, text in enumerate(texts, 1):
        shown = source_line(number, text, coloured)
        shown = [("", shown)] if isinstance(shown, str) else list(shown)
        style, head = shown[0]
        lead = " " * (digits - len(str(number)))
        sign = ("decides", ">") if number == here else ("", " ")
        lines.append((False, [sign, (style, lead + head.replace("\t", "  ")), *shown[1:]]))
    return lines, max(0, min(here - 1 - height // 2, len(lines) - height))


def program_title(session: Session, moment: Moment) -> str:
    """`program: demo.vmp, process 1`."""
    location = session.timeline.location
    if location is None:
        return "program"
    return f"program: {location.file or location.name}, process {location.pid}"


# -- the walk of the last address


def look_walk(session: Session, moment: Moment, old: Moment | None) -> Any:
    """The walk of the last address now, and the entries of the same walk before the last step."""
    if moment.va is None:
        return None
    va = moment.va

    def look(machine: Any) -> Any:
        walked, found = walk(machine, find_context(machine), va)
        return walked, found, [remark(machine, step) for step in walked.steps]

    try:
        now = look(session.machine)
    except UserError as error:
        return str(error)
    before: Any = None
    if old is not None and old.machine is moment.machine and old.branch == moment.branch:
        try:
            steps = visit(session.timeline, *old.position, look)[0].steps
            before = [(step.address, step.entry) for step in steps]
        except UserError:  # it could not be walked then
            before = []
    return (*now, before)


def draw_walk(session: Session, facts: Any, old: Any, width: int, height: int) -> tuple[Marked, int]:
    """The table of the walk, drawn too where there is room; narrow, an entry a line."""
    if facts is None or isinstance(facts, str):
        return [(False, facts or "No access yet.")], 0
    walked, found, remarks, before = facts
    show, machine = session.notation, session.machine
    if machine.format.bounded:
        return [
            (False, line)
            for line in bounded_lines(show, registers_of(machine, walked.root, walked.cpu), found)
        ], 0
    marks = [before is not None and (step.address, step.entry) not in before for step in walked.steps]
    lines = list(walk_lines(show, walked, found, remarks))
    head = 1 if walked.steps else 0
    if any(text_width(line) > width for line in lines):
        lines, head = list(narrow_walk_lines(show, walked, found, remarks, width)), 0
    flags = [False] * head + marks
    marked: Marked = [
        (flags[place] if place < len(flags) else False, line) for place, line in enumerate(lines)
    ]
    if walked.steps and head:
        counts = [1 << level.bits for level in machine.format.levels]
        byte = byte_at(machine, found.pa) if found.pa is not None else 0
        drawn = list(drawing(walk_boxes(show, walked, found, counts, byte), width))
        if len(drawn) + len(lines) <= height and max(map(text_width, drawn)) <= width:
            marked = [(False, row) for row in drawn] + marked
    return marked, 0


def walk_title(session: Session, moment: Moment) -> str:
    """`walk 0x401234`."""
    return "walk" if moment.va is None else f"walk {session.notation.va(moment.va)}"


def text_width(line: Line) -> int:
    """The columns of a line."""
    return len(line_text(line))


# -- views that are tables: a command's


def table_view(title: str, command: str, spare: Sequence[str]) -> View:
    """The table of a command; where it does not fit, columns are left out in the order of `spare`."""

    def look(session: Session, moment: Moment, old: Moment | None) -> Any:
        try:
            found = session.interpreter.result_of(command)
            found = found.parts[0] if hasattr(found, "parts") else found
        except UserError as error:
            return str(error)
        found.keep()
        return found

    def draw(session: Session, facts: Any, old: Any, width: int, height: int) -> tuple[Marked, int]:
        if not isinstance(facts, Table):
            return [(False, str(facts))], 0
        known = {row_key(row) for row in old.rows} if isinstance(old, Table) else None
        marks = [known is not None and row_key(row) not in known for row in facts.rows]
        lines = list(fitted(facts, width, spare))
        flags = [False, *marks] if facts.rows else []
        marked = [(flags[place] if place < len(flags) else False, line) for place, line in enumerate(lines)]
        first = next((place for place, (changed, _) in enumerate(marked) if changed), 0)
        return marked, max(0, min(first - height // 2, len(marked) - height))

    return View(lambda session, moment: title, look, draw)


def row_key(row: Any) -> str:
    """What tells a row from others: all that it says."""
    return str(list(row.values()) if hasattr(row, "values") else list(row))


def fitted(table: Table, width: int, spare: Sequence[str]) -> Iterator[Line]:
    """The lines of a table; columns are left out, in the order of `spare`, until they fit."""
    rows = list(table.sequences())
    widths = {
        column.key: max(len(column.header), *(len(column.format(row[place])) for row in rows))
        for place, column in enumerate(table.columns)
        if column.shown and rows
    }
    left_out = []
    for key in spare:
        if sum(widths.values()) + len(GAP) * (len(widths) - 1) <= width:
            break
        if widths.pop(key, None) is not None:
            left_out.append(key)
    hidden = [column for column in table.columns if column.key in left_out]
    try:
        for column in hidden:
            column.shown = False
        yield from table.lines()
    finally:
        for column in hidden:
            column.shown = True


# -- memory, events


def look_frames(session: Session, moment: Moment, old: Moment | None) -> Any:
    """The letters of all frames and the hand."""
    machine = session.machine
    assert session.target is not None
    if "kernel" not in session.target.capabilities:
        return None
    return frame_cells(machine), hand_of(machine)


def draw_frames(session: Session, facts: Any, old: Any, width: int, height: int) -> tuple[Marked, int]:
    """Cells; the first row that changed is seen, else the first that is in use."""
    if facts is None:
        return [(False, "No kernel says who owns frames.")], 0
    letters, hand = facts
    rows = list(
        cell_lines(session.notation, first_pfn(session.machine), letters, hand, width, old[0] if old else "")
    )
    used = [place for place, (_, line) in enumerate(rows) if USED & set(line_text(line))]
    changed = [place for place, (mark, _) in enumerate(rows) if mark]
    first = (changed or used or [0])[0]
    lines: Marked = [*rows, (False, [("metadata", LEGEND)])]
    return lines, max(0, min(first, len(lines) - height))


USED = set("TuUwW")


def look_events(session: Session, moment: Moment, old: Moment | None) -> Any:
    """The events of the last operation."""
    return moment.events


def draw_events(session: Session, facts: Any, old: Any, width: int, height: int) -> tuple[Marked, int]:
    """The events in their words, the steps of a walk in one line; the last ones are seen."""
    timeline = session.timeline
    if not facts:
        return [(False, "Nothing has happened yet.")], 0
    words = PastWords(timeline, facts)
    lines: Marked = [
        (False, line) for line in EventTable(timeline.machine, facts, True, words, min(width, 96)).lines()
    ]
    return lines, max(0, len(lines) - height)


VIEWS = {
    "program": View(program_title, look_program, draw_program),
    "walk": View(walk_title, look_walk, draw_walk),
    "tlb": table_view("tlb", "tlb", ("cpu", "flags", "page_size", "asid", "check", "way", "set")),
    "map": table_view("map", "map", ("page_size", "swapped", "size", "end", "resident")),
    "swap": table_view("swap", "swap", ()),
    "frames": View(lambda session, moment: "frames", look_frames, draw_frames),
    "events": View(lambda session, moment: "events of the last step", look_events, draw_events),
}


def pane(
    session: Session, name: str, moment: Moment, old: Moment | None, width: int, height: int, scrolled: int
) -> Pane:
    """A pane in so many columns and rows of text; `scrolled` rows further down than it would be."""
    view = VIEWS[name]
    if name not in moment.facts:
        moment.facts[name] = view.look(session, moment, old)
    before = old.facts.get(name) if old is not None else None
    lines, first = view.draw(session, moment.facts[name], before, width, height)
    first = max(0, min(first + scrolled, len(lines) - 1))
    return Pane(view.title(session, moment), lines, first)
