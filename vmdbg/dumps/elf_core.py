"""ELF cores of memory, as QEMU's `dump-guest-memory`, kdump's /proc/vmcore and `export` write them.

Segments PT_LOAD say which bytes of the file lie where in physical memory; the notes hold the registers of
each CPU: NT_PRSTATUS those of programs, and QEMU's own note those that translation needs (QEMU: target/i386/
arch_dump.c, `QEMUCPUState`).  Only headers and notes are read, through the mapped file.
"""

from __future__ import annotations

import re
import struct

from vmdbg.dumps.image import Bank, Image, check_banks
from vmdbg.errors import InputError
from vmdbg.formats import NAMES
from vmdbg.machine.banks import ADDRESSES, MOST_BANKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_HEADERS, MOST_NOTES, MOST_CPUS = 1 << 17, 1 << 16, 64
NOTE_BYTES = 1 << 26  # of notes that are read
NT_PRSTATUS = 1
OWN_NOTE = b"VMDBG"
EXTENDED_COUNT = 0xFFFF  # PN_XNUM: the number of segments is in the first section header
EI_NIDENT, ET_CORE, PT_LOAD, PT_NOTE = 16, 4, 1, 4
#: By class: the header behind `e_ident`, a program header, a section header.
HEADERS = {
    1: (struct.Struct("<HHIIIIIHHHHHH"), struct.Struct("<8I"), struct.Struct("<10I")),
    2: (struct.Struct("<HHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ"), struct.Struct("<IIQQQQIIQQ")),
}
#: By machine (EM_X86_64, EM_386, EM_RISCV, EM_AARCH64) and class.
PROCESSORS = {
    (62, 64): "x86_64",
    (3, 64): "x86",  # EM_386: QEMU's core of a guest that is not in long mode, with memory above 4 GiB
    (3, 32): "x86",
    (62, 32): "x86_64",
    (243, 64): "riscv",
    (243, 32): "riscv32",
    (183, 64): "aarch64",
}
#: Where the registers of NT_PRSTATUS lie (Linux: struct elf_prstatus), their bytes, and their names.
RISCV = "pc ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6"
LONG_MODE = "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs rflags rsp ss"
PRSTATUS = {
    "x86_64": (112, 8, LONG_MODE),
    "x86": (72, 4, "ebx ecx edx esi edi ebp eax ds es fs gs orig_eax eip cs eflags esp ss"),
    "riscv": (112, 8, RISCV),
    "riscv32": (72, 4, RISCV),
    "aarch64": (112, 8, " ".join(f"x{number}" for number in range(31)) + " sp pc pstate"),
}
#: QEMUCPUState: version, size, 18 registers, ten segments (selector, limit, flags, pad, base), cr0 to cr4,
#: and in later versions kernel_gs_base.
QEMU_STATE = struct.Struct("<II18Q" + "IIIIQ" * 10 + "5Q")
QEMU_REGISTERS = (
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp"),
    *(f"r{number}" for number in range(8, 16)),
    *("rip", "rflags"),
)
QEMU_SEGMENTS = ["cs", "ds", "es", "fs", "gs", "ss", "ldtr", "tr", "gdtr", "idtr"]


def elf_image(path: str, view: memoryview) -> Image:
    """The memory and registers of an ELF core.  What the file has not all of is cut, with a remark.

    InputError for what is no core.
    """
    return Core(path, view).image()


class Core:
    """The headers of an ELF file in a mapped view (System V ABI, chapter 4).  Methods raise InputError."""

    def __init__(self, path: str, view: memoryview) -> None:
        self.path, self.view = path, view
        self.remarks: list[str] = []
        if len(view) < EI_NIDENT or view[4] not in HEADERS:
            raise InputError("the file ends inside its ELF header, or is of no known class", path)
        if view[5] != 1:
            raise InputError("a big-endian ELF file; expected a little-endian one", path)
        self.bits = 32 * view[4]
        header, self.segment_form, self.section_form = HEADERS[view[4]]
        kind, machine, _, _, self.first, self.sections, _, _, self.width, self.count, *_ = self.parse(
            header, EI_NIDENT
        )
        if kind != ET_CORE:
            named = {1: "a relocatable file", 2: "an executable", 3: "a shared object"}
            raise InputError(f"expected an ELF core, not {named.get(kind, f'a file of type {kind}')}", path)
        self.processor = PROCESSORS.get((machine, self.bits), "")

    def parse(self, form: struct.Struct, at: int) -> tuple[int, ...]:
        """A header at an offset; InputError if the file ends before."""
        if at + form.size > len(self.view):
            raise InputError(f"the file ends inside its headers, at {at:#x}", self.path)
        return form.unpack_from(self.view, at)

    def segments(self) -> Iterator[tuple[int, int, int, int]]:
        """Type, offset in the file, physical address and bytes in the file of each program header."""
        form, count = self.segment_form, self.count
        if count == EXTENDED_COUNT and self.sections:
            count = self.parse(self.section_form, self.sections)[7]  # sh_info
        if count and self.width != form.size:
            raise InputError(f"program headers of {self.width} bytes; expected {form.size}", self.path)
        if count > MOST_HEADERS:
            raise InputError(f"{count} program headers; at most {MOST_HEADERS} are read", self.path)
        for number in range(count):
            row = self.parse(form, self.first + number * form.size)
            kind, offset, physical, size = (
                (row[0], row[2], row[4], row[5]) if self.bits == 64 else (row[0], row[1], row[3], row[4])
            )
            yield kind, offset, physical, size

    def image(self) -> Image:
        """Banks from the segments, registers from the notes."""
        banks: list[Bank] = []
        notes: list[tuple[int, int]] = []
        for kind, offset, physical, size in self.segments():
            if kind == PT_NOTE:
                notes.append((offset, size))
            elif kind == PT_LOAD and size:
                banks.append(self.bank(physical, size, offset))
                if len(banks) > 16 * MOST_BANKS:
                    break
        check_banks(self.path, banks)
        found = Image(self.path, "ELF core", self.view, banks)
        found.processor = self.processor
        programs: list[dict[str, int]] = []
        systems: list[dict[str, int]] = []
        own: list[dict[str, int]] = []
        for name, kind, data in self.notes(notes):
            if kind == NT_PRSTATUS and self.processor in PRSTATUS and len(programs) < MOST_CPUS:
                programs.append(program_registers(data, self.processor))
            elif name == b"QEMU" and kind == 0 and len(systems) < MOST_CPUS:
                systems.append(qemu_registers(data))
            elif name == OWN_NOTE and len(own) < MOST_CPUS:
                found.format, registers = own_registers(data)
                own.append(registers)
        found.cpus = merged(own) if own else merged(programs, systems)
        found.remarks = self.remarks
        return found

    def bank(self, base: int, size: int, offset: int) -> Bank:
        """The piece of memory of a segment; one without bytes in the file is empty."""
        if base + size > ADDRESSES:
            raise InputError(f"a segment at physical address {base:#x}, {size:#x} bytes", self.path)
        there = max(0, min(size, len(self.view) - offset))
        if there < size:
            self.remarks.append(
                f"The file ends inside the memory at {base:#x}: {size - there:#x} bytes are missing."
            )
        return Bank(base, there, offset)

    def notes(self, places: list[tuple[int, int]]) -> Iterator[tuple[bytes, int, bytes]]:
        """Name, type and content of each note; what is damaged ends its segment."""
        left, count = NOTE_BYTES, 0
        for offset, size in places:
            end = min(offset + min(size, left), len(self.view))
            left -= max(0, end - offset)
            while offset + 12 <= end and count < MOST_NOTES:
                name_size, size, kind = struct.unpack_from("<III", self.view, offset)
                start = offset + 12 + (name_size + 3 & ~3)
                if start + size > end:
                    self.remarks.append("The notes are damaged or cut short: registers may be missing.")
                    break
                name = bytes(self.view[offset + 12 : offset + 12 + name_size]).rstrip(b"\0")
                yield name, kind, bytes(self.view[start : start + size])
                offset, count = start + (size + 3 & ~3), count + 1


def merged(*lists: list[dict[str, int]]) -> list[dict[str, int]]:
    """The registers of each CPU, from several notes."""
    found: list[dict[str, int]] = [{} for _ in range(max(map(len, lists)))]
    for cpus in lists:
        for one, registers in zip(found, cpus, strict=False):
            one |= registers
    return found


def own_registers(data: bytes) -> tuple[str, dict[str, int]]:
    """The format and the registers of a note that `export` wrote: a word and a number a line."""
    form, found = "", {}
    for line in data.decode("ascii", "replace").splitlines():
        name, _, value = line.partition(" ")
        if name == "format":
            form = value if value in NAMES else ""
            continue
        number = re.fullmatch("0x([0-9a-f]{1,16})", value)
        if number is not None and name.isprintable():
            found[name] = int(number[1], 16)
    return form, found


def program_registers(data: bytes, processor: str) -> dict[str, int]:
    """The registers of a note NT_PRSTATUS; none if it is too short."""
    first, width, names = PRSTATUS[processor]
    found = {}
    for place, name in enumerate(names.split()):
        at = first + place * width
        if at + width <= len(data):
            found[name] = int.from_bytes(data[at : at + width], "little")
    return {name: value for name, value in found.items() if not name.startswith("orig_")}


def qemu_registers(data: bytes) -> dict[str, int]:
    """The registers of QEMU's note of an x86 CPU; none if it is too short."""
    if len(data) < QEMU_STATE.size:
        return {}
    values = QEMU_STATE.unpack_from(data)[2:]
    found = dict(zip(QEMU_REGISTERS, values, strict=False))
    for place, name in enumerate(QEMU_SEGMENTS):
        selector, limit, flags, _, base = values[18 + 5 * place : 23 + 5 * place]
        found |= segment(name, selector, base, limit, flags)
    found |= {f"cr{number}": values[68 + number] for number in (0, 2, 3, 4)}
    return found


def segment(name: str, selector: int, base: int, limit: int, flags: int = 0) -> dict[str, int]:
    """The registers of a segment: `cs`, `cs.base`, `cs.limit`, `cs.flags`; a table (`idtr`) has its base for
    its value and no selector."""
    if name in ("gdtr", "idtr"):
        return {name: base, f"{name}.limit": limit}
    return {name: selector, f"{name}.base": base, f"{name}.limit": limit, f"{name}.flags": flags}
