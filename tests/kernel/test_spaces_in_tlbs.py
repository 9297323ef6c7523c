"""Address-space numbers and shoot-downs: what the TLBs of several CPUs may hold, and when it goes."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg.debugger import accesses
from vmdbg.errors import UserError
from vmdbg.kernel.calls import processes, regions
from vmdbg.kernel.calls.processes import put_on_cpu
from vmdbg.kernel.scheduler import OP_END, OP_EXIT, OP_LOOP, OP_RANGED
from vmdbg.machine.check.invariants import check
from vmdbg.machine.check.survey import Survey
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.state.tables import (
    CPU,
    CPU_ASID,
    CPU_OWED,
    KERNEL_ASID_COUNT,
    KERNEL_CPU,
    KERNEL_GENERATION,
    PROCESS,
    PROCESS_ASID,
)

READ, WRITE = 0, 1
START, PAGE = 0x400000, 4096


def machine_of(**values: Any) -> Machine:
    settings = {"machine.ram": 1 << 20, "machine.swap.size": 64 * PAGE, "kernel.first_frame": 3}
    return Machine(MachineConfig({**settings, **values}))


def looping(pages: int, rounds: int, cpu: int = -1) -> ProcessSpec:
    """A process that writes its pages again and again."""
    words = [OP_LOOP, rounds, 0, 0, WRITE | OP_RANGED | 1 << 8, START, 7, 0, pages, PAGE, 0, 0]
    rows = array("q", [*words, OP_END, 1, 0, 0, OP_EXIT, 0, 0, 0])
    return ProcessSpec("p", None, cpu, [RegionSpec("heap", START, pages * PAGE, 15)], rows, references=[3])


def asids(machine: Machine) -> dict[int, int]:
    """The number of each live process."""
    live = processes.live_processes(machine.k)
    return {pid: machine.m.process[pid * PROCESS + PROCESS_ASID] for pid in live}


@pytest.mark.parametrize(
    ("format_name", "count"), [("x86_64", 4095), ("sv39", 65534), ("tutorial16", 15), ("tutorial16-hw", 15)]
)
def test_a_format_has_as_many_numbers_as_its_manual_says(format_name: str, count: int) -> None:
    """SDM 3A, 4.10.1: PCIDs of 12 bits; RISC-V Privileged, 12.1.11: ASIDs of 16.  Zero is nobody's."""
    machine = machine_of(**{"machine.format": format_name, "machine.ram": 1 << 16, "tlb.l2": "off"})
    assert machine.m.kernel[KERNEL_ASID_COUNT] == count


@pytest.mark.parametrize(("wanted", "cpus"), [(1, 1), (2, 2), (4096, 1)])
def test_numbers_that_cannot_be_are_refused(wanted: int, cpus: int) -> None:
    with pytest.raises(UserError, match=r"kernel\.asids"):
        machine_of(**{"kernel.asids": wanted, "machine.cpus": cpus})


class Numbers:
    """The model: numbers are given upwards; none is left, all but those that run are taken back."""

    def __init__(self, count: int) -> None:
        self.count, self.last, self.generation = count, 0, 0
        self.held: dict[int, int] = {}

    def give(self, pid: int, running: set[int]) -> None:
        if self.held.get(pid):
            return
        for _ in range(2):
            free = [n for n in range(self.last + 1, self.count + 1) if n not in self.held.values()]
            if free:
                self.held[pid] = self.last = free[0]
                return
            self.generation, self.last = self.generation + 1, 0
            self.held = {other: n for other, n in self.held.items() if other in running}
        raise AssertionError("no number")


@pytest.mark.long
@hypothesis.settings(max_examples=drawn(40), deadline=None)
@hypothesis.given(st.integers(2, 5), st.lists(st.integers(0, 9), min_size=1, max_size=60))
def test_numbers_roll_over_as_in_the_model(count: int, steps: list[int]) -> None:
    """Steps 0 to 7 switch to a process, 8 makes one, 9 ends one that does not run."""
    machine, model = machine_of(**{"kernel.asids": count}), Numbers(count)
    running = 0
    for step in [8, 8, 0, *steps]:
        live = processes.live_processes(machine.k)
        if step == 8 and len(live) < 8:
            pid = machine.spawn("p", 0)
            model.held.pop(pid, None)
            model.give(pid, {running})
        elif step == 9 and len(live) > 1:
            pid = next(pid for pid in live if pid != running)
            processes.end_process(machine.k, machine.format, pid, 0)
        else:
            pid = live[step % len(live)]
            put_on_cpu(machine.k, 0, pid)
            model.give(pid, {running})
            running = pid
        assert asids(machine) == {pid: model.held.get(pid, 0) for pid in processes.live_processes(machine.k)}
        assert machine.m.kernel[KERNEL_GENERATION] == model.generation
        assert check(machine) == []
    assert machine.m.cpu[CPU_ASID] == model.held[running]


@pytest.mark.long
def test_a_roll_over_leaves_no_foreign_translation() -> None:
    """Six processes, three numbers: each finds its own memory, whatever number it has."""
    machine = machine_of(**{"kernel.asids": 3, "kernel.quantum": 3})
    machine.load(Program("p", "", [], [looping(4, 5)] * 6))
    while processes.live_processes(machine.k):
        machine.run(machine.operations + 1)
        assert check(machine) == []
    counts = machine.counts()
    assert counts["write"] == 6 * 4 * 5
    assert counts["asid-rollover"] > 5
    assert counts["fault-minor"] == 6 * 4


def test_without_roll_over_a_switch_flushes_nothing() -> None:
    machine = machine_of(**{"kernel.quantum": 3})
    machine.load(Program("p", "", [], [looping(4, 5)] * 6))
    machine.run(60)
    counts = machine.counts()
    assert counts["switch"] > 10
    assert "tlb-flush" not in counts
    assert "asid-rollover" not in counts


# -- shoot-downs


def two_cpus(**values: Any) -> Machine:
    """A process that ran on CPU 0 with its pages cached there, and runs on CPU 1 now."""
    machine = machine_of(**{"machine.cpus": 2, **values})
    machine.load(Program("p", "", [], [looping(4, 5)] * 3))
    machine.m.kernel[KERNEL_CPU] = 0
    for page in range(4):
        accesses.access(machine, START + page * PAGE, WRITE)
    put_on_cpu(machine.k, 0, 3)
    put_on_cpu(machine.k, 1, 1)
    machine.m.kernel[KERNEL_CPU] = 1
    machine.k.charge(machine.m)
    return machine


def test_only_cpus_that_ran_the_space_are_told() -> None:
    machine = machine_of(**{"machine.cpus": 3})
    machine.load(Program("p", "", [], [looping(4, 5)] * 3))
    accesses.access(machine, START, WRITE)
    machine.swap_out(1, START)
    assert "shootdown" not in machine.counts()
    put_on_cpu(machine.k, 0, 1)
    accesses.access(machine, START, WRITE)
    machine.swap_out(1, START)
    assert "shootdown" not in machine.counts()


def test_now_it_is_gone_at_once() -> None:
    machine = two_cpus()
    machine.swap_out(1, START)
    counts = machine.counts()
    assert (counts["shootdown"], counts["shootdown-done"]) == (1, 1)
    assert list(Survey(machine).stale()) == []
    assert machine.m.cpu[CPU_OWED] == 0


def test_lazily_it_is_owed_until_the_other_cpu_acts() -> None:
    machine = two_cpus(**{"machine.shootdown": "lazy"})
    before = machine.operations
    machine.swap_out(1, START)
    assert machine.counts()["shootdown"] == 1
    assert "shootdown-done" not in machine.counts()
    stale = list(Survey(machine).stale())
    assert {(found.cpu, found.kind, found.owed) for found in stale} == {(0, "dead-page", before)}
    assert check(machine) == []
    assert {violation.rule for violation in check(machine, owed=True)} == {"owed"}
    machine.m.kernel[KERNEL_CPU] = 0
    machine.run(machine.operations + 1)
    assert machine.counts()["shootdown-done"] == 1
    assert check(machine, owed=True) == []


def test_where_too_many_are_owed_everything_goes() -> None:
    machine = two_cpus(**{"machine.shootdown": "lazy"})
    for _ in range(3):
        for page in range(4):
            machine.k.shoot_down(machine.m, 1, START + page * PAGE)
    assert machine.m.cpu[CPU_OWED] == 1  # after 8 requests it owes all, and there is nothing to add to that
    machine.k.serve_owed(machine.m, 0)
    assert machine.m.cpu[CPU_OWED] == 0


def test_a_space_that_ends_is_owed_as_a_whole() -> None:
    machine = two_cpus(**{"machine.shootdown": "lazy"})
    processes.end_process(machine.k, machine.format, 1, 0)
    assert {found.owed is None for found in Survey(machine).stale()} == {False}
    assert check(machine) == []
    machine.m.kernel[KERNEL_CPU] = 0
    machine.run(machine.operations + 1)
    assert check(machine, owed=True) == []


@pytest.mark.long
def test_lazy_and_now_end_in_the_same_memory(model: Callable[[str], ModuleType]) -> None:
    """Whoever uses memory sees no difference: every access finds and leaves the same."""
    machines = model("machines")

    @hypothesis.settings(max_examples=drawn(10), deadline=None)
    @hypothesis.given(machines.cases(machines.BUILDS["lazy"]))
    def scenario(case: Any) -> None:
        ends = []
        for when in ("lazy", "now"):
            config = case.config.with_({"machine.shootdown": when})
            machine = case._replace(config=config).boot()
            for number in range(0, 120, 4):
                machine.run(number + 1)
                assert check(machine) == []
            memory = bytes(machine.m.ram1)
            counts = machine.counts()
            ends.append(
                (memory, {name: counts.get(name) for name in ("read", "write", "fetch", "fault-cow")})
            )
        assert ends[0] == ends[1]

    scenario()


# -- CPUs that processes are bound to


def test_a_process_runs_on_its_cpu_alone() -> None:
    machine = machine_of(**{"machine.cpus": 2, "kernel.quantum": 2})
    machine.load(Program("p", "", [], [looping(2, 3, cpu=1), looping(2, 3, cpu=1), looping(2, 3)]))
    seen: dict[int, set[int]] = {1: set(), 2: set(), 3: set()}
    while processes.live_processes(machine.k):
        machine.run(machine.operations + 1)
        for cpu in range(2):
            seen.get(machine.m.cpu[cpu * CPU], set()).add(cpu)
        assert check(machine) == []
    assert seen == {1: {1}, 2: {1}, 3: {0}}
    assert machine.counts()["write"] == 18


def test_a_cpu_that_there_is_not_is_refused() -> None:
    machine = machine_of(**{"machine.cpus": 2})
    before = machine.digest()
    with pytest.raises(UserError, match=r"machine\.cpus is 2"):
        machine.load(Program("p", "", [], [looping(2, 3, cpu=2)]))
    assert machine.digest() == before


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("how", ["swap out", "mprotect", "end"])
def test_without_numbers_nobody_loses_an_entry_for_a_process_that_does_not_run(cpus: int, how: str) -> None:
    """Linux flushes a page of another space only if that is the loaded one (flush_tlb_func)."""
    machine = machine_of(**{"tlb.asids": False, "machine.cpus": cpus})
    machine.load(Program("p", "", [], [looping(2, 9, 0), looping(2, 9, 0)]))
    for pid in (2, 1):
        put_on_cpu(machine.k, 0, pid)
        for va in (START, START + PAGE):
            assert accesses.access(machine, va, WRITE, 1, pid).value == 0
    before = [row[3:] for row in Survey(machine).cached()]
    assert before
    machine.m.kernel[KERNEL_CPU] = cpus - 1  # whoever does it
    if how == "swap out":
        machine.swap_out(2, START)
    elif how == "mprotect":
        machine.make_room_for_system_call(2)
        regions.protect(machine.k, machine.format, 2, START, PAGE, 9)
    else:
        processes.end_process(machine.k, machine.format, 2, 0)
    assert [row[3:] for row in Survey(machine).cached()] == before
    assert check(machine) == []
    machine.m.kernel[KERNEL_CPU] = 0
    machine.swap_out(1, START)  # its own goes, of course
    assert len(list(Survey(machine).cached())) < len(before)
    assert check(machine) == []


def test_without_numbers_an_idle_cpu_keeps_nothing_of_a_process_that_ended() -> None:
    machine = machine_of(**{"tlb.asids": False})
    machine.load(Program("p", "", [], [looping(2, 1)]))
    accesses.access(machine, START, WRITE, 1, 1)
    processes.end_process(machine.k, machine.format, 1, 0)
    assert list(Survey(machine).cached()) == []
