"""Every policy that comes with vmdbg does what its facts say, whatever its order: none is named here."""

from __future__ import annotations

import random
from array import array
from typing import Any

import pytest

from tests.drawn import drawn
from vmdbg.engine import link
from vmdbg.engine.link import reachable
from vmdbg.kernel.policies import HOLES, POLICIES, facts_of, module_of
from vmdbg.kernel.policies.facts import ACCESSED_BITS, ACCESSES, ARRIVALS, FUTURE, NOTHING, Facts
from vmdbg.kernel.scheduler import OP_EXIT
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.state.tables import KERNEL_HAND, KERNEL_OLDEST, KERNEL_USER_END, KERNEL_USER_FIRST

START, PAGE = 0x400000, 4096
PAGES = 12


def facts(policy: str) -> Facts:
    found = facts_of(policy)
    assert found is not None
    return found


def calls(policy: str, hole: str) -> set[str]:
    """The names that a function of a policy uses, directly or not."""
    functions = {**link.FUNCTIONS, hole: getattr(module_of(policy), hole)}
    return {name for found in reachable(functions, hole).values() for name in found.__code__.co_names}


@pytest.mark.parametrize("policy", POLICIES)
def test_the_facts_are_those_of_the_code(policy: str) -> None:
    said, used = facts(policy), {hole: calls(policy, hole) for hole in HOLES}
    assert said.queue == ("queue_append" in used["policy_load"]) == ("queue_remove" in used["policy_unload"])
    assert said.hand == ("KERNEL_HAND" in used["victim"])
    assert said.oracle == bool(used["policy_use"])
    assert bool(said.lists) == ("node_append" in used["policy_load"])
    assert bool(said.ghosts) == ("leave_ghost" in used["victim"])
    assert (said.counters or bool(said.lists)) == ("node_unload" in used["policy_unload"])
    assert (said.sees == ACCESSED_BITS) == ("is_accessed" in used["victim"])
    assert said.sees in (NOTHING, ARRIVALS, ACCESSED_BITS, ACCESSES, FUTURE)
    assert said.drops or said.sees == ACCESSED_BITS
    assert said.leaves


def machine_of(policy: str, accesses: list[tuple[int, int]], frames: int, **more: Any) -> Machine:
    """One process that makes these accesses (page, kind) with so many frames for its pages."""
    values = {
        "machine.ram": 1 << 20,
        "machine.swap.size": 20 * PAGE,
        "kernel.first_frame": 3,
        "kernel.user_frames": frames,
        "kernel.policy": policy,
    }
    machine = Machine(MachineConfig(values | more))
    rows = array("q")
    for page, kind in accesses:
        rows.extend((kind | 1 << 8, START + page * PAGE, page + 1, 0))
    rows.extend((OP_EXIT, 0, 0, 0))
    spec = ProcessSpec("p", None, -1, [RegionSpec("heap", START, PAGES * PAGE, 15)], rows)
    machine.load(Program("p", "", [], [spec]))
    return machine


def fewest(pages: list[int], frames: int) -> int:
    """The faults of Belady's policy, which knows the future (Belady 1966): none has fewer."""
    resident: set[int] = set()
    faults = 0
    for now, page in enumerate(pages):
        if page not in resident:
            faults += 1
            if len(resident) == frames:
                after = pages[now:]
                resident.remove(max(resident, key=lambda p: after.index(p) if p in after else len(pages)))
            resident.add(page)
    return faults


@pytest.mark.long
@pytest.mark.parametrize("policy", POLICIES)
def test_random_accesses_keep_every_invariant(policy: str) -> None:
    """After each access; no page leaves before the frames are full, and the faults are as many as can be."""
    for seed in range(drawn(3)):
        draw = random.Random(seed)
        frames = draw.randint(1, 6)
        accesses = [(draw.randrange(PAGES), draw.choice((0, 0, 1))) for _ in range(60)]
        machine = machine_of(policy, accesses, frames)
        for number, (page, _) in enumerate(accesses):
            machine.run(number + 1)
            assert check(machine) == []
            resident = [p for p in range(PAGES) if machine.find_page(1, START + p * PAGE) >= 0]
            touched = {p for p, _ in accesses[: number + 1]}
            assert page in resident
            assert len(resident) == min(frames, len(touched))
        counts = machine.counts()
        faults = counts["fault-minor"] + counts.get("fault-major", 0)
        assert fewest([page for page, _ in accesses], frames) <= faults <= len(accesses)
        assert counts.get("evict", 0) == faults - len(resident)
        told_of_bits = facts(policy).sees == ACCESSED_BITS
        assert told_of_bits or not counts.get("age", 0)


@pytest.mark.parametrize("policy", POLICIES)
def test_check_holds_it_to_its_facts(policy: str) -> None:
    said = facts(policy)
    machine = machine_of(policy, [(page, 1) for page in range(5)], 4)
    machine.run(5)
    if said.queue:
        machine.k.queue_remove(machine.m, machine.m.kernel[KERNEL_OLDEST])
    if said.lists:
        machine.k.node_remove(machine.m, machine.m.kernel[KERNEL_USER_FIRST])
    machine.m.kernel[KERNEL_HAND] = machine.m.kernel[KERNEL_USER_END]
    found = [violation.message for violation in check(machine) if violation.rule == "policy"]
    assert any("queue" in message for message in found) == said.queue
    assert any("hand" in message for message in found) == said.hand
    assert any("a list of the policy" in message for message in found) == bool(said.lists)


@pytest.mark.long
@pytest.mark.engine
@pytest.mark.parametrize("policy", POLICIES)
def test_both_engines_end_equal(policy: str, both: None) -> None:
    ends = []
    for compiled in (False, True):
        machine = machine_of(policy, [(n * 7 % PAGES, n % 2) for n in range(200)], 5)
        if compiled:
            machine.compiled = machine.build().quick()
        machine.run(200, compiled)
        ends.append((machine.digest(), machine.counts()))
    assert ends[0] == ends[1]


@pytest.mark.long
@pytest.mark.parametrize("policy", [name for name in POLICIES if facts(name).queue and name != "opt"])
def test_a_process_at_its_limit_is_served_as_if_it_were_alone(policy: str, model: Any) -> None:
    """Policies that search their queue for pages of the process, by turns with another process."""
    for seed in range(drawn(4)):
        draw = random.Random(seed)
        limit, quantum = draw.randint(1, 5), draw.randint(1, 3)
        strings = [[draw.randrange(PAGES) for _ in range(60)] for _ in range(2)]
        config = {
            "machine.ram": 1 << 20,
            "kernel.first_frame": 3,
            "kernel.limit": limit,
            "kernel.over_limit": "reclaim",
            "kernel.quantum": quantum,
            "kernel.zero_drop": False,
            "kernel.policy": policy,
        }
        machine = Machine(MachineConfig(config))
        processes = []
        for name, pages in zip("ab", strings, strict=True):
            rows = array("q")
            for page in pages:
                rows.extend((1 << 8, START + page * PAGE, 0, 0))
            rows.extend((OP_EXIT, 0, 0, 0))
            region = RegionSpec("heap", START, PAGES * PAGE, 15)
            processes.append(ProcessSpec(name, None, -1, [region], rows))
        machine.load(Program("two", "", [], processes))
        machine.run(1000)
        for pid, pages in enumerate(strings, 1):
            counts = machine.counts(pid)
            expected = model("replacement").MODELS[policy]([(page, False) for page in pages], limit)
            assert counts["fault-minor"] + counts.get("fault-major", 0) == len(expected)
