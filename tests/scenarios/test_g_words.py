"""Scenario G: the words, used as the manuals use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.scenarios.conftest import Prompt

    At = Callable[..., Prompt]


def test_g_a_tlb_miss_is_no_page_fault(at: At) -> None:
    prompt = at()
    prompt("tlb flush all")
    faults = prompt.processes()[1]["minor_faults"] + prompt.processes()[1]["major_faults"]
    events = [event for event, _ in prompt.told("fault 0x404000 r")]
    assert events[0] == "tlb-miss"
    assert "trap" not in events
    assert prompt.processes()[1]["minor_faults"] + prompt.processes()[1]["major_faults"] == faults


def test_g_the_tlb_caches_a_table_that_lives_in_ram(at: At) -> None:
    """A table entry is changed behind the TLB's back: the TLB still has the old translation."""
    prompt = at()
    before = prompt.json("translate/j 0x404000")
    step = prompt.json("walk/j 0x404000")["steps"][-1]
    assert prompt(f"xp/gx {step['entry_address']}").split()[-1] == f"{step['entry']:#018x}"
    prompt(f"poke {step['entry_address']} 0")
    broken = {row["rule"]: row["message"] for row in prompt.json("check/j")}
    assert broken["frames"].startswith(f"pfn {before['pa'] // 4096:#x}: ")
    assert "stale" in broken
    assert prompt.json("walk/j 0x404000")["outcome"] == "fault"
    after = prompt.json("translate/j 0x404000")
    assert (after["pa"], after["stale"]) == (before["pa"], True)
    assert "stale" in prompt("translate 0x404000")
    prompt("tlb flush 0x404000")
    assert prompt.json("translate/j 0x404000")["fault"]["kind"] == "not-present"


def test_g_the_root_is_in_a_register_that_the_kernel_switches(at: At) -> None:
    prompt = at()
    prompt("fork 1")
    roots = {pid: row["root"] for pid, row in prompt.processes().items()}
    assert len(set(roots.values())) == 2
    for pid in (2, 1):
        prompt(f"process {pid}")
        registers = {row["register"]: row for row in prompt.json("info registers/j")}
        assert registers["cr3"]["value"] == roots[pid]
        assert "root table" in registers["cr3"]["meaning"]
