"""Scenario A: from one address to one frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.scenarios.conftest import Prompt

    At = Callable[..., Prompt]

TWO_LIMITED = """\
process greedy limit=2
region heap 0x0000 32K rw
write 0x0000, 1
write 0x0100, 2
write 0x0200, 3
read 0x0000
exit
process modest
region heap 0x0000 32K rw
write 0x0000, 4
read 0x0000
exit
"""


def test_a1_an_address_is_a_page_and_an_offset(at: At) -> None:
    prompt = at("tutorial16")
    parts = prompt.json("split/j 0x0110")
    assert (parts["va"], parts["vpn"], parts["offset"], parts["page_size"]) == (272, 1, 16, 256)
    first, second = prompt("split 0x0110").splitlines()
    assert first.split() == ["0x0110", "(272)", "00000001", "00010000"]
    assert second.split() == ["vpn", "1", "offset", "16", "(0x10)", "page", "size", "256", "B"]


def test_a2_a_first_touch_event_by_event(at: At) -> None:
    prompt = at("tutorial16")
    prompt("start")
    told = prompt.told("stepi 11")
    assert [event for event, _ in told] == [
        "tlb-miss",
        "trap",
        "table-read",
        "limit-check",
        "frame-alloc",
        "entry-write",
        "fault-minor",
        "tlb-fill",
        "retry",
        "tlb-hit",
        "write",
    ]
    what = dict(told)
    assert what["trap"] == "software-filled TLB: the kernel's handler runs"
    assert what["limit-check"] == "process 1 holds 0 of 16 frames: allowed"
    assert what["frame-alloc"] == "pfn 0x10, first free, zeroed"
    assert what["tlb-fill"].startswith("vpn 0x00 -> pfn 0x10")
    assert what["retry"] == "write 0x0000"
    assert prompt.json("translate/j 0x00")["pa"] == 0x10 << 8


def test_a2_fault_tells_the_same_story(at: At) -> None:
    stepped, told = at("tutorial16"), at("tutorial16")
    stepped("start")
    events = [event for event, _ in stepped.told("stepi 11")]
    assert [event for event, _ in told.told("fault 0x0000 w")] == events


def test_a3_the_second_access_needs_no_kernel(at: At) -> None:
    prompt = at("tutorial16")
    prompt("step")
    told = prompt.told("stepi 2")
    assert [event for event, _ in told] == ["tlb-hit", "read"]
    assert prompt.json("translate/j 0x0001")["via"] == "L1"
    before = prompt.counts()
    assert prompt.json("walk/j 0x0001")["outcome"] == "translated"
    assert prompt.counts() == before


@pytest.mark.parametrize(
    ("machine", "in_tlb"), [("tutorial16", ["tlb-fill"]), ("tutorial16-hw", [])], ids=["kernel", "walker"]
)
def test_a4_who_fills_the_tlb(at: At, machine: str, in_tlb: list[str]) -> None:
    """A page is given to the process; only a kernel that fills the TLB itself puts it there by that."""
    prompt = at(machine)
    assert prompt.json("info machine/j")["software_walk"] == (machine == "tutorial16")
    events = [event for event, _ in prompt.told("fault 0x0000 w")]
    fault = events.index("fault-minor")
    retry = events.index("retry")
    assert [event for event in events[fault:retry] if event == "tlb-fill"] == in_tlb
    assert ("walk-step" in events) == (machine == "tutorial16-hw")


def test_a4_a_page_that_is_not_used_is_not_in_a_walked_tlb(at: At) -> None:
    program = "process a\nregion heap 0x0000 1K rw populate\nread 0x0000\nexit\n"
    prompt = at("tutorial16-hw", program)
    prompt("step")
    assert [prompt.json(f"walk/j {va}")["outcome"] for va in (0, 0x100, 0x300)] == ["translated"] * 3
    assert [row["vpn"] for row in prompt.json("tlb/j")] == [0]


def test_a5_one_program_translated_by_the_kernel_by_a_walker_and_with_a_tlb(at: At) -> None:
    """The cost of each side by side, in one table, and how many times as slow as without translation."""
    prompt = at("tutorial16")
    rows = prompt.json("compare translation/j")
    told = [
        (row["who"], row["with_tlb"], row["entries_per_access"], row["traps_per_access"]) for row in rows[:2]
    ]
    assert told == [("kernel", False, 1.0, 1.0), ("walker", False, 1.666667, 0.0)]
    assert [row["translation"] for row in rows] == [130.0, 50.0, 87.667, 41.0]
    assert [row["factor"] for row in rows] == [5.333, 2.667, 3.922, 2.367]
    table = prompt("compare translation").splitlines()
    assert table[0] == "who translates  TLB hits  entries read  traps  translation  cycles  factor"
    assert table[1].split() == ["kernel,", "no", "TLB", "-", "1.000", "1.000", "130.00", "160.00", "5.33"]
    assert max(map(len, table)) <= 80
    assert "kernel, no TLB: 100 + 30 = 130.000 cycles an access" in table


@pytest.mark.long
def test_a5_step_by_step_without_a_tlb(at: At) -> None:
    prompt = at("tutorial16")
    prompt("set tlb.l1 off", "start", "step")
    told = [event for event, _ in prompt.told("stepi 5")]
    assert told == ["tlb-miss", "trap", "table-read", "retry", "read"]


def test_a6_a_process_over_its_limit_is_refused_and_the_others_go_on(at: At) -> None:
    prompt = at("tutorial16", TWO_LIMITED)
    prompt("start", "step 2")
    refused = prompt("fault -n 0x0200 w")
    assert "SIGKILL" in refused
    assert "process 1 holds 2 of 2 frames: refused" in refused
    text = prompt("continue", "continue")
    assert "SIGKILL" in text
    ended = {row["name"]: row for row in prompt.json("ps/j -all")}
    assert (ended["greedy"]["status"], ended["modest"]["status"]) == (128 + 9, 0)


def test_a6_as_configured_the_access_fails_and_the_process_goes_on(at: At) -> None:
    prompt = at("tutorial16", TWO_LIMITED)
    prompt("set kernel.over_limit fail", "start", "step 2")
    refused = prompt("fault -n 0x0200 w")
    assert "process 1 holds 2 of 2 frames: refused" in refused
    assert "the access fails; process 1 goes on" in refused
    prompt("continue")
    ended = {row["name"]: row for row in prompt.json("ps/j -all")}
    assert (ended["greedy"]["status"], ended["modest"]["status"]) == (0, 0)
    assert prompt.counts()["refused"] == 1
