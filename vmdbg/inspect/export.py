"""Writes a machine's physical memory as a file that others read: a raw image, or an ELF core."""

from __future__ import annotations

import os

from vmdbg import progress
from vmdbg.dumps.core_header import completed, core_header
from vmdbg.errors import UserError
from vmdbg.files import replaced_by
from vmdbg.inspect.context import find_context
from vmdbg.inspect.extents import banks_by_address, extents
from vmdbg.machine.registers import owner, read
from vmdbg.state.tables import CPU, CPU_ADDRESS, CPU_MODE
from vmdbg.units import WORD_MASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

    from vmdbg.machine.machine import Machine

PIECE = 1 << 20  # bytes that are written at once; zeros are left out


def cpu_registers(machine: Machine, cpu: int) -> dict[str, int]:
    """The registers of a CPU by their manual's names; of a simulated one those that translation needs."""
    if machine.saved_registers:
        return machine.saved_registers[cpu]
    m, form, row = machine.m, machine.format, cpu * CPU
    try:
        root = find_context(machine, cpu=cpu).root & WORD_MASK
    except UserError:
        root = 0
    whole = read(machine, cpu, form.root_register) if form.root_fields else root
    found = {form.root_register: whole or 0}
    for name in dict.fromkeys(owner(register.name) for register in form.registers):
        found[name] = (read(machine, cpu, name) or 0) & WORD_MASK
    found[form.fault_register] = int(m.cpu[row + CPU_ADDRESS]) & WORD_MASK
    return completed(found, form, bool(m.cpu[row + CPU_MODE]))


def export(machine: Machine, path: str, core: bool) -> int:
    """Write an ELF core, or a raw image, which takes the place of an old file when it is whole; its size.

    In a raw image each bank is at its physical address less that of the first.  UserError.
    """
    banks = banks_by_address(machine)
    head, places = b"", [base - banks[0][0] for base, _ in banks]
    size = places[-1] + banks[-1][1]
    if core:
        cpus = [cpu_registers(machine, cpu) for cpu in range(machine.config["machine.cpus"])]
        head, places, size = core_header(machine.format, cpus, banks)
    target = replaced_by(path)
    part = f"{target}.{os.getpid()}.part"
    try:
        with open(part, "xb") as file:
            file.write(head)
            for (base, length), place in zip(banks, places, strict=True):
                copy(machine, base, length, place, file)
            file.truncate(size)
        os.replace(part, target)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from None
    finally:
        if os.path.exists(part):
            os.unlink(part)
    return size


def copy(machine: Machine, base: int, size: int, place: int, file: IO[bytes]) -> None:
    """Write a bank at an offset of the file, without the pieces that are all zero."""
    k, m, zeros = machine.k, machine.m, bytes(PIECE)
    with progress.task("Writing memory", "B", size) as task:
        for first, whole in extents(machine, base, size):
            for start in range(first, first + whole, PIECE):
                length = min(PIECE, first + whole - start)
                at = k.ram_offset(m, start, length)
                piece = bytes(m.ram1[at : at + length])  # bytes are compared at once, views one by one
                if not zeros.startswith(piece):
                    file.seek(place + start - base)
                    file.write(piece)
                task.at(start - base)
