"""What an acting command changed, in a line: by its events, and by the bytes of which no event tells."""

from __future__ import annotations

from vmdbg.kernel.frames import FRAME_IS_TABLE
from vmdbg.machine.diff import CONTENT, Span, content, joined, row_tables, spans, word, words
from vmdbg.state.events import FAULT_COW, FILE_READ, FRAME_ALLOC, SWAP_IN
from vmdbg.state.tables import FRAME, FRAME_STATE
from vmdbg.views.diff_bytes import span_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.debugger.time.types import Action, Position
    from vmdbg.machine.diff import Word
    from vmdbg.machine.machine import Machine

CHANGES = (
    ("frame-alloc", "frame given", "frames given"),
    ("swap-in", "page read from swap", "pages read from swap"),
    ("file-read", "page read from a file", "pages read from files"),
    ("fault-cow", "page copied", "pages copied"),
    ("table-alloc", "table made", "tables made"),
    ("frame-free", "frame freed", "frames freed"),
    ("tlb-fill", "TLB entry filled", "TLB entries filled"),
    ("tlb-drop", "TLB entry dropped", "TLB entries dropped"),
    ("walk-cache-flush", "page-walk cache entry dropped", "page-walk cache entries dropped"),
    ("mmap", "region mapped", "regions mapped"),
    ("munmap", "range unmapped", "ranges unmapped"),
    ("mprotect", "range given other rights", "ranges given other rights"),
    ("brk", "heap resized", "heaps resized"),
    ("switch", "switch", "switches"),
    ("exit", "process ended", "processes ended"),
)
#: Events that fill a frame, and the argument that names it: they tell of its bytes.
FILLING = {FRAME_ALLOC: "a", SWAP_IN: "b", FILE_READ: "b", FAULT_COW: "c"}
MOST_SPANS = 2  # that are told one by one
NAMED = 4  # columns of a table that are named


def changed_line(machine: Machine, action: Action, position: Position) -> str:
    """`Changed: 1 frame freed, 1 TLB entry dropped.  Time 4:0.`

    That nothing changed but the time, and what is counted, is said only if that is all that did.
    """
    parts = []
    for kind, one, many in CHANGES:
        number = action.changes.get(kind, 0)
        if number:
            parts.append(f"{number} {one if number == 1 else many}")
    parts += memory(machine, action)
    parts = parts or [*entries(machine, action), *tables(machine, action)]
    counted = " and counts" if action.changes else ""
    return f"Changed: {', '.join(parts) or 'nothing but the time' + counted}.  Time {position}."


def memory(machine: Machine, action: Action) -> Iterator[str]:
    """`memory: 1 byte (0x10a000)`: bytes of frames that are no tables, and that no event filled."""
    bits = machine.format.page_bits
    filled = {
        machine.k.frame_at(machine.m, getattr(row, FILLING[row.kind]) << bits)
        for row in action.events
        if row.kind in FILLING
    }

    def untold(span: Span) -> bool:
        frame = span.start >> bits
        states = states_of(action, frame)
        return frame not in filled and states[0] == states[1] != FRAME_IS_TABLE

    found = filter(untold, spans(machine, action.before, action.after, "ram1"))
    runs = list(joined(found, machine.recorder.chunk_size("ram1")))
    if len(runs) > MOST_SPANS:
        runs = [Span(runs[0].start, runs[-1].end, sum(run.count for run in runs))]
    if runs:
        yield "memory: " + " and ".join(span_text(machine, "ram1", run) for run in runs)


def states_of(action: Action, frame: int) -> list[int]:
    """What a frame held before and after."""
    at = frame * FRAME + FRAME_STATE
    return [word(snapshot, "frame", at) for snapshot in (action.before, action.after)]


def entries(machine: Machine, action: Action) -> Iterator[str]:
    """`1 entry`: how many entries of tables were written."""
    form, size, total = machine.format, machine.recorder.chunk_size("ram1"), 0
    width = form.entry_bytes
    for span in spans(machine, action.before, action.after, "ram1"):
        if FRAME_IS_TABLE in states_of(action, span.start >> form.page_bits):
            start, end = span.start // width * width, -(-span.end // width) * width
            one, two = (content(taken, "ram1", size, start, end) for taken in (action.before, action.after))
            total += sum(one[at : at + width] != two[at : at + width] for at in range(0, end - start, width))
    if total:
        yield f"{total} {'entry' if total == 1 else 'entries'}"


def tables(machine: Machine, action: Action) -> Iterator[str]:
    """What else is not as it was: registers, and tables of the machine by their columns."""
    for table in CONTENT[1:]:
        for span in joined(
            spans(machine, action.before, action.after, table), machine.recorder.chunk_size(table)
        ):
            yield span_text(machine, table, span)
    for table in row_tables():
        found = [
            found
            for found in words(action.before, action.after, table)
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
