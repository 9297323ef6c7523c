"""One access by the x86 processor of QEMU, single-stepped through its GDB server (`gdb_server`).

A boot sector turns paging on and loads the descriptor tables.  Each case has registers and a root table of
its own, which maps three more pages: code of the kernel, code of programs, and the kernel's data, where the
error code is pushed.  Programs start by IRET.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

CODE, ROOT, LOW = (
    0x90000000,
    0x90010000,
    0x90011000,
)  # physical: what all roots map, the first root, its others
WORD = 0x1122334455667788
PHYSICAL_BITS = 40
OPTIONS = (
    "qemu-system-x86_64", "-M", "pc", "-nodefaults", "-cpu", f"max,phys-bits={PHYSICAL_BITS}", "-m", "2560",
)  # fmt: skip
SECTOR, HERE = 0x7C00, b"\xeb\xfe"  # jump to itself
#: Selectors: code and data of the kernel, of programs, task.
KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_DATA, TASK = 0x08, 0x10, 0x1B, 0x23, 0x28
#: Offsets in the kernel's data: for LGDT and LIDT, task, vectors, where IRET pops, the stack of the kernel.
GDTR, IDTR, TASK_AT, IDT, FRAME, STACK = 0x80, 0x90, 0x100, 0x200, 0x800, 0xF00
#: Offsets in the kernel's code: what starts, WRPKRU, IRET, and the handlers of INT3, #GP and #PF.
START, KEYS, IRET, HANDLERS = 0x400, 0x440, 0x460, {0x800: 13, 0x840: 14, 0x880: 3}
LEAVE = 0x480  # in programs' code: INT3
TOUCH = {"r": 0, "w": 0x20, "x": 0x40}


class Outcome(NamedTuple):
    """`vector` -1: none.  `address` is CR2; `value` what EAX or RAX held afterwards."""

    vector: int
    code: int
    address: int
    value: int


def pattern(base: int, first: int, size: int) -> bytes:
    """What frames from offset `first` on hold: every 16 bytes load their own address into a register."""
    places = range(first, size, 16)
    return b"".join(b"\xb8" + struct.pack("<I", base + at) + b"\xeb\xfe" + b"\x90" * 9 for at in places)


def entries_for_code(mode: str) -> tuple[int, int, list[tuple[int, int]]]:
    """Where the kernel's code is mapped, the offset of a root's entry for it, which leads to CODE + 0x1000,
    and the other entries, by address.  Programs' code and the kernel's data are the next pages."""
    levels = {"x86_32": 1, "x86_pae": 2, "x86_64": 3, "x86_64_la57": 4}[mode]
    below = [CODE + 0x1000 * number for number in range(1, levels + 1)]
    entries, width = [(at, at + 0x1007) for at in below[:-1]], 4 if mode == "x86_32" else 8
    for place, flags in enumerate((0x63, 0x67, 0x63)):
        entries.append((below[-1] + width * place, CODE + 0x6000 + 0x1000 * place | flags))
    if mode == "x86_32":
        return 0x60000000, 0x180 * 4, entries
    if mode == "x86_pae":
        return 0x40000000, 8, entries
    return (1 << 64) - (1 << 9 * levels + 20), 256 * 8, entries


def data_page(start: int, wide: bool) -> bytes:
    """Descriptor tables, a task whose kernel stack is STACK, and gates (SDM 3A, 3.4.5, 6.11, 6.14.1, 7.2)."""
    data, here = bytearray(4096), start + 0x2000
    size = 0x0020 if wide else 0x0040  # bits 55:52 of a code segment: of 64 or of 32 bits
    code, flat = (size | 0x80) << 48 | 0x000F9B000000FFFF, 0x00CF93000000FFFF
    task = here + TASK_AT
    descriptor = 0x67 | (task & 0xFFFFFF) << 16 | 0x89 << 40 | (task >> 24 & 255) << 56
    user = 3 << 45
    rows = (0, code, flat, code | user, flat | user, descriptor & (1 << 64) - 1, task >> 32)
    struct.pack_into("<7Q", data, 0, *rows)
    struct.pack_into("<HQ", data, GDTR, 0x37, here)
    struct.pack_into("<HQ", data, IDTR, 0xFF, here + IDT)
    if wide:
        struct.pack_into("<Q", data, TASK_AT + 4, here + STACK)
    else:
        struct.pack_into("<II", data, TASK_AT + 4, here + STACK, KERNEL_DATA)
    for handler, vector in HANDLERS.items():
        target = start + handler
        gate = (
            target & 0xFFFF
            | KERNEL_CODE << 16
            | (0xEE if vector == 3 else 0x8E) << 40
            | (target >> 16 & 0xFFFF) << 48
        )
        if wide:
            struct.pack_into("<QQ", data, IDT + 16 * vector, gate, target >> 32)
        else:
            struct.pack_into("<Q", data, IDT + 8 * vector, gate)
    return bytes(data)


def control(rules: Any) -> tuple[int, int, int]:
    """CR0, CR4 and EFER."""
    wide = rules.mode.startswith("x86_64")
    cr4 = (
        (rules.mode != "x86_32") << 5 | rules.pse << 4 | rules.smep << 20 | rules.smap << 21 | rules.pke << 22
    )
    return (
        0x80000011 | rules.wp << 16,
        cr4 | (rules.mode == "x86_64_la57") << 12,
        rules.nxe << 11 | 0x500 * wide,
    )


def begin(cpu: Any, mode: str, rules: Any, sector: bytes) -> None:
    """Put code and tables where they stay, and start: `sector` ends in a HLT in code of 64 or 32 bits."""
    wide, width = mode.startswith("x86_64"), 4 if mode == "x86_32" else 8
    start, at, entries = entries_for_code(mode)
    levels = len({place >> 12 for place, _ in entries}) + 1
    low = [LOW + 0x1000 * number for number in range(levels - 1)]
    flags = 1 if mode == "x86_pae" else 7
    entries += [(ROOT, low[0] | flags), (ROOT + at, CODE + 0x1000 | flags)]
    entries += [(table, table + 0x1000 | 7) for table in low[:-1]]
    entries += [(low[-1] + width * page, page << 12 | 0x63) for page in range(16)]
    for address, entry in entries:
        cpu.write(address, entry.to_bytes(width, "little"))
    rex = b"\x48" if wide else b""
    code = bytearray(4096)
    for kind, text in (("r", rex + b"\x8b\x07"), ("w", rex + b"\x89\x07"), ("x", b"\xff\xe7")):
        code[TOUCH[kind] : TOUCH[kind] + len(text) + 2] = text + HERE
    code[LEAVE : LEAVE + 3] = b"\xcc" + HERE
    kernel = bytearray(code)
    kernel[START : START + 11] = (
        b"\x0f\x01\x17\x0f\x01\x1e\x0f\x00\xd8\x8e\xd2"  # lgdt lidt; ltr ax; mov ss, dx
    )
    kernel[KEYS : KEYS + 3], kernel[IRET : IRET + 3] = b"\x0f\x01\xef", (rex + b"\xcf").ljust(3, b"\x90")
    cpu.write(CODE + 0x6000, bytes(kernel) + bytes(code) + data_page(start, wide))
    cpu.write(SECTOR, sector)
    cpu.set(cs=0, rip=SECTOR)
    for _ in range(40):
        cpu.step()
        if cpu.read(cpu.get("rip"), 1) == b"\xf4":
            break
    data = start + 0x2000
    cpu.set(rip=start + START, rdi=data + GDTR, rsi=data + IDTR, rax=TASK, rdx=KERNEL_DATA)
    for _ in range(4):
        cpu.step()
    assert cpu.get("rip") == start + START + 11


def access(cpu: Any, root: int, va: int, kind: str, user: bool, rules: Any) -> Outcome:
    """What the processor makes of one access of 8 (4) bytes by the kernel or a program."""
    start, wide = entries_for_code(rules.mode)[0], rules.mode.startswith("x86_64")
    cr0, cr4, efer = control(rules)
    cpu.set(cr3=ROOT, cr0=cr0, cr4=cr4, efer=efer, eflags=2)
    if cpu.get("cs") == USER_CODE:
        cpu.set(rip=start + 0x1000 + LEAVE)
        cpu.step()
    if rules.pke:
        cpu.set(rip=start + KEYS, rax=rules.pkru, rcx=0, rdx=0)
        cpu.step()
    code, stack, flags = start + TOUCH[kind], start + 0x2000 + STACK, 2 | rules.ac << 18
    cpu.set(cr3=root, rsp=stack, eflags=flags, rip=code, rax=WORD, rdi=va)
    if user:
        frame = (code + 0x1000, USER_CODE, flags, 0, USER_DATA)
        cpu.write(CODE + 0x8000 + FRAME, struct.pack("<5Q" if wide else "<5I", *frame))
        cpu.set(rsp=start + 0x2000 + FRAME, rip=start + IRET)
        cpu.step()
    for _ in range(2 if kind == "x" else 1):
        cpu.step()
        vector = HANDLERS.get(cpu.get("rip") - start)
        if vector is not None:
            at = cpu.get("rsp") - start - 0x2000
            pushed = int.from_bytes(cpu.read(CODE + 0x8000 + at, 4), "little")
            return Outcome(vector, pushed, cpu.get("cr2"), 0)
    return Outcome(-1, 0, 0, cpu.get("rax"))
