"""Scenario C: fixed partitions, and what pages do better."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.scenarios.conftest import Prompt

    At = Callable[..., Prompt]

K = 1 << 10


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
