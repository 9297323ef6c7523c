"""The address space of a process of Linux, by /proc/PID: smaps, and pagemap.

Linux, Documentation/filesystems/proc.rst and Documentation/admin-guide/mm/pagemap.rst.  Nothing is written,
and the process is not stopped: it may change while it is read.
"""

from __future__ import annotations

import os
import platform
import re
from array import array

from vmdbg.dumps.image import Bank, Image
from vmdbg.dumps.machine import DumpMachine
from vmdbg.dumps.paging import default_format
from vmdbg.errors import UserError
from vmdbg.formats.contract import RIGHT_R, RIGHT_U, RIGHT_W, RIGHT_X

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) ([r-])([w-])([x-])([ps]) ([0-9a-f]+) \S+ (\d+)\s*(.*)$")
AMOUNT = re.compile(r"^(\w+):\s+(\d+) kB$")
LETTERS = (RIGHT_R, RIGHT_W, RIGHT_X)
MOST_READ = 1 << 16  # entries of pagemap at once
# A word of pagemap.
PRESENT, SWAPPED, SHARED, ALONE, SOFT_DIRTY = 1 << 63, 1 << 62, 1 << 61, 1 << 56, 1 << 55
FRAME, SWAP_TYPE, SWAP_SHIFT = (1 << 55) - 1, 31, 5
LEAST = 1 << 12  # bytes of memory that a machine has
PROCESSORS = {
    "i686": "x86",
    "riscv64": "riscv",
}  # `Image.processor` by what `uname -m` says, where they differ
NO_TABLES = ("A process of Linux does not show its page tables.", '"map" and "translate" say what it shows.')
HIDDEN = "Linux shows frame numbers only to those with CAP_SYS_ADMIN."


class Mapping:
    """A region.  `rights` a nibble; `share`: what is written is written to what it maps; `name` of the file,
    or `[heap]`; the amounts are bytes: in memory, of that in other processes' tables too, in swap."""

    __slots__ = (
        "end",
        "name",
        "offset",
        "page_size",
        "resident",
        "rights",
        "share",
        "shared",
        "start",
        "swapped",
    )

    def __init__(self, start: int, end: int, rights: int, share: bool, offset: int, name: str) -> None:
        self.start, self.end, self.rights, self.share = start, end, rights, share
        self.offset, self.name, self.page_size = offset, name, os.sysconf("SC_PAGE_SIZE")
        self.resident = self.shared = self.swapped = 0


class Place:
    """Where a page is: in a frame (`pfn`, None if Linux does not show it), in swap (`swap`: number of the
    area and place in it), or neither (`present` false).  `file`: it is a file's or shared memory; `alone`: no
    other table has it."""

    __slots__ = ("alone", "file", "pfn", "present", "soft_dirty", "swap")

    def __init__(self, word: int) -> None:
        self.present = bool(word & PRESENT)
        self.pfn = word & FRAME or None if self.present else None
        low = word & FRAME
        self.swap = (low & SWAP_TYPE, low >> SWAP_SHIFT) if word & SWAPPED else None
        self.file, self.alone = bool(word & SHARED), bool(word & ALONE)
        self.soft_dirty = bool(word & SOFT_DIRTY)


class LinuxProcess:
    """A process.  UserError if there is none of that number, or it may not be looked at."""

    def __init__(self, pid: int, proc: str = "/proc") -> None:
        self.pid, self.folder = pid, os.path.join(proc, str(pid))
        self.page_size = os.sysconf("SC_PAGE_SIZE")
        if not os.path.isdir(proc):
            raise UserError("Processes are looked at by /proc of Linux, which is not here.")
        if not os.path.isdir(self.folder):
            raise UserError(f"No process {pid}.")
        self.name = self.read("comm").strip()
        self.measured = True  # amounts are known
        self.mappings()

    def read(self, name: str) -> str:
        """A file of the process.  UserError."""
        try:
            with open(os.path.join(self.folder, name), encoding="utf-8", errors="backslashreplace") as file:
                return file.read()
        except PermissionError:
            raise UserError(
                f"Process {self.pid}: {self.folder}/{name} may not be read.",
                "Its owner and root may (ptrace_scope allowing).",
            ) from None
        except OSError:  # it has ended
            raise UserError(f"No process {self.pid}.") from None

    def mappings(self) -> list[Mapping]:
        """The regions by address, of this moment.  UserError."""
        try:
            text = self.read("smaps")
        except UserError:
            text, self.measured = self.read("maps"), False
        found: list[Mapping] = []
        for line in text.splitlines():
            head = HEAD.match(line)
            if head is not None:
                rights = RIGHT_U
                for letter, right in zip(head.group(3, 4, 5), LETTERS, strict=True):
                    rights |= right if letter != "-" else 0
                start, end, offset = (int(head[place], 16) for place in (1, 2, 7))
                found.append(Mapping(start, end, rights, head[6] == "s", offset, head[9]))
                continue
            amount = AMOUNT.match(line)
            if amount is not None and found:
                self.count(found[-1], amount[1], int(amount[2]) << 10)
        return found

    def count(self, mapping: Mapping, what: str, size: int) -> None:
        """Note an amount of smaps."""
        if what == "Rss":
            mapping.resident = size
        elif what in ("Shared_Clean", "Shared_Dirty"):
            mapping.shared += size
        elif what in ("Shared_Hugetlb", "Private_Hugetlb"):  # are not in Rss
            mapping.resident += size
            mapping.shared += size if what == "Shared_Hugetlb" else 0
        elif what == "Swap":
            mapping.swapped = size
        elif what == "KernelPageSize":
            mapping.page_size = size

    def words(self, start: int, end: int) -> Iterator[tuple[int, array[int]]]:
        """First address and words of pagemap for each piece of a range.  UserError."""
        path = os.path.join(self.folder, "pagemap")
        try:
            with open(path, "rb", buffering=0) as file:
                number, last = start // self.page_size, -(-end // self.page_size)
                while number < last:
                    piece = os.pread(file.fileno(), 8 * min(MOST_READ, last - number), 8 * number)
                    if len(piece) < 8:  # what is above the user's part has no words
                        return
                    found = array("Q", piece[: len(piece) & -8])
                    yield number * self.page_size, found
                    number += len(found)
        except PermissionError:
            raise UserError(f"Process {self.pid}: {path} may not be read.") from None
        except OSError:
            raise UserError(f"No process {self.pid}.") from None

    def place(self, va: int) -> Place:
        """Where the page of an address is.  UserError."""
        for _, words in self.words(va, va + 1):
            return Place(words[0])
        return Place(0)

    def mapping_of(self, va: int) -> Mapping | None:
        """The region of an address."""
        return next((mapping for mapping in self.mappings() if mapping.start <= va < mapping.end), None)


def machine_of_process(process: LinuxProcess) -> DumpMachine:
    """A machine without memory: it says how addresses of this computer read."""
    image = Image(process.folder, "process", memoryview(bytes(LEAST)), [Bank(0, LEAST, 0)])
    name = platform.machine()
    machine = DumpMachine(image, default_format(PROCESSORS.get(name, name)), [])
    machine.no_root = NO_TABLES
    return machine
