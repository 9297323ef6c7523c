"""Scenario D: multi-level walks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.scenarios.conftest import Prompt

    At = Callable[..., Prompt]

K, M, G = 1 << 10, 1 << 20, 1 << 30
DIRECT = 0xFFFF888000000000  # where x86-64's kernel half maps all of memory


def test_d1_two_indexes_and_an_offset(at: At) -> None:
    prompt = at("x86_32")
    parts = prompt.json("split/j 0b00001000000001001001011001111000")
    assert [(index["level"], index["bits"], index["value"]) for index in parts["indexes"]] == [
        ("PD", 10, 32),
        ("PT", 10, 73),
    ]
    assert (parts["va"], parts["offset"], parts["page_size"]) == (0x08049678, 1656, 4 * K)


def test_d1_the_walk_is_drawn_with_its_arithmetic(at: At) -> None:
    prompt = at("x86_32")
    first, second = prompt.json("walk/j 0x08049678")["steps"]
    table = second["entry_address"] - 73 * 4
    text = prompt("walk 0x08049678")
    assert f"PT    {table:#010x} +  73*4 = {second['entry_address']:#010x}" in text
    drawn = text[: text.index("level ")]
    for piece in (
        "    32 | ",
        "    73 | ",
        "  1656 | ",
        f"{first['entry']:#010x}",
        f"{second['entry']:#010x}",
    ):
        assert piece.strip() in drawn


@pytest.mark.parametrize(
    ("va", "level", "index", "steps"),
    [
        ("0x10000000000", "PML4", 2, 1),
        ("0x40000000", "PDPT", 1, 2),
        ("0x5000", "PD", 0, 3),
        ("0x40c010", "PT", 12, 4),
    ],
)
def test_d2_an_empty_entry_ends_the_walk(at: At, va: str, level: str, index: int, steps: int) -> None:
    prompt = at()
    walk = prompt.json(f"walk/j {va}")
    assert (walk["outcome"], walk["pa"], len(walk["steps"])) == ("fault", None, steps)
    assert walk["steps"][-1]["kind"] == "empty"
    fault = walk["fault"]
    assert (fault["kind"], fault["level"], fault["index"]) == ("not-present", level, index)
    assert fault["reason"] == f"{level}[{index}] is empty"
    why = prompt.json(f"why/j {va}")
    assert (why["decides"]["level"], why["decides"]["field"], why["decides"]["value"]) == (level, "P", 0)


@pytest.mark.long
@pytest.mark.parametrize(
    ("va", "size", "levels"),
    [
        (0x404000, 4 * K, ["PML4", "PDPT", "PD", "PT"]),
        (0x7E0000012345, 2 * M, ["PML4", "PDPT", "PD"]),
        (0x7F0012345678, G, ["PML4", "PDPT"]),
    ],
)
def test_d3_pages_of_three_sizes(at: At, va: int, size: int, levels: list[str]) -> None:
    prompt = at("pages")
    walk = prompt.json(f"walk/j {va:#x}")
    assert [step["level"] for step in walk["steps"]] == levels
    assert [step["kind"] for step in walk["steps"]] == ["table"] * (len(levels) - 1) + ["leaf"]
    assert (walk["page_size"], walk["pa"] % size) == (size, va % size)
    assert ("PS" in walk["steps"][-1]["flags"]) == (size > 4 * K)
    (region,) = [row for row in prompt.json("map/j") if row["start"] <= va < row["end"]]
    assert (region["page_size"], region["resident"]) == (size, size)
    (run,) = [row for row in prompt.json("map/j -phys") if row["start"] <= va < row["end"]]
    assert (run["page_size"], run["pa"]) == (size, walk["pa"] - va % size)
    cached = {row["page_size"]: row for row in prompt.json("tlb/j")}[size]
    assert (cached["vpn"], cached["pfn"]) == (va // size * size // (4 * K), run["pa"] // (4 * K))
    assert prompt.json(f"translate/j {va:#x}")["via"].startswith("L1")


@pytest.mark.parametrize(
    ("machine", "va", "names", "folded"),
    [
        ("x86_32", "0x08049678", ["pgd", "pte"], ["p4d", "pud", "pmd"]),
        ("default", "0x401234", ["pgd", "pud", "pmd", "pte"], ["p4d"]),
        ("pages", "0x7f0012345678", ["pgd", "pud"], ["p4d"]),
        ("sv39", "0x401234", ["pgd", "pmd", "pte"], ["p4d", "pud"]),
    ],
)
def test_d4_the_names_of_linux(at: At, machine: str, va: str, names: list[str], folded: list[str]) -> None:
    prompt = at(machine)
    lines = prompt(f"walk/l {va}").partition("level table")[2].splitlines()
    rows = [line.split() for line in lines]
    order = ("pgd", "p4d", "pud", "pmd", "pte")
    assert [row[0] for row in rows if row[1:2] == ["folded:"]] == folded
    told = [row[0] for row, line in zip(rows, lines, strict=True) if row[0] in order and " = " in line]
    assert told == names
    assert [row[0] for row in rows if row[0] in order] == sorted([*names, *folded], key=order.index)
    assert [step["linux"] for step in prompt.json(f"walk/j {va}")["steps"]] == names


@pytest.mark.parametrize("cut", [[8], [4, 4], [2, 6]])
def test_d5_sixteen_bits_cut_in_any_way(at: At, cut: list[int]) -> None:
    levels = ", ".join(f'{{ name = "T{place}", bits = {bits} }}' for place, bits in enumerate(cut))
    toml = f"""
[machine]
format = "test.toml"
ram = "64K"
swap.size = "4K"
program = "test.vmp"
[kernel]
first_frame = 8
[tlb]
l1 = "1x8"
l2 = "off"
[format]
va_bits = 16
entry_bytes = 2
levels = [{levels}]
[format.fields]
valid = 0
slot_mark = 1
frame = {{ low = 8, width = 8 }}
slot = {{ low = 8, width = 8 }}
"""
    prompt = at(toml=toml, program="process a\nregion heap 0x0 32K rw\nwrite 0x1234, 0x2a\nexit\n")
    prompt("step")
    parts = prompt.json("split/j 0x1234")
    bits, rest = [index["bits"] for index in parts["indexes"]], 0x12
    assert bits == cut
    assert sum(bits) + 8 == 16
    for index in reversed(parts["indexes"]):
        assert index["value"] == rest & ((1 << index["bits"]) - 1)
        rest >>= index["bits"]
    assert parts["offset"] == 0x34
    walk = prompt.json("walk/j 0x1234")
    assert [step["index"] for step in walk["steps"]] == [index["value"] for index in parts["indexes"]]
    assert walk["pa"] & 0xFF == 0x34
    assert prompt(f"xp/xb {walk['pa']}").endswith("0x2a\n")


def test_d6_the_kernel_half_is_the_kernels_and_shared_by_all(at: At) -> None:
    prompt = at()
    (half,) = prompt.json("map/j -k")
    assert (half["start"], half["end"] - half["start"]) == (DIRECT, 64 * M)
    assert (half["page_size"], half["rights"]) == (2 * M, "rw-k")
    pa = prompt.json("translate/j 0x401234")["pa"]
    inside = DIRECT + pa
    refused = prompt.json(f"translate/j {inside:#x}")
    assert (refused["outcome"], refused["fault"]["kind"]) == ("fault", "protection")
    assert prompt.json(f"translate/j -k {inside:#x}")["pa"] == pa
    last = prompt.json(f"walk/j {inside:#x}")["steps"][-1]
    assert {"G", "PS"} <= set(last["flags"])
    prompt("fork 1")
    steps = [prompt.json(f"walk/j -pid {pid} {inside:#x}")["steps"] for pid in (1, 2)]
    assert steps[0][0]["entry_address"] != steps[1][0]["entry_address"]
    assert steps[0][1:] == steps[1][1:]
    assert steps[0][0]["entry"] == steps[1][0]["entry"]


def test_d6_a_user_access_to_the_kernel_half_ends_in_a_signal(at: At) -> None:
    told = at()(f"fault -n {DIRECT:#x}")
    assert "SIGSEGV" in told
    assert "protection at PD[0]" in told
