"""What acting commands say: the story of an access, pages that moved, what a kill gave back."""

from __future__ import annotations

from vmdbg.debugger.access_story import (
    handler_line,
    kernel_verdict,
    last_trap,
    moved_pages,
    oom_scores,
    signal_of,
    without_ends,
)
from vmdbg.inspect.event_costs import how_served
from vmdbg.inspect.event_words import EventWords
from vmdbg.inspect.notation import Notation, code_text
from vmdbg.inspect.walk import Outcome
from vmdbg.units import WORD_MASK
from vmdbg.views.address_space import score_table
from vmdbg.views.event_table import EventTable
from vmdbg.views.translate import coded_line, outcome_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.debugger.access_story import Moved
    from vmdbg.debugger.accesses import Accessed
    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.machine.machine import Machine
    from vmdbg.views.result import Line

WIDTH = 80


def plural(number: int, one: str) -> str:
    """`1 frame`, `2 frames`."""
    return f"{number} {one}{'' if number == 1 else 's'}"


def story_end(words: EventWords, rows: list[LoggedEvent], found: Outcome) -> Line:
    """Where the access went, how it was served, and its cycles."""
    line = outcome_line(words.show, found, cached=False)
    fragments = [("", line)] if isinstance(line, str) else [*line, ("", f", {how_served(rows)}")]
    cycles = f"{words.total(rows)} cycles"
    used = sum(len(text) for _, text in fragments)
    return [*fragments, ("", f"{cycles:>{max(len(cycles) + 2, WIDTH - used)}}")]


def access_story(machine: Machine, rows: list[LoggedEvent], found: Outcome | None) -> Iterator[Line]:
    """The events of an access, the steps of a walk in one line, and where it went.

    What a process's end gives back is left out; out of memory, a table says who had which score.
    """
    told = [row for row in without_ends(rows) if row.name not in ("oom-pages", "oom-score")]
    table = EventTable(machine, told, grouped=True)
    yield from table.lines()
    scores = oom_scores(machine, rows)
    if scores:
        yield from score_table(scores).lines()
    if found is not None:
        yield story_end(table.words, rows, found)


def fault_line(machine: Machine, done: Accessed, how: int) -> Line:
    """The fault that an access ended in, which no kernel serves."""
    found = Outcome(done.at, None, how, 0)
    found.fault, found.by_machine = done.fault, done.by_machine
    return coded_line(machine.format, Notation(machine.format), found)


def kill_lines(machine: Machine, rows: list[LoggedEvent], done: Accessed, before: Outcome) -> Iterator[Line]:
    """Why a process got a signal: what the hardware said, what the kernel said, and what comes of it."""
    words, trap, fault = EventWords(machine), last_trap(rows), before.fault
    if trap is not None and fault is not None:
        at = f" at {fault.level}[{fault.index}]" if fault.level else ""
        register = machine.format.fault_register
        code = f", {code_text(machine.format, done.code)}" if fault.kind != "bus" else ""
        yield f"hardware  {fault.kind}{at}{code}, {register} {words.show.va(trap.c)}"
    yield f"kernel    {kernel_verdict(words, rows, done, before)}"
    if done.failed:
        yield f"result    the access fails; process {done.pid} goes on"
        return
    if done.handled:
        yield f"result    process {done.pid} goes on in its handler, line {handler_line(rows)}"
        return
    parts = [plural(done.frames, "frame"), plural(done.tables, "table"), plural(done.slots, "slot")]
    yield f"result    process {done.pid} killed; {', '.join(parts)} given back"


def moved_lines(machine: Machine, rows: list[LoggedEvent]) -> Iterator[Line]:
    """A line for each page that went to swap or came back from it; one for many in a row."""
    words = EventWords(machine)
    for run in runs_of(moved_pages(words, rows), machine.format.page_size):
        if len(run) >= FOLDED:
            yield moved_run_line(words, run)
        else:
            yield from (moved_line(words, moved) for moved in run)


def runs_of(pages: list[Moved], page_size: int) -> Iterator[list[Moved]]:
    """Pages that moved in one way, from one frame to the next."""
    run: list[Moved] = []
    for moved in pages:
        if run:
            last = run[-1]
            steps = (moved.va - last.va, moved.pfn - last.pfn)
            alike = (last.how, last.dirty, last.entries) == (moved.how, moved.dirty, moved.entries)
            if not alike or steps != (page_size, 1):
                yield run
                run = []
        run.append(moved)
    if run:
        yield run


def moved_run_line(words: EventWords, run: list[Moved]) -> str:
    """`vpn 0x40000 to 0x401ff: pfn 0x200 to 0x3ff -> 512 slots, written (dirty)`."""
    first, last = run[0], run[-1]
    what = MOVED_RUN_TEXTS[first.how].format(
        pfn=f"{words.show.pfn(first.pfn)} to {words.show.pfn(last.pfn)}",
        count=len(run),
        reason="dirty" if first.dirty else "no copy yet",
    )
    return f"vpn {words.vpn(first.va)} to {words.vpn(last.va)}: {what}"


#: The same of a run of pages.
MOVED_RUN_TEXTS = {
    "swap-out": "pfn {pfn} -> {count} slots, written ({reason})",
    "swap-drop": "pfn {pfn} -> {count} slots, dropped (clean)",
    "file-drop": "pfn {pfn} dropped, {count} pages of its file have them",
    "file-write": "pfn {pfn} kept as {count} pages of its file (dirty)",
    "zero-drop": "pfn {pfn} dropped (never written)",
    "swap-in": "{count} slots -> pfn {pfn}, read",
}
FOLDED = 8  # so many pages in a row are one line
#: What is said of a page, by the event that told of it.
MOVED_TEXTS = {
    "swap-out": "pfn {pfn} -> slot {place}, written ({reason})",
    "swap-drop": "pfn {pfn} -> slot {place}, dropped (clean)",
    "file-drop": "pfn {pfn} dropped, page {place} of its file has it",
    "file-write": "pfn {pfn} kept as page {place} of its file (dirty)",
    "zero-drop": "pfn {pfn} dropped (never written)",
    "swap-in": "slot {place} -> pfn {pfn}, read",
}


def moved_line(words: EventWords, moved: Moved) -> str:
    """`vpn 0x01: pfn 0x11 -> slot 1, written (dirty); PT[1] = 0x0102`."""
    reason = "dirty" if moved.dirty else "no copy yet"
    pfn = words.show.pfn(moved.pfn)
    what = MOVED_TEXTS[moved.how].format(pfn=pfn, place=moved.place, reason=reason)
    if not moved.entries:
        return f"mapped by nobody: {what}"
    name = f"{moved.entries} entries" if moved.entries > 1 else moved.name
    return f"vpn {words.vpn(moved.va)}: {what}; {name} = {words.show.entry(moved.entry)}"


def outcome_word(done: Accessed) -> str:
    """What came of an access, as JSON says it."""
    for word in ("killed", "handled", "failed"):
        if getattr(done, word):
            return word
    return "fault" if done.fault is not None else "translated"


def access_data(
    machine: Machine, rows: list[LoggedEvent], done: Accessed, found: Outcome | None, va: int, how: str
) -> dict[str, Any]:
    """An access as JSON shows it."""
    table, signal = EventTable(machine, rows), signal_of(rows)
    return {
        "va": va,
        "access": how,
        "pid": done.pid or None,
        "outcome": outcome_word(done),
        "pa": found.pa if found is not None else None,
        "served": None if done.refused else how_served(rows),
        "signal": signal.split()[0] if signal else None,
        "cycles": table.words.total(rows),
        "value": None if done.refused else done.value & WORD_MASK,
        "frames_freed": done.frames if done.killed else 0,
        "tables_freed": done.tables if done.killed else 0,
        "slots_freed": done.slots if done.killed else 0,
        "fault": None if done.fault is None else done.fault.data(),
        "events": list(table.data()),
    }
