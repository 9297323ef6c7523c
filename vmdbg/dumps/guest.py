"""A QEMU guest that is looked at while it stands still: its registers and its memory.

By which connection it is reached is said by `qmp_guest`, `stub_guest`.  Nothing of the guest is written.
QEMU 7.2 and later were tried.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile

from vmdbg.dumps.connection import plain
from vmdbg.dumps.image import Bank, Image, joined
from vmdbg.dumps.live_memory import LiveMemory
from vmdbg.dumps.pasted_registers import pasted_registers
from vmdbg.errors import InputError, UserError
from vmdbg.machine.banks import ADDRESSES, MOST_BANKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    class Link(Protocol):
        """A connection to QEMU.  `lost` says why no more can be asked, empty while it can; `local`: QEMU may
        see this computer's files; `timeout`: the seconds of each question."""

        where: str
        lost: str
        local: bool
        timeout: float

        def monitor(self, line: str) -> str:
            """What the human monitor prints for a line.  UserError."""

        def close(self) -> None:
            """End the connection."""


GRAIN, SLOW_GRAIN = 1 << 16, 1 << 12  # bytes that are read at least, from a file and by the monitor
#: `0000000000100000-00000000bfffffff (prio 0, ram): pc.ram @0000000000100000`: a line of `info mtree -f`.
RANGE = re.compile(r"^\s+([0-9a-f]{1,16})-([0-9a-f]{1,16}) \(prio -?\d+, (\w+)\)")
MEMORY = ("ram", "rom", "nv")  # sorts of ranges that reading does not change
WORD = re.compile(r"\b0x([0-9a-f]{16})\b")


class LiveImage(Image):
    """The memory of a guest at one stop.  `guest` says where more of it comes from."""

    def __init__(self, guest: Guest, memory: LiveMemory) -> None:
        super().__init__(guest.link.where, "QEMU guest", memory.view, memory.banks)
        self.guest, self.memory = guest, memory

    def extents(self, base: int, size: int) -> Iterator[tuple[int, int]]:
        """All of it: a guest's memory has no holes that QEMU would tell."""
        yield base, size


class Guest:
    """A guest that stands still.  `processor` as in `Image`; `ran`: it ran when it was found, and is let go
    on in the end; `folder` is where QEMU writes pieces of memory, empty if it cannot.  `goes_on_by` says what
    lets it go on if vmdbg does not."""

    goes_on_by = ""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.folder, self.processor, self.ran = "", "", False

    # -- stop and go: what a connection can do

    def halt(self) -> None:
        """Stop the guest, if it runs."""
        raise NotImplementedError

    def resume(self) -> None:
        """Let the guest run.  UserError if QEMU refuses, as after a triple fault."""
        raise NotImplementedError

    def wait(self, seconds: float | None = None) -> str:
        """Until the guest stops by itself: what said so; empty if it did not in so many seconds."""
        raise NotImplementedError

    def let_go(self) -> None:
        """Let the guest go on if it ran when it was found.  UserError."""
        raise NotImplementedError

    def moved(self) -> bool:
        """Has somebody else let it run since it was stopped?"""
        return False

    def leave(self) -> None:
        """Let the guest go on if it ran when it was found, and end the connection."""
        if not self.link.lost:
            with contextlib.suppress(UserError):
                self.let_go()
            self.link.close()
        if self.folder:
            with contextlib.suppress(OSError):
                os.rmdir(self.folder)

    # -- what it has now

    def image(self) -> LiveImage:
        """Registers and memory of this moment; memory is read when it is looked at."""
        if self.link.local and not self.folder:
            self.folder = tempfile.mkdtemp(prefix="vmdbg-qemu-")
        banks = self.banks()
        if self.folder and not self._writes(banks[0].base):
            os.rmdir(self.folder)
            self.folder, self.link.local = "", False
        grain = GRAIN if self.folder else SLOW_GRAIN
        found = LiveImage(self, LiveMemory(self.read, banks, grain))
        found.cpus, found.processor = self.registers(), self.processor
        return found

    def registers(self) -> list[dict[str, int]]:
        """The registers of each CPU; UserError if QEMU tells none."""
        text = self.link.monitor("info registers -a")
        try:
            return pasted_registers(text)
        except InputError:
            raise UserError(
                f'{self.link.where}: no register in the answer to "info registers -a".', plain(text[:60])
            ) from None

    def banks(self) -> list[Bank]:
        """Where memory lies, by the ranges that QEMU tells.  UserError."""
        found = banks_in(self.link.monitor("info mtree -f"))
        if not found:
            raise UserError(f'{self.link.where}: no memory in the answer to "info mtree -f".')
        if len(found) > MOST_BANKS:
            raise UserError(f"{self.link.where}: memory is in more than {MOST_BANKS} pieces.")
        return found

    def read(self, pa: int, size: int) -> bytes:
        """The bytes at a physical address, by a file that QEMU writes or by the connection.  UserError."""
        piece = self._piece(pa, size) if self.folder else self.slow_piece(pa, size)
        if self.moved():
            raise UserError(
                "Somebody else has let the guest run: what was read before is no longer so.",
                f'"target qemu {self.link.where}" stops it again.',
            )
        if len(piece) != size:
            raise UserError(
                f"{self.link.where}: QEMU gives {len(piece)} bytes at {pa:#x}, where {size} were asked for."
            )
        return piece

    def save(self, pa: int, size: int, name: str) -> None:
        """Let QEMU write memory into a file.  UserError if it refuses."""
        refused = self.link.monitor(f'pmemsave {pa:#x} {size:#x} "{name}"').strip()
        if refused:
            raise UserError(f"{self.link.where}: {plain(refused[:60])}.")

    def _writes(self, pa: int) -> bool:
        """Does QEMU write files that can be read here?"""
        try:
            return len(self._piece(pa, 1)) == 1
        except UserError:
            if self.link.lost:
                raise
            return False

    def _piece(self, pa: int, size: int) -> bytes:
        """Memory by way of a file."""
        name = os.path.join(self.folder, "memory")
        try:
            self.save(pa, size, name)
            with open(name, "rb") as file:
                return file.read(size + 1)
        except OSError as error:
            raise UserError(f"{name}: {error.strerror}.") from None
        finally:
            with contextlib.suppress(OSError):
                os.unlink(name)

    def slow_piece(self, pa: int, size: int) -> bytes:
        """Memory by the monitor's `xp`, for a QEMU that has other files."""
        first, end = pa & -8, pa + size
        found = bytearray()
        while first + len(found) < end:
            at = first + len(found)
            count = min(SLOW_GRAIN, end - at + 7) // 8
            text = self.link.monitor(f"xp /{count}xg {at:#x}")
            words = [
                int(word, 16) for line in text.splitlines() for word in WORD.findall(line.partition(":")[2])
            ]
            if len(words) != count:
                raise UserError(f"{self.link.where}: {plain(text.strip()[:60]) or 'nothing'} at {at:#x}.")
            for word in words:
                found += word.to_bytes(8, "little")
        return bytes(found[pa - first : pa - first + size])


def banks_in(text: str) -> list[Bank]:
    """The pieces of memory in what `info mtree -f` prints: those of the view that has the space `memory`."""
    found: list[Bank] = []
    wanted = False
    for line in text.splitlines():
        if line.startswith("FlatView"):
            if wanted and found:
                break
            wanted = False
        elif line.lstrip().startswith("AS ") and '"memory"' in line:
            wanted = True
        elif wanted:
            match = RANGE.match(line)
            if match is not None and match[3] in MEMORY:
                first, last = int(match[1], 16), int(match[2], 16)
                if first <= last < ADDRESSES and (not found or first >= found[-1].base + found[-1].size):
                    found.append(Bank(first, last - first + 1, first))
    return joined(found)
