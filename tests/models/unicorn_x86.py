"""One access by the x86 processor of the Unicorn engine (QEMU's), with its own walk of the same tables.

The processor starts as a kernel on a page of code of its own, outside the memory under test, and makes the
access itself or, as a program, after SYSRET or SYSEXIT.  Frames that are no tables hold instructions that
say where they are, so that what was read or executed tells the physical address.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from unicorn import UC_ARCH_X86, UC_HOOK_INTR, UC_MODE_32, UC_MODE_64, Uc, UcError
from unicorn import x86_const as x86

CODE = 0x90000000  # physical: tables, then a page that only the kernel has, then one of everybody's
PHYSICAL_BITS = 40  # of the processors that Unicorn has
WORD = 0x1122334455667788
PAGE_FAULT = 14


class Outcome(NamedTuple):
    """`vector` -1: none; `address` is CR2.  `value`: what the register held afterwards; `strange`: the access
    left the memory that there is."""

    vector: int
    address: int
    value: int
    memory: bytes
    strange: bool


def pattern(base: int, first: int, size: int) -> bytes:
    """What frames from offset `first` on hold: every 16 bytes load their own address into a register and
    wait."""
    return b"".join(
        b"\xb8" + struct.pack("<I", base + at) + b"\xeb\xfe" + b"\x90" * 9 for at in range(first, size, 16)
    )


def entries_for_code(mode: str) -> tuple[int, int, list[tuple[int, int]]]:
    """Where the kernel's page of code is mapped, the offset of the root's entry for it, which leads to
    CODE + 0x1000, and the other entries, by address."""
    if mode == "x86_32":
        return 0x60000000, 0x180 * 4, [(CODE + 0x1000, CODE + 0x4003), (CODE + 0x1004, CODE + 0x5007)]
    levels = {"x86_pae": 2, "x86_64": 3, "x86_64_la57": 4}[mode]
    below = [CODE + 0x1000 * number for number in range(1, levels + 1)]
    entries = [(at, at + 0x1007) for at in below[:-1]]
    last = below[-1]
    entries += [(last, CODE + 0x6003), (last + 8, CODE + 0x7007)]
    if mode == "x86_pae":
        return 0x40000000, 8, entries
    return (1 << 64) - (1 << 9 * levels + 20), 256 * 8, entries


def access(memory: bytes, base: int, root: int, va: int, kind: str, user: bool, rules: Any) -> Outcome:
    """What the processor makes of one access of 8 (4) bytes; `memory` already leads from its root to CODE."""
    mode = rules.mode
    wide = mode.startswith("x86_64")
    uc = Uc(UC_ARCH_X86, UC_MODE_64 if wide else UC_MODE_32)
    uc.ctl_set_cpu_model(x86.UC_CPU_X86_ICELAKE_SERVER)
    uc.mem_map(base, len(memory))
    uc.mem_map(CODE, 0x10000)
    uc.mem_write(base, memory)
    start, _, entries = entries_for_code(mode)
    for address, entry in entries:
        uc.mem_write(address, entry.to_bytes(4 if mode == "x86_32" else 8, "little"))
    prefix = b"\x48" if wide else b""
    touch = {"r": prefix + b"\x8b\x07", "w": prefix + b"\x89\x07", "x": b"\xff\xe7"}[kind]
    leave = prefix + (b"\x0f\x07" if wide else b"\x0f\x35")
    kernel, program = (CODE + 0x4000, CODE + 0x5000) if mode == "x86_32" else (CODE + 0x6000, CODE + 0x7000)
    uc.mem_write(kernel, leave if user else touch)
    uc.mem_write(program, touch)
    uc.reg_write(x86.UC_X86_REG_CR3, root)
    cr4 = (mode != "x86_32") << 5 | rules.pse << 4 | rules.smep << 20 | rules.smap << 21 | rules.pke << 22
    uc.reg_write(x86.UC_X86_REG_CR4, cr4 | (mode == "x86_64_la57") << 12)
    efer = rules.nxe << 11 | (0x501 if wide else 0)
    for number, value in ((0xC0000080, efer), (0xC0000081, 0x001B0008 << 32), (0x174, 8)):
        uc.reg_write(x86.UC_X86_REG_MSR, (number, value))
    if rules.pke:
        set_pkru(uc, rules.pkru)
    uc.reg_write(x86.UC_X86_REG_CR0, 1 << 31 | 1 | rules.wp << 16)
    flags = 2 | rules.ac << 18
    target = va if kind == "x" else start + 0x1000
    if wide:
        uc.reg_write(x86.UC_X86_REG_RDI, va)
        uc.reg_write(x86.UC_X86_REG_RAX, WORD)
        uc.reg_write(x86.UC_X86_REG_RCX, target)
        uc.reg_write(x86.UC_X86_REG_R11, flags)
    else:
        uc.reg_write(x86.UC_X86_REG_EDI, va)
        uc.reg_write(x86.UC_X86_REG_EAX, WORD & 0xFFFFFFFF)
        uc.reg_write(x86.UC_X86_REG_EDX, target)
    uc.reg_write(x86.UC_X86_REG_EFLAGS, flags)
    vectors: list[int] = []

    def interrupted(engine: Uc, number: int, _: object) -> None:
        vectors.append(number)
        engine.emu_stop()

    uc.hook_add(UC_HOOK_INTR, interrupted)
    strange = False
    try:
        end = start + (0x1800 if user else 0x800)  # Unicorn translates it too: it has to be there
        uc.emu_start(start, end, count=2 if user or kind == "x" else 1)
    except UcError:
        strange = True
    value = uc.reg_read(x86.UC_X86_REG_RAX if wide else x86.UC_X86_REG_EAX)
    address = uc.reg_read(x86.UC_X86_REG_CR2)
    return Outcome(
        vectors[0] if vectors else -1, address, value, bytes(uc.mem_read(base, len(memory))), strange
    )


def set_pkru(uc: Uc, value: int) -> None:
    """Run WRPKRU, which needs CR4.PKE, before paging is on."""
    uc.mem_write(CODE + 0x8000, b"\x0f\x01\xef")
    uc.reg_write(x86.UC_X86_REG_EAX, value)
    uc.reg_write(x86.UC_X86_REG_ECX, 0)
    uc.reg_write(x86.UC_X86_REG_EDX, 0)
    uc.emu_start(CODE + 0x8000, CODE + 0x8003, count=1)
