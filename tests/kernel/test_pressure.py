"""Memory and swap run short: which page leaves, what is written, and when nothing can leave any more."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg.debugger import accesses
from vmdbg.kernel.policies import POLICIES, facts_of
from vmdbg.kernel.policies.facts import FUTURE
from vmdbg.kernel.scheduler import OP_EXIT
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec

READ, WRITE = 0, 1
START, PAGE = 0x400000, 4096
#: What `Model` knows: the policies that take the oldest page, by arrival or by use.
ORDERED = {"fifo": "resident", "lru": "used"}


def machine_of(policy: str, frames: int, slots: int, **more: Any) -> Machine:
    """One process with a heap, `frames` frames for its pages and `slots` slots."""
    values = {
        "machine.ram": 1 << 20,
        "machine.swap.size": slots * PAGE,
        "kernel.first_frame": 3,
        "kernel.user_frames": frames,
        "kernel.policy": policy,
    }
    return Machine(MachineConfig({**values, **{name.replace("__", "."): more[name] for name in more}}))


def start(machine: Machine, accesses: list[tuple[int, int]], processes: int = 1, pages: int = 24) -> None:
    """Load processes that make these accesses: (page, READ or WRITE)."""
    rows = array("q")
    for page, how in accesses:
        rows.extend((how | 1 << 8, START + page * PAGE, page + 1, 0))
    rows.extend((OP_EXIT, 0, 0, 0))
    spec = ProcessSpec("p", None, -1, [RegionSpec("heap", START, pages * PAGE, 15)], rows)
    machine.load(Program("p", "", [], [spec] * processes))


@pytest.mark.parametrize("policy", POLICIES)
def test_a_page_that_can_be_dropped_goes_though_others_are_older(policy: str) -> None:
    """Swap is full: the dirty pages before it cannot leave, the clean one with a slot can."""
    machine = machine_of(policy, 3, 1)
    start(machine, [(0, WRITE), (1, WRITE), (2, WRITE)])
    machine.run(3)
    machine.swap_out(1, START)
    accesses.access(machine, START, READ)
    assert machine.find_page(1, START) >= 0
    accesses.access(machine, START + 3 * PAGE, WRITE)
    counts = machine.counts()
    assert (counts["swap-out"], counts["swap-drop"], counts.get("oom", 0)) == (1, 1, 0)
    assert machine.find_page(1, START) < 0
    assert machine.find_page(1, START + PAGE) >= 0
    assert check(machine) == []


class Model(NamedTuple):
    """What has to be so: resident pages oldest first, those whose D is set, those that a slot holds."""

    resident: list[int]
    used: list[int]
    dirty: set[int]
    slots: set[int]


def step(model: Model, policy: str, frames: int, slots: int, page: int, how: int) -> str:
    """One access on the model: what it takes.  `oom` if nothing can leave."""
    told = ""
    if page not in model.resident:
        if len(model.resident) == frames:
            order: list[int] = getattr(model, ORDERED[policy])
            can = [p for p in order if p not in model.dirty and p in model.slots]
            unwritten = [p for p in order if p not in model.dirty and p not in model.slots]
            needs_none = [p for p in order if p in model.slots or p in unwritten]
            free = slots - len(model.slots)
            leaving = order if free else needs_none
            if not leaving:
                return "oom"
            victim = leaving[0]
            told = "drop" if victim in can else "zero" if victim in unwritten else "write"
            if told != "zero":
                model.slots.add(victim)
            model.dirty.discard(victim)
            model.resident.remove(victim)
            model.used.remove(victim)
        model.resident.append(page)
    if page in model.used:
        model.used.remove(page)
    model.used.append(page)
    if how == WRITE:
        model.dirty.add(page)
    return told


@pytest.mark.long
@hypothesis.settings(max_examples=drawn(60), deadline=None)
@hypothesis.given(
    st.sampled_from(sorted(ORDERED)),
    st.integers(1, 5),
    st.integers(0, 6),
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from((READ, READ, WRITE))), min_size=1, max_size=60),
)
def test_each_page_that_leaves_is_that_of_the_model(
    policy: str, frames: int, slots: int, accesses: list[tuple[int, int]]
) -> None:
    """A clean page with a slot is dropped, and so is one that was never written; others are written.

    Out of memory only if none can leave.
    """
    machine = machine_of(policy, frames, slots)
    start(machine, accesses)
    model = Model([], [], set(), set())
    for number, (page, how) in enumerate(accesses):
        before = machine.counts()
        machine.run(number + 1)
        after = machine.counts()
        changed = {name for name in after if after[name] != before.get(name, 0)}
        told = step(model, policy, frames, slots, page, how)
        kinds = {"write": "swap-out", "drop": "swap-drop", "zero": "zero-drop", "oom": "oom"}
        assert {name: name in changed for name in kinds.values()} == {
            name: told == what for what, name in kinds.items()
        }
        if told == "oom":
            return
        resident = {p for p in range(10) if machine.find_page(1, START + p * PAGE) >= 0}
        assert resident == set(model.resident)
        assert check(machine) == []


@pytest.mark.parametrize("policy", POLICIES)
def test_swap_full_and_everything_dirty_is_out_of_memory(policy: str) -> None:
    machine = machine_of(policy, 3, 2)
    start(machine, [(page, WRITE) for page in range(8)])
    machine.run(20)
    counts = machine.counts()
    assert (counts["swap-out"], counts["write"], counts["oom"]) == (2, 5, 1)
    assert check(machine) == []


class Marks:
    """The model of free frames: what each access and each background step does to them."""

    def __init__(self, frames: int, minimum: int, low: int, high: int) -> None:
        self.free, self.resident = frames, 0
        self.minimum, self.low, self.high = minimum, low, max(low, high)
        self.wake = False

    def touch(self) -> int:
        """A page comes in; how often the allocation had to make room itself."""
        direct = 0
        while self.free <= self.minimum and self.free < self.resident:
            self.free, self.resident, direct = self.free + 1, self.resident - 1, direct + 1
        self.free, self.resident = self.free - 1, self.resident + 1
        self.wake = self.wake or self.free < self.low
        return direct

    def background(self) -> None:
        """The kernel's step between operations: up to the high mark."""
        leaving = min(max(0, self.high - self.free), self.resident)
        self.free, self.resident, self.wake = self.free + leaving, self.resident - leaving, False


@pytest.mark.long
@hypothesis.settings(max_examples=drawn(40), deadline=None)
@hypothesis.given(
    st.sampled_from(POLICIES),
    st.integers(4, 12),
    st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(0, 6)),
)
def test_watermarks(policy: str, frames: int, marks: tuple[int, int, int]) -> None:
    """Every access is to a new page.  Below low the kernel evicts between operations, up to high; an
    allocation evicts itself when no more than min are free."""
    minimum, low, high = marks
    machine = machine_of(
        policy, frames, 60, kernel__min_free=minimum, kernel__low_free=low, kernel__high_free=high
    )
    start(machine, [(page, WRITE) for page in range(40)], pages=40)
    model = Marks(frames, minimum, low, high)
    pages = direct = steps = 0
    while pages < 40:
        machine.run(machine.operations + 1)
        counts = machine.counts()
        if model.wake:
            model.background()
            steps += 1
        else:
            direct += model.touch()
            pages += 1
        seen = (counts.get("reclaim-background", 0), counts.get("reclaim", 0), counts["write"])
        assert seen == (steps, direct, pages)
        assert machine.k.user_frames_free(machine.m) == model.free
    assert machine.operations == pages + steps
    assert check(machine) == []


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
def test_both_engines_end_equal_under_pressure(
    policy: str, ready: Callable[[Machine], Machine], both: None, model: Callable[[str], ModuleType]
) -> None:
    """Watermarks, few frames and few slots: equal states and equal counts."""
    facts = facts_of(policy)
    assert facts is not None
    processes = 1 if facts.sees == FUTURE else 2
    for slots in (40, 9, 0):
        ends = []
        for compiled in (False, True):
            machine = machine_of(
                policy, 8, slots, kernel__min_free=1, kernel__low_free=2, kernel__high_free=4
            )
            start(machine, [(n * 7 % 24, n % 2) for n in range(300)], processes=processes)
            (ready(machine) if compiled else machine).run(300 * processes, compiled)
            ends.append((machine.digest(), machine.counts()))
            assert check(machine) == []
        assert ends[0] == ends[1]
