"""Scenario B: what a mapping costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.scenarios.conftest import Prompt

    At = Callable[..., Prompt]

K, M, G = 1 << 10, 1 << 20, 1 << 30


@pytest.mark.long
def test_b1_one_entry_a_word_takes_half_of_memory(at: At) -> None:
    prompt = at("word-table")
    sizes = {row["page"]: row for row in prompt.json("overhead/j -sizes")["sizes"]}
    assert sizes[1]["share"] == 0.5
    assert prompt.json("overhead/j")["share"] == 0.5
    assert "table:data 1:1, 50.00 % of memory" in prompt("overhead")


@pytest.mark.long
def test_b2_the_page_size_is_a_setting(at: At) -> None:
    prompt = at("word-table")
    prompt("set machine.page_size 2K", "start", "step 4")
    costs = prompt.json("overhead/j")
    assert (costs["page"], costs["entry"], costs["share"]) == (2 * K, 8, pytest.approx(1 / 257))
    assert costs["levels"] == [{"level": "T", "tables": 1, "size": 2 * K, "used": 1, "entries": 256}]
    assert costs["flat"] * 256 == 512 * K
    assert "table:data 1:256, 0.39 % of memory" in prompt("overhead")
    assert prompt.json("split/j 0x801")["vpn"] == 1
    assert prompt.json("check/j") == []


@pytest.mark.long
def test_b2_all_page_sizes_are_tabulated(at: At) -> None:
    prompt = at("word-table")
    told = prompt("overhead/v -sizes").splitlines()[1:]
    assert [int(line.split()[0]) for line in told] == [1 << bits for bits in range(16)]
    assert [line.split("1:")[1].split()[0] for line in told] == [str(1 << bits) for bits in range(16)]


@pytest.mark.long
@pytest.mark.parametrize("size", ["3K", "4", "512K"])
def test_b2_a_page_size_that_cannot_be_is_refused(at: At, size: str) -> None:
    prompt = at("word-table")
    before = prompt.digest()
    assert "expected a power of two from 8 to 2^18" in prompt(f"set machine.page_size {size}")
    assert prompt.digest() == before
    assert prompt("show machine.page_size").endswith("is 0 B.\n")


def test_b2_pages_of_several_levels_are_what_they_are(at: At) -> None:
    assert "only a format of one level" in at()("set machine.page_size 8K")


@pytest.mark.long
def test_b2_pages_of_256_words_take_one_in_256(at: At) -> None:
    prompt = at("word-table")
    table = prompt.json("overhead/j -sizes")
    assert table["unit"] == "word"
    sizes = {row["page"]: row for row in table["sizes"]}
    row = sizes[256]
    assert row["table"] * 256 == row["page"] * row["entries"] == 1 << 16
    assert row["share"] == pytest.approx(1 / 257)
    assert row["lost"] == 127.5
    (line,) = [line for line in prompt("overhead -sizes").splitlines() if line.split()[0] == "256"]
    assert line.split() == ["256", "words", "256", "256", "words", "1:256", "0.39", "%", "127.5"]


@pytest.mark.parametrize(
    ("numbers", "size", "text"),
    [
        ("32 4K 4", 4 * M, "4 MiB"),
        ("64 4K 8", 32 << 50, "32 PiB"),
        ("48 4K 8", 512 * G, "512 GiB"),
        ("48 4K 4", 256 * G, "256 GiB"),
    ],
)
def test_b3_flat_tables(at: At, numbers: str, size: int, text: str) -> None:
    prompt = at()
    assert prompt.json(f"overhead/j -flat {numbers}")["size"] == size
    assert f"= {text} a process" in prompt(f"overhead -flat {numbers}")


def test_b3_the_help_says_where_256_gib_come_from(at: At) -> None:
    words = " ".join(at()("help overhead").split())
    assert "512 GiB" in words
    assert "texts that say 256 GiB mean entries of 4 bytes" in words


def test_b4_one_page_of_two_levels_takes_8_kib_instead_of_4_mib(at: At) -> None:
    costs = at("x86_32").json("overhead/j")
    assert (costs["size"], costs["flat"], costs["resident"]) == (8 * K, 4 * M, 4 * K)
    assert [(level["level"], level["tables"]) for level in costs["levels"]] == [("PD", 1), ("PT", 1)]


def test_b4_the_tables_of_the_running_process_level_by_level(at: At) -> None:
    prompt = at()
    costs = prompt.json("overhead/j")
    assert [level["level"] for level in costs["levels"]] == ["PML4", "PDPT", "PD", "PT"]
    assert sum(level["size"] for level in costs["levels"]) == costs["size"] == prompt.processes()[1]["tables"]
    assert costs["flat"] == 512 * G
    assert costs["ratio"] == pytest.approx(costs["size"] / costs["resident"])
    before = costs["size"]
    prompt("mmap 0x10000000000 4K rw", "write 0x10000000000 1")
    assert prompt.json("overhead/j")["size"] == before + 3 * 4 * K
