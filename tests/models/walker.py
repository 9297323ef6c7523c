"""Slow walks over raw bytes, from the manuals' tables alone; one description for each format."""

from __future__ import annotations

from typing import Any, NamedTuple


class Walk(NamedTuple):
    """`kind` is leaf, empty, swapped, reserved or bus."""

    kind: str
    pa: int
    rights: int
    entries: list[int]


class Layout(NamedTuple):
    """Bits of an entry: `rights` are (bit, grants) of r, w, x, u, None if there is none."""

    width: int
    shifts: tuple[int, ...]
    bits: tuple[int, ...]
    frame: tuple[int, int]
    rights: tuple[Any, Any, Any, Any]
    hierarchical: bool = False
    leaf_by_rights: bool = False
    page_size_bit: int | None = None
    large_at: tuple[int, ...] = ()
    slot_bit: int = 0
    reserved: int = 0
    reserved_table: int = 0
    aligned: bool = False  # a large leaf with low frame bits is reserved
    rights_from: int = 0  # depth from which entries have rights
    napot: bool = False  # bit 63 of a leaf at the last level: 64 KiB, if its frame ends in 1000
    arm: bool = False  # bit 1: a table or page; rights as `arm_rights` says
    high: tuple[int, int] = (0, 0)  # place and number of bits of the frame above those of `frame`
    pse36: bool = False  # bits 20:13 of a large leaf are bits 39:32 of its address


LAYOUTS = {
    # Intel SDM 3A, tables 4-15 to 4-20
    "x86_64": Layout(
        8, (39, 30, 21, 12), (9, 9, 9, 9), (12, 40), (None, (1, 1), (63, 0), (2, 1)), True,
        page_size_bit=7, large_at=(1, 2), slot_bit=9,
    ),
    # Intel SDM 3A, 4.5: as 4-level paging, with a level more
    "x86_64_la57": Layout(
        8, (48, 39, 30, 21, 12), (9, 9, 9, 9, 9), (12, 40), (None, (1, 1), (63, 0), (2, 1)), True,
        page_size_bit=7, large_at=(2, 3), slot_bit=9,
    ),
    # Intel SDM 3A, tables 4-8 to 4-11
    "x86_pae": Layout(
        8, (30, 21, 12), (2, 9, 9), (12, 40), (None, (1, 1), (63, 0), (2, 1)), True,
        page_size_bit=7, large_at=(1,), slot_bit=9, reserved=0x7FF << 52, rights_from=1,
    ),
    # Intel SDM 3A, tables 4-4 to 4-6
    "x86_32": Layout(
        4, (22, 12), (10, 10), (12, 20), (None, (1, 1), None, (2, 1)), True,
        page_size_bit=7, large_at=(0,), slot_bit=9, pse36=True,
    ),
    # RISC-V Privileged, figures 12.20 and 12.21
    "sv39": Layout(
        8, (30, 21, 12), (9, 9, 9), (10, 44), ((1, 1), (2, 1), (3, 1), (4, 1)), leaf_by_rights=True,
        slot_bit=1, reserved=0x7F << 54, reserved_table=7 << 61 | 0b11010000, aligned=True, napot=True,
    ),
    # RISC-V Privileged, 12.5: as Sv39, with a level more
    "sv48": Layout(
        8, (39, 30, 21, 12), (9, 9, 9, 9), (10, 44), ((1, 1), (2, 1), (3, 1), (4, 1)), leaf_by_rights=True,
        slot_bit=1, reserved=0x7F << 54, reserved_table=7 << 61 | 0b11010000, aligned=True, napot=True,
    ),
    # RISC-V Privileged, 12.3: 4 bytes, two levels
    "sv32": Layout(
        4, (22, 12), (10, 10), (10, 22), ((1, 1), (2, 1), (3, 1), (4, 1)), leaf_by_rights=True,
        slot_bit=1, reserved_table=0b11010000, aligned=True,
    ),
    # RISC-V Privileged, 12.6: as Sv48, with a level more
    "sv57": Layout(
        8, (48, 39, 30, 21, 12), (9, 9, 9, 9, 9), (10, 44), ((1, 1), (2, 1), (3, 1), (4, 1)),
        leaf_by_rights=True, slot_bit=1, reserved=0x7F << 54, reserved_table=7 << 61 | 0b11010000,
        aligned=True, napot=True,
    ),
    # Arm ARM, D8.3.1 (figures of the VMSAv8-64 descriptors); rights without registers, DBM gives the write
    "arm64": Layout(
        8, (39, 30, 21, 12), (9, 9, 9, 9), (12, 36), (None, None, None, None), slot_bit=2, large_at=(1, 2),
        arm=True,
    ),
    "arm64_16k": Layout(
        8, (47, 36, 25, 14), (1, 11, 11, 11), (14, 34), (None, None, None, None), slot_bit=2, large_at=(2,),
        arm=True,
    ),
    "arm64_64k": Layout(
        8, (42, 29, 16), (6, 13, 13), (16, 32), (None, None, None, None), slot_bit=2, large_at=(1,), arm=True,
    ),
    # Arm ARM, D8.3.1 with TCR_EL1.DS = 1, and with 64 KiB and FEAT_LPA
    "arm64_lpa2": Layout(
        8, (48, 39, 30, 21, 12), (4, 9, 9, 9, 9), (12, 38), (None, None, None, None), slot_bit=2,
        large_at=(1, 2, 3), arm=True, high=(8, 2),
    ),
    "arm64_16k_lpa2": Layout(
        8, (47, 36, 25, 14), (5, 11, 11, 11), (14, 36), (None, None, None, None), slot_bit=2, large_at=(1, 2),
        arm=True, high=(8, 2),
    ),
    "arm64_64k_lpa": Layout(
        8, (42, 29, 16), (10, 13, 13), (16, 32), (None, None, None, None), slot_bit=2, large_at=(0, 1),
        arm=True, high=(12, 4),
    ),
    "tutorial16": Layout(2, (8,), (8,), (8, 8), ((1, 1), (2, 1), (3, 1), (4, 1)), slot_bit=1),
    "word-table": Layout(8, (3,), (16,), (12, 40), (None, None, None, None), slot_bit=3),
}  # fmt: skip
LAYOUTS["sv39-svade"] = LAYOUTS["sv39"]
LAYOUTS["tutorial16-hw"] = LAYOUTS["tutorial16"]


def rights_of(layout: Layout, entry: int) -> int:
    granted = 0
    for place, field in enumerate(layout.rights):
        if field is None or entry >> field[0] & 1 == field[1]:
            granted |= 1 << place
    return granted


def arm_rights(path: list[int]) -> int:
    """Rights of a page: who belongs to it may execute by X; 16: the other level may not."""
    *tables, leaf = path
    written = not any(entry >> 62 & 1 for entry in tables) and not (leaf >> 7 & 1 and not leaf >> 51 & 1)
    el0 = not any(entry >> 61 & 1 for entry in tables) and leaf >> 6 & 1
    uxn = any(entry >> 60 & 1 for entry in tables) or leaf >> 54 & 1
    pxn = any(entry >> 59 & 1 for entry in tables) or leaf >> 53 & 1
    own, other = (uxn, pxn) if el0 else (pxn, uxn)
    return 1 | (2 if written else 0) | (0 if own else 4) | (8 if el0 else 0) | (16 if other else 0)


def kind_of(layout: Layout, entry: int, depth: int) -> str:
    last = depth == len(layout.shifts) - 1
    if not entry & 1:
        return "swapped" if entry >> layout.slot_bit & 1 else "empty"
    if (
        entry & layout.reserved
        or (layout.napot and entry >> 61 & 3 == 3)
        or (depth < layout.rights_from and entry >> 63)
    ):
        return "reserved"
    frame = entry >> layout.frame[0] & (1 << layout.frame[1]) - 1
    below = (1 << layout.shifts[depth] - layout.shifts[-1]) - 1
    if layout.arm:
        if last:
            return "leaf" if entry & 2 else "empty"
        return "table" if entry & 2 else "leaf" if depth in layout.large_at else "empty"
    if layout.leaf_by_rights:
        read, write, fetch = entry >> 1 & 1, entry >> 2 & 1, entry >> 3 & 1
        if read or write or fetch:
            odd = layout.napot and entry >> 63 and (not last or frame & 15 != 8)
            return "reserved" if (write and not read) or frame & below or odd else "leaf"
        return "reserved" if last or entry & layout.reserved_table else "table"
    if last:
        return "leaf"
    if layout.page_size_bit is not None and depth >= layout.rights_from and entry >> layout.page_size_bit & 1:
        if depth not in layout.large_at:
            return "reserved"
        if layout.aligned:
            return "reserved" if frame & below else "leaf"
        free = 0x1FF if layout.pse36 else 1  # bit 12 is PAT
        return "reserved" if frame & below & ~free else "leaf"
    return "table"


def walk(layout: Layout, memory: bytes, base: int, root: int, va: int) -> Walk:
    table, rights = root, 15
    entries: list[int] = []
    path: list[int] = []
    for depth, (shift, bits) in enumerate(zip(layout.shifts, layout.bits, strict=True)):
        address = table + (va >> shift & (1 << bits) - 1) * layout.width
        entries.append(address)
        at = address - base
        if at < 0 or at + layout.width > len(memory):
            return Walk("bus", 0, 0, entries)
        entry = int.from_bytes(memory[at : at + layout.width], "little")
        path.append(entry)
        kind = kind_of(layout, entry, depth)
        frame = entry >> layout.frame[0] & (1 << layout.frame[1]) - 1
        frame |= (entry >> layout.high[0] & (1 << layout.high[1]) - 1) << layout.frame[1]
        if (
            kind in ("leaf", "table")
            and (layout.hierarchical or kind == "leaf")
            and depth >= layout.rights_from
        ):
            rights &= rights_of(layout, entry)
        if kind == "leaf":
            below = (1 << shift - layout.shifts[-1]) - 1
            if layout.napot and entry >> 63:
                below, shift = 15, 16
            pa = (frame & ~below) << layout.shifts[-1] | va & (1 << shift) - 1
            if layout.pse36 and below:
                pa |= (entry >> 13 & 255) << 32
            return Walk("leaf", pa, arm_rights(path) if layout.arm else rights, entries)
        if kind != "table":
            return Walk(kind, 0, 0, entries)
        table = frame << layout.shifts[-1]
    raise AssertionError
