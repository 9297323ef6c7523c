"""One access by a RISC-V processor of QEMU, single-stepped through its GDB server (`gdb_server`).

A program or the kernel makes the access itself, on pages that the root table maps, or machine mode makes it
on their behalf, with mstatus.MPRV (Privileged, 3.1.6.3).  Page faults are delegated to the kernel, so that
the former are told in scause and stval, the latter in mcause and mtval.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from tests.models.riscv_code import CODE, HERE, entries_for_code, pattern, pointer

__all__ = ["CODE", "access", "entries_for_code", "pattern", "pointer"]

PROGRAM = {2: "qemu-system-riscv32", 3: "qemu-system-riscv64"}  # by levels: others as 3
WORD = 0x1122334455667788
HANDLER, MACHINE_HANDLER = 0x7FFFF000, 0x7FFFE000  # no code: what is looked at is that it is reached
PMP_ALL = 0x1F  # pmp0cfg: NAPOT, read, write, execute
MPRV, MPP_LOW, SUM, MXR, PBMTE = 1 << 17, 11, 1 << 18, 1 << 19, 1 << 62
DELEGATED = 0xFFFF & ~(1 << 8 | 1 << 9 | 1 << 11)


class Outcome(NamedTuple):
    """`cause` -1 without an exception; `address` is stval; `value` what A0 held afterwards."""

    cause: int
    address: int
    value: int


def options(levels: int, extensions: bool) -> tuple[str, ...]:
    """Of QEMU: the program and its arguments; `extensions`: the processor has Svnapot and Svpbmt."""
    cpu = "rv32" if levels == 2 else f"rv64,svnapot={extensions},svpbmt={extensions}".lower()
    program = PROGRAM[min(levels, 3)]
    return program, "-M", "virt", "-cpu", cpu, "-bios", "none", "-m", "512"


def begin(cpu: Any, levels: int) -> None:
    """Put the code and its tables where they stay: a load, a store, a jump; open all physical memory."""
    small = levels == 2
    wider = 0 if small else 0x1000  # doublewords instead of words
    code = (0x0005A503 | wider, HERE, 0x00A5A023 | wider, HERE, 0x00058067, HERE)
    cpu.write(CODE + 0x6000, struct.pack("<6I", *code))
    for address, entry in entries_for_code(levels)[2]:
        cpu.write(address, entry.to_bytes(4 if small else 8, "little"))
    cpu.set(priv=3, pmpaddr0=-1, pmpcfg0=PMP_ALL, medeleg=DELEGATED, stvec=HANDLER, mtvec=MACHINE_HANDLER)


def access(cpu: Any, satp: int, va: int, kind: str, user: bool, rules: Any, by_machine: bool) -> Outcome:
    """What the processor makes of one access of 8 (4) bytes; `by_machine`: a load or store with MPRV."""
    state = rules.sum_ << 18 | rules.mxr << 19
    level, start = 0 if user else 1, entries_for_code(rules.levels)[0] + (0x1000 if user else 0)
    if by_machine:
        state |= MPRV | level << MPP_LOW
        level, start = 3, CODE + 0x6000
    cpu.set(priv=3, satp=0, mstatus=state)
    if rules.levels > 2:
        cpu.set(menvcfg=PBMTE if rules.svpbmt else 0)
    cpu.set(satp=satp, a0=WORD, a1=va, priv=level, pc=start + {"r": 0, "w": 8, "x": 16}[kind])
    for _ in range(2 if kind == "x" else 1):
        cpu.step()
        at = cpu.get("pc")
        if at in (HANDLER, MACHINE_HANDLER):
            names = ("scause", "stval") if at == HANDLER else ("mcause", "mtval")
            return Outcome(cpu.get(names[0]), cpu.get(names[1]), cpu.get("a0"))
    return Outcome(-1, 0, cpu.get("a0"))
