"""What a student does on paper: nothing but the printed listing, a pencil, and the rules of the textbooks."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple


class Walked(NamedTuple):
    """Addresses of the entries that were read, the entries, and the physical address or None."""

    addresses: list[int]
    entries: list[int]
    pa: int | None


def pages_of(lines: list[str]) -> bytes:
    """The memory that `page  12: 1b 1d ...` lines print (OSTEP, chapter 20, homework)."""
    found: dict[int, bytes] = {}
    for line in lines:
        head, _, row = line.partition(":")
        found[int(head.removeprefix("page"))] = bytes.fromhex(row)
    return b"".join(found[number] for number in sorted(found))


def two_levels(memory: bytes, root: int, va: int) -> Walked:
    """OSTEP 20.3: five bits of directory index, five of table index, five of offset; the top bit is valid."""
    pde_at = root + (va >> 10 & 31)
    pde = memory[pde_at]
    if pde < 128:
        return Walked([pde_at], [pde], None)
    pte_at = (pde - 128) * 32 + (va >> 5 & 31)
    pte = memory[pte_at]
    return Walked([pde_at, pte_at], [pde, pte], None if pte < 128 else (pte - 128) * 32 + va % 32)


class Lookup(NamedTuple):
    """A look-up in a TLB (CS:APP 9.6.4): page number, set, tag, and the frame if it hits."""

    page: int
    set: int
    tag: int
    frame: int | None


def tlb_of(lines: list[str]) -> dict[tuple[int, int], int]:
    """(set, tag) to frame, of the rows `  0   04  30   1 ...` below `Set  Tag PPN Valid`."""
    start = next(place for place, line in enumerate(lines) if line.startswith("Set"))
    found = {}
    for line in lines[start + 1 :]:
        number, *cells = line.split()
        for tag, frame, valid in zip(cells[::3], cells[1::3], cells[2::3], strict=True):
            if valid == "1":
                found[int(number), int(tag, 16)] = int(frame, 16)
    return found


def look_up(tlb: dict[tuple[int, int], int], va: int) -> Lookup:
    """14-bit addresses, pages of 64 bytes, four sets."""
    page = va // 64
    return Lookup(page, page % 4, page // 4, tlb.get((page % 4, page // 4)))


def number(pattern: str, text: str) -> Fraction:
    """The number that a text has in a place."""
    found = re.search(pattern, text)
    assert found is not None, text
    return Fraction(int(found[1]))


def times(text: str) -> tuple[Fraction | None, Fraction | None, Fraction]:
    """Time of a hit, of a miss, and on average, from the words of a question (OSTEP 19; Silberschatz 9.3)."""
    memory, tables = number(r"access takes (\d+) ns", text), number(r"reads (\d+) table", text)
    alone = memory * (tables + 1)
    if "no TLB" in text:
        return None, None, alone
    look, percent = number(r"TLB takes (\d+) ns", text), number(r"and (\d+) % of them", text) / 100
    hit, miss = look + memory, look + alone
    mean = percent * hit + (1 - percent) * miss
    fault = re.search(r"One access in (\d+) faults, which takes (\d+)(us|ms)", text)
    if fault is not None:
        rate = Fraction(1, int(fault[1]))
        mean = (1 - rate) * mean + rate * int(fault[2]) * {"us": 1000, "ms": 1_000_000}[fault[3]]
    return hit, miss, mean
