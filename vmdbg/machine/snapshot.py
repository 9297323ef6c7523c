"""Copies of the machine's state that share what did not change.

The state is cut into chunks: a frame of memory (64 KiB where frames are larger), a slot of the swap
area, 64 KiB of any other table.  A snapshot is a list of chunks (None: all zero).  A chunk that is equal
to the same chunk of the snapshot before it *is* that chunk, so a snapshot costs what changed, and
dropping one drops references.
"""

from __future__ import annotations

from vmdbg.state.tables import STATE, TABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

CHUNK = 1 << 16
#: Tables whose changes are marked, chunk by chunk.
MARKED = {"ram1": "dirty", "swap8": "swapdirty", "file8": "filedirty"}


class Snapshot:
    """The state at one instant.  `shape` has the number of rows of each table, which pools change."""

    __slots__ = ("chunks", "shape")

    def __init__(self, chunks: dict[str, list[bytes | None]], shape: dict[str, int]) -> None:
        self.chunks, self.shape = chunks, shape


class Recorder:
    """Takes and puts back snapshots of a machine's buffers; knows the chunks as of the last one.

    The buffers are new, all zero, when it is made.
    """

    def __init__(self, buffers: dict[str, Any], page_size: int, memory_chunk: int) -> None:
        self.buffers, self.sizes = buffers, {"ram1": memory_chunk, "swap8": page_size}
        self.base: dict[str, list[bytes | None]] = {}
        for table in self.tables():
            size = self.chunk_size(table)
            self.base[table] = [None] * -(-len(buffers[table]) // size)

    @staticmethod
    def tables() -> list[str]:
        """The names of the tables that are state."""
        return [name for name, table in TABLES.items() if table.group == STATE]

    def chunk_size(self, table: str) -> int:
        """Bytes of a chunk of a table."""
        return self.sizes.get(table, CHUNK)

    def changed(self, table: str) -> list[int]:
        """Numbers of the chunks that may differ from `base`; marks are taken off."""
        marks = MARKED.get(table)
        if marks is None:
            return list(range(-(-len(self.buffers[table]) // CHUNK)))
        found, buffer, at = [], self.buffers[marks], -1
        limit = -(-len(self.buffers[table]) // self.chunk_size(table))
        while (at := buffer.find(b"\1", at + 1)) >= 0 and at < limit:
            found.append(at)
            buffer[at : at + 1] = b"\0"
        return found

    def written(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The pieces of the bytes `start .. end - 1` of memory that may not be zero, as (start, end)."""
        size, marks, known = self.chunk_size("ram1"), self.buffers["dirty"], self.base["ram1"]
        for number in range(start // size, -(-end // size)):
            if marks[number] or known[number] is not None:
                yield max(start, number * size), min(end, (number + 1) * size)

    def mark(self, start: int, end: int) -> None:
        """Mark the bytes `start .. end - 1` of memory as changed."""
        size = self.chunk_size("ram1")
        for number in range(start // size, -(-end // size)):
            self.buffers["dirty"][number] = 1

    def known(self, table: str) -> list[bytes | None]:
        """The chunks of a table as of the last snapshot, as many as it has now."""
        count = -(-len(self.buffers[table]) // self.chunk_size(table))
        known = self.base[table][:count]
        return known + [None] * (count - len(known))

    def take(self, shape: dict[str, int]) -> Snapshot:
        """The state as it is."""
        chunks = {}
        for table in self.tables():
            size, buffer = self.chunk_size(table), self.buffers[table]
            known = self.known(table)
            fresh = list(known)
            for number in self.changed(table):
                piece = bytes(buffer[number * size : (number + 1) * size])
                if piece != known[number]:
                    fresh[number] = piece if any_set(piece) else None
            self.base[table] = chunks[table] = fresh
        return Snapshot(chunks, dict(shape))

    def put(self, snapshot: Snapshot) -> None:
        """Make the state what it was.  The buffers have the sizes of the snapshot."""
        for table, wanted in snapshot.chunks.items():
            size, buffer, known = self.chunk_size(table), self.buffers[table], self.known(table)
            for number in self.changed(table):
                self.write(buffer, number * size, size, wanted[number])
            for number, chunk in enumerate(wanted):
                if chunk is not known[number]:
                    self.write(buffer, number * size, size, chunk)
            self.base[table] = wanted

    @staticmethod
    def write(buffer: Any, start: int, size: int, chunk: bytes | None) -> None:
        """Put one chunk into a buffer."""
        end = min(start + size, len(buffer))
        buffer[start:end] = bytes(end - start) if chunk is None else chunk


def any_set(piece: bytes) -> bool:
    """Is any byte not zero?"""
    return piece.count(0) != len(piece)
