"""What acting commands say: the story of an access, pages that moved, what a kill gave back."""

from __future__ import annotations

from itertools import pairwise

from vmdbg.formats.contract import RIGHT_R, RIGHT_W, RIGHT_X
from vmdbg.inspect.notation import code_text, rights_text
from vmdbg.kernel.calls.processes import process_name
from vmdbg.kernel.faults import SIGBUS
from vmdbg.views.address_space import score_table
from vmdbg.views.event_table import EventTable
from vmdbg.views.event_words import Teller
from vmdbg.views.events import SEGV_CODES, SIGNAL_NAMES
from vmdbg.views.translate import outcome_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.debugger.accesses import Accessed
    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.inspect.walk import Outcome
    from vmdbg.machine.machine import Machine
    from vmdbg.views.result import Line

WIDTH = 80
SERVED = (
    "fault-major",
    "fault-file",
    "fault-minor",
    "fault-cow",
    "fault-access",
    "tlb-miss",
    "tlb-l2-hit",
    "tlb-hit",
)
RIGHTS = (RIGHT_R, RIGHT_W, RIGHT_X)  # that the accesses need
ACCESS_WORDS = {"r": "read", "w": "write", "x": "execute"}


def plural(number: int, one: str) -> str:
    """`1 frame`, `2 frames`."""
    return f"{number} {one}{'' if number == 1 else 's'}"


def how_served(rows: list[LoggedEvent]) -> str:
    """The weightiest event of an access: a fault that was served, else how the TLB did."""
    names = {row.name for row in rows}
    return next((name for name in SERVED if name in names), "no TLB")


def signal_of(rows: list[LoggedEvent]) -> LoggedEvent | None:
    """The signal that an access got its process, if it did."""
    return next((row for row in rows if row.name == "signal"), None)


def signal_text(row: LoggedEvent) -> str:
    """`SIGSEGV (ACCERR)`."""
    name = SIGNAL_NAMES.get(row.a, (f"signal {row.a}", ""))[0]
    return name + (f" ({SEGV_CODES[row.b]})" if row.a == 11 and row.b in SEGV_CODES else "")


def story_end(teller: Teller, rows: list[LoggedEvent], found: Outcome) -> Line:
    """Where the access went, how it was served, and its cycles."""
    line = outcome_line(teller.show, found, cached=False)
    fragments = [("", line)] if isinstance(line, str) else [*line, ("", f", {how_served(rows)}")]
    cycles = f"{teller.total(rows)} cycles"
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
        yield story_end(table.teller, rows, found)


def without_ends(rows: list[LoggedEvent]) -> Iterator[LoggedEvent]:
    """The events without what follows the end of a process, up to the next access of the TLB."""
    ending = False
    for row in rows:
        ending = ending and not row.name.startswith(("tlb-hit", "tlb-l2-hit", "tlb-miss"))
        if not ending:
            yield row
        ending = ending or row.name == "exit"


def oom_scores(machine: Machine, rows: list[LoggedEvent]) -> list[dict[str, Any]]:
    """The scores by which the last out-of-memory kill of some events chose, as `score_table` takes them."""
    found: dict[int, dict[str, Any]] = {}
    for row, following in pairwise(rows):
        if row.name == "oom-pages" and following.name == "oom-score":
            found[row.a] = {
                "pid": row.a,
                "name": process_name(machine.k, row.a),
                "frames": row.b,
                "slots": row.c,
                "table_frames": following.b,
                "adjustment": following.c - row.b - row.c - following.b,
                "score": following.c,
            }
    return list(found.values())


def kill_lines(machine: Machine, rows: list[LoggedEvent], done: Accessed, before: Outcome) -> Iterator[Line]:
    """Why a process got a signal: what the hardware said, what the kernel said, and what comes of it."""
    teller = Teller(machine)
    trap = next((row for row in reversed(rows) if row.name == "trap"), None)
    fault = before.fault
    if trap is not None and fault is not None:
        at = f" at {fault.level}[{fault.index}]" if fault.level else ""
        register = machine.format.fault_register
        code = f", {code_text(machine.format, done.code)}" if fault.kind != "bus" else ""
        yield f"hardware  {fault.kind}{at}{code}, {register} {teller.show.va(trap.c)}"
    yield f"kernel    {kernel_verdict(machine, teller, rows, done, before)}"
    if done.failed:
        yield f"result    the access fails; process {done.pid} goes on"
        return
    if done.handled:
        line = next((row.b for row in rows if row.name == "handler"), 0)
        yield f"result    process {done.pid} goes on in its handler, line {line}"
        return
    parts = [plural(done.frames, "frame"), plural(done.tables, "table"), plural(done.slots, "slot")]
    yield f"result    process {done.pid} killed; {', '.join(parts)} given back"


def kernel_verdict(
    machine: Machine, teller: Teller, rows: list[LoggedEvent], done: Accessed, before: Outcome
) -> str:
    """Why the kernel does not serve a fault."""
    names = {row.name: row for row in rows}
    signal = signal_of(rows)
    if "oom" in names:
        score = names["oom"].b
        return f"no frame is free and no page can leave; process {done.pid} has the highest score, {score}"
    if "limit-check" in names and not names["limit-check"].c:
        return f"process {done.pid} holds {names['limit-check'].a} of {done.limit} frames: refused"
    assert signal is not None
    if "bus-error" in names:
        return f"{teller.show.pa(names['bus-error'].a)} is outside memory"
    if before.fault is not None and before.fault.kind in ("reserved", "bus"):
        return f"{before.fault.reason}: the tables are damaged"
    if not before.region:
        return f"no region holds {teller.show.va(signal.c)}"
    at = teller.show.va(signal.c)
    if signal.a == SIGBUS:
        if done.foreign:
            return f"{machine.format.root_register} does not name the tables of process {done.pid}"
        if done.beyond:
            return f"{at} is beyond the end of what region {before.region} maps"
        return f"the entry of {at} is damaged: it does not name what region {before.region} has there"
    region = f"region {before.region} is {rights_text(done.rights)}"
    if done.rights & RIGHTS[before.access]:
        held = before.fault.reason if before.fault is not None else "it withholds a right"
        return f"{region}, which allows it; the entry does not: {held}"
    return f"{region}: no {ACCESS_WORDS['rwx'[before.access]]}"


MOVES = ("swap-out", "swap-drop", "file-drop", "file-write", "swap-in")


def moved_lines(machine: Machine, rows: list[LoggedEvent]) -> Iterator[Line]:
    """A line for each page that went to swap or came back from it."""
    teller = Teller(machine)
    moved: LoggedEvent | None = None
    entries: list[LoggedEvent] = []
    for row in rows:
        if row.name in MOVES:
            if moved is not None:
                yield moved_line(teller, moved, entries)
            moved, entries = row, []
        elif row.name == "entry-write" and moved is not None and not (entries and moved.name == "swap-in"):
            entries.append(row)
    if moved is not None:
        yield moved_line(teller, moved, entries)


def moved_line(teller: Teller, moved: LoggedEvent, entries: list[LoggedEvent]) -> str:
    """`vpn 0x01: pfn 0x11 -> slot 1, written (dirty); PT[1] = 0x0102`; `entries` are those that changed."""
    pfn, page = teller.show.pfn(moved.b), f"vpn {teller.vpn(moved.c)}" if entries else "mapped by nobody"
    reason = "dirty" if any(teller.machine.k.is_dirty(entry.b) for entry in entries) else "no copy yet"
    what = {
        "swap-out": f"pfn {pfn} -> slot {moved.a}, written ({reason})",
        "swap-drop": f"pfn {pfn} -> slot {moved.a}, dropped (clean)",
        "file-drop": f"pfn {pfn} dropped, page {moved.a} of its file has it",
        "file-write": f"pfn {pfn} kept as page {moved.a} of its file (dirty)",
        "swap-in": f"slot {moved.a} -> pfn {pfn}, read",
    }[moved.name]
    if not entries:
        return f"{page}: {what}"
    known = teller.table_of(entries[0].a)
    name = teller.show.pa(entries[0].a)
    if len(entries) > 1:
        name = f"{len(entries)} entries"
    elif known:
        name = f"{teller.machine.format.levels[known[0]].name}[{known[1]}]"
    return f"{page}: {what}; {name} = {teller.show.entry(entries[0].c)}"


def outcome_word(done: Accessed) -> str:
    """What came of an access, as JSON says it."""
    for word in ("killed", "handled", "failed"):
        if getattr(done, word):
            return word
    return "translated"


def access_data(
    machine: Machine, rows: list[LoggedEvent], done: Accessed, found: Outcome | None, va: int, how: str
) -> dict[str, Any]:
    """An access as JSON shows it."""
    table, signal = EventTable(machine, rows), signal_of(rows)
    return {
        "va": va,
        "access": ACCESS_WORDS[how][0] if how != "x" else "x",
        "pid": done.pid,
        "outcome": outcome_word(done),
        "pa": found.pa if found is not None else None,
        "served": None if done.refused else how_served(rows),
        "signal": signal_text(signal).split()[0] if signal is not None else None,
        "cycles": table.teller.total(rows),
        "value": None if done.refused else done.value & ((1 << 64) - 1),
        "frames_freed": done.frames if done.killed else 0,
        "tables_freed": done.tables if done.killed else 0,
        "slots_freed": done.slots if done.killed else 0,
        "events": list(table.data()),
    }
