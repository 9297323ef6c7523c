"""What became of an access or of pages that were moved, by the events that were told of it."""

from __future__ import annotations

from itertools import pairwise

from vmdbg.formats.contract import RIGHT_R, RIGHT_W, RIGHT_X
from vmdbg.inspect.notation import rights_text
from vmdbg.inspect.signals import signal_text
from vmdbg.kernel.calls.processes import process_name
from vmdbg.kernel.faults import SIGBUS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.debugger.accesses import Accessed
    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.inspect.event_words import EventWords
    from vmdbg.inspect.walk import Outcome
    from vmdbg.machine.machine import Machine

RIGHTS = (RIGHT_R, RIGHT_W, RIGHT_X)  # that the accesses need
ACCESS_WORDS = ("read", "write", "execute")
MOVES = ("swap-out", "swap-drop", "file-drop", "file-write", "swap-in", "zero-drop")


def signal_of(events: list[LoggedEvent]) -> str:
    """The signal that an access got its process, `SIGSEGV (ACCERR)`; empty if it got none."""
    return next((signal_text(event.a, event.b) for event in events if event.name == "signal"), "")


def without_ends(events: list[LoggedEvent]) -> Iterator[LoggedEvent]:
    """The events without what follows the end of a process, up to the next access of the TLB."""
    ending = False
    for event in events:
        ending = ending and not event.name.startswith(("tlb-hit", "tlb-l2-hit", "tlb-miss"))
        if not ending:
            yield event
        ending = ending or event.name == "exit"


def oom_scores(machine: Machine, events: list[LoggedEvent]) -> list[dict[str, Any]]:
    """The scores by which the last out-of-memory kill of some events chose: a row for each process."""
    found: dict[int, dict[str, Any]] = {}
    for event, following in pairwise(events):
        if event.name == "oom-pages" and following.name == "oom-score":
            found[event.a] = {
                "pid": event.a,
                "name": process_name(machine.k, event.a),
                "frames": event.b,
                "slots": event.c,
                "table_frames": following.b,
                "adjustment": following.c - event.b - event.c - following.b,
                "score": following.c,
            }
    return list(found.values())


def last_trap(events: list[LoggedEvent]) -> LoggedEvent | None:
    """The last time that the CPU entered the kernel."""
    return next((event for event in reversed(events) if event.name == "trap"), None)


def handler_line(events: list[LoggedEvent]) -> int:
    """The line at which a signal handler begins; 0 if none is told of."""
    return next((event.b for event in events if event.name == "handler"), 0)


def kernel_verdict(words: EventWords, events: list[LoggedEvent], done: Accessed, before: Outcome) -> str:
    """Why the kernel does not serve a fault."""
    names = {event.name: event for event in events}
    if "oom" in names:
        score = names["oom"].b
        return f"no frame is free and no page can leave; process {done.pid} has the highest score, {score}"
    if "limit-check" in names and not names["limit-check"].c:
        return f"process {done.pid} holds {names['limit-check'].a} of {done.limit} frames: refused"
    if "bus-error" in names:
        return words.what(names["bus-error"])
    if done.barred and before.region:
        return "kernel mode may not touch user pages so, and the kernel has not opened a window for it"
    if before.fault is not None and before.fault.kind in ("reserved", "bus"):
        return f"{before.fault.reason}: the tables are damaged"
    own = names.get("kernel-fault")
    number, va = (names["signal"].a, names["signal"].c) if own is None else (own.b, own.a)
    at = words.show.va(va)
    if not before.region:
        return f"no region holds {at}"
    if number == SIGBUS:
        return damage(words, done, before, at)
    region = f"region {before.region} is {rights_text(done.rights)}"
    if done.rights & RIGHTS[before.access]:
        held = before.fault.reason if before.fault is not None else "it withholds a right"
        return f"{region}, which allows it; the entry does not: {held}"
    return f"{region}: no {ACCESS_WORDS[before.access]}"


def damage(words: EventWords, done: Accessed, before: Outcome, at: str) -> str:
    """Why the kernel cannot serve a fault in a region, though the region allows the access."""
    if done.foreign:
        return f"{words.machine.format.root_register} does not name the tables of process {done.pid}"
    if done.beyond:
        return f"{at} is beyond the end of what region {before.region} maps"
    return f"the entry of {at} is damaged: it does not name what region {before.region} has there"


class Moved:
    """A page that left memory or came back: `how` is the name of the event, `pfn` its frame.

    `place` is the slot, or the page of its file.  `entries` counts the entries that were written; of the
    first `entry` is what it is now, and `name` its own, `PT[6]`, or its physical address.  `dirty`: one of
    them said that the page was.
    """

    __slots__ = ("dirty", "entries", "entry", "how", "name", "pfn", "place", "va")

    def __init__(self, words: EventWords, moved: LoggedEvent, writes: list[LoggedEvent]) -> None:
        self.how, self.place, self.pfn, self.va = moved.name, moved.a, moved.b, moved.c
        self.entries = len(writes)
        self.dirty = any(words.machine.k.is_dirty(write.b) for write in writes)
        self.entry, self.name = 0, ""
        if writes:
            self.entry, self.name = writes[0].c, words.entry_name(writes[0].a)


def moved_pages(words: EventWords, events: list[LoggedEvent]) -> list[Moved]:
    """The pages that went to swap or came back from it, in order."""
    groups: list[tuple[LoggedEvent, list[LoggedEvent]]] = []
    for event in events:
        if event.name in MOVES:
            groups.append((event, []))
        elif event.name == "entry-write" and groups:
            moved, writes = groups[-1]
            if not (writes and moved.name == "swap-in"):
                writes.append(event)
    return [Moved(words, *group) for group in groups]
