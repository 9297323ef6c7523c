"""One access by an x86 processor, from the manual alone: Intel SDM 3A, 4.1 to 4.8, all of its paging modes.

Nothing here comes from the code that is tested.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

P, RW, US, A, D, PS, G = 1, 2, 4, 1 << 5, 1 << 6, 1 << 7, 1 << 8
XD = 1 << 63


@dataclass
class Rules:
    """The bits of control registers that paging reads."""

    mode: str = "x86_64"  # x86_32, x86_pae, x86_64, x86_64_la57
    wp: bool = True
    pse: bool = True
    smep: bool = False
    smap: bool = False
    ac: bool = False
    nxe: bool = True
    pke: bool = False
    pkru: int = 0
    maxphyaddr: int = 52


class Result(NamedTuple):
    """`fault` is empty, `#GP`, `bus` or `#PF` with `code`; `size` is that of the page, `writes` the entries
    that change."""

    fault: str
    code: int
    pa: int
    size: int
    writes: dict[int, int]


@dataclass
class Access:
    """One access and the memory that it is made in."""

    memory: bytes
    base: int
    root: int
    va: int
    kind: str  # r, w, x
    user: bool
    rules: Rules
    path: list[tuple[int, int]] = field(default_factory=list)  # address and value of each entry

    @property
    def width(self) -> int:
        return 4 if self.rules.mode == "x86_32" else 8

    def entry(self, table: int, index: int) -> int | None:
        address = table + index * self.width
        at = address - self.base
        if not 0 <= at <= len(self.memory) - self.width:
            return None
        value = int.from_bytes(self.memory[at : at + self.width], "little")
        self.path.append((address, value))
        return value

    def code(self, present: bool, reserved: bool = False, key: bool = False) -> int:
        """4.7, figure 4-12."""
        fetch = self.kind == "x" and (self.rules.smep or (self.width == 8 and self.rules.nxe))
        return present | (self.kind == "w") << 1 | self.user << 2 | reserved << 3 | fetch << 4 | key << 5

    def reserved(self, entry: int, shift: int, leaf: bool) -> bool:
        """Does an entry, of addresses from bit `shift` on, have a reserved bit set?  (4.3 to 4.5, tables.)"""
        rules = self.rules
        if rules.mode == "x86_32":
            if not leaf or shift == 12:
                return False
            return bool(entry >> 21 & 1 or entry >> 13 & 0xFF & -1 << min(rules.maxphyaddr, 40) - 32)
        if entry & (1 << 52) - (1 << rules.maxphyaddr):
            return True
        if entry & XD and not rules.nxe:
            return True
        if rules.mode == "x86_pae" and entry >> 52 & 0x7FF:
            return True
        return bool(leaf and shift > 12 and entry & (1 << shift) - (1 << 13))

    def run(self) -> Result:
        rules, va = self.rules, self.va
        shifts = {"x86_32": (22, 12), "x86_pae": (30, 21, 12)}.get(rules.mode)
        if shifts is None:
            top = 57 if rules.mode == "x86_64_la57" else 48
            if va >> top - 1 not in (0, (1 << 65 - top) - 1):
                return Result("#GP", 0, -1, 0, {})
            shifts = tuple(range(top - 9, 11, -9))
        bits = 10 if rules.mode == "x86_32" else 9
        table, writable, user, executable = self.root, True, True, True
        for shift in shifts:
            entry = self.entry(
                table, va >> shift & (1 << bits) - 1 if shift < 30 or bits == 9 else va >> shift
            )
            if entry is None:
                return Result("bus", 0, -1, 0, {})
            if not entry & P:
                return Result("#PF", self.code(False), -1, 0, {})
            pdpte = rules.mode == "x86_pae" and shift == 30
            large = bool(entry & PS) and shift > 12 and not pdpte
            if rules.mode == "x86_32" and not rules.pse:
                large = False
            leaf = shift == 12 or large
            if large and shift > 30:
                return Result("#PF", self.code(True, True), -1, 0, {})
            if self.reserved(entry, shift, leaf) or (pdpte and entry & XD):
                return Result("#PF", self.code(True, True), -1, 0, {})
            if not pdpte:
                writable &= bool(entry & RW)
                user &= bool(entry & US)
                executable &= not (self.width == 8 and entry & XD)
            if leaf:
                return self.at(entry, shift, writable, user, executable)
            table = entry & (0xFFFFF000 if self.width == 4 else (1 << 52) - (1 << 12))
        raise AssertionError

    def at(self, entry: int, shift: int, writable: bool, user: bool, executable: bool) -> Result:
        """4.6: access rights; 4.8: accessed and dirty flags."""
        rules = self.rules
        frame = entry & ((1 << 32) - (1 << shift) if self.width == 4 else (1 << 52) - (1 << shift))
        if self.width == 4 and shift == 22:
            frame |= (entry >> 13 & 0xFF) << 32
        key = entry >> 59 & 15
        forbidden = False
        if rules.mode.startswith("x86_64") and rules.pke and user and self.kind != "x":
            disabled, unwritable = rules.pkru >> 2 * key & 1, rules.pkru >> 2 * key + 1 & 1
            forbidden = bool(disabled or (unwritable and self.kind == "w" and (self.user or rules.wp)))
        if self.user:
            allowed = user and (self.kind != "w" or writable) and (self.kind != "x" or executable)
        elif self.kind == "x":
            allowed = executable and not (user and rules.smep)
        else:
            allowed = not (user and rules.smap and not rules.ac)
            allowed = allowed and (self.kind == "r" or writable or not rules.wp)
        if forbidden or not allowed:
            return Result("#PF", self.code(True, False, forbidden), -1, 0, {})
        writes = {}
        for place, (address, value) in enumerate(self.path):
            last = place == len(self.path) - 1
            if not (rules.mode == "x86_pae" and place == 0):
                writes[address] = value | A | (D if last and self.kind == "w" else 0)
        return Result("", 0, frame | self.va & (1 << shift) - 1, 1 << shift, writes)


def access(memory: bytes, base: int, root: int, va: int, kind: str, user: bool, rules: Rules) -> Result:
    """What a read `r`, a write `w` or a fetch `x` does to the tables in `memory`, which starts at `base`."""
    return Access(memory, base, root, va, kind, user, rules).run()
