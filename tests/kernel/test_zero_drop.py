"""A private page that was never written leaves memory without a write, and comes back as zeros."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import pytest

from vmdbg.debugger import accesses
from vmdbg.inspect.policy import count_references
from vmdbg.kernel.calls import processes
from vmdbg.kernel.scheduler import OP_EXIT
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.file import BEFORE, load_machine, save_machine
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.state.tables import KERNEL_SLOT_COUNT

READ, WRITE = 0, 1
START, PAGE = 0x400000, 4096


def machine_of(todo: list[tuple[int, int]], frames: int = 2, slots: int = 8, **more: Any) -> Machine:
    """A machine whose process makes these accesses: (page, READ or WRITE)."""
    values = {
        "machine.ram": 1 << 20,
        "machine.swap.size": slots * PAGE,
        "kernel.first_frame": 3,
        "kernel.user_frames": frames,
        "kernel.policy": "fifo",
    }
    machine = Machine(MachineConfig({**values, **{name.replace("_", ".", 1): more[name] for name in more}}))
    rows = array("q")
    for page, how in todo:
        rows.extend((how | 1 << 8, START + page * PAGE, page + 1, 0))
    rows.extend((OP_EXIT, 0, 0, 0))
    region = RegionSpec("heap", START, 24 * PAGE, 15)
    machine.load(Program("p", "", [], [ProcessSpec("p", None, -1, [region], rows)]))
    return machine


def told(machine: Machine) -> tuple[int, ...]:
    """Written to swap, dropped, minor faults, major faults."""
    counts = machine.counts()
    return tuple(counts.get(name, 0) for name in ("swap-out", "zero-drop", "fault-minor", "fault-major"))


MIXED = [(0, WRITE), (1, READ), (2, READ), (3, READ), (1, READ), (0, READ)]


@pytest.mark.parametrize(
    ("drop", "expected"),
    [(True, (1, 3, 5, 1)), (False, (4, 0, 4, 2))],
)
@pytest.mark.parametrize("payload", [True, False])
def test_only_what_was_written_is_written_to_swap(
    drop: bool, payload: bool, expected: tuple[int, ...], engine: str
) -> None:
    """Page 0 was written, pages 1 to 3 were read: they leave for nothing, and come back by minor faults."""
    machine = machine_of(MIXED, kernel_zero_drop=drop, machine_payload=payload)
    if engine == "compiled":
        machine.compile()
    machine.run(len(MIXED), engine == "compiled")
    assert told(machine) == expected
    assert check(machine) == []


def test_its_content_is_zeros_again() -> None:
    machine = machine_of(MIXED)
    machine.run(3)
    assert machine.find_page(1, START) < 0
    machine.run(4)
    assert machine.find_page(1, START + PAGE) < 0
    assert accesses.access(machine, START + PAGE, READ, 8).value == 0
    assert accesses.access(machine, START, READ, 1).value == 1  # from its slot
    assert check(machine) == []


def test_what_was_written_behind_the_kernel_s_back_is_not_lost() -> None:
    """D is clear, but the page is not zero: it is written to swap."""
    machine = machine_of(MIXED)
    machine.run(2)
    pa = machine.k.frame_address(machine.m, machine.find_page(1, START + PAGE))
    machine.k.store(machine.m, pa + 8, 8, 77)
    machine.swap_out(1, START + PAGE)
    assert told(machine) == (1, 0, 2, 0)
    assert accesses.access(machine, START + PAGE + 8, READ, 8).value == 77


def test_pages_that_share_a_frame() -> None:
    """Parent and child have a page that neither wrote: both entries are emptied, and each gets its own."""
    machine = machine_of([(0, READ)], frames=4)
    machine.run(1)
    machine.make_room_for_system_call(1)
    child, *_ = processes.fork(machine.k, machine.format, 1, True, 1)
    machine.swap_out(1, START)
    assert told(machine)[:2] == (0, 1)
    assert [machine.find_page(pid, START) for pid in (1, child)] == [-1, -1]
    assert accesses.access(machine, START, WRITE, 1, 5).value == 0
    processes.put_on_cpu(machine.k, 0, child)
    assert accesses.access(machine, START, READ, 1).value == 0
    assert check(machine) == []


def test_a_page_that_came_from_swap_keeps_its_slot() -> None:
    machine = machine_of([(0, WRITE)])
    machine.run(1)
    machine.swap_out(1, START)
    accesses.access(machine, START, READ, 1)
    machine.swap_out(1, START)
    assert told(machine) == (1, 0, 1, 1)
    assert machine.counts()["swap-drop"] == 1


def test_without_swap_such_pages_can_leave() -> None:
    machine = machine_of([(page, READ) for page in range(6)], slots=0)
    machine.run(6)
    assert told(machine) == (0, 4, 6, 0)
    assert machine.m.kernel[KERNEL_SLOT_COUNT] == 0
    assert "oom" not in machine.counts()


def test_policies_are_counted_as_before() -> None:
    """Cold faults are those of each page's first reference, whatever becomes of the pages."""
    count = count_references("fifo", 3, [1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5])
    assert (count.faults, count.cold) == (9, 5)


def test_a_machine_of_an_older_file_goes_on_as_it_did(tmp_path: Path) -> None:
    machine = machine_of(MIXED)
    machine.run(1)
    del machine.config.values["kernel.zero_drop"]
    save_machine(machine, str(tmp_path / "m"))
    loaded = load_machine(str(tmp_path / "m"))
    assert loaded.config["kernel.zero_drop"] is BEFORE["kernel.zero_drop"] is False
