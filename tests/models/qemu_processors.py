"""RISC-V and AArch64 guests under QEMU that turn paging on with random tables of ours and then wait."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

SIZE = 4096
COUNT = 48  # tables
TABLES = 0x100000  # where they begin in RAM


class Kind(NamedTuple):
    """A way to translate.  `bits`: of the index of each level; `leaves`: depths at which entries may be
    leaves; `ram`: where memory begins."""

    format: str
    program: str
    bits: tuple[int, ...]
    leaves: tuple[int, ...]
    ram: int
    options: tuple[str, ...] = ()
    width: int = 8

    @property
    def va_bits(self) -> int:
        return 12 + sum(self.bits)

    @property
    def root(self) -> int:
        return self.ram + TABLES


RISCV = ("-M", "virt", "-bios", "none")
ARM = ("-M", "virt", "-cpu", "max")
KINDS = [
    Kind("sv39", "qemu-system-riscv64", (9, 9, 9), (0, 1, 2), 0x80000000, RISCV),
    Kind("sv48", "qemu-system-riscv64", (9, 9, 9, 9), (1, 2, 3), 0x80000000, RISCV),
    Kind("sv57", "qemu-system-riscv64", (9, 9, 9, 9, 9), (2, 3, 4), 0x80000000, RISCV),
    Kind("sv32", "qemu-system-riscv32", (10, 10), (0, 1), 0x80000000, RISCV, 4),
    Kind("arm64", "qemu-system-aarch64", (9, 9, 9, 9), (1, 2, 3), 0x42000000, ARM),
]


def riscv_leaf(source: random.Random, frame: int) -> int:
    rights = source.choice([2, 6, 8, 0xA, 0xE])  # R, RW, X, RX, RWX
    return frame >> 12 << 10 | rights | 1 | source.choice([0, 0x10]) | source.choice([0xC0, 0xC0, 0x40])


def riscv_table(source: random.Random, table: int) -> int:
    return table >> 12 << 10 | 1


def arm_leaf(source: random.Random, frame: int, last: bool) -> int:
    rights = source.choice([0, 1, 2, 3]) << 6 | source.choice([0, 1]) << 53 | source.choice([0, 1]) << 54
    return frame | rights | 0x700 & source.choice([0x700, 0x700, 0x300]) | (3 if last else 1)


def arm_table(source: random.Random, table: int) -> int:
    return table | 3 | source.choice([0, 0, 0, 1 << 59, 1 << 61, 1 << 62])


def tables_of(kind: Kind, seed: int) -> bytes:
    """Tables from the root on, in which the boot code's megabytes are where they are."""
    source, levels = random.Random(seed), len(kind.bits)
    memory = bytearray(SIZE * COUNT)
    depth_of = [0, *(min(levels - 1, 1 + at % (levels - 1)) for at in range(1, COUNT))]
    at_depth = {depth: [at for at in range(1, COUNT) if depth_of[at] == depth] for depth in range(1, levels)}
    shifts = [12 + sum(kind.bits[depth + 1 :]) for depth in range(levels)]
    arm = kind.format == "arm64"

    def put(table: int, index: int, value: int) -> None:
        at = table * SIZE + index * kind.width
        memory[at : at + kind.width] = value.to_bytes(kind.width, "little")

    for table in range(COUNT):
        depth = depth_of[table]
        for index in source.sample(range(1 << kind.bits[depth]), 10 if levels < 5 else 5):
            last = depth == levels - 1
            if last or (depth in kind.leaves and source.random() < 0.3):
                frame = kind.ram + (source.randrange(1 << 12) << 12) >> shifts[depth] << shifts[depth]
                put(table, index, arm_leaf(source, frame, last) if arm else riscv_leaf(source, frame))
            else:
                target = kind.root + SIZE * source.choice(at_depth[depth + 1])
                put(table, index, arm_table(source, target) if arm else riscv_table(source, target))
    # the boot code's page, for the kernel alone, all of it by tables
    for depth in range(levels):
        table = 0 if depth == 0 else at_depth[depth][0]
        index = kind.ram >> shifts[depth] & (1 << kind.bits[depth]) - 1
        if depth == levels - 1:
            put(table, index, kind.ram | 0x783 | (1 << 54) if arm else kind.ram >> 12 << 10 | 0xCB)
        else:
            target = kind.root + SIZE * at_depth[depth + 1][0]
            put(table, index, target | 3 if arm else target >> 12 << 10 | 1)
    return bytes(memory)


def riscv_code(kind: Kind) -> bytes:
    """All memory is open to S-mode; satp; mret to S-mode; wait.  SUM = 1: in S-mode QEMU's gva2gpa lets
    U pages pass, whatever SUM is."""
    wide = kind.width == 8
    load = 0x00003003 if wide else 0x00002003  # ld, lw
    mode = {"sv32": 1 << 31, "sv39": 8 << 60, "sv48": 9 << 60, "sv57": 10 << 60}[kind.format]
    data = 0x60  # where the constants lie
    values = [
        (1 << (54 if wide else 32)) - 1,
        0x1F,
        mode | kind.root >> 12,
        1 << 11 | 1 << 18,
        kind.ram + 0x40,
    ]
    code = [0x00000297]  # auipc t0, 0
    for place, csr in enumerate((0x3B0, 0x3A0, 0x180, 0x300, 0x341)):  # pmpaddr0 pmpcfg0 satp mstatus mepc
        code.append(load | (data + 8 * place) << 20 | 5 << 15 | 6 << 7)  # load t1
        code.append(0x00001073 | csr << 20 | 6 << 15)  # csrw
    code += [0x12000073, 0x30200073]  # sfence.vma; mret
    found = struct.pack(f"<{len(code)}I", *code).ljust(0x40, b"\0") + struct.pack(
        "<II", 0x10500073, 0xFFDFF06F
    )
    mask = (1 << 64) - 1
    return found.ljust(data, b"\0") + b"".join(struct.pack("<Q", value & mask) for value in values)


def arm_code(kind: Kind) -> bytes:
    """MAIR, TCR, TTBR0, TTBR1, SCTLR; wait.  The upper half has the same tables.  HA = 1: QEMU's gva2gpa
    asks for no AF."""
    tcr = 16 | 16 << 16 | 2 << 30 | 2 << 32 | 1 << 39  # T0SZ T1SZ TG1 IPS HA: 4 KiB, 40 bits
    values = [0xFF, tcr, kind.root, kind.root, 0x30D00801]
    moves = [0xD518A200, 0xD5182040, 0xD5182000, 0xD5182020, 0xD5181000]  # msr mair, tcr, ttbr0, ttbr1, sctlr
    data, code = 0x80, []
    for place, move in enumerate(moves):
        code.append(0x58000000 | (data + 8 * place - 4 * len(code)) // 4 << 5 | 1)  # ldr x1, constant
        if place == len(moves) - 1:
            code.append(0xD5033FDF)  # isb
        code.append(move | 1)
    code += [0xD5033FDF, 0xD503207F, 0x17FFFFFF]  # isb; wfi; b to it
    return struct.pack(f"<{len(code)}I", *code).ljust(data, b"\0") + struct.pack("<5Q", *values)


CODE: dict[bool, Callable[[Kind], bytes]] = {True: arm_code, False: riscv_code}


def code_of(kind: Kind) -> bytes:
    return CODE[kind.format == "arm64"](kind)


def some_addresses(kind: Kind, tables: Any, count: int, seed: int) -> list[int]:
    """Addresses that the tables map, at random, and others."""
    source, levels = random.Random(seed), len(kind.bits)
    shifts = [12 + sum(kind.bits[depth + 1 :]) for depth in range(levels)]
    found = []
    while len(found) < count:
        table, va = 0, 0
        for depth in range(levels):
            row = [
                (index, int.from_bytes(tables[at : at + kind.width], "little"))
                for index in range(1 << kind.bits[depth])
                if (at := table * SIZE + index * kind.width) + kind.width <= len(tables)
            ]
            index, entry = source.choice([one for one in row if one[1]] or row)
            va |= index << shifts[depth]
            if kind.format == "arm64":
                target, leaf = entry & 0xFFFFFFFFF000, depth == levels - 1 or entry & 3 == 1
            else:
                target, leaf = (entry >> 10 & (1 << 44) - 1) << 12, bool(entry & 0xE)
            if leaf or not entry:
                va |= source.getrandbits(shifts[depth])
                break
            table = (target - kind.root) // SIZE
        if source.random() < 0.2:
            va = source.getrandbits(kind.va_bits)
        top = va >> kind.va_bits - 1 & 1 and kind.width == 8
        if kind.format == "arm64":
            top = source.random() < 0.5
        found.append(va | ((1 << 64) - (1 << kind.va_bits) if top else 0))
    return found
