"""Writes a machine's physical memory as a file that others read: a raw image, or an ELF core.

The core is one as QEMU writes it (`elf_core` reads it): a segment PT_LOAD for each bank, NT_PRSTATUS and QEMU's
note for each CPU of x86, and a note of our own with the format and all registers, of any format.
"""

from __future__ import annotations

import os
import struct

from vmdbg import progress
from vmdbg.dumps.elf_core import (
    ET_CORE,
    HEADERS,
    NT_PRSTATUS,
    OWN_NOTE,
    PRSTATUS,
    PROCESSORS,
    PT_LOAD,
    PT_NOTE,
    QEMU_REGISTERS,
    QEMU_SEGMENTS,
    QEMU_STATE,
)
from vmdbg.dumps.paging import LA57, LMA, PAE, PE, PG
from vmdbg.errors import UserError
from vmdbg.inspect.context import find_context
from vmdbg.machine.registers import owner, read
from vmdbg.state.tables import BANK, BANK_BASE, BANK_SIZE, CPU, CPU_ADDRESS, CPU_MODE
from vmdbg.units import WORD_MASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    from vmdbg.machine.machine import Machine

PIECE = 1 << 20  # bytes that are written at once; zeros are left out
ALIGN = 1 << 12  # of segments in the file
MACHINES = {name: number for (number, bits), name in PROCESSORS.items() if bits == 64}
USER_CODE, KERNEL_CODE = 0x33, 0x10  # selectors, as Linux has them


def processor_of(format_name: str) -> str:
    """The processor of a format, as `image.Image` names it; empty for one that no processor has."""
    for start, name in (("x86_64", "x86_64"), ("x86", "x86"), ("sv32", "riscv32"), ("sv", "riscv"), ("arm", "aarch64")):
        if format_name.startswith(start):
            return name
    return ""


def cpu_registers(machine: Machine, cpu: int) -> dict[str, int]:
    """The registers of a CPU by their manual's names; of a simulated one those that translation needs."""
    if machine.saved_registers:
        return machine.saved_registers[cpu]
    m, form, row = machine.m, machine.format, cpu * CPU
    try:
        root = find_context(machine, cpu=cpu).root & WORD_MASK
    except UserError:
        root = 0
    found = {form.root_register: root if not form.root_fields else read(machine, cpu, form.root_register) or 0}
    for name in dict.fromkeys(owner(register.name) for register in form.registers):
        found[name] = (read(machine, cpu, name) or 0) & WORD_MASK
    found[form.fault_register] = int(m.cpu[row + CPU_ADDRESS]) & WORD_MASK
    found["mode"] = int(m.cpu[row + CPU_MODE])
    if processor_of(form.name).startswith("x86"):
        wide = form.entry_bytes == 8
        found["cr0"] = found.get("cr0", 0) | PE | (PG if root else 0)
        found["cr4"] = found.get("cr4", 0) | (PAE if wide else 0) | (LA57 if form.va_bits > 48 else 0)
        found["efer"] = found.get("efer", 0) | (LMA | LMA >> 2 if form.va_bits > 32 else 0)
        found["cs"] = KERNEL_CODE if found["mode"] else USER_CODE
    return found


def core_notes(machine: Machine) -> bytes:
    """The content of the segment PT_NOTE."""
    notes = b""
    processor = processor_of(machine.format.name)
    for cpu in range(machine.config["machine.cpus"]):
        registers = cpu_registers(machine, cpu)
        if processor in PRSTATUS:
            first, width, names = PRSTATUS[processor]
            values = [registers.get(name, 0) & (1 << 8 * width) - 1 for name in names.split()]
            words = b"".join(value.to_bytes(width, "little") for value in values)
            notes += note(b"CORE", NT_PRSTATUS, (bytes(first) + words).ljust(336, b"\0"))
        if processor.startswith("x86"):
            notes += note(b"QEMU", 0, qemu_state(registers))
        text = "".join(f"{name} {value:#x}\n" for name, value in registers.items())
        notes += note(OWN_NOTE, cpu, f"format {machine.format.name}\n{text}".encode())
    return notes


def note(name: bytes, kind: int, content: bytes) -> bytes:
    """One note (System V ABI, chapter 5)."""

    def padded(data: bytes) -> bytes:
        return data + bytes(-len(data) % 4)

    return struct.pack("<III", len(name) + 1, len(content), kind) + padded(name + b"\0") + padded(content)


def qemu_state(registers: dict[str, int]) -> bytes:
    """QEMU's note of an x86 CPU: `QEMUCPUState`."""
    values = [registers.get(name, 0) for name in QEMU_REGISTERS]
    for name in QEMU_SEGMENTS:
        table = name in ("gdtr", "idtr")
        selector = 0 if table else registers.get(name, 0)
        limit, flags = registers.get(f"{name}.limit", 0), registers.get(f"{name}.flags", 0)
        base = registers.get(name if table else f"{name}.base", 0)
        values += [selector & 0xFFFFFFFF, limit & 0xFFFFFFFF, flags & 0xFFFFFFFF, 0, base]
    values += [registers.get(f"cr{number}", 0) for number in range(5)]
    return QEMU_STATE.pack(1, QEMU_STATE.size, *values)


def write_raw(machine: Machine, write: Callable[[int, bytes], None]) -> int:
    """Memory byte by byte, each bank at its physical address less that of the first; the size of the file."""
    banks = banks_of(machine)
    for base, size in banks:
        copy(machine, base, size, base - banks[0][0], write)
    return banks[-1][0] + banks[-1][1] - banks[0][0]


def write_core(machine: Machine, write: Callable[[int, bytes], None]) -> int:
    """An ELF core of class 64; its size."""
    banks = banks_of(machine)
    notes = core_notes(machine)
    header, segment, _ = HEADERS[2]
    count = len(banks) + 1
    at = 16 + header.size + count * segment.size
    place = -(-(at + len(notes)) // ALIGN) * ALIGN
    kind = MACHINES.get(processor_of(machine.format.name), 0)
    kind = MACHINES["riscv"] if processor_of(machine.format.name) == "riscv32" else kind
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head += header.pack(ET_CORE, kind, 1, 0, 16 + header.size, 0, 0, 16 + header.size, segment.size, count, 0, 0, 0)
    head += segment.pack(PT_NOTE, 0, at, 0, 0, len(notes), len(notes), 4)
    places = []
    for base, size in banks:
        head += segment.pack(PT_LOAD, 7, place, base, base, size, size, ALIGN)
        places.append(place)
        place = -(-(place + size) // ALIGN) * ALIGN
    write(0, head + notes)
    for (base, size), where in zip(banks, places, strict=True):
        copy(machine, base, size, where, write)
    return places[-1] + banks[-1][1]


def banks_of(machine: Machine) -> list[tuple[int, int]]:
    """Physical address and size of each bank, by address."""
    m = machine.m
    return sorted((m.bank[row + BANK_BASE], m.bank[row + BANK_SIZE]) for row in range(0, len(m.bank), BANK))


def copy(machine: Machine, base: int, size: int, where: int, write: Callable[[int, bytes], None]) -> None:
    """Write a bank at an offset of the file, without the pieces that are all zero."""
    k, m, zeros = machine.k, machine.m, bytes(PIECE)
    with progress.task("Writing memory", "B", size) as task:
        for start in range(0, size, PIECE):
            length = min(PIECE, size - start)
            at = k.ram_offset(m, base + start, length)
            piece = bytes(m.ram1[at : at + length])  # bytes are compared at once, views one by one
            if piece != zeros[:length]:
                write(where + start, piece)
            task.at(start)


def export(machine: Machine, path: str, core: bool) -> int:
    """Write a file that takes the place of an old one when it is whole; its size.  UserError."""
    part = f"{path}.{os.getpid()}.part"
    try:
        with open(part, "xb") as file:
            size = (write_core if core else write_raw)(machine, lambda at, piece: put(file, at, piece))
            file.truncate(size)
        os.replace(part, path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from None
    finally:
        if os.path.exists(part):
            os.unlink(part)
    return size


def put(file: IO[bytes], at: int, piece: bytes) -> None:
    """Write bytes at an offset."""
    file.seek(at)
    file.write(piece)

