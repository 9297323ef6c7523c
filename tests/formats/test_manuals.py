"""Entries as the manuals draw them, bit by bit."""

from __future__ import annotations

from typing import Any

import pytest

from vmdbg.engine import link
from vmdbg.formats import find
from vmdbg.formats.contract import ALL_RIGHTS, ENTRY_EMPTY, ENTRY_LEAF, ENTRY_RESERVED, ENTRY_TABLE
from vmdbg.machine import boot
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import halt
from vmdbg.units import s64

NX = 1 << 63


def functions(name: str) -> Any:
    bound = boot.bindings(MachineConfig({"machine.format": name}))
    return link.Linked(link.link({**bound, "halt": halt}), None)


# Intel SDM 3A: (table, entry, depth, kind, address, rights)
INTEL = [
    ("4-15: PML4E", 0x12345007, 0, ENTRY_TABLE, 0x12345000, 15),
    ("4-15: PML4E, read-only supervisor", 0x12345001, 0, ENTRY_TABLE, 0x12345000, 5),
    ("4-15: PML4E, bit 7 is reserved", 0x12345087, 0, ENTRY_RESERVED, None, 0),
    ("4-16: PDPTE of a 1-GByte page", 0x40000087, 1, ENTRY_LEAF, 0x40000000, 15),
    ("4-16: bit 12 is PAT", 0x40001087, 1, ENTRY_LEAF, 0x40000000, 15),
    ("4-16: bits 29:13 are reserved", 0x40002087, 1, ENTRY_RESERVED, None, 0),
    ("4-17: PDPTE of a page directory", 0x00ABC023, 1, ENTRY_TABLE, 0x00ABC000, 7),
    ("4-18: PDE of a 2-MByte page", NX | 0x006000E7, 2, ENTRY_LEAF, 0x00600000, 11),
    ("4-18: bits 20:13 are reserved", 0x00602087, 2, ENTRY_RESERVED, None, 0),
    ("4-19: PDE of a page table", NX | 0x00DEF067, 2, ENTRY_TABLE, 0x00DEF000, 11),
    ("4-20: PTE", 0x000F_FFFF_FFFF_F107, 3, ENTRY_LEAF, 0x000F_FFFF_FFFF_F000, 15),
    ("4-20: bit 7 is PAT", 0x00001085, 3, ENTRY_LEAF, 0x00001000, 13),
    ("4-20: bits 58:52 are ignored", 0x07F0_0000_0000_1007, 3, ENTRY_LEAF, 0x00001000, 15),
    ("4-20: P clear, all else is ignored", NX | 0x0000_1234_5000_0006, 3, ENTRY_EMPTY, None, 0),
]


@pytest.mark.parametrize(("table", "word", "depth", "kind", "address", "rights"), INTEL, ids=str)
def test_entries_of_four_levels(
    table: str, word: int, depth: int, kind: int, address: int | None, rights: int
) -> None:
    k, entry = functions("x86_64"), s64(word)
    assert k.classify(entry, depth) == kind
    if kind == ENTRY_TABLE:
        assert k.next_table(entry, depth) == address
    if kind == ENTRY_LEAF:
        assert k.leaf_frame(entry, depth) == address
    assert k.combine(ALL_RIGHTS, entry, kind, depth) == rights


# Intel SDM 3A: (format, table, entry, depth, kind, address, rights)
OTHERS = [
    ("x86_64_la57", "4.5.4: PML5E", 0x12345007, 0, ENTRY_TABLE, 0x12345000, 15),
    ("x86_64_la57", "4.5.4: PML5E, bit 7 is reserved", 0x12345087, 0, ENTRY_RESERVED, None, 0),
    ("x86_64_la57", "4-15: PML4E, bit 7 is reserved", 0x12345087, 1, ENTRY_RESERVED, None, 0),
    ("x86_64_la57", "4-16: PDPTE of a 1-GByte page", 0x40000087, 2, ENTRY_LEAF, 0x40000000, 15),
    ("x86_pae", "4-8: PDPTE has neither R/W nor U/S", 0x00ABC001, 0, ENTRY_TABLE, 0x00ABC000, 15),
    ("x86_pae", "4-8: bit 5, which QEMU sets, is no A", 0x00ABC021, 0, ENTRY_TABLE, 0x00ABC000, 15),
    ("x86_pae", "4-8: bit 63 is reserved", NX | 0x00ABC001, 0, ENTRY_RESERVED, None, 0),
    ("x86_pae", "4-9: PDE of a 2-MByte page", NX | 0x006000E7, 1, ENTRY_LEAF, 0x00600000, 11),
    ("x86_pae", "4-9: bits 20:13 are reserved", 0x00602087, 1, ENTRY_RESERVED, None, 0),
    ("x86_pae", "4-10: bits 62:52 are reserved", 1 << 52 | 0x00ABC007, 1, ENTRY_RESERVED, None, 0),
    ("x86_pae", "4-11: PTE", 0x000F_FFFF_FFFF_F107, 2, ENTRY_LEAF, 0x000F_FFFF_FFFF_F000, 15),
    ("x86_pae", "4-11: bits 62:52 are reserved", 1 << 62 | 0x00001007, 2, ENTRY_RESERVED, None, 0),
    ("x86_32", "4-4: PDE of a 4-MByte page, bits 39:32", 0x0040_6087, 0, ENTRY_LEAF, 0x3_0040_0000, 15),
    ("x86_32", "4-6: PTE", 0xFFFFF005, 1, ENTRY_LEAF, 0xFFFFF000, 13),
]


@pytest.mark.parametrize(("name", "table", "word", "depth", "kind", "address", "rights"), OTHERS, ids=str)
def test_entries_of_other_modes(
    name: str, table: str, word: int, depth: int, kind: int, address: int | None, rights: int
) -> None:
    k = functions(name)
    entry = s64(word) if find(name).entry_bytes == 8 else word
    assert k.classify(entry, depth) == kind
    if kind == ENTRY_TABLE:
        assert k.next_table(entry, depth) == address
    if kind == ENTRY_LEAF:
        assert k.leaf_frame(entry, depth) == address
    assert k.combine(ALL_RIGHTS, entry, kind, depth) == rights


# Arm ARM, D8.3.1, figures of the descriptors: (format, what, entry, depth, kind, address, rights)
ARM = [
    ("arm64", "table at level 0", 0x4000_1003, 0, ENTRY_TABLE, 0x4000_1000, 15),
    (
        "arm64",
        "table with APTable, UXNTable, PXNTable",
        0x7800 << 48 | 0x4000_1003,
        1,
        ENTRY_TABLE,
        0x4000_1000,
        17,
    ),
    ("arm64", "level 0 has no blocks", 0x4000_0001, 0, ENTRY_EMPTY, None, 0),
    ("arm64", "block of 1 GiB, read-only for all", 0x4000_07C1, 1, ENTRY_LEAF, 0x4000_0000, 13),
    (
        "arm64",
        "block of 2 MiB: low address bits are not looked at",
        0x4020_3741,
        2,
        ENTRY_LEAF,
        0x4020_0000,
        15,
    ),
    ("arm64", "page of EL1, executable there alone", 1 << 54 | 0x4000_0783, 3, ENTRY_LEAF, 0x4000_0000, 21),
    ("arm64", "page with DBM, clean", 1 << 51 | 0x4000_07C3, 3, ENTRY_LEAF, 0x4000_0000, 15),
    ("arm64", "page executable by neither", 3 << 53 | 0x4000_0743, 3, ENTRY_LEAF, 0x4000_0000, 27),
    ("arm64", "bit 1 clear at level 3", 0x4000_0741, 3, ENTRY_EMPTY, None, 0),
    ("arm64_16k", "level 1 has no blocks", 0x4000_0741, 1, ENTRY_EMPTY, None, 0),
    ("arm64_16k", "block of 32 MiB", 0x4200_0741, 2, ENTRY_LEAF, 0x4200_0000, 15),
    ("arm64_64k", "level 1 has no blocks", 0x4000_0741, 0, ENTRY_EMPTY, None, 0),
    ("arm64_64k", "block of 512 MiB", 0x6000_0741, 1, ENTRY_LEAF, 0x6000_0000, 15),
    ("arm64_lpa2", "bits 9:8 are 51:50", 0x3_0000_4000_0F43, 4, ENTRY_LEAF, 0xF_0000_4000_0000, 15),
    ("arm64_lpa2", "a table so", 0x4000_1103, 1, ENTRY_TABLE, 0x4_0000_4000_1000, 15),
    ("arm64_lpa2", "level -1 has no blocks", 0x4000_0441, 0, ENTRY_EMPTY, None, 0),
    ("arm64_lpa2", "block of 512 GiB", 0x80_0000_0441, 1, ENTRY_LEAF, 0x80_0000_0000, 15),
    ("arm64_16k_lpa2", "block of 64 GiB", 0x10_0000_0641, 1, ENTRY_LEAF, 0x8_0010_0000_0000, 15),
    ("arm64_64k_lpa", "bits 15:12 are 51:48", 0x4000_A743, 2, ENTRY_LEAF, 0xA_0000_4000_0000, 15),
    ("arm64_64k_lpa", "block of 4 TiB", 0x400_0000_0741, 0, ENTRY_LEAF, 0x400_0000_0000, 15),
]


@pytest.mark.parametrize(("name", "what", "word", "depth", "kind", "address", "rights"), ARM, ids=str)
def test_entries_of_arm(
    name: str, what: str, word: int, depth: int, kind: int, address: int | None, rights: int
) -> None:
    """16 among the rights: the level that the page does not belong to may not execute it."""
    test_entries_of_other_modes(name, what, word, depth, kind, address, rights)


def test_accessed_dirty_and_global_bits() -> None:
    """Tables 4-18 and 4-20: A is bit 5, D bit 6, G bit 8; NX is bit 63 and makes the word negative."""
    k = functions("x86_64")
    assert (k.is_accessed(1 << 5), k.is_dirty(1 << 6), k.is_global(1 << 8)) == (1, 1, 1)
    assert k.make_leaf(0x1000, 11, 3) == s64(NX | 0x1007)
    assert k.make_leaf(0x200000, 15, 2) == 0x200087
    assert find("x86_64").flags(s64(NX | 0x1067), "l") == ["P", "RW", "US", "A", "D", "NX"]


@pytest.mark.parametrize(
    ("word", "depth", "kind"),
    [
        (0x2000_0001, 0, ENTRY_TABLE),  # V alone points to the next level
        (0x2000_00DF, 2, ENTRY_LEAF),
        (0x2000_0005, 2, ENTRY_RESERVED),  # W without R
        (0x2000_0001, 2, ENTRY_RESERVED),  # a pointer at the last level
        (0x0000_040F, 1, ENTRY_RESERVED),  # a megapage whose PPN[0] is not 0
        (0x2000_0041, 0, ENTRY_RESERVED),  # A in a pointer
        (1 << 63 | 0x0F, 2, ENTRY_RESERVED),  # N without Svnapot
        (0x2000_00DE, 2, ENTRY_EMPTY + 1),  # V clear: software's
    ],
)
def test_entries_of_sv39(word: int, depth: int, kind: int) -> None:
    """RISC-V Privileged, 12.3.2 and 12.4.1."""
    k, entry = functions("sv39"), s64(word)
    assert k.classify(entry, depth) == kind
    if kind in (ENTRY_LEAF, ENTRY_TABLE):
        address = k.leaf_frame(entry, depth) if kind == ENTRY_LEAF else k.next_table(entry, depth)
        assert address == (word >> 10 & (1 << 44) - 1) << 12


# SDM 3A, 4.7 and figure 4-12; RISC-V Privileged, table 3.6: (format, fault, access, mode, code)
@pytest.mark.parametrize(
    ("name", "fault", "access", "mode", "code"),
    [
        ("x86_64", 1, 0, 0, 0b00100),
        ("x86_64", 2, 1, 0, 0b00111),
        ("x86_64", 3, 1, 0, 0b01111),
        ("x86_64", 2, 2, 1, 0b10001),
        ("x86_64", 9, 1, 0, 0b100111),
        ("arm64", 1, 1, 0, 0x92000044),  # Arm ARM, D24.2.40: data abort from EL0, write, translation, level 0
        ("arm64", 2, 2, 1, 0x8600000C),  # instruction abort from EL1, permission
        ("arm64_64k", 8, 0, 0, 0x92000009),  # access flag, level 1
        ("arm64_lpa2", 1, 0, 0, 0x9200002B),  # translation, level -1
        ("arm64_lpa2", 3, 0, 0, 0x92000029),  # address size, level -1
        ("arm64_lpa2", 5, 0, 0, 0x92000013),  # external abort on a walk, level -1
        ("sv39", 5, 0, 0, 5),
        ("sv39", 5, 2, 0, 1),
        ("x86_pae", 3, 2, 0, 0b11101),
        ("x86_32", 3, 0, 0, 0b01101),
        ("sv39", 1, 0, 0, 13),
        ("sv39", 2, 1, 0, 15),
        ("sv39", 1, 2, 0, 12),
    ],
)
def test_fault_codes(name: str, fault: int, access: int, mode: int, code: int) -> None:
    assert functions(name).fault_code(fault, access, mode, 0) == code


# SDM 3A, 4.6.1: rights nibble (r 1, w 2, x 4, u 8), then who may r, w, x
@pytest.mark.parametrize(
    ("mode", "control", "rights", "expected"),
    [
        (0, (1 << 16, 0), 0b1001, "r--"),
        (0, (1 << 16, 0), 0b1111, "rwx"),
        (0, (0, 0), 0b0111, "---"),
        (1, (1 << 16, 0), 0b0001, "r--"),
        (1, (0, 0), 0b0001, "rw-"),  # CR0.WP = 0
        (1, (1 << 16, 1 << 20), 0b1111, "rw-"),  # SMEP
        (1, (1 << 16, 1 << 21), 0b1111, "--x"),  # SMAP, EFLAGS.AC = 0
        (1, (1 << 16, 0), 0b0111, "rwx"),
    ],
)
def test_who_may_access(mode: int, control: tuple[int, int], rights: int, expected: str) -> None:
    sets = find("x86_64").allowed([*control, 1 << 11, 0, 0, 0, 0, 0], mode)
    assert "".join("rwx"[i] if allowed >> rights & 1 else "-" for i, allowed in enumerate(sets)) == expected


def test_a_large_page_of_x86_32_has_its_pat_bit_in_bit_12() -> None:
    """Intel SDM 3A, table 4-4: of a PDE that maps 4 MiB, bit 12 is PAT, 20:13 are bits 39:32 of the address
    (PSE-36), 21 is reserved."""
    k, leaf = functions("x86_32"), 0xFFC00000 | 0x83
    assert k.classify(leaf | 1 << 12, 0) == k.classify(leaf, 0) == ENTRY_LEAF
    assert k.leaf_frame(leaf | 1 << 12, 0) == 0xFFC00000
    assert {k.classify(leaf | 1 << bit, 0) for bit in range(13, 21)} == {ENTRY_LEAF}
    assert [k.leaf_frame(leaf | 1 << bit, 0) for bit in (13, 20)] == [0x1FFC00000, 0x80FFC00000]
    assert k.classify(leaf | 1 << 21, 0) == ENTRY_RESERVED
