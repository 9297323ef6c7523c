"""What there is to look at: the sort of target, its CPUs, and the pieces of its physical memory."""

from __future__ import annotations

from vmdbg.dumps.machine import DumpMachine
from vmdbg.state.tables import BANK, BANK_BASE, BANK_SIZE, CPU, CPU_MODE, CPU_ROOT
from vmdbg.units import WORD_MASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.machine.machine import Machine

COUNTERS = ("rip", "eip", "pc")  # the names of instruction pointers
STACKS = ("rsp", "esp", "sp")


def dump_facts(machine: Machine) -> dict[str, Any]:
    """What JSON shows: `kind`, `file`, `format`, whether the format was only assumed, `cpus`, `banks`."""
    form, m = machine.format, machine.m
    dumped = isinstance(machine, DumpMachine)
    rows = range(0, len(m.bank), BANK)
    found = [(m.bank[row + BANK_BASE], m.bank[row + BANK_SIZE]) for row in rows]
    return {
        "kind": machine.image.kind if isinstance(machine, DumpMachine) else "simulated machine",
        "file": machine.image.path if isinstance(machine, DumpMachine) else None,
        "format": form.name,
        "assumed": isinstance(machine, DumpMachine) and not machine.format_known,
        "root_register": form.root_register,
        "cpus": [cpu_facts(machine, number) for number in range(machine.config["machine.cpus"])],
        "no_root": None if not dumped or m.cpu[CPU_ROOT] or machine.rooted else " ".join(machine.no_root),
        "size": sum(size for _, size in found),
        "banks": [{"base": base, "end": base + size, "size": size} for base, size in sorted(found)],
    }


def cpu_facts(machine: Machine, number: int) -> dict[str, Any]:
    """Of a CPU: its root (None: not known), its mode, its instruction pointer if the dump has it, and how
    many registers it has of it."""
    m, row = machine.m, number * CPU
    saved = machine.saved_registers[number] if machine.saved_registers else {}
    return {
        "cpu": number,
        "root": int(m.cpu[row + CPU_ROOT]) & WORD_MASK or (0 if machine.rooted else None),
        "mode": ("user", "kernel")[m.cpu[row + CPU_MODE] & 1],
        "ip": first_of(saved, COUNTERS),
        "registers": len(saved),
    }


def first_of(registers: dict[str, int], names: tuple[str, ...]) -> int | None:
    """The value of the first of some registers that there is."""
    return next((registers[name] for name in names if name in registers), None)
