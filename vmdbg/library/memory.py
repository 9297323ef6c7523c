"""Physical memory that a caller hands in: a buffer, a mapping, or a function.  One class for each."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Literal

from vmdbg.library.values import Update
from vmdbg.units import s64

#: What `Mmu` takes as memory: bytes, words by address, pieces of bytes by address, or a function.
Memory = Any


class Foreign:
    """What all kinds of memory share; see `machine.bare.ForeignMemory`.

    `updates` are the words that were stored, by address; they reach memory only while `writes`, if it can be
    written.
    """

    view: memoryview | None = None
    base = 0
    order: Literal["little", "big"] = "little"

    def __init__(self) -> None:
        self.updates: dict[int, Update] = {}
        self.writes = False

    def read(self, pa: int, width: int) -> int | None:
        """The unsigned entry at an address; None where there is no memory."""
        raise NotImplementedError

    def write(self, pa: int, width: int, word: int) -> None:
        """Change a word; memory that cannot be written stays as it is."""

    def load(self, pa: int, width: int) -> int:
        """The word at an address, 8 bytes signed; -1 where there is no memory."""
        word = self.read(pa, width)
        if word is None:
            return -1
        return s64(word) if width == 8 else word & ((1 << 8 * width) - 1)

    def offset(self, pa: int, width: int) -> int:
        """0 where there is memory, else -1."""
        return -1 if self.read(pa, width) is None else 0

    def store(self, pa: int, width: int, value: int) -> None:
        """Note a word that the hardware writes, and write it."""
        mask = (1 << 8 * width) - 1
        before = self.updates.get(pa)  # a table that leads to itself
        old = (self.read(pa, width) or 0) & mask if before is None else before.old
        self.updates[pa] = Update(pa, old, value & mask)
        if self.writes:
            self.write(pa, width, value & mask)


class Buffer(Foreign):
    """Bytes in a row, the first at physical address `base`."""

    def __init__(self, buffer: Any, base: int) -> None:
        super().__init__()
        self.view: memoryview = memoryview(buffer).cast("B")
        self.base = base

    def read(self, pa: int, width: int) -> int | None:
        at = pa - self.base
        if at < 0 or at + width > len(self.view):
            return None
        return int.from_bytes(self.view[at : at + width], self.order)

    def write(self, pa: int, width: int, word: int) -> None:
        if not self.view.readonly:
            at = pa - self.base
            self.view[at : at + width] = word.to_bytes(width, self.order)


class Words(Foreign):
    """Entries by their physical addresses; what is not there is 0."""

    def __init__(self, words: Mapping[int, int]) -> None:
        super().__init__()
        self.words = words

    def read(self, pa: int, width: int) -> int | None:
        return self.words.get(pa, 0)

    def write(self, pa: int, width: int, word: int) -> None:
        if isinstance(self.words, MutableMapping):
            self.words[pa] = word


class Pieces(Foreign):
    """Pieces of bytes by their physical addresses, such as the segments of a dump; they do not overlap."""

    def __init__(self, pieces: Mapping[int, Any]) -> None:
        super().__init__()
        self.pieces = [Buffer(pieces[base], base) for base in sorted(pieces)]
        self.bases = [piece.base for piece in self.pieces]

    def piece(self, pa: int) -> Buffer | None:
        """The piece that may hold an address."""
        place = bisect_right(self.bases, pa) - 1
        if place < 0:
            return None
        self.pieces[place].order = self.order
        return self.pieces[place]

    def read(self, pa: int, width: int) -> int | None:
        piece = self.piece(pa)
        return None if piece is None else piece.read(pa, width)

    def write(self, pa: int, width: int, word: int) -> None:
        piece = self.piece(pa)
        if piece is not None:
            piece.write(pa, width, word)


class Function(Foreign):
    """Words from `function(address, size)`: an int, bytes, or None where there is no memory.

    `store(address, size, word)` writes them; without it they are not written.
    """

    def __init__(
        self,
        function: Callable[[int, int], int | bytes | None],
        store: Callable[[int, int, int], object] | None,
    ) -> None:
        super().__init__()
        self.function, self.put = function, store

    def read(self, pa: int, width: int) -> int | None:
        word = self.function(pa, width)
        return int.from_bytes(word, self.order) if isinstance(word, (bytes, bytearray)) else word

    def write(self, pa: int, width: int, word: int) -> None:
        if self.put is not None:
            self.put(pa, width, word)


def memory_of(
    memory: Memory, base: int = 0, store: Callable[[int, int, int], object] | None = None
) -> Foreign:
    """The class for what a caller hands in.  TypeError for what is no memory."""
    if isinstance(memory, Mapping):
        if any(not isinstance(value, int) for value in memory.values()):
            return Pieces(memory)
        return Words(memory)
    if callable(memory):
        return Function(memory, store)
    return Buffer(memory, base)
