"""Cases of people who look at tables that they, or their kernels, have made: from bug reports and exams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

At = Callable[..., Any]

LINEAR = """
[format]
name = "linear"
va_bits = 32
entry_bytes = 4
levels = [{ name = "PT", bits = 20 }]
[format.fields]
valid = 31
frame = { low = 0, width = 20 }
[machine]
ram = "16M"
swap.size = 0
[tlb]
l1 = "1x4"
l2 = "off"
[kernel]
first_frame = 0
"""
RECURSIVE = ("poke 0x9000 0xa001", "poke 0xa000 0xb003", "poke 0xb010 0xc003", "poke 0x9ff8 0x9003",
             "poke 0xc008 0x20003")  # fmt: skip


@pytest.mark.parametrize(
    ("machine", "pokes", "asked", "near"),
    [
        ("default", "poke 0x9000 0xa023", "0xffffffff8100005d", 0),
        ("default", "poke 0x9800 0xa023", "0x1000", 0xFFFF800000000000),
        ("default", "poke 0x97f8 0xa023", "0xffff800000000000", 0x7F8000000000),
        ("sv39", "poke 0x80009000 0x20002801", "0xffffffc000000000", 0),
        ("sv39", "poke 0x80009800 0x20002801", "0x1000", 0xFFFFFFC000000000),
    ],
)
def test_the_nearest_entry_is_named_by_an_address_of_its_own_half(
    at: At, machine: str, pokes: str, asked: str, near: int
) -> None:
    """firecracker 2333: the higher half is missing; the address that is there is canonical."""
    prompt = at(machine)
    prompt(pokes)
    root = pokes.split()[1][:-3] + "000"
    assert prompt.json(f"why/j -k {asked} -root {root}")["near"]["va"] == near


def test_a_root_that_maps_itself_is_listed_and_named(at: At) -> None:
    """blog_os 246: slot 511 of the root is the root: its tables are pages, up there."""
    prompt = at("default")
    prompt(*RECURSIVE)
    rows = {row["start"]: row for row in prompt.json("map/j -root 0x9000")}
    assert rows[0xFFFFFF8000002000]["pa"] == 0xC000
    assert rows[0xFFFFFFFFFFFFF000]["pa"] == 0x9000
    assert rows[0xFFFFFF8000002000]["rights"] == "r-xk"
    assert len(rows) == 5
    for row in rows.values():
        assert prompt.json(f"translate/j -k {row['start']:#x} -root 0x9000")["pa"] == row["pa"]
    assert "PML4[511] 0xffffff8000000000: PDPT at 0x9000, the root itself: recursive" in prompt(
        "tables -root 0x9000"
    )
    assert [row["index"] for row in prompt.json("tables/j -root 0x9000") if row["recursive"]] == [511]


def test_a_table_that_maps_one_above_it_names_it(at: At) -> None:
    prompt = at("default")
    prompt(*RECURSIVE, "poke 0x9ff8 0", "poke 0xbff8 0xa003")
    assert "PD[511] 0x3fe00000: PT at 0xa000, the PDPT above itself: recursive" in prompt(
        "tables -root 0x9000"
    )


@pytest.mark.long
def test_one_table_may_begin_at_any_entry(at: At) -> None:
    """A lecture's linear table at 0xe0a8: 0xe0a8 + 2 * 4 holds frame 0xe."""
    prompt = at(toml=LINEAR)
    prompt("poke 0xe0ac 0x80000000", "poke 0xe0b0 0x8000000e", "poke 0xe0b4 0x8000a0b4")
    assert prompt.json("translate/j 0x20b7 -root 0xe0a8")["pa"] == 0xE0B7
    assert prompt.json("walk/j 0x20b7 -root 0xe0a8")["steps"][0]["entry_address"] == 0xE0B0
    assert "[2] 0x00002000: pfn 0x0a0b4" in prompt("tables -root 0xe0ac")
    assert "multiple of 0x4, not at 0x" in prompt("walk 0x20b7 -root 0xe0aa")


@pytest.mark.parametrize(
    "line", ["translate 0x1000", "walk 0x1000", "map", "tables", "info aliases 0x1000", "why 0x1000", "rmap"]
)
def test_a_root_between_two_tables_is_refused(at: At, line: str) -> None:
    assert "A root table is at a multiple of 0x1000, not at 0x9008." in at("default")(f"{line} -root 0x9008")


def test_aliases_are_searched_in_the_tree_that_is_named(at: At) -> None:
    """CS 61: pages 0 and 2 of one table lead to one frame."""
    prompt = at("x86_32")
    prompt("poke 0x3000 1", "poke 0x3004 2", "poke 0x3008 3", "poke 0x2000 0x3007")
    rows = prompt.json("info aliases/j -root 0x2000 0x2040")
    assert [(row["va"], row["pid"], row["entry"]) for row in rows] == [(0x40, None, 1), (0x2040, None, 3)]
    for line in ("rmap/j -root 0x2000", "rmap/j -root 0x2000 0"):
        assert [(row["va"], row["entry_address"]) for row in prompt.json(line)] == [
            (0, 0x3000),
            (0x2000, 0x3008),
        ]
    assert prompt.json("rmap/j -root 0x2000 1") == []
    assert prompt("p $pa(0x2041, 0x2000)", "p/x $pte(0x2041, 0x2000)") == "$1 = 65\n$2 = 0x3\n"


@pytest.mark.parametrize("access", ["r", "w"])
def test_an_entry_that_lost_its_user_bit_is_what_refuses(at: At, access: str) -> None:
    """x86_64 113: the region allows the access, so it is not what refuses it."""
    prompt = at("default")
    prompt("poke 0x106020 0x800000000010a063", "tlb flush all")
    said = "kernel    region data is rw-u, which allows it; the entry does not: PT[4] has US = 0\n"
    assert said in prompt(f"fault -n 0x404000 {access}")


@pytest.mark.parametrize(
    ("pokes", "line", "said"),
    [
        ("poke 0x106008 0x8000000000108025", "fault -n 0x401000 x", "the entry does not: PT[1] has NX = 1"),
        ("poke 0x105010 0x106023", "fault -n 0x401000 r", "the entry does not: PD[2] has US = 0"),
        ("poke 0x106008 0x108025", "fault -n 0x401000 w", "kernel    region text is r-xu: no write"),
        ("poke 0x105010 0x106025", "fault -n 0x404000 w", "the entry does not: PD[2] has RW = 0"),
        ("set $cr3 = 0x9000", "fault -n 0x401000 r", "cr3 does not name the tables of process 1"),
        ("poke/u64 0x106028 0x120000", "mmap -file ten -shared 0x600000 8K rw", "Changed"),
    ],
)
def test_a_refusal_is_told_by_what_refused(
    at: At, pokes: str, line: str, said: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ten").write_bytes(b"ten bytes.")
    monkeypatch.chdir(tmp_path)
    prompt = at("default")
    prompt(pokes, "tlb flush all")
    assert said in prompt(line)
    if "mmap" in line:
        assert "0x601000 is beyond the end of what region file maps" in prompt("fault -n 0x601000 r")


def test_an_access_across_the_end_of_a_region_names_the_byte_that_failed(at: At) -> None:
    prompt = at("default")
    lines = prompt("read 0x415ffc 8").splitlines()
    assert "hardware  not-present at PT[22], error code 0x4 (U), cr2 0x416000" in lines
    assert "kernel    no region holds 0x416000" in lines
    prompt = at("default")
    lines = prompt("write 0x403ffc 1 8").splitlines()
    assert "kernel    region text is r-xu: no write" in lines
    assert at("default")("x/1xg 0x404ffd").endswith("Cannot access memory at address 0x405000\n")
