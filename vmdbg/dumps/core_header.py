"""The head of an ELF core that others read: one as QEMU writes it, with a note of our own.

A segment PT_LOAD for each bank; for each CPU NT_PRSTATUS, of x86 QEMU's note too, and a note with the format
and all registers, of any format (`elf_core` reads them).
"""

from __future__ import annotations

import struct

from vmdbg.dumps.elf_core import (
    ET_CORE,
    HEADERS,
    NT_PRSTATUS,
    OWN_NOTE,
    PROCESSORS,
    PRSTATUS,
    PT_LOAD,
    PT_NOTE,
    QEMU_REGISTERS,
    QEMU_SEGMENTS,
    QEMU_STATE,
)
from vmdbg.dumps.paging import LA57, LMA, PAE, PE, PG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmdbg.formats.record import Format

ALIGN = 1 << 12  # of segments in the file
MACHINES = {name: number for (number, _), name in PROCESSORS.items()}
PREFIXES = (
    ("x86_64", "x86_64"),
    ("x86", "x86"),
    ("sv32", "riscv32"),
    ("sv", "riscv"),
    ("arm", "aarch64"),
)
USER_CODE, KERNEL_CODE = 0x33, 0x10  # selectors, as Linux has them
PRSTATUS_BYTES = 336  # of a CPU in long mode, with pr_fpvalid
WIDE = 8  # bytes of entries


def processor_of(form: Format) -> str:
    """The processor of a format, as `image.Image` names it; empty for one that no processor has."""
    return next((name for start, name in PREFIXES if form.name.startswith(start)), "")


def completed(registers: dict[str, int], form: Format, in_kernel: bool) -> dict[str, int]:
    """The registers of a simulated CPU with those bits that a real one has set when it translates so."""
    found = {**registers, "mode": int(in_kernel)}
    if processor_of(form).startswith("x86"):
        translates = PG if found.get("cr3") else 0
        found["cr0"] = found.get("cr0", 0) | PE | translates
        found["cr4"] = found.get("cr4", 0) | (PAE if form.entry_bytes == WIDE else 0)
        found["cr4"] |= LA57 if form.va_bits > 48 else 0
        found["efer"] = found.get("efer", 0) | (LMA | LMA >> 2 if form.va_bits > 32 else 0)
        found["cs"] = KERNEL_CODE if in_kernel else USER_CODE
    return found


def note(name: bytes, kind: int, content: bytes) -> bytes:
    """One note (System V ABI, chapter 5)."""

    def padded(data: bytes) -> bytes:
        return data + bytes(-len(data) % 4)

    return struct.pack("<III", len(name) + 1, len(content), kind) + padded(name + b"\0") + padded(content)


def qemu_state(registers: dict[str, int]) -> bytes:
    """The content of QEMU's note of an x86 CPU: `QEMUCPUState`."""
    values = [registers.get(name, 0) for name in QEMU_REGISTERS]
    for name in QEMU_SEGMENTS:
        table = name in ("gdtr", "idtr")
        selector = 0 if table else registers.get(name, 0)
        limit, flags = registers.get(f"{name}.limit", 0), registers.get(f"{name}.flags", 0)
        base = registers.get(name if table else f"{name}.base", 0)
        values += [selector & 0xFFFFFFFF, limit & 0xFFFFFFFF, flags & 0xFFFFFFFF, 0, base]
    values += [registers.get(f"cr{number}", 0) for number in range(5)]
    return QEMU_STATE.pack(1, QEMU_STATE.size, *values)


def core_notes(form: Format, cpus: Sequence[dict[str, int]]) -> bytes:
    """The content of the segment PT_NOTE."""
    notes, processor = b"", processor_of(form)
    for number, registers in enumerate(cpus):
        if processor in PRSTATUS:
            first, width, names = PRSTATUS[processor]
            values = [registers.get(name, 0) & (1 << 8 * width) - 1 for name in names.split()]
            words = b"".join(value.to_bytes(width, "little") for value in values)
            notes += note(b"CORE", NT_PRSTATUS, (bytes(first) + words).ljust(PRSTATUS_BYTES, b"\0"))
        if processor.startswith("x86"):
            notes += note(b"QEMU", 0, qemu_state(registers))
        text = "".join(f"{name} {value:#x}\n" for name, value in registers.items())
        notes += note(OWN_NOTE, number, f"format {form.name}\n{text}".encode())
    return notes


def core_header(
    form: Format, cpus: Sequence[dict[str, int]], banks: Sequence[tuple[int, int]]
) -> tuple[bytes, list[int], int]:
    """What the file begins with; where each bank, an address and a size, lies in it; its whole size."""
    notes = core_notes(form, cpus)
    header, segment, _ = HEADERS[2]
    first, count = 16 + header.size, len(banks) + 1
    at = first + count * segment.size
    machine = MACHINES.get(processor_of(form), 0)
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head += header.pack(ET_CORE, machine, 1, 0, first, 0, 0, first, segment.size, count, 0, 0, 0)
    head += segment.pack(PT_NOTE, 0, at, 0, 0, len(notes), len(notes), 4)
    places, end = [], at + len(notes)
    for base, size in banks:
        place = -(-end // ALIGN) * ALIGN
        head += segment.pack(PT_LOAD, 7, place, base, base, size, size, ALIGN)
        places.append(place)
        end = place + size
    return head + notes, places, end
