"""What the CPU reads of its tables beside what software reads, against walks of their own."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.models.dumps import NX, Memory, P, U, W
from tests.models.walker import LAYOUTS, walk

VA, HHDM, SLOT = 0x40201000, 0xFFFF800000000000, 510


def a_kernel() -> Memory:
    """Tables with a map of memory, of which the third page is another, and a recursive slot."""
    memory = Memory()
    memory.map(VA, 0x80000, P | W | U)
    for pa in range(0, 1 << 20, 4096):
        memory.map(HHDM + pa, pa, P | W | NX)
    memory.put(0x1000 + 8 * SLOT, 0x1000 | P | W)
    return memory


def recursive(va: int, depth: int) -> int:
    """The address of an entry by the slot, as kernels compute it: shift right, put the slot before it."""
    address = va
    for _ in range(4 - depth):
        address = (address >> 9 & (1 << 39) - 1 | SLOT << 39) & ((1 << 48) - 1)
    address &= ~7
    return address | (0xFFFF << 48 if address >> 47 else 0)


def read_by(memory: Memory, va: int) -> int | None:
    """What software reads at an address."""
    found = walk(LAYOUTS["x86_64"], bytes(memory.bytes), 0, 0x1000, va)
    return memory.get(found.pa) if found.kind == "leaf" and found.pa <= len(memory.bytes) - 8 else None


@pytest.mark.parametrize("option", [f"-alias {HHDM:#x}", f"-slot {SLOT}"])
def test_software_reads_what_the_cpu_reads(shell: Any, option: str) -> None:
    shell.file("raw", a_kernel().bytes)
    shell.type(f"target dump {shell.folder}/raw -format x86_64 -root 0x1000")
    rows = shell.json(f"walk/j {option} {VA:#x}")
    assert [row["level"] for row in rows] == ["PML4", "PDPT", "PD", "PT"]
    for depth, row in enumerate(rows):
        wanted = recursive(VA, depth) if "slot" in option else HHDM + row["entry_address"]
        assert (row["alias"], row["alias_pa"]) == (wanted, row["entry_address"])
        assert row["entry"] == row["alias_entry"]
        assert row["agrees"]
    assert "Software reads the entries that the CPU walks by." in shell.type(f"walk {option} {VA:#x}")


def test_what_differs_is_said(shell: Any) -> None:
    memory = a_kernel()
    rows = [memory.entry(VA, depth) for depth in range(4)]
    memory.map(HHDM + (rows[3] & -4096), 0x90000, P | W)  # the last table's page is another
    shell.file("raw", memory.bytes)
    shell.type(f"target dump {shell.folder}/raw -format x86_64 -root 0x1000")
    found = shell.json(f"walk/j -alias {HHDM:#x} {VA:#x}")
    assert [row["agrees"] for row in found] == [True, True, True, False]
    assert found[3]["alias_pa"] == 0x90000 + (rows[3] & 4095)
    text = shell.type(f"walk -alias {HHDM:#x} {VA:#x}")
    assert text.count("the same") == 3
    assert text.endswith("which is not what the CPU walks by.\n")
    assert "faults (not-present)" in shell.type(f"walk -alias 0x7000000000 {VA:#x}")
    assert "exclude one another" in shell.type(f"walk -alias 0 -slot 1 {VA:#x}")
    assert "no other form" in shell.type(f"walk/v -slot 1 {VA:#x}")
    assert "No entry 512" in shell.type(f"walk -slot 512 {VA:#x}")
    shell.type("machine sv39")
    assert "not-present" in shell.type("walk -slot 3 0x1000")
    shell.type("machine x86_pae")
    assert "differ in size" in shell.type("walk -slot 3 0x1000")


def test_any_memory_is_read_as_software_reads_it(shell: Any) -> None:
    source = random.Random(7)
    memory = a_kernel()
    for _ in range(3000):
        memory.put(
            source.randrange(0x1000, 0x20000) & -8, source.randrange(1 << 8) << 12 | source.getrandbits(9)
        )
    shell.file("raw", memory.bytes)
    shell.type(f"target dump {shell.folder}/raw -format x86_64 -root 0x1000")
    for _ in range(60):
        base = source.choice([HHDM, HHDM + 4096, 0, source.getrandbits(47)])
        va = source.choice([VA, HHDM + source.getrandbits(20), source.getrandbits(40)])
        for row in shell.json(f"walk/j -alias {base:#x} {va:#x}"):
            assert row["alias_entry"] == read_by(memory, row["alias"])
