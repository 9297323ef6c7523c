"""A process at its limit is killed, refused or gives up a page of its own; the others go on."""

from __future__ import annotations

import io
from array import array
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg.debugger import accesses
from vmdbg.errors import UserError
from vmdbg.inspect.processes import scores
from vmdbg.kernel.calls import processes, syscalls
from vmdbg.kernel.faults import CAUSE_LIMIT, CAUSE_MEMORY
from vmdbg.kernel.policies import POLICIES
from vmdbg.kernel.scheduler import OP_EXIT, OP_RANGED
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.shell.boot import open_target
from vmdbg.shell.startup import make_session
from vmdbg.state.tables import (
    PROCESS,
    PROCESS_CAUSE,
    PROCESS_LIMIT,
    PROCESS_OOM,
    PROCESS_RSS,
    PROCESS_STATUS,
    PROCESS_SWAPPED,
)

READ, WRITE = 0, 1
START, PAGE = 0x400000, 4096


def machine_of(**values: Any) -> Machine:
    settings = {"machine.ram": 1 << 20, "machine.swap.size": 64 * PAGE, "kernel.first_frame": 3}
    return Machine(MachineConfig({**settings, **values}))


def sweep(pages: int, limit: int | None = None, oom: int = 0, exit_status: int = 0) -> ProcessSpec:
    """A process that writes each of its pages once, in a range, and exits."""
    rows = array(
        "q", [WRITE | OP_RANGED | 1 << 8, START, 7, 0, pages, PAGE, 0, 0, OP_EXIT, exit_status, 0, 0]
    )
    return ProcessSpec("p", limit, -1, [RegionSpec("heap", START, pages * PAGE, 15)], rows, oom=oom)


def column(machine: Machine, pid: int, name: int) -> int:
    return int(machine.m.process[pid * PROCESS + name])


@pytest.mark.parametrize("how", ["kill", "fail", "reclaim"])
def test_at_its_limit(how: str) -> None:
    """Ten pages, four frames allowed; the other process has no limit and gets all it wants."""
    machine = machine_of(**{"kernel.over_limit": how})
    machine.load(Program("p", "", [], [sweep(10, limit=4), sweep(10)]))
    machine.run(100)
    counts, other = machine.counts(1), machine.counts(2)
    assert (other["write"], column(machine, 2, PROCESS_STATUS)) == (10, 0)
    expected = {
        "kill": (4, 137, CAUSE_LIMIT, 0, 0),
        "fail": (4, 0, 0, 6, 0),
        "reclaim": (10, 0, 0, 0, 6),
    }[how]
    seen = (counts.get("refused", 0), counts.get("swap-out", 0))
    ended = (column(machine, 1, PROCESS_STATUS), column(machine, 1, PROCESS_CAUSE))
    assert (counts["write"], *ended, *seen) == expected
    assert check(machine) == []


@pytest.mark.long
def test_a_process_never_has_more_than_its_limit_when_it_gives_up_its_own() -> None:
    """Against a model: the pages that one process has are at most its limit, the other keeps its own."""

    @hypothesis.settings(max_examples=drawn(60), deadline=None)
    @hypothesis.given(
        st.sampled_from([policy for policy in POLICIES if policy != "opt"]),  # which runs one process
        st.integers(1, 4),
        st.lists(st.tuples(st.integers(1, 2), st.integers(0, 9)), min_size=1, max_size=50),
    )
    def scenario(policy: str, limit: int, todo: list[tuple[int, int]]) -> None:
        machine = machine_of(**{"kernel.over_limit": "reclaim", "kernel.policy": policy})
        machine.load(Program("p", "", [], [sweep(10, limit=limit), sweep(10)]))
        written: dict[int, dict[int, int]] = {1: {}, 2: {}}
        for number, (pid, page) in enumerate(todo):
            if machine.m.cpu[0] != pid:
                from vmdbg.kernel.calls.processes import put_on_cpu

                put_on_cpu(machine.k, 0, pid)
            done = accesses.access(machine, START + page * PAGE, WRITE, 1, number % 100 + 1)
            assert done.value == written[pid].get(page, 0)
            written[pid][page] = number % 100 + 1
            assert column(machine, 1, PROCESS_RSS) == min(limit, len(written[1]))
            assert column(machine, 1, PROCESS_SWAPPED) == max(0, len(written[1]) - limit)
            assert column(machine, 2, PROCESS_RSS) == len(written[2])
            assert check(machine) == []

    scenario()


def test_its_own_pages_cannot_leave_and_it_is_killed() -> None:
    machine = machine_of(**{"kernel.over_limit": "reclaim", "machine.swap.size": 2 * PAGE})
    machine.load(Program("p", "", [], [sweep(10, limit=4), sweep(4)]))
    machine.run(100)
    assert (machine.counts(1)["write"], column(machine, 1, PROCESS_CAUSE)) == (6, CAUSE_LIMIT)
    assert machine.counts(2)["write"] == 4


@pytest.mark.parametrize("how", ["kill", "fail"])
def test_a_populated_region_above_the_limit_is_refused(how: str) -> None:
    machine = machine_of(**{"kernel.over_limit": how})
    machine.load(Program("p", "", [], [sweep(2, limit=4)]))
    machine.make_room_for_system_call(1)
    before = machine.digest()
    with pytest.raises(UserError, match="limit"):
        syscalls.map_region(machine.k, machine.format, 1, syscalls.Mapping(0x800000, 5 * PAGE, 15, 0, True))
    assert check(machine) == []
    assert column(machine, 1, PROCESS_RSS) == 0
    assert before
    syscalls.map_region(machine.k, machine.format, 1, syscalls.Mapping(0x800000, 4 * PAGE, 15, 0, True))
    assert column(machine, 1, PROCESS_RSS) == 4


def test_a_large_page_counts_as_its_frames() -> None:
    large = 1 << 21
    machine = machine_of(**{"machine.ram": 16 << 20, "kernel.over_limit": "fail"})
    machine.load(Program("p", "", [], [sweep(2, limit=100)]))
    machine.make_room_for_system_call(1)
    syscalls.map_region(machine.k, machine.format, 1, syscalls.Mapping(large, large, 15, large, False))
    assert accesses.access(machine, large, WRITE).failed
    assert column(machine, 1, PROCESS_RSS) == 0


@pytest.mark.long
def test_out_of_memory_kills_the_highest_score() -> None:
    """Frames resident, swapped and in tables + adjustment: the sum decides, and the others go on."""

    @hypothesis.settings(max_examples=drawn(40), deadline=None)
    @hypothesis.given(st.lists(st.tuples(st.integers(1, 9), st.integers(-9, 9)), min_size=2, max_size=4))
    def scenario(sizes: list[tuple[int, int]]) -> None:
        machine = machine_of(**{"kernel.user_frames": sum(n for n, _ in sizes), "machine.swap.size": 0})
        machine.load(Program("p", "", [], [sweep(n, oom=oom) for n, oom in sizes]))
        from vmdbg.kernel.calls.processes import put_on_cpu

        for pid, (pages, _) in enumerate(sizes, 1):
            put_on_cpu(machine.k, 0, pid)
            for page in range(pages):
                accesses.access(machine, START + page * PAGE, WRITE)
        new = machine.spawn("new", 0)
        machine.make_room_for_system_call(new)
        syscalls.map_region(machine.k, machine.format, new, syscalls.Mapping(START, PAGE, 15, 0, False))
        put_on_cpu(machine.k, 0, new)
        # Four levels, so four tables each; the new one has its root, and what the walk made before it died.
        scores = {pid: pages + 4 + oom for pid, (pages, oom) in enumerate(sizes, 1)}
        scores[new] = 4
        victim = max(scores, key=lambda pid: (scores[pid], pid))
        accesses.access(machine, START, WRITE)
        live = processes.live_processes(machine.k)
        assert set(scores) - set(live) == {victim}
        assert column(machine, victim, PROCESS_CAUSE) == CAUSE_MEMORY
        counts = machine.counts()
        assert (counts["oom"], counts["oom-score"]) == (1, len(scores))
        assert check(machine) == []

    scenario()


def test_an_adjustment_is_inherited_and_set() -> None:
    machine = machine_of()
    machine.load(Program("p", "", [], [sweep(2, oom=5)]))
    machine.make_room_for_system_call(1)
    child, _, _ = processes.fork(machine.k, machine.format, 1, True, 1)
    assert column(machine, child, PROCESS_OOM) == 5
    processes.adjust(machine.k, child, 7, -100)
    assert processes.badness(machine.k, child) == processes.badness(machine.k, 1) - 105
    with pytest.raises(UserError, match="number of frames"):
        processes.adjust(machine.k, child, -1, None)


def test_the_prompt_sets_limits_and_adjustments_and_takes_them_back() -> None:
    stream = io.StringIO()
    session = make_session(stream, stream)
    session.target = open_target(session, "default", "")
    machine = session.target.machine
    digest = machine.digest()
    for line in ("process 1 -limit 600 -oom -7", "process -oom 9"):
        session.interpreter.command_line(line)
    assert (column(machine, 1, PROCESS_LIMIT), column(machine, 1, PROCESS_OOM)) == (600, 9)
    before = machine.digest()
    for line, message in (
        ("process 7 -oom 1", "No process 7."),
        ("process 1 -limit -1", "Expected a number of frames from 0 to"),
        ("process 1 -oom 99999999999", "Expected a number of frames from -"),
    ):
        session.interpreter.command_line(line)
        assert message in stream.getvalue()
        assert machine.digest() == before
    for _ in range(2):
        session.interpreter.command_line("undo")
    assert machine.digest() == digest


def test_scores_at_the_prompt_are_those_of_the_kernel() -> None:
    machine = machine_of()
    machine.load(Program("p", "", [], [sweep(3, oom=5), sweep(6, oom=-2)]))
    machine.run(9)
    rows = scores(machine)
    assert [row["pid"] for row in rows] == processes.live_processes(machine.k)
    for row in rows:
        assert row["score"] == processes.badness(machine.k, row["pid"])
        assert row["score"] == row["frames"] + row["slots"] + row["table_frames"] + row["adjustment"]


def test_fork_makes_room_for_its_tables() -> None:
    """Of 17 frames four are the kernel's, four hold tables and seven pages: two are missing."""
    machine = machine_of(**{"machine.ram": 17 * PAGE, "kernel.first_frame": 0})
    machine.load(Program("p", "", [], [sweep(9)]))
    machine.run(7)
    machine.make_room_for_system_call(1)
    child, shared, _ = processes.fork(machine.k, machine.format, 1, True, 1)
    assert column(machine, child, PROCESS_RSS) == shared == 5
    assert column(machine, child, PROCESS_SWAPPED) == column(machine, 1, PROCESS_SWAPPED) == 2
    assert machine.counts()["reclaim"] == machine.counts()["swap-out"] == 2
    assert check(machine) == []


def test_fork_is_refused_whole_where_no_page_can_leave() -> None:
    settings = {"machine.ram": 17 * PAGE, "kernel.first_frame": 0, "machine.swap.size": PAGE}
    machine = machine_of(**settings)
    machine.load(Program("p", "", [], [sweep(9)]))
    machine.run(7)
    machine.make_room_for_system_call(1)
    with pytest.raises(UserError, match="Frames needed for tables: 4, free: 3, and no page can leave"):
        processes.fork(machine.k, machine.format, 1, True, 1)
    assert processes.live_processes(machine.k) == [1]
    assert {"exit", "fork"} & set(machine.counts()) == set()
    assert column(machine, 1, PROCESS_RSS) == 6
    assert check(machine) == []


def test_background_reclaim_sleeps_on_when_frames_have_come_back_meanwhile() -> None:
    """The last operation makes it wake, and ends the process by a signal: all frames are free again."""
    machine = machine_of(**{"kernel.user_frames": 4, "kernel.low_free": 1, "kernel.high_free": 2})
    rows = array("q", [WRITE | OP_RANGED | 1 << 8, START, 7, 0, 3, PAGE, 0, 0])
    rows.extend([WRITE | 2 << 8, START + 4 * PAGE - 1, 7, 0, OP_EXIT, 0, 0, 0])
    machine.load(
        Program("p", "", [], [ProcessSpec("p", None, -1, [RegionSpec("heap", START, 4 * PAGE, 15)], rows)])
    )
    machine.run(10)
    assert processes.live_processes(machine.k) == []
    assert machine.counts().get("reclaim-background", 0) == 0
