"""Dumps made by hand: tables of x86-64, and files of every sort that hold them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

P, W, U, A, D, PS, NX = 1, 2, 4, 32, 64, 128, 1 << 63
PAGE = 1 << 12
Bank = tuple[int, bytes]
REGISTERS = [
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp"),
    *(f"r{n}" for n in range(8, 16)),
    "rip",
    "rflags",
]
SEGMENTS = ["cs", "ds", "es", "fs", "gs", "ss", "ldtr", "tr", "gdtr", "idtr"]
LONG = {"cr0": 0x80010011, "cr3": 0x1000, "cr4": 0x20, "cs": 0x10, "rflags": 2}


class Memory:
    """Physical memory from address 0 on, with 4-level tables at 0x1000; new tables are taken from `free`
    on."""

    def __init__(self, size: int = 1 << 20, root: int = 0x1000, free: int = 0x2000) -> None:
        self.bytes, self.root, self.free = bytearray(size), root, free

    def put(self, pa: int, value: int, width: int = 8) -> None:
        self.bytes[pa : pa + width] = (value & (1 << 8 * width) - 1).to_bytes(width, "little")

    def get(self, pa: int) -> int:
        return int.from_bytes(self.bytes[pa : pa + 8], "little")

    def entry(self, va: int, depth: int, flags: int = P | W | U) -> int:
        """The address of an entry; tables on the way are made, with these flags."""
        table = self.root
        for level in range(depth):
            at = table + 8 * (va >> 39 - 9 * level & 511)
            if not self.get(at) & P:
                self.put(at, self.free | flags)
                self.free += PAGE
            table = self.get(at) & 0xFFFFFFFFFF000
        return table + 8 * (va >> 39 - 9 * depth & 511)

    def map(self, va: int, pa: int, flags: int = P | W, depth: int = 3) -> int:
        """Map a page of 4 KiB, 2 MiB (depth 2) or 1 GiB (1); the address of its entry."""
        at = self.entry(va, depth)
        self.put(at, pa | flags | (PS if depth < 3 else 0))
        return at


def note(name: bytes, kind: int, content: bytes) -> bytes:
    def padded(data: bytes) -> bytes:
        return data + bytes(-len(data) % 4)

    return struct.pack("<III", len(name) + 1, len(content), kind) + padded(name + b"\0") + padded(content)


def qemu_note(registers: dict[str, int]) -> bytes:
    """QEMUCPUState of QEMU's target/i386/arch_dump.c."""
    data = struct.pack("<II", 1, 440)
    data += b"".join(struct.pack("<Q", registers.get(name, 0)) for name in REGISTERS)
    for name in SEGMENTS:
        table = name in ("gdtr", "idtr")
        limit, flags = registers.get(f"{name}.limit", 0), registers.get(f"{name}.flags", 0)
        base = registers.get(name if table else f"{name}.base", 0)
        data += struct.pack("<IIIIQ", 0 if table else registers.get(name, 0), limit, flags, 0, base)
    data += b"".join(struct.pack("<Q", registers.get(f"cr{number}", 0)) for number in range(5))
    return note(b"QEMU", 0, data + struct.pack("<Q", 0))


def core(
    banks: Sequence[Bank], cpus: Sequence[dict[str, int]] = (), machine: int = 62, notes: bytes = b""
) -> bytes:
    """An ELF core of class 64 as QEMU writes it."""
    notes += b"".join(map(qemu_note, cpus))
    count = len(banks) + 1
    at = 64 + 56 * count
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head += struct.pack("<HHIQQQIHHHHHH", 4, machine, 1, 0, 64, 0, 0, 64, 56, count, 0, 0, 0)
    head += struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(notes), len(notes), 0)
    place, content = at + len(notes), b""
    for base, data in banks:
        head += struct.pack("<IIQQQQQQ", 1, 0, place, 0, base, len(data), len(data), 0)
        place, content = place + len(data), content + data
    return head + notes + content


def lime(banks: Sequence[Bank]) -> bytes:
    return b"".join(
        struct.pack("<4sIQQ8x", b"EMiL", 1, base, base + len(data) - 1) + bytes(data) for base, data in banks
    )


def monitor(registers: dict[str, int]) -> str:
    """What QEMU's `info registers` prints of an x86-64 CPU, of registers that matter here."""
    get = registers.get
    lines = [f"RIP={get('rip', 0):016x} RFL={get('rflags', 2):08x} [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0"]
    lines.append(
        f"RSI={get('rsi', 0):016x} RDI={get('rdi', 0):016x} RBP={get('rbp', 0):016x} RSP={get('rsp', 0):016x}"
    )
    for name, word in (("cs", "CS "), ("ss", "SS "), ("tr", "TR ")):
        base, limit, flags = (get(f"{name}.{part}", 0) for part in ("base", "limit", "flags"))
        lines.append(f"{word}={get(name, 0):04x} {base:016x} {limit:08x} {flags:08x} DPL=0 CS64 [-R-]")
    lines += [
        f"{word}=     {get(name, 0):016x} {get(f'{name}.limit', 0):08x}"
        for name, word in (("gdtr", "GDT"), ("idtr", "IDT"))
    ]
    lines.append(
        f"CR0={get('cr0', 0):08x} CR2={get('cr2', 0):016x} CR3={get('cr3', 0):016x} CR4={get('cr4', 0):08x}"
    )
    lines.append(f"EFER={get('efer', 0xD00):016x}")
    return "\n".join(lines) + "\n"
