"""Scenario C: fixed partitions, and what pages do better."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.scenarios.conftest import Prompt

    At = Callable[..., Prompt]

K, G = 1 << 10, 1 << 30
SMALL = """
[format]
scheme = "base-and-bounds"
partition = "32K"
va_bits = 20
[machine]
ram = "256K"
swap.size = 0
[tlb]
l1 = "off"
l2 = "off"
[kernel]
first_frame = 0
"""


def test_c1_eight_processes_start_and_the_ninth_is_refused(at: At) -> None:
    prompt = at("partitions")
    rows = prompt.processes()
    assert [row["root"] for row in rows.values()] == [number * G for number in range(8)]
    before = prompt.digest()
    assert "no free partition (8 of 8 in use)" in prompt("spawn ninth")
    assert "no free partition (8 of 8 in use)" in prompt("fork 1")
    assert prompt.digest() == before
    assert prompt.processes() == rows
    prompt("kill 3")
    assert prompt("spawn ninth").startswith("Process 9 (ninth) made.")
    assert prompt.processes()[9]["root"] == rows[3]["root"]


def test_c2_the_memory_that_is_wasted_inside_partitions(at: At) -> None:
    prompt = at("partitions")
    data = prompt.json("overhead/j")
    regions = sum(row["size"] for row in prompt.json("map/j"))
    assert [row["size"] for row in data["partitions"]] == [G] * 8
    assert {row["used"] for row in data["partitions"]} == {regions}
    assert data["wasted"] == 8 * (G - regions)
    assert "wasted inside" in prompt("overhead")


def test_c2_an_address_beyond_the_bound_faults(at: At) -> None:
    prompt = at("partitions")
    base = next(row["root"] for row in prompt.json("ps/j") if row["state"] == "running")
    assert prompt.json("translate/j 0x10010")["pa"] == base + 0x10010
    last, beyond = prompt.json(f"translate/j {G - 1:#x}"), prompt.json(f"translate/j {G:#x}")
    assert last["pa"] == base + G - 1
    assert (beyond["outcome"], beyond["pa"], beyond["fault"]["kind"]) == ("fault", None, "bounds")
    assert "SIGSEGV" in prompt(f"fault -n {G:#x}")


def test_c3_on_a_paged_machine_a_hundred_processes_start(at: At) -> None:
    prompt = at()
    for number in range(2, 101):
        assert prompt(f"spawn p{number}").startswith(f"Process {number} ")
    assert len(prompt.processes()) == 100
    prompt("process 100", "mmap 0x400000 4K rw", "write 0x400000 0x64")
    assert prompt("read 0x400000").split()[1] == "0x64"
    assert prompt.json("check/j") == []


def test_c4_contiguous_addresses_in_scattered_frames(at: At) -> None:
    """Two ranges are touched in turn, so that neither has frames beside one another."""
    touches = "".join(
        f"write {0x500000 + page * 4 * K:#x}, {page}\nwrite {0x406000 + page * 4 * K:#x}, 1\n"
        for page in range(16)
    )
    regions = "region heap 0x406000 64K rw\nregion anon 0x500000 64K rw\n"
    prompt = at(program=f"process a\n{regions}{touches}exit\n")
    prompt("step 32")
    runs = [row for row in prompt.json("map/j -phys") if row["kind"] == "anon"]
    assert len(runs) > 4
    assert [row["start"] for row in runs[1:]] == [row["end"] for row in runs[:-1]]
    assert sum(row["size"] for row in runs) == 64 * K
    assert prompt("x/2xb 0x500fff") == "0x500fff:\t0x00\t0x01\n"
    assert [prompt(f"output *((char *)0x500000 + {page} * 4096)") for page in (3, 15)] == [
        "3 '\\003'",
        "15 '\\017'",
    ]


def test_c4_the_same_request_is_refused_where_memory_is_in_partitions(at: At) -> None:
    prompt = at(toml=SMALL)
    prompt("spawn a", "spawn b", "process 1", "mmap 0x0 16K rw", "write 0x0 1")
    before = prompt.digest()
    refused = prompt("mmap 0x4000 64K rw")
    assert "does not fit a partition of 32 KiB" in refused
    free = re.search(r"(\d+) KiB are free in sum", refused)
    assert free is not None
    assert int(free[1]) >= 64
    assert prompt.digest() == before
