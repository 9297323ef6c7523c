"""The machine against a model of dictionaries and lists: step by step, and the published counts of traces."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from tests.models.oracle import POLICIES as MODELLED
from vmdbg.kernel.scheduler import OP_EXIT
from vmdbg.machine.config import MachineConfig, load_config
from vmdbg.machine.machine import Machine
from vmdbg.programs import read_program
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.state.tables import PROCESS, PROCESS_ROOT

DATA = Path(__file__).resolve().parent.parent / "data"
EXPECTED = json.loads((DATA / "expected.json").read_text())
TRACES = ("ls.lackey", "sqlite.lackey")
START, PAGES = 0x400000, 24
SEEN = ("tlb-hit", "tlb-l2-hit", "tlb-miss", "tlb-fill", "fault-minor", "fault-major", "evict", "age")


@st.composite
def settings(draw: st.DrawFn) -> tuple[str, int, tuple[int, int], tuple[int, int]]:
    geometry = st.tuples(st.sampled_from((1, 2, 4)), st.integers(1, 4))
    policy = draw(st.sampled_from(MODELLED))
    return policy, draw(st.integers(1, 12)), draw(geometry), draw(geometry)


@pytest.mark.long
@hypothesis.settings(max_examples=drawn(60), deadline=None)
@hypothesis.given(
    settings(),
    st.lists(st.tuples(st.integers(0, PAGES - 1), st.sampled_from("rwx")), min_size=1, max_size=120),
    st.booleans(),
)
def test_each_step_is_that_of_the_model(
    model: Callable[[str], ModuleType], setting: Any, accesses: list[tuple[int, str]], payload: bool
) -> None:
    policy, frames, l1, l2 = setting
    oracle = model("oracle")
    expected = oracle.Machine(policy, frames, l1, l2)
    machine = machine_for(policy, frames, f"{l1[0]}x{l1[1]}", f"{l2[0]}x{l2[1]}", payload)
    rows = array("q")
    for page, letter in accesses:
        rows.extend(("rwx".index(letter) | 1 << 8, START + page * 4096 + page, 7, 0))
    rows.extend((OP_EXIT, 0, 0, 0))
    regions = [RegionSpec("heap", START, PAGES * 4096, 15)]
    machine.load(Program("p", "", [], [ProcessSpec("p", None, -1, regions, rows)]))
    root = machine.m.process[PROCESS + PROCESS_ROOT]
    for number, (page, letter) in enumerate(accesses):
        expected.access(START // 4096 + page, letter == "w")
        machine.run(number + 1)
        counts = machine.counts()
        assert {name: counts.get(name, 0) for name in SEEN} == {n: expected.counts.get(n, 0) for n in SEEN}
        compare_pages(machine, oracle, expected, root)


def machine_for(policy: str, frames: int, l1: str, l2: str, payload: bool) -> Machine:
    return Machine(
        MachineConfig(
            {
                "machine.ram": 1 << 20,
                "machine.payload": payload,
                "machine.swap.size": 1 << 18,
                "kernel.first_frame": 3,
                "kernel.user_frames": frames,
                "kernel.policy": policy,
                "tlb.l1": l1,
                "tlb.l2": l2,
            }
        )
    )


def compare_pages(machine: Machine, oracle: ModuleType, expected: Any, root: int) -> None:
    """What raw memory says of each page is what the model says."""
    memory = bytes(machine.m.ram1)
    resident, accessed, dirty = set(), set(), set()
    for page in range(START // 4096, START // 4096 + PAGES):
        found = oracle.walk(memory, 0, root, page * 4096)
        if found.outcome == "translated":
            resident.add(page)
            accessed |= {page} if found.accessed else set()
            dirty |= {page} if found.dirty else set()
            assert found.rights == "rwxu"
    here = {page for page in expected.pages if page is not None}
    assert (resident, accessed, dirty) == (here, expected.accessed & here, expected.dirty & here)


@cache
def trace(name: str, resident: bool) -> Program:
    return read_program(str(DATA / f"{name}.xz"), va_bits=48, page_size=4096, resident=resident)


def replay(machine: Machine, program: Program, compiled: bool) -> dict[str, int]:
    """The counts of a machine that has executed a trace."""
    machine.load(program)
    machine.run(len(program.processes[0].rows) // 4 - 1, compiled)
    return machine.counts()


def paging_cases() -> list[Any]:
    policies = (("fifo", "FIFO"), ("clock", "CLOCK_ref1"))
    return [
        pytest.param(name, policy, int(frames), misses[column], id=f"{name}-{policy}-{frames}")
        for name in TRACES
        for policy, column in policies
        for frames, misses in EXPECTED[name]["frames"].items()
    ]


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.parametrize(("name", "policy", "frames", "misses"), paging_cases())
def test_misses_of_real_traces(
    name: str, policy: str, frames: int, misses: int, ready: Callable[[Machine], Machine], both: None
) -> None:
    values = {"kernel.policy": policy, "kernel.user_frames": frames, "kernel.zero_drop": False}
    counts = replay(ready(Machine(load_config("trace").with_(values))), trace(name, False), True)
    assert counts.get("fault-minor", 0) + counts.get("fault-major", 0) == misses
    assert counts["fault-minor"] == EXPECTED[name]["pages"]


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize("place", range(3))
def test_tlb_of_real_traces(name: str, place: int, ready: Callable[[Machine], Machine], both: None) -> None:
    known = EXPECTED[name]["tlb_lru_4k"][place]
    shape = {
        "tlb.l1": f"{known['L1_entries'] // known['L1_ways']}x{known['L1_ways']}",
        "tlb.l2": f"{known['L2_entries'] // known['L2_ways']}x{known['L2_ways']}",
        "kernel.policy": "clock",
    }
    counts = replay(ready(Machine(load_config("trace").with_(shape))), trace(name, True), True)
    assert counts["tlb-hit"] == known["L1_hits"]
    assert counts.get("tlb-l2-hit", 0) == known["L2_hits"]
    assert counts["tlb-miss"] == known["L2_misses_walks"]


@pytest.mark.slow
def test_a_real_trace_interpreted() -> None:
    config = load_config("trace").with_({"kernel.policy": "clock", "kernel.user_frames": 32})
    counts = replay(Machine(config), trace("sqlite.lackey", False), False)
    misses = EXPECTED["sqlite.lackey"]["frames"]["32"]["CLOCK_ref1"]
    assert counts["fault-minor"] + counts["fault-major"] == misses


def test_the_textbooks_anomaly() -> None:
    """Belady's string: FIFO with four frames misses more often than with three."""
    known = EXPECTED["textbook_belady"]["frames"]
    for frames, misses in known.items():
        for policy, column in (("fifo", "FIFO"), ("clock", "CLOCK_ref1")):
            machine = machine_for(policy, int(frames), "1x4", "off", False)
            rows = array("q")
            for page in map(int, re.findall(r"\d", "1 2 3 4 1 2 5 1 2 3 4 5")):
                rows.extend((0, START + page * 4096, 0, 0))
            rows.extend((OP_EXIT, 0, 0, 0))
            spec = ProcessSpec("p", None, -1, [RegionSpec("heap", START, PAGES * 4096, 15)], rows)
            machine.load(Program("p", "", [], [spec]))
            machine.run(12)
            counts = machine.counts()
            assert counts["fault-minor"] + counts.get("fault-major", 0) == misses[column]
