"""What an acting command changed, in words: by its events, and by the bytes of which no event tells."""

from __future__ import annotations

from vmdbg.inspect.diff_bytes import span_text
from vmdbg.kernel.frames import FRAME_IS_TABLE
from vmdbg.machine.diff import CONTENT, Span, content, joined, row_tables, spans, word, words
from vmdbg.state.events import EVENTS
from vmdbg.state.tables import FRAME, FRAME_STATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vmdbg.inspect.event_fields import Happened
    from vmdbg.machine.diff import Word
    from vmdbg.machine.machine import Machine
    from vmdbg.machine.snapshot import Snapshot

MOST_SPANS = 2  # that are told one by one
NAMED = 4  # columns of a table that are named


def changes_told(
    machine: Machine,
    before: Snapshot,
    after: Snapshot,
    events: Sequence[Happened],
    amounts: Mapping[str, int],
) -> list[str]:
    """`["1 frame freed", "memory: 1 byte (0x10a000)"]`: what a command changed, with the states around it.

    `amounts` says of how many things the events told that happened, by their names; `events` are those that
    were logged.  Registers and tables are told only if there is nothing else to tell.
    """
    parts = []
    for event in sorted((event for event in EVENTS if event.changes), key=lambda event: event.rank):
        number = amounts.get(event.name, 0)
        if number:
            parts.append(f"{number} {event.changes[number != 1]}")
    parts += memory(machine, before, after, events)
    return parts or [*entries(machine, before, after), *tables(machine, before, after)]


def memory(machine: Machine, before: Snapshot, after: Snapshot, events: Sequence[Happened]) -> Iterator[str]:
    """`memory: 1 byte (0x10a000)`: bytes of frames that are no tables, and that no event filled."""
    bits = machine.format.page_bits
    filled = {machine.k.frame_at(machine.m, pfn << bits) for pfn in frames_filled(events)}

    def untold(span: Span) -> bool:
        frame = span.start >> bits
        states = states_of(before, after, frame)
        return frame not in filled and states[0] == states[1] != FRAME_IS_TABLE

    found = filter(untold, spans(machine, before, after, "ram1"))
    runs = list(joined(found, machine.recorder.chunk_size("ram1")))
    if len(runs) > MOST_SPANS:
        runs = [Span(runs[0].start, runs[-1].end, sum(run.count for run in runs))]
    if runs:
        yield "memory: " + " and ".join(span_text(machine, "ram1", run) for run in runs)


def frames_filled(events: Sequence[Happened]) -> Iterator[int]:
    """The numbers of the frames that got other content, of which events tell."""
    for event in events:
        declared = EVENTS[event.kind]
        if declared.fills:
            yield (event.a, event.b, event.c)[declared.arguments.index(declared.fills)]


def states_of(before: Snapshot, after: Snapshot, frame: int) -> list[int]:
    """What a frame held before and after."""
    at = frame * FRAME + FRAME_STATE
    return [word(snapshot, "frame", at) for snapshot in (before, after)]


def entries(machine: Machine, before: Snapshot, after: Snapshot) -> Iterator[str]:
    """`1 entry`: how many entries of tables were written."""
    form, size, total = machine.format, machine.recorder.chunk_size("ram1"), 0
    width = form.entry_bytes
    for span in spans(machine, before, after, "ram1"):
        if FRAME_IS_TABLE in states_of(before, after, span.start >> form.page_bits):
            start, end = span.start // width * width, -(-span.end // width) * width
            one, two = (content(taken, "ram1", size, start, end) for taken in (before, after))
            total += sum(one[at : at + width] != two[at : at + width] for at in range(0, end - start, width))
    if total:
        yield f"{total} {'entry' if total == 1 else 'entries'}"


def tables(machine: Machine, before: Snapshot, after: Snapshot) -> Iterator[str]:
    """What else is not as it was: registers, and tables of the machine by their columns."""
    for table in CONTENT[1:]:
        for span in joined(spans(machine, before, after, table), machine.recorder.chunk_size(table)):
            yield span_text(machine, table, span)
    for table in row_tables():
        found = [
            found
            for found in words(before, after, table)
            if table != "count" and (table, found.column) != ("kernel", "operations")
        ]
        if found:
            yield f"{table_text(machine, table, found)}"


def table_text(machine: Machine, table: str, found: list[Word]) -> str:
    """`registers cr2, error_code`, `tlb: key, word (4 words)`."""
    form = machine.format
    if table == "cpu":
        known = {"address": form.fault_register, "root": form.root_register, "code": "error_code"}
        for register in form.registers:
            known.setdefault(f"control{register.word}", register.name.partition(".")[0])
        names = dict.fromkeys(known.get(changed.column, changed.column) for changed in found)
        return f"registers {', '.join(names)}" if len(names) > 1 else f"register {next(iter(names))}"
    columns = list(dict.fromkeys(changed.column for changed in found))
    named = ", ".join(columns[:NAMED]) + (", .." if columns[NAMED:] else "")
    return f"{table}: {named}" + (f" ({len(found)} words)" if found[1:] else "")
