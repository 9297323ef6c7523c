"""One access by the AArch64 processor of QEMU, single-stepped through its GDB server (`gdb_server`).

Each case starts with a reset.  A few instructions load the registers with translation off; then the program
counter is set to a page of code that the upper root table maps, where the access is made, at EL0 after ERET.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

OPTIONS = ("qemu-system-aarch64", "-M", "virt", "-cpu", "max", "-m", "256")
CODE, BOOT = 0x47000000, 0x4A5A8000  # physical: the code of accesses, its tables behind it; what comes first,
# at an address whose indexes no test plants: QEMU may fetch once more there when translation is on
WORD = 0x1122334455667788
LDR, STR, BR, HERE, ERET = 0xF9400020, 0xF9000020, 0xD61F0020, 0x14000000, 0xD69F03E0
#: MSR TCR_EL1, X2; TTBR0_EL1, X3; TTBR1_EL1, X4; SPSR_EL1, X5; ELR_EL1, X6; VBAR_EL1, X7; SCTLR_EL1, X8.
START = (0xD5182042, 0xD5182003, 0xD5182024, 0xD5184005, 0xD5184026, 0xD518C007, 0xD5181008)
VECTORS = 0xFFFFFFFFFFFF0000


class Outcome(NamedTuple):
    """`code` is ESR_EL1, -1 without an exception; `address` FAR_EL1; `value` what X0 held afterwards."""

    code: int
    address: int
    value: int


def pattern(base: int, first: int, size: int) -> bytes:
    """What frames from offset `first` on hold: every 16 bytes load their own offset, in sixteens."""
    words = [(0xD2800000 | (at >> 4) << 5, HERE, base + at, at) for at in range(first, size, 16)]
    return b"".join(struct.pack("<IIII", *four) for four in words)


def entries_for_code(page_bits: int, wide: bool) -> tuple[int, int, list[tuple[int, int]]]:
    """Where code is mapped, the offset of the upper root's entry for it, which leads to CODE + 1 MiB, and the
    other entries, by address.  The first page is EL1's, the second EL0's, both in the frame at CODE."""
    bits, levels = page_bits - 3, (4 if page_bits < 16 else 3) + (wide and page_bits == 12)
    index = {12: 10, 14: 17, 16: 0x35}[page_bits] if wide else {12: 0x155, 14: 1, 16: 0x35}[page_bits]
    table, step = CODE + 0x100000, 1 << page_bits
    entries = [(table + step * at, table + step * (at + 1) | 3) for at in range(levels - 2)]
    last, frame = table + step * (levels - 2), CODE | 0x483
    entries += [(last, frame | 1 << 54), (last + 8, frame | 1 << 53 | 1 << 6)]
    return (
        (1 << 64) - (1 << (52 if wide else 48)) + (index << page_bits + bits * (levels - 1)),
        index * 8,
        entries,
    )


def begin(cpu: Any, page_bits: int, wide: bool) -> None:
    """Put the code and its tables where they stay."""
    cpu.write(BOOT, struct.pack("<7I", *START))
    cpu.write(CODE, struct.pack("<8I", LDR, HERE, STR, HERE, BR, HERE, ERET, HERE))
    for address, entry in entries_for_code(page_bits, wide)[2]:
        cpu.write(address, struct.pack("<Q", entry))


def access(cpu: Any, roots: tuple[int, int], va: int, kind: str, user: bool, rules: Any) -> Outcome:
    """What the processor makes of one access of 8 bytes."""
    cpu.reset()
    start = entries_for_code(rules.page_bits, rules.wide)[0]
    code = start + ((1 << rules.page_bits) if user else 0) + {"r": 0, "w": 8, "x": 16}[kind]
    granule = {12: 2 << 30, 14: 2 << 14 | 1 << 30, 16: 1 << 14 | 3 << 30}[rules.page_bits]
    tcr = rules.t0sz | rules.t1sz << 16 | granule | rules.ips << 32
    for name, low in (("epd0", 7), ("epd1", 23), ("tbi0", 37), ("tbi1", 38), ("ha", 39), ("hd", 40)):
        tcr |= getattr(rules, name) << low
    tcr |= rules.hpd0 << 41 | rules.hpd1 << 42 | (rules.wide and rules.page_bits < 16) << 59
    state = (0 if user else 5) | rules.pan << 22 | 0x3C0
    sctlr = 0x30D00801 | rules.wxn << 19
    values = enumerate((WORD, va, tcr, *roots, state, code, VECTORS, sctlr))
    cpu.set(**{f"x{number}": value for number, value in values}, pc=BOOT)
    for _ in START:
        cpu.step()
    cpu.set(pc=start + 24)
    for _ in range(3 if kind == "x" else 2):
        cpu.step()
        if cpu.get("pc") & ~0x7FF == VECTORS:
            return Outcome(cpu.get("ESR_EL1"), cpu.get("FAR_EL1"), cpu.get("x0"))
    return Outcome(-1, 0, cpu.get("x0"))
