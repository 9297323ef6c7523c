"""A dump of physical memory: the file, mapped and never read as a whole, and where its bytes belong."""

from __future__ import annotations

import errno
import mmap
import os

from vmdbg.errors import InputError, UserError
from vmdbg.machine.banks import ADDRESSES, MOST_BANKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.dumps.live_memory import LiveMemory

ELF_MAGIC, LIME_MAGIC = b"\x7fELF", b"EMiL"
GZIP_MAGIC = b"\x1f\x8b"
KDUMP_MAGICS = (b"KDUMP   ", b"DISKDUMP", b"makedump")  # the last: flattened, as QEMU and a pipe write it


class Bank:
    """A piece of memory: `size` bytes from physical address `base` on, at `offset` in the file."""

    __slots__ = ("base", "offset", "size")

    def __init__(self, base: int, size: int, offset: int) -> None:
        self.base, self.size, self.offset = base, size, offset

    def __repr__(self) -> str:
        return f"Bank({self.base:#x}, {self.size:#x}, {self.offset:#x})"


class Image:
    """A dump that is open.

    `kind` says what sort of file it is.  `banks` are by physical address, and none is empty; what is in no
    bank
    is a hole.  `cpus` has for each CPU of the dump its registers by their manual's names, as far as the file
    knows them; `processor` is `x86_64`, `x86`, `riscv`, `riscv32`, `aarch64` or empty; `format` that of the
    page tables, if the file names it.  `remarks` are lines
    for the user, such as that the file is cut short.  `memory`: what has to be asked before bytes of `view`
    are taken, if they are read only then.
    """

    def __init__(self, path: str, kind: str, view: memoryview, banks: list[Bank]) -> None:
        self.path, self.kind, self.view = path, kind, view
        self.banks = joined(sorted(banks, key=lambda bank: (bank.base, bank.offset)))
        self.cpus: list[dict[str, int]] = []
        self.processor = self.format = ""
        self.remarks: list[str] = []
        self.memory: LiveMemory | None = None

    @property
    def size(self) -> int:
        """Bytes of memory that the dump has."""
        return sum(bank.size for bank in self.banks)

    @property
    def end(self) -> int:
        """One past the highest physical address."""
        return max((bank.base + bank.size for bank in self.banks), default=0)

    def extents(self, base: int, size: int) -> Iterator[tuple[int, int]]:
        """Physical address and length of what the file really has of a piece of a bank, where it is
        sparse."""
        bank = next((bank for bank in self.banks if bank.base <= base < bank.base + bank.size), None)
        if bank is None:
            return
        offset = bank.offset + base - bank.base
        end = offset + size
        try:
            with open(self.path, "rb") as file:
                while offset < end:
                    start = os.lseek(file.fileno(), offset, os.SEEK_DATA)
                    stop = os.lseek(file.fileno(), start, os.SEEK_HOLE)
                    if start >= end:
                        return
                    yield bank.base + start - bank.offset, min(stop, end) - start
                    offset = stop
        except OSError as error:
            if error.errno != errno.ENXIO:  # there is nothing more: the rest is a hole
                yield base, size


def joined(banks: list[Bank]) -> list[Bank]:
    """Banks by address; those that follow one another in memory and in the file are one."""
    found: list[Bank] = []
    for bank in banks:
        last = found[-1] if found else None
        if last and (last.base + last.size, last.offset + last.size) == (bank.base, bank.offset):
            last.size += bank.size
        elif bank.size:
            found.append(Bank(bank.base, bank.size, bank.offset))
    return found


def map_file(path: str) -> memoryview:
    """The bytes of a file, mapped; pages are read when they are looked at.  UserError."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not size:
                raise InputError("the file is empty", path)
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:  # no such file, a folder, a pipe, or more than can be mapped
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}.") from None


def file_kind(view: memoryview) -> str:
    """`elf`, `lime` or `raw`, by what a file begins with; UserError for sorts that cannot be read."""
    head = bytes(view[:8])
    if head[:4] == ELF_MAGIC:
        return "elf"
    if head[:4] == LIME_MAGIC:
        return "lime"
    if head in KDUMP_MAGICS:
        flat = head == KDUMP_MAGICS[2]
        unflatten = '"makedumpfile -R NEW < FILE" and ' if flat else ""
        raise UserError(
            "This is a compressed kdump file, which vmdbg cannot read.",
            f'QEMU writes an ELF core without "-z".  Else {unflatten}"makedumpfile -E -d 0 '
            f'{"NEW" if flat else "FILE"} CORE" make{"" if flat else "s"} one.',
        )
    if head[:2] == GZIP_MAGIC:
        raise UserError("This file is compressed.", "Decompress it first: a dump is looked at where it lies.")
    return "raw"


def raw_image(path: str, view: memoryview, base: int) -> Image:
    """A file that is memory from physical address `base` on, byte by byte (QEMU: pmemsave,
    memory-backend-file).

    UserError if it would reach past the last physical address.
    """
    if not base >= 0 or base + len(view) > ADDRESSES:
        raise UserError(
            f"Memory from {base:#x} on, {len(view):#x} bytes, does not fit in 63 bits of address."
        )
    return Image(path, "raw image", view, [Bank(base, len(view), 0)])


def check_banks(path: str, banks: list[Bank]) -> None:
    """InputError if there are no banks, or more than can be searched."""
    if not any(bank.size for bank in banks):
        raise InputError("the dump has no memory in it", path)
    if len(joined(banks)) > MOST_BANKS:
        raise InputError(f"memory is in more than {MOST_BANKS} pieces", path)
