"""Cost follows what is touched, not the size of memory or of a page."""

from __future__ import annotations

from typing import Any

import pytest

from vmdbg.debugger import accesses
from vmdbg.debugger.time.timeline import Timeline
from vmdbg.formats import NAMES, find
from vmdbg.inspect.target import boot
from vmdbg.kernel.calls import frame_runs, processes
from vmdbg.kernel.calls.page_tables import entries
from vmdbg.kernel.calls.syscalls import Mapping, map_region
from vmdbg.kernel.frames import FRAME_IS_RESERVED
from vmdbg.machine import snapshot
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig, load_config
from vmdbg.machine.machine import Machine
from vmdbg.state.tables import FRAME, FRAME_NEXT, FRAME_STATE, KERNEL_FREE

pytestmark = pytest.mark.long

GIB, MIB, PLACE = 1 << 30, 1 << 20, 0x40000000
READ, WRITE = 0, 1


def timeline_of(ram: int) -> Timeline:
    machine = boot(load_config("default").with_({"machine.ram": ram})).machine
    return Timeline(machine, lambda *_: None, lambda _: True)


def large(machine: Machine, size: int = GIB) -> None:
    """Map a page of `size` for process 1, and touch it."""
    machine.make_room_for_system_call(1)
    map_region(machine.k, machine.format, 1, Mapping(PLACE, size, 11, size))
    assert not accesses.access(machine, PLACE, WRITE, 1, 7).killed


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the chunks that snapshots compare."""
    found: list[int] = []
    unpacked = snapshot.unpacked

    def counting(chunk: bytes | None, size: int) -> bytes:
        found.append(size)
        return unpacked(chunk, size)

    monkeypatch.setattr(snapshot, "unpacked", counting)
    return found


def test_a_command_costs_as_much_at_one_gib_as_at_four_mib(compared: list[int]) -> None:
    costs = []
    for ram in (4 * MIB, GIB):
        timeline = timeline_of(ram)
        timeline.act("first", lambda machine: accesses.access(machine, 0x404000, READ))
        compared.clear()
        timeline.act("poke", lambda machine: machine.k.store(machine.m, 0x3000, 8, 1))
        timeline.act("read", lambda machine: accesses.access(machine, 0x404000, READ))
        costs.append(sum(compared))
        assert timeline.machine.recorder.overlooked() == []
    assert costs[1] <= costs[0] + (1 << 18)


def test_beside_a_page_of_one_gib_a_command_costs_no_more(compared: list[int]) -> None:
    timeline = timeline_of(2 * GIB)
    timeline.act("touch", large)
    compared.clear()
    timeline.act("read", lambda machine: accesses.access(machine, 0x404000, READ))
    assert sum(compared) < 1 << 21
    assert check(timeline.machine, True, True) == []


def test_a_large_page_is_freed_in_one_event_that_says_its_size() -> None:
    timeline = timeline_of(2 * GIB)
    timeline.act("touch", large)
    machine = timeline.machine
    held = sum(found.kind == 1 for found in entries(machine.k, machine.format, 1))
    _, action = timeline.act("kill", lambda made: processes.end_process(made.k, made.format, 1, 9))
    freed = [row for row in action.events if row.name == "frame-free"]
    assert len(freed) < held + 20
    assert max(row.b for row in freed) == GIB // 4096
    assert action.changes["frame-free"] == sum(row.b for row in freed)
    assert check(machine, tlb_only=True) == []


@pytest.mark.parametrize("user_frames", [0, 700])
@pytest.mark.parametrize(
    "name", [name for name in NAMES if len(find(name).levels) > 1 and find(name).page_size <= 4096]
)
def test_runs_are_found_taken_and_given_back_as_frame_by_frame(name: str, user_frames: int) -> None:
    """`kernel.runs` does what the hot functions for tables do."""
    values: dict[str, Any] = {"machine.format": name, "machine.ram": 16 * MIB, "kernel.first_frame": 3}
    made = Machine(MachineConfig({**values, "kernel.user_frames": user_frames}))
    k, m = made.k, made.m
    for _ in range(5):
        m.frame[k.pool_take(m, KERNEL_FREE) * FRAME + FRAME_STATE] = FRAME_IS_RESERVED
    k.pool_give(m, KERNEL_FREE, 4)
    for count in (2, 64, 512):
        before = made.snapshot()
        frame = frame_runs.find_run(k, count)
        pool = k.large_pool(m, count)
        assert frame == k.run_of_free(m, pool, count)
        k.take_run(m, pool, frame, count)
        links, head = bytes(m.frame[FRAME_NEXT::FRAME]), m.kernel[pool : pool + 2].tolist()
        made.restore(before)
        frame_runs.take_run(k, frame, count, 0, 0)
        assert made.recorder.overlooked() == []
        same = bytes(m.frame[FRAME_NEXT::FRAME]) == links
        assert same
        assert m.kernel[pool : pool + 2].tolist() == head
        for tail in reversed(range(count)):
            k.pool_give(m, pool, frame + tail)
        wanted = bytes(made.buffers["frame"])
        for tail in range(count):
            m.frame[(frame + tail) * FRAME + FRAME_STATE] = 4
        made.restore(before)
        frame_runs.take_run(k, frame, count, 0, 0)
        frame_runs.give_run(k, frame, count)
        same = bytes(made.buffers["frame"]) == wanted
        assert same
        made.restore(before)


def test_large_pages_are_zeroed_and_copied_where_they_were_written() -> None:
    made = boot(load_config("default").with_({"machine.ram": 32 * MIB})).machine
    made.snapshot()
    size = 2 * MIB
    large(made, size)
    for offset in (0, 5000, size - 1):
        accesses.access(made, PLACE + offset, WRITE, 1, 9)
    made.snapshot()
    made.make_room_for_system_call(1)
    child, _, _ = processes.fork(made.k, made.format, 1, True, 1)
    accesses.access(made, PLACE + 1, WRITE, 1, 5)  # the parent gets a copy
    values = [accesses.access(made, PLACE + at, READ).value for at in (0, 1, 2, 5000, size - 1)]
    assert values == [9, 5, 0, 9, 9]
    assert check(made) == []
    assert made.recorder.overlooked() == []
    processes.end_process(made.k, made.format, 1, 0)
    processes.end_process(made.k, made.format, child, 0)
    again = made.spawn("again", 0)
    made.k.ready_put(made.m, again)
    map_region(made.k, made.format, again, Mapping(PLACE, size, 11, size))
    assert [accesses.access(made, PLACE + at, READ).value for at in (0, 1, 5000, size - 1)] == [0, 0, 0, 0]
    assert made.recorder.overlooked() == []
