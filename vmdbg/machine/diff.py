"""The differences of two snapshots of a machine, byte by byte: spans of memory, words of tables.

Pools grow, so one snapshot may have rows that the other lacks; these count as zeros.  So two snapshots have
no difference exactly if their digests are equal.
"""

from __future__ import annotations

from collections import namedtuple

from vmdbg.machine.snapshot import CHUNK, unpacked
from vmdbg.state.tables import STATE, TABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmdbg.machine.machine import Machine
    from vmdbg.machine.snapshot import Chunks, Snapshot

#: Bytes from offset `start` up to `end`, of which `count` differ.
Span = namedtuple("Span", "start end count")
#: A word of a table: its row, the name of its column, and its value before and after.
Word = namedtuple("Word", "row column before after")
STRIDE = 512  # bytes of a chunk that are compared at once
CONTENT = ("ram1", "swap8", "file8")  # tables that are bytes, not rows


def chunk_pairs(before: Chunks, after: Chunks, size: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Number and bytes of the chunks of `size` bytes that differ."""
    count = max(len(before), len(after))
    before, after = before.resized(count), after.resized(count)
    for number in before.differing(after):
        one, other = unpacked(before[number], size), unpacked(after[number], size)
        if one != other:
            yield number, one, other


def spans(machine: Machine, before: Snapshot, after: Snapshot, table: str) -> Iterator[Span]:
    """The bytes of one of CONTENT that differ: a span for each chunk in which any do."""
    size = machine.recorder.chunk_size(table)
    for number, one, other in chunk_pairs(before.chunks[table], after.chunks[table], size):
        flipped = (int.from_bytes(one, "little") ^ int.from_bytes(other, "little")).to_bytes(size, "little")
        start = size - len(flipped.lstrip(b"\0"))
        end = len(flipped.rstrip(b"\0"))
        yield Span(number * size + start, number * size + end, size - flipped.count(0))


def joined(found: Iterable[Span], size: int) -> Iterator[Span]:
    """Spans in order, those in neighbouring chunks of `size` bytes as one."""
    held: Span | None = None
    for span in found:
        if held is not None and span.start // size == (held.end - 1) // size + 1:
            held = Span(held.start, span.end, held.count + span.count)
            continue
        if held is not None:
            yield held
        held = span
    if held is not None:
        yield held


def words(before: Snapshot, after: Snapshot, table: str) -> Iterator[Word]:
    """The words of a table of rows that differ."""
    declared = TABLES[table]
    columns = list(declared.columns)
    for number, one, other in chunk_pairs(before.chunks[table], after.chunks[table], CHUNK):
        for start in range(0, CHUNK, STRIDE):
            if one[start : start + STRIDE] == other[start : start + STRIDE]:
                continue
            pieces = (memoryview(data)[start : start + STRIDE].cast("q") for data in (one, other))
            for at, (old, new) in enumerate(zip(*pieces, strict=True), (number * CHUNK + start) // 8):
                if old != new:
                    column = at % declared.width
                    name = columns[column] if column < len(columns) else f"word {column}"
                    yield Word(at // declared.width, name, old, new)


def word(snapshot: Snapshot, table: str, at: int) -> int:
    """One word of a table of rows."""
    chunks, number = snapshot.chunks[table], at * 8 // CHUNK
    chunk = unpacked(chunks[number] if number < len(chunks) else None, CHUNK)
    return int(memoryview(chunk).cast("q")[at - number * CHUNK // 8])


def row_tables() -> list[str]:
    """The names of the tables of rows that are state."""
    return [name for name, table in TABLES.items() if table.group == STATE and name not in CONTENT]


def content(snapshot: Snapshot, table: str, size: int, start: int, end: int) -> bytes:
    """Bytes `start .. end - 1` of one of CONTENT, whose chunks have `size` bytes."""
    chunks, found = snapshot.chunks[table], b""
    for number in range(start // size, -(-end // size)):
        chunk = unpacked(chunks[number] if number < len(chunks) else None, size)
        found += chunk[max(0, start - number * size) : end - number * size]
    return found
