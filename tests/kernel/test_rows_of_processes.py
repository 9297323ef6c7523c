"""Rows of processes: given again after their end, made more when all live, and fair turns after an exit."""

from __future__ import annotations

import io
from array import array
from collections.abc import Callable
from typing import Any

import pytest

from vmdbg.errors import UserError
from vmdbg.inspect.processes import slots
from vmdbg.kernel.calls import processes
from vmdbg.kernel.calls.syscalls import OP_FORK
from vmdbg.kernel.scheduler import OP_EXIT
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig, load_config
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.shell.boot import open_target
from vmdbg.shell.startup import make_session
from vmdbg.state.tables import CPU_PID, CPU_QUANTUM, KERNEL_FREE, KERNEL_PID, PROCESS, PROCESS_PARENT

WRITE = 1
START, PAGE = 0x400000, 4096


def machine_of(**values: Any) -> Machine:
    settings = {"machine.ram": 1 << 22, "machine.swap.size": 64 * PAGE, "kernel.first_frame": 3}
    return Machine(MachineConfig({**settings, **values}))


def writer(writes: int, forks: int = 0) -> ProcessSpec:
    """A process that forks, then writes its page so many times."""
    rows = array(
        "q", [OP_FORK, -1, 0, 0] * forks + [WRITE | 1 << 8, START, 1, 0] * writes + [OP_EXIT, 0, 0, 0]
    )
    return ProcessSpec("p", None, -1, [RegionSpec("heap", START, PAGE, 15)], rows)


@pytest.mark.long
def test_a_pid_is_given_again_when_all_were() -> None:
    machine = machine_of()
    for turn in range(300):
        pid = machine.spawn(f"p{turn}", 0)
        assert pid == turn % 63 + 1
        assert processes.process_name(machine.k, pid) == f"p{turn}"
        processes.end_process(machine.k, machine.format, pid, turn % 100)
        assert check(machine) == []
    assert machine.shape["processes"] == 64


def test_a_pid_of_a_live_process_is_passed_over() -> None:
    machine = machine_of()
    kept = machine.spawn("kept", 0)
    for _ in range(200):
        pid = machine.spawn("p", 0)
        assert pid != kept
        processes.end_process(machine.k, machine.format, pid, 0)
    assert processes.live_processes(machine.k) == [kept]


def test_what_the_last_one_did_is_not_the_next_ones() -> None:
    """Its events stay in the sum of all, and the child of a process that is gone has no parent."""
    machine = machine_of()
    machine.load(Program("p", "", [], [writer(3, forks=1)]))
    machine.run(1)
    assert machine.m.process[2 * PROCESS + PROCESS_PARENT] == 1
    machine.run(5)
    total = machine.counts()
    assert machine.counts(1)["write"] == 3
    for _ in range(61):
        processes.end_process(machine.k, machine.format, machine.spawn("p", 0), 0)
    assert machine.spawn("new", 0) == 1
    assert machine.counts(1).get("write", 0) == 0
    assert machine.counts()["write"] == total["write"]
    assert machine.m.process[2 * PROCESS + PROCESS_PARENT] == 0
    assert check(machine) == []


def test_a_hundred_live_at_once(engine: str, ready: Callable[[Machine], Machine]) -> None:
    """The ninth, the tenth, the hundredth start; each runs to its end."""
    machine = machine_of()
    machine.load(Program("p", "", [], [writer(2)] * 100))
    assert len(processes.live_processes(machine.k)) == 100
    assert check(machine) == []
    if engine == "compiled":
        ready(machine)
    machine.run(1000, engine == "compiled")
    assert processes.live_processes(machine.k) == []
    assert machine.counts()["write"] == 200
    assert check(machine) == []


@pytest.mark.long
def test_forks_have_no_bound_but_memory() -> None:
    """Seven forks in a row make 128 processes, more than the table had rows; memory ends it in the end."""
    machine = machine_of()
    machine.load(Program("p", "", [], [writer(1, forks=7)]))
    machine.run(5000)
    assert machine.counts()["fork"] == 127
    assert machine.counts()["write"] == 128
    assert check(machine) == []
    small = machine_of(**{"machine.ram": 1 << 17})
    small.load(Program("p", "", [], [writer(1, forks=7)]))
    small.run(5000)
    assert small.counts()["syscall-error"] > 0
    assert processes.live_processes(small.k) == []
    assert check(small) == []


def test_the_table_is_as_it_was_after_going_back() -> None:
    machine = machine_of()
    before, digest = machine.snapshot(), machine.digest()
    machine.load(Program("p", "", [], [writer(2)] * 100))
    assert machine.shape["processes"] == 128
    machine.restore(before)
    assert (machine.shape["processes"], machine.digest()) == (64, digest)
    machine.load(Program("p", "", [], [writer(2)] * 70))
    assert len(processes.live_processes(machine.k)) == 70


def test_a_spawn_without_memory_changes_nothing() -> None:
    machine = machine_of(**{"machine.ram": 12 * PAGE})
    while machine.m.kernel[KERNEL_FREE + 1]:
        machine.spawn("more", 0)
    before = machine.digest()
    with pytest.raises(UserError, match="Frames needed for tables: 1, free: 0"):
        machine.spawn("one too many", 0)
    assert machine.digest() == before


def test_who_comes_after_an_exit_has_a_whole_turn() -> None:
    """A quantum of 5: the exit of the one before is not taken off the next one's turn."""
    machine = machine_of(**{"kernel.quantum": 5})
    machine.load(Program("p", "", [], [writer(2), writer(20), writer(20)]))
    turns: list[int] = []
    while processes.live_processes(machine.k):
        turns.append(machine.m.cpu[CPU_PID])
        machine.run(machine.operations + 1)
        assert 0 <= machine.m.cpu[CPU_QUANTUM] <= 5
    assert turns[:13] == [1, 1, 1, *[2] * 5, *[3] * 5]


def test_partitions_are_given_again_too() -> None:
    machine = Machine(load_config("partitions").with_({"machine.program": ""}))
    for _ in range(100):
        pid = machine.spawn("p", 0)
        processes.end_process(machine.k, machine.format, pid, 0)
    assert check(machine) == []


@pytest.mark.long
def test_going_back_before_the_table_grew() -> None:
    """A session in which seventy processes are made and unmade again, one of them current."""
    session = make_session(io.StringIO(), io.StringIO())
    session.target = open_target(session, "default", "")
    for turn in range(70):
        session.interpreter.command_line(f"spawn p{turn}")
    digest = session.target.machine.digest()
    for line in ("process 70", "reverse-stepi", "goto begin", "ps", "goto end", "undo", "check"):
        session.interpreter.command_line(line)
    assert session.target.machine.digest() == digest
    assert session.target.machine.shape["processes"] == 128


def test_a_slot_belongs_to_who_is_left_of_those_that_shared_it() -> None:
    """The parent's page is in swap when it forks; then it ends, and its pid is given again."""
    machine = machine_of()
    machine.load(Program("p", "", [], [writer(1, forks=0)]))
    machine.run(1)
    machine.swap_out(1, START)
    assert [(row["pid"], row["va"]) for row in slots(machine)] == [(1, START)]
    machine.make_room_for_system_call(1)
    child, _, _ = processes.fork(machine.k, machine.format, 1, True, 1)
    processes.end_process(machine.k, machine.format, 1, 0)
    expected = [(child, START, 1)]
    assert [(row["pid"], row["va"], row["refs"]) for row in slots(machine)] == expected
    while machine.spawn("p", 0) != 1:
        processes.end_process(machine.k, machine.format, machine.m.kernel[KERNEL_PID], 0)
    assert [(row["pid"], row["va"], row["refs"]) for row in slots(machine)] == expected
    assert check(machine) == []
