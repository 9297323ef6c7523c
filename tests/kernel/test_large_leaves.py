"""Pages of the size above base pages leave memory whole, as the policy says, and come back as they were."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.drawn import drawn
from vmdbg.kernel.exits import REASON_IDLE
from vmdbg.kernel.frames import FRAME_IS_USER
from vmdbg.kernel.policies import POLICIES, facts_of
from vmdbg.kernel.policies.facts import FUTURE, NOTHING
from vmdbg.kernel.scheduler import OP_EXIT, OP_WRITE
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.programs import read_program
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.state.tables import (
    FRAME,
    FRAME_STATE,
    KERNEL_FREE_COUNT,
    KERNEL_RESIDENT,
    KERNEL_SLOT_COUNT,
    PATH,
    PATH_ADDRESS,
    PROCESS,
    PROCESS_ROOT,
)

LARGE, BASE = 2 << 20, 4096
COUNT = LARGE // BASE
START = 0x40000000
MODELLED = [
    name
    for name in POLICIES
    if name != "clock-cached" and facts_of(name).sees not in (NOTHING, FUTURE)  # type: ignore[union-attr]
]


@pytest.fixture(scope="session")
def models(model: Callable[[str], ModuleType]) -> Any:
    return model("replacement")


def machine_of(rows: array[int], pages: int, frames: int, **more: Any) -> Machine:
    """A process with a region of so many large pages, and room for `frames` of them."""
    values = {
        "machine.ram": (frames + 1) * LARGE,
        "machine.payload": False,
        "machine.swap.size": (pages + 1) * LARGE,
        "kernel.first_frame": 3,
        "kernel.user_frames": frames * COUNT,
    }
    machine = Machine(MachineConfig(values | more))
    region = RegionSpec("heap", START, pages * LARGE, 15, LARGE)
    machine.load(Program("p", "", [], [ProcessSpec("p", None, -1, [region], rows)]))
    return machine


def draw_references(seed: int) -> tuple[list[tuple[int, bool]], int]:
    """Accesses (page, written) to a few pages, and a number of frames for them."""
    draw = random.Random(seed)
    pages, frames = draw.randint(2, 6), draw.randint(1, 4)
    return [(draw.randrange(pages), draw.random() < 0.5) for _ in range(60)], frames


def rows_of(references: list[tuple[int, bool]], draw: random.Random) -> array[int]:
    """Operations: an access to some byte of each page."""
    rows = array("q")
    for page, written in references:
        rows.extend((OP_WRITE * written, START + page * LARGE + draw.randrange(LARGE), 0, 0))
    rows.extend((OP_EXIT, 0, 0, 0))
    return rows


def faults(machine: Machine) -> int:
    counts = machine.counts()
    return counts.get("fault-minor", 0) + counts.get("fault-major", 0)


@pytest.mark.long
@pytest.mark.engine
@pytest.mark.parametrize("policy", MODELLED)
def test_the_faults_are_those_of_the_model(
    policy: str, models: Any, ready: Callable[[Machine], Machine], both: None
) -> None:
    for seed in range(drawn(12)):
        references, frames = draw_references(seed)
        if policy == "wsclock":  # a large page that comes back counts as written
            references = [(page, True) for page, _ in references]
            expected = len(models.wsclock(references, frames, 20))
        else:
            expected = len(models.MODELS[policy](references, frames))
        rows, digests = rows_of(references, random.Random(seed)), set()
        for compiled in (True, False):
            machine = machine_of(rows, 6, frames, **{"kernel.policy": policy, "kernel.tau": 20})
            machine = ready(machine) if compiled else machine
            machine.run(len(references), compiled)
            assert faults(machine) == expected, seed
            assert check(machine) == []
            digests.add(machine.digest())
        assert len(digests) == 1


PROGRAM = """process p
region heap 0x40000000 8M rw page=2M
write 0x40000008, 0x11
write 0x40200010, 0x22
write 0x401ffff0, 0x33
fork
read 0x40400000
write 0x40600000, 0x44
read 0x40000008
write 0x40200018, 0x55
munmap 0x40600000, 2M
mprotect 0x40000000, 2M, r
read 0x401ffff0
exit
"""
#: What is at these addresses at the end of the process that wrote it, in the parent and in the child.
CONTENT = {
    0x40000008: (0x11, 0x11),
    0x401FFFF0: (0x33, 0x33),
    0x40200010: (0x22, 0x22),
    0x40200018: (0x55, 0x55),
}


@pytest.mark.long
@pytest.mark.parametrize("policy", ["fifo", "clock", "lru", "arc"])
def test_what_was_written_comes_back(tmp_path: Path, policy: str, engine: str) -> None:
    """Two processes that share pages after a fork, with room for three of their six."""
    path = tmp_path / "p.vmp"
    path.write_text(PROGRAM)
    values = {"machine.ram": 4 * LARGE, "kernel.first_frame": 3, "kernel.user_frames": 3 * COUNT}
    machine = Machine(MachineConfig(values | {"kernel.policy": policy}))
    machine.load(read_program(str(path), va_bits=48, page_size=BASE))
    if engine == "compiled":
        machine.compile()
    seen: dict[tuple[int, int], int] = {}
    slots = machine.m.kernel[KERNEL_SLOT_COUNT]
    while machine.run(machine.operations + 1, engine == "compiled") != REASON_IDLE:
        assert check(machine) == []
        for pid in (1, 2):
            for va in CONTENT:
                frame = machine.find_page(pid, va)
                if frame >= 0 and machine.m.frame[frame * FRAME + FRAME_STATE] == FRAME_IS_USER:
                    seen[pid, va] = machine.m.ram8[(frame * BASE + va % LARGE) >> 3]
    for va, expected in CONTENT.items():
        assert (seen[1, va], seen[2, va]) == expected
    assert machine.counts()["swap-in"] >= COUNT
    assert (machine.m.kernel[KERNEL_RESIDENT], machine.m.kernel[KERNEL_SLOT_COUNT]) == (0, slots)


def test_opt_keeps_them_and_a_run_out_of_memory_ends() -> None:
    rows = rows_of([(0, True), (1, True), (2, True)], random.Random(1))
    machine = machine_of(rows, 3, 2, **{"kernel.policy": "opt"})
    machine.run(3)
    assert machine.counts().get("swap-out", 0) == 0
    assert machine.counts()["oom"] == 1


def test_nothing_leaves_for_a_run_that_cannot_be_made() -> None:
    """The frames for user pages hold no aligned run."""
    rows = rows_of([(0, True)], random.Random(1))
    machine = machine_of(rows, 1, 2, **{"kernel.user_frames": COUNT + 8, "kernel.table_frames": COUNT})
    machine.run(1)
    assert "evict" not in machine.counts()
    assert machine.counts()["oom"] == 1


def test_a_page_that_was_never_written_is_dropped_whole() -> None:
    rows = rows_of([(0, False), (1, True), (0, False)], random.Random(1))
    machine = machine_of(rows, 2, 1, **{"kernel.policy": "fifo"})
    machine.run(3)
    counts = machine.counts()
    assert (counts["zero-drop"], counts["swap-out"], counts["fault-minor"]) == (1, COUNT, 3)
    assert check(machine) == []


@pytest.mark.parametrize(
    "compiled", [False, pytest.param(True, marks=[pytest.mark.engine, pytest.mark.long])]
)
def test_background_reclaim_does_not_undo_a_fault_before_its_access(compiled: bool) -> None:
    """After the one page that has room fewer frames are free than `kernel.low_free` wants."""
    rows = rows_of([(0, True), (1, True)], random.Random(1))
    values = {"kernel.user_frames": COUNT + 1, "kernel.low_free": 2, "kernel.high_free": 2}
    machine = machine_of(rows, 2, 2, **values)
    if compiled:
        machine.compile()
    assert machine.run(20, compiled) == REASON_IDLE
    counts = machine.counts()
    assert (counts["write"], counts["fault-minor"], counts["swap-out"]) == (2, 2, 2 * COUNT)


def test_the_table_of_slots_leaves_the_run_whole_where_another_frame_is_free() -> None:
    """Frames that user pages share with tables: three runs for seven written pages, again and again."""
    rows = rows_of([(page, True) for page in range(7)] * 3, random.Random(1))
    more = {
        "machine.ram": 4 * LARGE,
        "kernel.user_frames": 0,
        "kernel.first_frame": 256,
        "kernel.policy": "fifo",
    }
    machine = machine_of(rows, 7, 3, **more)
    machine.run(21)
    assert (faults(machine), machine.counts().get("oom", 0)) == (21, 0)
    assert check(machine) == []


def test_the_table_takes_a_frame_of_the_page_where_no_other_is_free() -> None:
    rows = rows_of([(0, True), (0, True)], random.Random(1))
    machine = machine_of(
        rows, 1, 1, **{"machine.ram": 2 * LARGE, "kernel.user_frames": 0, "kernel.first_frame": COUNT - 6}
    )
    machine.run(1)
    assert machine.m.kernel[KERNEL_FREE_COUNT] == 0
    machine.swap_out(1, START)
    assert check(machine) == []
    machine.run(2)
    assert check(machine) == []


@pytest.mark.parametrize("compiled", [False, True])
def test_an_entry_that_names_no_slot_is_a_bus_error(compiled: bool) -> None:
    """As it is for base pages; nothing is read outside the swap area."""
    machine = machine_of(rows_of([(0, True), (0, True)], random.Random(1)), 1, 1)
    if compiled:
        machine.compile()
    machine.run(1, compiled)
    machine.swap_out(1, START)
    k, m = machine.k, machine.m
    k.walk(m, m.process[PROCESS + PROCESS_ROOT], START)
    depth = len(machine.format.levels) - 1
    k.store_entry(m, m.path[depth * PATH + PATH_ADDRESS] + 8 * 77, k.make_swapped(1 << 30))
    machine.run(2, compiled)
    assert (machine.counts()["signal"], machine.counts().get("swap-in", 0)) == (1, 0)


def test_each_frame_of_one_knows_the_first() -> None:
    """Accesses to its middle are uses of the page for the policy, those of the kernel too."""
    machine = machine_of(rows_of([(0, True)], random.Random(1)), 1, 1)
    machine.run(1)
    frame = machine.find_page(1, START)
    assert {machine.k.first_frame(machine.m, frame + at) for at in range(COUNT)} == {frame}
    assert machine.k.first_frame(machine.m, frame - 1) == frame - 1
