"""The layout of an ELF file as a program: segments become regions with content, symbols addresses.

The process fetches at the entry point and exits: nothing of the file is executed, and no relocation is
applied (System V ABI, chapters 4 and 5; Linux: fs/binfmt_elf.c).
"""

from __future__ import annotations

import os
import struct
from array import array
from bisect import bisect
from io import BytesIO
from itertools import pairwise

from vmdbg.errors import InputError, UserError
from vmdbg.formats.contract import RIGHT_R, RIGHT_U, RIGHT_W, RIGHT_X
from vmdbg.kernel.scheduler import OP_EXIT, OP_FETCH, OP_LINE, OP_WIDTH
from vmdbg.programs.addresses import WIDE, Space
from vmdbg.programs.operations import RIGHT_LETTERS, unit_text
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.programs.scanner import WORD
from vmdbg.units import format_address, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

MAX_BYTES = 1 << 28
MAX_SEGMENTS = 256
MAX_SYMBOLS = 1 << 20
MAX_NAME = 255  # bytes of a symbol
MAX_PROCESS = 16  # bytes of a process's name
MAX_ALIGN = 1 << 30
FLAGS = ((4, RIGHT_R), (2, RIGHT_W), (1, RIGHT_X))  # of a segment: PF_R, PF_W, PF_X
KINDS = {"ET_EXEC": "fixed addresses", "ET_DYN": "position-independent"}
#: Types of symbols that are addresses: NOTYPE, OBJECT, FUNC, GNU_IFUNC; section numbers that are none.
SYMBOL_TYPES = (0, 1, 2, 10)
UNDEFINED, ABSOLUTE, COMMON = 0, 0xFFF1, 0xFFF2
LOCAL = 0
#: Exceptions that pyelftools may raise, besides its own, for headers that make no sense.
SURPRISES = (TypeError, ValueError, KeyError, AttributeError, OverflowError, struct.error)


class Segment:
    """A loadable segment: `start` to `end` of the address space, its rights, and the bytes at its start."""

    __slots__ = ("content", "end", "rights", "start")

    def __init__(self, start: int, end: int, rights: int, content: memoryview) -> None:
        self.start, self.end, self.rights, self.content = start, end, rights, content


def read_elf(path: str, *, va_bits: int, page_size: int) -> Program:
    """The program of an ELF file, for a machine with these addresses and base pages (bytes).

    UserError if it cannot be opened, or pyelftools is not there; InputError if it is damaged, or none
    for this machine: then nothing of it is used.
    """
    elf_file, elf_error = elf_reader(path)
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}.") from None
    if len(data) > MAX_BYTES:
        raise InputError(f"expected at most {MAX_BYTES >> 20} MiB of ELF file", path)
    try:
        elf = elf_file(BytesIO(data))
    except (elf_error, *SURPRISES) as error:
        raise InputError(f"a damaged ELF file: {error}", path) from None
    try:
        return Layout(path, data, elf, Space(va_bits, page_size)).program()
    except elf_error as error:
        raise InputError(f"a damaged ELF file: {error}", path) from None


def elf_reader(path: str) -> tuple[Any, type[Exception]]:
    """pyelftools' class of ELF files, and what it raises.  UserError, about `path`, if it is not
    installed."""
    try:
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile
    except ImportError:
        raise UserError(
            f"{path}: ELF files need pyelftools, which is not installed.",
            'Install it with "pip install pyelftools".',
        ) from None
    return ELFFile, ELFError


class Layout:
    """What an ELF file says of memory.  Methods raise InputError, or pyelftools' errors."""

    def __init__(self, path: str, data: Any, elf: Any, space: Space) -> None:
        self.path, self.data, self.elf, self.space = path, data, elf, space
        self.kind = str(elf.header["e_type"])
        self.check_header()
        self.base = 0
        self.segments = list(self.read_segments())

    def fail(self, message: str) -> NoReturn:
        """Refuse the file."""
        raise InputError(message, self.path)

    def check_header(self) -> None:
        """Refuse a file that is no executable, or is for addresses of another width than the machine's."""
        if self.kind not in KINDS:
            self.fail(f"expected an executable ELF file, not one of type {self.kind}")
        wanted = 64 if self.space.va_bits > WIDE else 32
        if self.elf.elfclass != wanted:
            self.fail(
                f"expected a {wanted}-bit ELF file, for the machine has addresses of {self.space.va_bits} "
                f"bits; this one is a {self.elf.elfclass}-bit one"
            )

    def headers(self, what: str, form: Any) -> Iterator[Any]:
        """The rows of a table of headers, `ph` or `sh`, that lie inside the file."""
        from elftools.common.utils import struct_parse

        header = self.elf.header
        first, size, count = header[f"e_{what}off"], header[f"e_{what}entsize"], header[f"e_{what}num"]
        if count and size != form.sizeof():
            self.fail(f"headers of {size} bytes; expected {form.sizeof()}")
        if first + count * size > len(self.data):
            self.fail("the file ends inside its headers")
        for number in range(count):
            yield struct_parse(form, self.elf.stream, first + number * size)

    # -- segments

    def read_segments(self) -> Iterator[Segment]:
        """The loadable segments, checked, at the addresses at which they are loaded."""
        found = [row for row in self.headers("ph", self.elf.structs.Elf_Phdr) if row["p_type"] == "PT_LOAD"]
        found = [row for row in found if row["p_memsz"]]
        if not found:
            self.fail("the ELF file has no loadable segment")
        if len(found) > MAX_SEGMENTS:
            self.fail(f"more than {MAX_SEGMENTS} loadable segments")
        if sum(row["p_filesz"] for row in found) > MAX_BYTES:
            self.fail(f"the segments hold more than {MAX_BYTES >> 20} MiB")
        if self.kind == "ET_DYN":
            self.base = self.fixed_base(max(row["p_align"] for row in found))
        for row in found:
            first, size, held = row["p_vaddr"] + self.base, row["p_memsz"], row["p_filesz"]
            offset, page = row["p_offset"], self.space.page_size
            shown = format_address(first, self.space.va_bits)
            if held > size:
                self.fail(f"the segment at {shown} has {held} bytes in the file, but only {size} in memory")
            if offset + held > len(self.data):
                self.fail(f"the file ends inside the segment at {shown}")
            if -(-(first + size) // page) * page > self.space.half:
                self.fail(
                    f"the segment at {shown}, {size:#x} bytes, does not fit in user addresses of "
                    f"{self.space.va_bits} bits"
                )
            rights = sum(right for flag, right in FLAGS if row["p_flags"] & flag) | RIGHT_U
            yield Segment(first, first + size, rights, memoryview(self.data)[offset : offset + held])

    def fixed_base(self, align: int) -> int:
        """Where a position-independent file goes: at two thirds of the user's addresses (ELF_ET_DYN_BASE)."""
        page = self.space.page_size
        if align & (align - 1) or align > MAX_ALIGN:
            self.fail(f"segments aligned to {align:#x} bytes; expected a power of two up to {MAX_ALIGN:#x}")
        align = max(align, page)
        return (self.space.half - page) * 2 // 3 // align * align

    def regions(self) -> list[RegionSpec]:
        """Regions of whole pages; a page that two segments share has the rights of both.

        The pages for which the file has bytes are a region with content; the pages behind them are another
        region.
        """
        page = self.space.page_size
        whole = [(s.start // page * page, -(-s.end // page) * page, s) for s in self.segments]
        kept = [
            (s.start // page * page, -(-(s.start + len(s.content)) // page) * page) for s in self.segments
        ]
        borders = sorted(
            {border for first, last, _ in whole for border in (first, last)}
            | {last for first, last in kept if last > first}
        )
        found: list[RegionSpec] = []
        for start, end in pairwise(borders):
            covering = [s for first, last, s in whole if first < end and start < last]
            if not covering:
                continue
            rights = 0
            for segment in covering:
                rights |= segment.rights
            content = self.content(start, end, covering)
            last = found[-1] if found else None
            if last and not content and not last.content and (last.end, last.rights) == (start, rights):
                last.size += end - start
                continue
            kind = "text" if rights & RIGHT_X else "data"
            found.append(RegionSpec(kind, start, end - start, rights, content=content))
        return found

    @staticmethod
    def content(start: int, end: int, segments: list[Segment]) -> bytes:
        """The bytes that the file has for a range of pages, without zeros at the end."""
        held = 0
        for segment in segments:
            held = max(held, min(end, segment.start + len(segment.content)) - start)
        image = bytearray(max(0, held))
        for segment in segments:
            first = max(start, segment.start)
            piece = segment.content[first - segment.start : max(0, end - segment.start)]
            image[first - start : first - start + len(piece)] = piece
        return bytes(image)

    # -- symbols

    def symbols(self) -> dict[str, int]:
        """Names of addresses, from both symbol tables; global ones before local ones of the same name."""
        sections = list(self.headers("sh", self.elf.structs.Elf_Shdr))
        found: dict[str, int] = {}
        inner: dict[str, int] = {}
        for section in sections:
            if section["sh_type"] in ("SHT_SYMTAB", "SHT_DYNSYM") and section["sh_link"] < len(sections):
                names = self.bytes_of(sections[section["sh_link"]])
                for name, value, bind in self.entries(section, names):
                    (inner if bind == LOCAL else found).setdefault(name, value)
        return {**inner, **found}

    def bytes_of(self, section: Any) -> bytes:
        """The bytes of a section that lie inside the file."""
        found: bytes = self.data[section["sh_offset"] : section["sh_offset"] + section["sh_size"]]
        return found

    def holds(self, va: int) -> bool:
        """Is it an address of a program?"""
        return self.space.fits(va) and va < self.space.half

    def entries(self, section: Any, names: bytes) -> Iterator[tuple[str, int, int]]:
        """Name, address and binding of the symbols of a table that are addresses in the file."""
        order = "<" if self.elf.little_endian else ">"
        form = struct.Struct(order + ("IBBHQQ" if self.elf.elfclass == 64 else "IIIBBH"))
        data = self.bytes_of(section)
        for row in form.iter_unpack(data[: min(len(data) // form.size, MAX_SYMBOLS) * form.size]):
            name_at, info, _, number, value, _ = (
                row if self.elf.elfclass == 64 else (row[0], row[3], row[4], row[5], row[1], row[2])
            )
            if number in (UNDEFINED, COMMON) or info & 15 not in SYMBOL_TYPES:
                continue
            end = names.find(b"\0", name_at, name_at + MAX_NAME + 1)
            name = names[name_at:end].decode("utf-8", "replace") if end > name_at else ""
            va = value if number == ABSOLUTE else value + self.base
            if name.isprintable() and name and self.holds(va):
                yield name, va, info >> 4

    # -- the program

    def program(self) -> Program:
        """The layout as a program, with the text that a `.vmp` file would have."""
        regions, symbols = self.regions(), self.symbols()
        file = os.path.basename(self.path)
        name = "".join(letter for letter in file if letter in WORD)[:MAX_PROCESS] or "elf"
        where = KINDS[self.kind] + (f": at {self.show(self.base)}" if self.base else "")
        lines = [f"# {file}: ELF, {self.elf.elfclass} bits, {where}; relocations are not applied"]
        lines.append(f"process {name}")
        for region in regions:
            lines.append(self.region_line(region))
            region.line = len(lines)
        declared_at = self.declared_at(symbols, regions)
        rows = array("q")
        entry = self.elf.header["e_entry"]
        if entry:
            va = entry + self.base
            if not self.space.fits(va):
                self.fail(f"the entry point {va:#x} does not fit in {self.space.va_bits} bits")
            lines.append(f"fetch {self.show(va)}")
            rows.extend((OP_FETCH | 1 << OP_WIDTH | len(lines) << OP_LINE, s64(va), 0, 0))
        lines.append("exit")
        rows.extend((OP_EXIT | len(lines) << OP_LINE, 0, 0, 0))
        process = ProcessSpec(name, None, -1, regions, rows, (2, len(lines)))
        at = f"loaded at {self.show(self.base)}, relocations not applied"
        remarks = [f"{file} is position-independent: {at}."] if self.kind == "ET_DYN" else []
        return Program(file, self.path, lines, [process], symbols, declared_at, remarks)

    @staticmethod
    def declared_at(symbols: dict[str, int], regions: list[RegionSpec]) -> dict[str, int]:
        """The lines of the regions that hold symbols."""
        found, starts = {}, [region.start for region in regions]
        for symbol, va in symbols.items():
            region = regions[bisect(starts, va) - 1]
            if region.start <= va < region.end:
                found[symbol] = region.line
        return found

    def show(self, va: int) -> str:
        """An address as messages and the text show it."""
        return format_address(va, self.space.va_bits)

    def region_line(self, region: RegionSpec) -> str:
        """A region as a program would declare it."""
        letters = "".join(letter for letter, bit in RIGHT_LETTERS.items() if region.rights & bit) or "none"
        held = f"  # {len(region.content)} bytes from the file" if region.content else ""
        return f"region {region.kind} {self.show(region.start)} {unit_text(region.size)} {letters}{held}"
