"""One access by the RISC-V processor of the Unicorn engine (QEMU's), with its own walk of the same tables.

The processor starts in machine mode on a page of code outside the memory under test; MRET makes it the kernel
or a program, on pages that `entries_for_code` maps.  It knows no reserved bits.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from unicorn import UC_ARCH_RISCV, UC_HOOK_INTR, UC_MODE_RISCV32, UC_MODE_RISCV64, Uc, UcError
from unicorn import riscv_const as riscv

from tests.models.riscv_code import CODE, HERE, entries_for_code, pattern, pointer

__all__ = ["CODE", "access", "entries_for_code", "pattern", "pointer"]

WORD = 0x1122334455667788
MRET = 0x30200073


class Outcome(NamedTuple):
    """`cause` -1: none.  `value`: what the register held afterwards; `strange`: it left the memory."""

    cause: int
    value: int
    memory: bytes
    strange: bool


def access(memory: bytes, base: int, root: int, va: int, kind: str, user: bool, rules: Any) -> Outcome:
    """What the processor makes of one access of 8 (4) bytes; `memory` already leads from its root to CODE."""
    small = rules.levels == 2
    uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV32 if small else UC_MODE_RISCV64)
    uc.mem_map(base, len(memory))
    uc.mem_map(CODE, 0x10000)
    uc.mem_write(base, memory)
    start, _, entries = entries_for_code(rules.levels)
    for address, entry in entries:
        uc.mem_write(address, entry.to_bytes(4 if small else 8, "little"))
    wider = 0 if small else 0x1000  # doublewords instead of words
    touch = {"r": 0x0005A503 | wider, "w": 0x00A5A023 | wider, "x": 0x00058067}
    uc.mem_write(CODE + 0x6000, struct.pack("<III", touch[kind], HERE, MRET))
    mode = {2: 1, 3: 8, 4: 9, 5: 10}[rules.levels]
    state = rules.sum_ << 18 | rules.mxr << 19 | (0 if user else 1) << 11
    entry_point = start + (0x1000 if user else 0)
    for register, value in (
        (riscv.UC_RISCV_REG_SATP, mode << (31 if small else 60) | root >> 12),
        (riscv.UC_RISCV_REG_MSTATUS, state),
        (riscv.UC_RISCV_REG_MEPC, entry_point),
        (riscv.UC_RISCV_REG_A0, WORD & (0xFFFFFFFF if small else WORD)),
        (riscv.UC_RISCV_REG_A1, va & (0xFFFFFFFF if small else (1 << 64) - 1)),
    ):
        uc.reg_write(register, value)
    causes: list[int] = []

    def trapped(engine: Uc, number: int, _: object) -> None:
        causes.append(number)
        engine.emu_stop()

    uc.hook_add(UC_HOOK_INTR, trapped)
    strange = False
    try:
        uc.emu_start(CODE + 0x6008, entry_point + 0xC00, count=3 if kind == "x" else 2)
    except UcError:
        strange = True
    value = uc.reg_read(riscv.UC_RISCV_REG_A0)
    return Outcome(causes[0] if causes else -1, value, bytes(uc.mem_read(base, len(memory))), strange)
