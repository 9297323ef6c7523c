"""Memory that is read when it is looked at, and kept while the computer that it belongs to stands still."""

from __future__ import annotations

import mmap

from vmdbg.dumps.image import Bank
from vmdbg.errors import UserError
from vmdbg.units import s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST_KEPT = 256 << 20  # bytes; then all are forgotten, and read again
MOST_MEMORY = 1 << 42  # bytes of all banks
MOST_READ = 1 << 20  # bytes of one request
NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)


class LiveMemory:
    """Physical memory of which `read(pa, size)` gives the bytes, or raises UserError; it is read in multiples
    of `grain` bytes, a power of two.

    `view` has the banks one after the other; what was not read is zero there, so that whoever takes bytes
    from it asks `offset` first (`hardware.foreign_memory`).  A frozen memory reads no more: what it does not
    have is no memory.  UserError if there is too much of it.
    """

    def __init__(self, read: Callable[[int, int], bytes], banks: Sequence[Bank], grain: int) -> None:
        self.read, self.grain, self.frozen, self.requests = read, grain, False, 0
        self.banks: list[Bank] = []
        size = 0
        for bank in sorted(banks, key=lambda bank: bank.base):
            self.banks.append(Bank(bank.base, bank.size, size))
            size += bank.size
        if size > MOST_MEMORY:
            raise UserError(
                f"The computer has {size:#x} bytes of memory; at most {MOST_MEMORY:#x} can be kept."
            )
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE
        try:
            self.map = mmap.mmap(-1, size, flags=flags)
        except (OSError, ValueError) as error:
            raise UserError(f"No room for {size:#x} bytes of addresses: {error}.") from None
        self.view = memoryview(self.map)
        self.kept = bytearray(-(-size // grain))  # 1 for each piece that was read
        self.bytes_kept = 0

    def offset(self, pa: int, width: int) -> int:
        """Where `width` bytes at a physical address lie in `view`, read by now; -1 outside every bank."""
        for bank in self.banks:
            if 0 <= pa - bank.base <= bank.size - width:
                at = bank.offset + pa - bank.base
                first, last = at // self.grain, (at + width - 1) // self.grain
                if self.kept.find(0, first, last + 1) >= 0:
                    if self.frozen:
                        return -1
                    self.fetch(first, last + 1)
                return at
        return -1

    def load(self, pa: int, width: int) -> int:
        """The little-endian word at an address, 8 bytes signed; -1 where there is no memory."""
        at = self.offset(pa, width)
        if at < 0:
            return -1
        word = int.from_bytes(self.view[at : at + width], "little")
        return s64(word) if width == 8 else word

    def fetch(self, first: int, end: int) -> None:
        """Read the pieces of a range that were not read yet."""
        if self.bytes_kept + (end - first) * self.grain > MOST_KEPT:
            self.forget()
        most = max(1, MOST_READ // self.grain)
        while (first := self.kept.find(0, first, end)) >= 0:
            stop = self.kept.find(1, first, min(end, first + most))
            stop = min(end, first + most) if stop < 0 else stop
            self.fetch_bytes(first * self.grain, min(stop * self.grain, len(self.view)))
            self.kept[first:stop] = b"\1" * (stop - first)
            self.bytes_kept += (stop - first) * self.grain
            first = stop

    def fetch_bytes(self, start: int, end: int) -> None:
        """Read a range of `view`, which may lie in several banks."""
        for bank in self.banks:
            low, high = max(start, bank.offset), min(end, bank.offset + bank.size)
            if low < high:
                self.view[low:high] = self.read(bank.base + low - bank.offset, high - low)
                self.requests += 1

    def forget(self) -> None:
        """Read everything anew from now on."""
        self.map.madvise(mmap.MADV_DONTNEED)
        self.kept, self.bytes_kept = bytearray(len(self.kept)), 0
