"""Scenario E: isolation, and legitimate sharing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.scenarios.conftest import Prompt

    At = Callable[..., Prompt]

K = 1 << 10
TWO = """\
process a
region heap 0x406000 64K rw
write 0x406000, 0x11
read 0x406000
exit
process b
region heap 0x406000 64K rw
write 0x406000, 0x22
read 0x406000
exit
"""
FORKED = """\
process parent
region heap 0x406000 64K rw
write 0x406000, 0x11
fork child
read 0x406000
exit
child:
read 0x406000
exit
"""
WILD = """\
process wild
region text 0x400000 4K rx
region heap 0x406000 64K rw
write 0x406000, 1
write {address}, 2
exit
process tame
region heap 0x406000 64K rw
write 0x406000, 3
read 0x406000
exit
"""


def test_e1_one_address_two_frames(at: At) -> None:
    prompt = at(program=TWO)
    prompt("step", "process 2", "step")
    first, second = (prompt.json(f"translate/j -pid {pid} 0x406000") for pid in (1, 2))
    assert first["pa"] != second["pa"]
    assert prompt.json("translate/j 0x406000")["pa"] == second["pa"]
    assert [prompt(f"xp/xb {found['pa']}").split()[-1] for found in (first, second)] == ["0x11", "0x22"]
    roots = {pid: row["root"] for pid, row in prompt.processes().items()}
    for pid, found in ((1, first), (2, second)):
        prompt(f"process {pid}")
        assert prompt.json("translate/j 0x406000")["pa"] == found["pa"]
        assert prompt.json("walk/j 0x406000")["root"] == roots[pid]
        assert int(prompt("output/d $cr3")) == roots[pid]


def test_e2_an_entry_carries_the_number_of_its_address_space(at: At) -> None:
    prompt = at(program=TWO)
    prompt("step", "process 2", "step")
    asids = {pid: row["asid"] for pid, row in prompt.processes().items()}
    rows = prompt.json("tlb/j")
    assert {row["asid"] for row in rows} == set(asids.values())
    assert {row["vpn"] for row in rows} == {0x406}
    for pid, asid in asids.items():
        (row,) = [row for row in rows if row["asid"] == asid and row["level"] == rows[0]["level"]]
        assert row["pfn"] * 4 * K == prompt.json(f"translate/j -pid {pid} 0x406000")["pa"]


def test_e2_the_counters_show_what_a_switch_costs_without_numbers(at: At) -> None:
    counts = {}
    for asids in ("on", "off"):
        prompt = at(program=TWO)
        prompt(f"set tlb.asids {asids}", "start", "step", "process 2", "step")
        for pid in (1, 2, 1, 2):
            prompt(f"process {pid}", "fault 0x406000 r")
        counts[asids] = prompt.counts()
    assert "tlb-flush" not in counts["on"]
    assert counts["off"]["tlb-flush"] >= 4
    assert counts["on"]["tlb-hit"] == counts["off"].get("tlb-hit", 0) + 4
    assert counts["off"]["tlb-miss"] == counts["on"]["tlb-miss"] + 4


def test_e2_global_entries_outlive_a_switch(at: At) -> None:
    """A global bit is set behind the kernel's back, for it has none in the user's half."""
    prompt = at(program=TWO.replace("write 0x406000, 0x11", "write 0x406000, 0x11\nwrite 0x407000, 1"))
    prompt("set tlb.asids off", "start", "step 2")
    entry = prompt.json("walk/j 0x407000")["steps"][-1]
    prompt(f"poke {entry['entry_address']} {entry['entry'] | 1 << 8:#x}", "tlb flush all")
    prompt("fault 0x406000 r", "fault 0x407000 r")
    assert {(row["vpn"], row["global"]) for row in prompt.json("tlb/j")} == {(0x406, False), (0x407, True)}
    prompt("process 2")
    assert {(row["vpn"], row["global"]) for row in prompt.json("tlb/j")} == {(0x407, True)}


def test_e2_the_help_says_why_a_foreign_entry_is_a_miss(at: At) -> None:
    words = " ".join(at()("help tlb").split())
    assert "an entry of another address space is a miss" in words
    assert "the walk decides" in words


@pytest.mark.parametrize(("address", "code"), [("0x900000", "MAPERR"), ("0x400000", "ACCERR")])
def test_e3_a_wild_access_ends_its_process_and_no_other(at: At, address: str, code: str) -> None:
    prompt = at(program=WILD.format(address=address))
    prompt("step")
    assert f"SIGSEGV ({code})" in prompt(f"fault -n {address} w")
    used = prompt.json("info machine/j")
    text = prompt("continue", "continue")
    assert "SIGSEGV" in text
    ended = {row["pid"]: row for row in prompt.json("ps/j -all")}
    assert (ended[1]["status"], ended[2]["status"]) == (128 + 11, 0)
    assert (ended[1]["rss"], ended[1]["tables"], ended[1]["swapped"]) == (0, 0, 0)
    after = prompt.json("info machine/j")
    assert after["frames"].get("user", 0) == 0
    assert after["free_slots"] >= used["free_slots"]
    assert prompt.json("check/j") == []


def test_e3_a_handler_runs_instead(at: At) -> None:
    program = """\
process careful
region heap 0x406000 64K rw
handler caught
write 0x900000, 1
exit 1
caught:
write 0x406000, 2
exit 7
process other
region heap 0x406000 64K rw
write 0x406000, 3
exit
"""
    prompt = at(program=program)
    prompt("start", "step")
    assert "process 1 has a handler" in prompt("fault -n 0x900000 w")
    prompt("continue", "continue")
    ended = {row["name"]: row for row in prompt.json("ps/j -all")}
    assert (ended["careful"]["status"], ended["other"]["status"]) == (7, 0)


def test_e4_a_shared_region_has_one_frame_in_two_processes(at: At) -> None:
    region = "region shared 0x500000 8K rw shared=common\n"
    program = f"process a\n{region}write 0x500000, 0x5a\nexit\nprocess b\n{region}read 0x500000\nexit\n"
    prompt = at(program=program)
    prompt("step", "process 2")
    assert prompt("read 0x500000").split()[1] == "0x5a"
    one, other = (prompt.json(f"translate/j -pid {pid} 0x500000") for pid in (1, 2))
    assert one["pa"] == other["pa"]
    rows = prompt.json(f"rmap/j {one['pa'] // 4096}")
    assert [(row["pid"], row["va"]) for row in rows] == [(1, 0x500000), (2, 0x500000)]
    assert "shared" in {row["kind"] for row in prompt.json("map/j")}


def test_e4_after_a_fork_one_frame_has_two_entries(at: At) -> None:
    prompt = at(program=FORKED)
    prompt("stepi", "step 2")
    pfn = prompt.json("translate/j 0x406000")["pa"] // (4 * K)
    rows = prompt.json(f"rmap/j {pfn}")
    assert {(row["pid"], row["va"]) for row in rows} == {(1, 0x406000), (2, 0x406000)}
    assert len({row["entry_address"] for row in rows}) == 2
    users = [row for row in prompt.json("info aliases/j 0x406000") if row["rights"].endswith("u")]
    assert {row["pid"] for row in users} == {1, 2}


def test_e5_the_first_write_after_a_fork_splits_the_page(at: At) -> None:
    prompt = at(program=FORKED)
    prompt("stepi", "step 2")
    shared = prompt.json("translate/j -pid 2 0x406000")["pa"]
    assert prompt.json("translate/j -pid 1 0x406000")["pa"] == shared
    child = next(pid for pid in (1, 2) if pid == prompt.json("process/j")["pid"])
    told = dict(prompt.told("fault 0x406000 w"))
    assert "fault-cow" in told
    one, other = (prompt.json(f"translate/j -pid {pid} 0x406000") for pid in (child, 3 - child))
    assert (other["pa"], other["rights"]) == (shared, "r--u")
    assert (one["pa"] == shared, one["rights"]) == (False, "rw-u")
    changed = [row for row in prompt.json("diff/j -1") if row["sort"] == "entry"]
    pfns = [f"pfn {pa // 4096:#x}" for pa in (shared, one["pa"])]
    assert [row["before"].startswith(pfns[0]) and row["after"].startswith(pfns[1]) for row in changed] == [
        True
    ]
    assert [prompt(f"xp/xb {found['pa']}").split()[-1] for found in (one, other)] == ["0x11", "0x11"]
