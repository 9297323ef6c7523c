"""Scenario F: demand paging and swap."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.scenarios.conftest import Prompt

    At = Callable[..., Prompt]

K, M = 1 << 10, 1 << 20
HEAP = 0x406000


def test_f1_text_below_data_below_heap_below_stack(at: At) -> None:
    regions = {row["kind"]: row for row in at().json("map/j")}
    order = [regions[kind] for kind in ("text", "data", "heap", "stack")]
    assert [row["start"] for row in order] == sorted(row["start"] for row in order)
    assert regions["text"]["start"] == min(row["start"] for row in regions.values())
    assert "w" not in regions["text"]["rights"]
    assert regions["data"]["rights"] == regions["heap"]["rights"] == "rw-u"


def test_f1_memory_is_given_at_the_first_touch(at: At) -> None:
    prompt = at()
    before = prompt.processes()[1]["rss"]
    (heap,) = [row for row in prompt.json("map/j") if row["kind"] == "heap"]
    prompt(f"brk {heap['end'] + 64 * K:#x}", "mmap 0x10000000 1M rw")
    kinds = {row["kind"]: row for row in prompt.json("map/j")}
    assert kinds["heap"]["end"] == heap["end"] + 64 * K
    assert prompt.processes()[1]["rss"] == before
    prompt(f"write {heap['end']:#x} 1", "write 0x10000000 1")
    assert prompt.processes()[1]["rss"] == before + 8 * K


def test_f1_the_stack_grows_down_to_its_limit_and_a_guard(at: At) -> None:
    prompt = at()
    regions = {row["kind"]: row for row in prompt.json("map/j")}
    stack, guard = regions["stack"], regions["guard"]
    lowest = stack["end"] - M  # the setting kernel.stack_limit
    assert (guard["end"], guard["rights"]) == (lowest, "-")
    assert "stack-grow" in [event for event, _ in prompt.told(f"fault -n {lowest:#x} w")]
    assert "SIGSEGV" in prompt(f"fault -n {lowest - 1:#x} w")
    prompt(f"write {stack['start'] - 4 * K:#x} 1")
    (grown,) = [row for row in prompt.json("map/j") if row["kind"] == "stack"]
    assert (grown["start"], grown["end"]) == (stack["start"] - 4 * K, stack["end"])


@pytest.mark.long
def test_f2_more_processes_than_memory(at: At) -> None:
    """Each of six processes has content of its own in more pages than its share of memory."""
    toml = """
[machine]
ram = "2M"
swap.size = "16M"
[tlb]
l1 = "16x4"
l2 = "off"
[kernel]
user_frames = 64
"""
    program = "".join(
        f"process p{n}\nregion heap 0x406000 128K rw\n"
        f"write 0x406000 .. 0x426000 step 4K, {n}\nread 0x406000 .. 0x426000 step 4K\n"
        "loop\nread 0x406000\nend\n"
        for n in range(1, 7)
    )
    prompt = at(toml=toml, program=program)
    prompt("set kernel.quantum 64", "start", "step 700")
    rows = prompt.processes()
    assert len(rows) == 6
    assert all(row["rss"] + row["swapped"] == 128 * K for row in rows.values())
    assert sum(row["rss"] for row in rows.values()) <= 64 * 4 * K < 6 * 128 * K
    slots = prompt.json("swap/j")
    owned = {pid: sum(slot["pid"] == pid for slot in slots) * 4 * K for pid in rows}
    assert all(owned[pid] >= row["swapped"] for pid, row in rows.items())
    for pid in rows:
        prompt(f"process {pid}")
        for page in range(0, 32, 5):
            assert prompt(f"read {HEAP + page * 4 * K:#x}").split()[1] == f"0x{pid:02x}"
    assert prompt.json("check/j") == []


@pytest.mark.parametrize("command", [f"swapout {HEAP:#x}", "swapout -pid 1", "swapout 200 pages"])
def test_f3_a_page_leaves_and_comes_back(at: At, command: str) -> None:
    prompt = at()
    assert prompt.json(f"tlb lookup/j {HEAP:#x}")["via"]
    content = prompt(f"x/xb {HEAP:#x}").split()[-1]
    major = prompt.processes()[1]["major_faults"]
    prompt(command)
    walk = prompt.json(f"walk/j {HEAP:#x}")
    assert walk["steps"][-1]["kind"] == "swapped"
    slot = walk["slot"]
    assert slot in {row["slot"] for row in prompt.json("swap/j") if (row["pid"], row["va"]) == (1, HEAP)}
    text = prompt(f"walk {HEAP:#x}")
    assert f"slot {slot}" in text
    assert "in swap" in text.splitlines()[-1]
    assert prompt.json(f"tlb lookup/j {HEAP:#x}")["via"] is None
    told = dict(prompt.told(f"fault {HEAP:#x} r"))
    assert told["swap-in"].startswith(f"slot {slot} -> ")
    assert "fault-major" in told
    assert prompt.processes()[1]["major_faults"] == major + 1
    assert prompt(f"x/xb {HEAP:#x}").split()[-1] == content


def test_f4_a_clean_page_is_dropped_and_a_dirty_one_is_written(at: At) -> None:
    prompt = at()
    prompt(f"swapout {HEAP:#x}", f"read {HEAP:#x}")
    written = prompt.counts()["swap-out"]
    slot = {(row["pid"], row["va"]): row["slot"] for row in prompt.json("swap/j")}[1, HEAP]
    prompt(f"swapout {HEAP:#x}")
    counts = prompt.counts()
    assert (counts["swap-out"], counts["swap-drop"]) == (written, 1)
    assert prompt.json(f"walk/j {HEAP:#x}")["slot"] == slot
    prompt(f"write {HEAP:#x} 0x77", f"swapout {HEAP:#x}")
    counts = prompt.counts()
    assert (counts["swap-out"], counts["swap-drop"]) == (written + 1, 1)
    prompt(f"read {HEAP:#x}")
    assert prompt(f"x/xb {HEAP:#x}").split()[-1] == "0x77"


def test_f5_out_of_memory_has_a_victim_a_reason_and_a_future(at: At) -> None:
    toml = """
[machine]
ram = "2M"
swap.size = "64K"
[tlb]
l1 = "16x4"
l2 = "off"
[kernel]
user_frames = 32
"""
    program = (
        "process small\nregion heap 0x406000 16K rw\nwrite 0x406000, 1\nloop 300\nread 0x406000\nend\nexit\n"
        "process hungry\nregion heap 0x406000 1M rw\nwrite 0x406000 .. 0x506000 step 4K, 2\nexit\n"
    )
    prompt = at(toml=toml, program=program)
    prompt("set kernel.quantum 16")
    text = prompt("start", "catch oom", "continue")
    assert "oom" in text
    text += prompt("delete", "continue", "continue", "continue")
    ended = {row["name"]: row for row in prompt.json("ps/j -all")}
    assert (ended["hungry"]["status"], ended["small"]["status"]) == (128 + 9, 0)
    assert prompt.json("check/j") == []
