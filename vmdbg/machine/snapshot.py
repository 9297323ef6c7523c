"""Copies of the machine's state that share what did not change.

The state is cut into chunks: a frame of memory (64 KiB where frames are larger), a slot of the swap area, 64
KiB of any other table.  A snapshot is a list of chunks (None: all zero), in blocks.  If a chunk is equal to
the same chunk of the snapshot before, both snapshots share one object; the same holds for blocks and lists.
So the cost of a snapshot is what has changed, and deleting one deletes references.  Most zeros at both ends
of a chunk are not kept, as pages of programs are mostly empty.
"""

from __future__ import annotations

from functools import lru_cache

from vmdbg.state.tables import STATE, TABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

CHUNK = 1 << 16
BLOCK = 256  # chunks of one block of a list
LEAD = 4  # bytes of the number before a chunk
LEAST = 16  # bytes of a chunk that are kept at least
SMALL = 64  # bytes of a packed chunk that is so small that other chunks are often equal to it
ZEROS: dict[int, bytes] = {}
#: Tables whose changes are marked, chunk by chunk.
MARKED = {"ram1": "dirty", "swap8": "swapdirty", "file8": "filedirty"}
#: The same for chunks of 64 KiB; not used if a policy of the user's changes rows without marking them.
ROWS_MARKED = {"frame": "framedirty", "rmap": "rmapdirty"}


class Chunks:
    """A list of chunks as they are kept (`packed`; None: all zero).

    It never changes: `but` makes a changed copy.
    """

    __slots__ = ("blocks", "count")

    def __init__(self, blocks: list[list[bytes | None]], count: int) -> None:
        self.blocks, self.count = blocks, count

    @classmethod
    def of(cls, chunks: list[bytes | None]) -> Chunks:
        """The same, in blocks."""
        return cls([chunks[at : at + BLOCK] for at in range(0, len(chunks), BLOCK)], len(chunks))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> bytes | None:
        return self.blocks[number // BLOCK][number % BLOCK]

    def __iter__(self) -> Iterator[bytes | None]:
        for block in self.blocks:
            yield from block

    def but(self, fresh: dict[int, bytes | None]) -> Chunks:
        """A copy with other chunks at some indices."""
        if not fresh:
            return self
        blocks, ours = list(self.blocks), set()
        for number, chunk in fresh.items():
            at = number // BLOCK
            if at not in ours:
                ours.add(at)
                blocks[at] = list(blocks[at])
            blocks[at][number % BLOCK] = chunk
        return Chunks(blocks, self.count)

    def resized(self, count: int) -> Chunks:
        """A copy of length `count`: the last chunks are left out, or chunks of zeros are added."""
        if count == self.count:
            return self
        chunks = list(self)[:count]
        return Chunks.of(chunks + [None] * (count - len(chunks)))

    def differing(self, other: Chunks) -> Iterator[int]:
        """The numbers of the chunks that are not those of a list of the same length or more."""
        if self is other:
            return
        for at, block in enumerate(self.blocks):
            theirs = other.blocks[at]
            if block is not theirs:
                for number, chunk in enumerate(block):
                    if chunk is not theirs[number]:
                        yield at * BLOCK + number


def zeros(count: int) -> bytes:
    """So many zeros, always the same object."""
    found = ZEROS.get(count)
    if found is None:
        found = ZEROS[count] = bytes(count)
    return found


def packed(piece: bytes) -> bytes | None:
    """A chunk as it is kept: number of zeros before it, then it without most zeros around it; None: all zero.

    The zeros are found by halves, with the comparisons of memory that Python has.
    """
    size = end = len(piece)
    if piece == zeros(size):
        return None
    while end > LEAST and piece.endswith(zeros(size - end // 2)):
        end //= 2
    start, step = 0, end // 2
    while step >= LEAST:
        if piece.startswith(zeros(start + step)):
            start += step
        step //= 2
    return start.to_bytes(LEAD, "little") + piece[start:end]


def unpacked(chunk: bytes | None, size: int) -> bytes:
    """The bytes of a chunk."""
    if chunk is None:
        return zeros(size)
    return (unpacked_small if len(chunk) <= SMALL else padded)(chunk, size)


def padded(chunk: bytes, size: int) -> bytes:
    """A chunk with its zeros."""
    return (bytes(int.from_bytes(chunk[:LEAD], "little")) + chunk[LEAD:]).ljust(size, b"\0")


unpacked_small = lru_cache(256)(padded)  # pages with few bytes written are often equal


class Snapshot:
    """The state at one instant.  `shape` has the number of rows of each table, which pools change."""

    __slots__ = ("chunks", "shape")

    def __init__(self, chunks: dict[str, Chunks], shape: dict[str, int]) -> None:
        self.chunks, self.shape = chunks, shape

    def pieces(self) -> Iterator[tuple[str, int, bytes]]:
        """Table, number and bytes, without zeros at the end, of the chunks that are not all zero."""
        for table, chunks in self.chunks.items():
            for number, chunk in enumerate(chunks):
                if chunk is not None:
                    yield table, number, unpacked(chunk, 0).rstrip(b"\0")


def changed_tables(one: Snapshot, other: Snapshot) -> set[str]:
    """The tables in which two snapshots of a machine differ; all if a pool has grown or shrunk."""
    if one.shape != other.shape:
        return set(one.chunks)
    return {
        table
        for table, chunks in one.chunks.items()
        if any(
            chunks[number] != other.chunks[table][number] for number in chunks.differing(other.chunks[table])
        )
    }


def table_words(snapshot: Snapshot, table: str) -> memoryview:
    """A table of a snapshot as signed 64-bit words, with rows of zeros behind it that it may not have."""
    return memoryview(b"".join(unpacked(chunk, CHUNK) for chunk in snapshot.chunks[table])).cast("q")


class Recorder:
    """Takes and puts back snapshots of a machine's buffers; knows the chunks as of the last one.

    The buffers are new, all zero, when it is made.
    """

    def __init__(
        self, buffers: dict[str, Any], page_size: int, memory_chunk: int, rows_marked: bool = True
    ) -> None:
        self.buffers = buffers
        self.marked = {**MARKED, **(ROWS_MARKED if rows_marked else {})}
        for marks in ROWS_MARKED.values():
            buffers[marks][:] = bytes([1]) * len(buffers[marks])  # boot does not mark what it writes
        self.sizes = {"ram1": memory_chunk, "swap8": page_size, "file8": page_size}
        self.base: dict[str, Chunks] = {}
        for table in self.tables():
            size = self.chunk_size(table)
            self.base[table] = Chunks.of([None] * -(-len(buffers[table]) // size))

    @staticmethod
    def tables() -> list[str]:
        """The names of the tables that are state."""
        return [name for name, table in TABLES.items() if table.group == STATE]

    def chunk_size(self, table: str) -> int:
        """Bytes of a chunk of a table."""
        return self.sizes.get(table, CHUNK)

    def changed(self, table: str) -> list[int]:
        """Numbers of the chunks that may differ from `base`; clears their marks."""
        marks = self.marked.get(table)
        if marks is None:
            return list(range(-(-len(self.buffers[table]) // CHUNK)))
        limit = -(-len(self.buffers[table]) // self.chunk_size(table))
        marked = bytes(self.buffers[marks][:limit])
        found, at = [], marked.find(1)
        while at >= 0:
            found.append(at)
            at = marked.find(1, at + 1)
        if found:
            self.buffers[marks][: len(marked)] = bytes(len(marked))
        return found

    def overlooked(self) -> list[str]:
        """Chunks, as `frame 3`, that differ from the last snapshot and are not marked."""
        found = []
        for table, marks in self.marked.items():
            size, buffer, known = self.chunk_size(table), self.buffers[table], self.known(table)
            for number in range(len(known)):
                piece = bytes(buffer[number * size : (number + 1) * size])
                if not self.buffers[marks][number] and piece != unpacked(known[number], len(piece)):
                    found.append(f"{table} {number}")
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

    def known(self, table: str) -> Chunks:
        """The chunks of a table as of the last snapshot, as many as it has now."""
        return self.base[table].resized(-(-len(self.buffers[table]) // self.chunk_size(table)))

    def take(self, shape: dict[str, int]) -> Snapshot:
        """A snapshot of the present state."""
        chunks = {}
        for table in self.tables():
            size, buffer = self.chunk_size(table), self.buffers[table]
            known, fresh = self.known(table), {}
            for number in self.changed(table):
                piece = bytes(buffer[number * size : (number + 1) * size])
                if piece != unpacked(known[number], len(piece)):
                    fresh[number] = packed(piece)
            self.base[table] = chunks[table] = known.but(fresh)
        return Snapshot(chunks, dict(shape))

    def put(self, snapshot: Snapshot) -> None:
        """Restore the state of a snapshot.  The buffers have to have the sizes of the snapshot already."""
        for table, wanted in snapshot.chunks.items():
            size, buffer, known = self.chunk_size(table), self.buffers[table], self.known(table)
            for number in {*self.changed(table), *wanted.differing(known)}:
                start = number * size
                end = min(start + size, len(buffer))
                buffer[start:end] = unpacked(wanted[number], end - start)
            self.base[table] = wanted
