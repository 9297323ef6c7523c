"""One access by an AArch64 processor, stage 1 at EL1 and EL0, from the Arm ARM (DDI 0487, chapter D8) alone.

Nothing here comes from the code that is tested.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

AF, AP1, AP2, DBM, PXN, UXN = 1 << 10, 1 << 6, 1 << 7, 1 << 51, 1 << 53, 1 << 54
TRANSLATION, ACCESS_FLAG, PERMISSION, ADDRESS_SIZE, EXTERNAL = 0b000100, 0b001000, 0b001100, 0, 0b010100


@dataclass
class Rules:
    """The granule, and the fields of TCR_EL1, SCTLR_EL1 and PSTATE that matter."""

    page_bits: int = 12
    wide: bool = False  # 52 bits: TCR_EL1.DS = 1, or with 64 KiB FEAT_LPA
    t0sz: int = 16
    t1sz: int = 16
    epd0: bool = False
    epd1: bool = False
    tbi0: bool = False
    tbi1: bool = False
    ha: bool = True
    hd: bool = True
    hpd0: bool = False
    hpd1: bool = False
    ips: int = 5
    wxn: bool = False
    pan: bool = False


class Result(NamedTuple):
    """`code` is the status code of a fault, -1 for none; `writes` are the entries that change."""

    code: int
    pa: int
    writes: dict[int, int]


@dataclass
class Access:
    """One access and the memory that it is made in; `va` is unsigned, `roots` are those of both halves."""

    memory: bytes
    base: int
    roots: tuple[int, int]
    va: int
    kind: str
    user: bool
    rules: Rules
    path: list[int] = field(default_factory=list)

    def esr(self, status: int) -> int:
        """The class with IL, WnR and the status code."""
        kind = (0x20 if self.kind == "x" else 0x24) + (not self.user)
        return kind << 26 | 1 << 25 | (self.kind == "w") << 6 | status

    def fault(self, status: int) -> Result:
        return Result(self.esr(status), -1, {})

    def run(self) -> Result:
        rules, va = self.rules, self.va
        upper = va >> 55 & 1
        tagged = rules.tbi1 if upper else rules.tbi0
        if tagged:
            va = va & (1 << 56) - 1 | (0xFF << 56 if upper else 0)
        size = 64 - (rules.t1sz if upper else rules.t0sz)
        if va >> size != ((1 << 64 - size) - 1 if upper else 0) or (rules.epd1 if upper else rules.epd0):
            return self.fault(TRANSLATION)
        bits = rules.page_bits - 3
        level = 3 - (size - rules.page_bits - 1) // bits
        table, limits = self.roots[upper], [False, False, False, False]  # write, EL0, UXN, PXN
        while True:
            shift = rules.page_bits + bits * (3 - level)
            index = (va & (1 << size) - 1) >> shift & (1 << bits) - 1
            at = table + index * 8 - self.base
            if not 0 <= at <= len(self.memory) - 8:
                return self.fault(0b010011 if level < 0 else EXTERNAL | level)
            entry = int.from_bytes(self.memory[at : at + 8], "little")
            blocks: tuple[int, ...] = {12: (1, 2), 14: (2,), 16: (2,)}[rules.page_bits]
            if rules.wide:
                blocks = {12: (0, 1, 2), 14: (1, 2), 16: (1, 2)}[rules.page_bits]
            leaf = entry & 3 == (3 if level == 3 else 1)
            if (
                not entry & 1
                or (level == 3 and not entry & 2)
                or (leaf and level != 3 and level not in blocks)
            ):
                return self.fault(0b101011 if level < 0 else TRANSLATION | level)
            output = self.output(entry)
            if output >> (32, 36, 40, 42, 44, 48, 52)[min(rules.ips, 6)]:
                return self.fault(0b101001 if level < 0 else ADDRESS_SIZE | level)
            if leaf:
                return self.at(entry, output, level, shift, limits, table + index * 8)
            if not (rules.hpd1 if upper else rules.hpd0):
                limits = [
                    old or bool(entry >> bit & 1) for old, bit in zip(limits, (62, 61, 60, 59), strict=True)
                ]
            table, level = output, level + 1

    def output(self, entry: int) -> int:
        """The address in an entry: 51:48 in bits 15:12 with 64 KiB, else 51:50 in bits 9:8."""
        page = self.rules.page_bits
        if not self.rules.wide:
            return entry & (1 << 48) - (1 << page)
        if page == 16:
            return entry & (1 << 48) - (1 << 16) | (entry >> 12 & 15) << 48
        return entry & (1 << 50) - (1 << page) | (entry >> 8 & 3) << 50

    def at(self, entry: int, output: int, level: int, shift: int, limits: list[bool], address: int) -> Result:
        """Access flag, permissions, and hardware's updates."""
        rules = self.rules
        no_write, no_el0, uxn, pxn = limits
        if not entry & AF and not rules.ha:
            return self.fault(ACCESS_FLAG | level)
        managed = rules.ha and rules.hd and bool(entry & DBM)
        writable = (not entry & AP2 or managed) and not no_write
        el0 = bool(entry & AP1) and not no_el0
        if self.user:
            read, write = el0, el0 and writable
            execute = not (uxn or entry & UXN) and not (rules.wxn and el0 and writable)
        else:
            read, write = not (rules.pan and el0), writable and not (rules.pan and el0)
            execute = not (pxn or entry & PXN) and not (el0 and writable) and not (rules.wxn and writable)
        if not {"r": read, "w": write, "x": execute}[self.kind]:
            return self.fault(PERMISSION | level)
        new = entry | AF
        if self.kind == "w" and managed:
            new &= ~AP2
        pa = output >> shift << shift | self.va & (1 << shift) - 1
        return Result(-1, pa, {address: new} if new != entry else {})


def access(
    memory: bytes, base: int, roots: tuple[int, int], va: int, kind: str, user: bool, rules: Rules
) -> Result:
    """What a read `r`, a write `w` or a fetch `x` does to the tables in `memory`, which starts at `base`."""
    return Access(memory, base, roots, va, kind, user, rules).run()
