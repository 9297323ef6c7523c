"""Any sequence of acting commands leaves the machine consistent, and every process its own memory."""

from __future__ import annotations

from array import array
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg.debugger import accesses
from vmdbg.errors import UserError
from vmdbg.kernel.calls import processes, regions, syscalls
from vmdbg.kernel.scheduler import OP_EXIT
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.state.tables import CPU_PID

READ, WRITE, FETCH = 0, 1, 2
MACHINES: dict[str, dict[str, Any]] = {
    "x86_64": {"machine.format": "x86_64", "machine.ram": 1 << 18, "kernel.policy": "clock"},
    "x86_32": {
        "machine.format": "x86_32",
        "machine.ram": 1 << 18,
        "kernel.policy": "lru",
        "tlb.asids": False,
    },
    "sv39": {"machine.format": "sv39-svade", "machine.ram": 1 << 18, "kernel.policy": "fifo"},
    "large": {"machine.format": "sv39", "machine.ram": 12 << 20, "kernel.policy": "random"},
    "software": {"machine.format": "tutorial16", "machine.ram": 1 << 14, "kernel.policy": "clock"},
    "pools": {
        "machine.format": "x86_64",
        "machine.ram": 1 << 19,
        "kernel.policy": "lru",
        "kernel.user_frames": 9,
    },
}
SHARED = {
    "machine.cpus": 2,
    "kernel.first_frame": 1,
    "kernel.low_free": 2,
    "kernel.high_free": 3,
    "tlb.l1": "2x2",
    "tlb.l2": "4x2",
}
KINDS = (
    "write", "write", "write", "write", "read", "read", "mmap", "populate", "large", "munmap", "mprotect",
    "brk", "fork", "spawn", "kill", "swapout", "evict", "swapin", "switch", "run", "flush", "back",
)  # fmt: skip
#: kind, three numbers that say which process, which page, how much.
actions = st.tuples(st.sampled_from(KINDS), st.integers(0, 7), st.integers(0, 31), st.integers(1, 255))


class Lives:
    """A machine and what each process has to find in its memory: pid -> (address -> value)."""

    def __init__(self, name: str, slots: int) -> None:
        page = 256 if name == "software" else 4096
        values = {**SHARED, **MACHINES[name], "machine.swap.size": slots * page}
        self.machine = Machine(MachineConfig(values))
        self.page = self.machine.format.page_size
        self.large = 1 << self.machine.format.page_shifts[min(1, len(self.machine.format.levels) - 1)]
        self.base = 0x400000 if name != "software" else 0
        rows = array("q", [WRITE | 1 << 8, self.base, 1, 0] * 9 + [OP_EXIT, 0, 0, 0])
        heap = RegionSpec("heap", self.base, 6 * self.page, 15)
        stack = RegionSpec("stack", self.base + 24 * self.page, 2 * self.page, 11)
        spec = ProcessSpec("p", None, -1, [heap, stack], rows)
        self.machine.load(Program("p", "", [], [spec, spec]))
        self.memory: dict[int, dict[int, int]] = {1: {}, 2: {}}
        self.saved = (self.machine.snapshot(), {1: dict[int, int](), 2: dict[int, int]()})

    def live(self) -> list[int]:
        return processes.live_processes(self.machine.k)

    def step(self, kind: str, who: int, where: int, how: int) -> None:
        live = self.live()
        if kind == "back":
            self.machine.restore(self.saved[0])
            self.memory = {pid: dict(held) for pid, held in self.saved[1].items()}
        elif kind == "spawn" and len(live) < 8:
            pid = self.machine.spawn("new", how % 9)
            self.machine.append_operations(pid, ProcessSpec("", 0, -1, [], array("q", [OP_EXIT, 0, 0, 0])))
            self.machine.k.ready_put(self.machine.m, pid)
            self.memory[pid] = {}
        elif live:
            getattr(self, f"do_{kind}", self.do_nothing)(live[who % len(live)], where, how)
        if kind != "back" and how % 16 == 0:
            self.saved = (self.machine.snapshot(), {pid: dict(held) for pid, held in self.memory.items()})

    def do_nothing(self, pid: int, where: int, how: int) -> None:
        """There are processes enough."""

    def address(self, where: int, how: int) -> int:
        return self.base + where * self.page + how % self.page

    def mapped(self, pid: int, where: int, how: int) -> int:
        """Mostly an address in a region of the process."""
        rows = regions.regions_of(self.machine.k, pid)
        if not rows or where >= 30:
            return self.address(where, how)
        row = rows[where % len(rows)] * regions.REGION
        start, end = (self.machine.m.region[row + at] for at in (regions.REGION_START, regions.REGION_END))
        return int(start + how * 7 % min((end - start) // self.page, 20) * self.page + how % 5)

    def call(self, function: Any, pid: int, *arguments: Any) -> Any:
        self.machine.make_room_for_system_call(pid)
        return function(self.machine.k, self.machine.format, pid, *arguments)

    def do_switch(self, pid: int, where: int, how: int) -> None:
        """Put a process on the CPU that is next, or take the CPU on which it runs."""
        for cpu in range(2):
            if self.machine.m.cpu[cpu * accesses.CPU + CPU_PID] == pid:
                self.machine.m.kernel[accesses.KERNEL_CPU] = cpu
                self.machine.k.charge(self.machine.m)
                return
        processes.put_on_cpu(self.machine.k, self.machine.m.kernel[accesses.KERNEL_CPU], pid)

    def done(self, before: list[int]) -> None:
        """Who was killed has no memory any more."""
        for pid in set(before) - set(self.live()):
            self.memory.pop(pid, None)

    def do_write(self, pid: int, where: int, how: int) -> None:
        self.do_switch(pid, 0, 0)
        before, va = self.live(), self.mapped(pid, where, how)
        done = accesses.access(self.machine, va, WRITE, 1, how)
        self.done(before)
        if not done.killed:
            assert done.value == self.memory[pid].get(va, 0)
            self.memory[pid][va] = how

    def do_read(self, pid: int, where: int, how: int) -> None:
        self.do_switch(pid, 0, 0)
        before = self.live()
        held = self.memory[pid]
        va = sorted(held)[how % len(held)] if held and where % 4 else self.mapped(pid, where, how)
        done = accesses.access(self.machine, va, READ)
        self.done(before)
        if not done.killed:
            assert done.value == held.get(va, 0)

    def do_mmap(self, pid: int, where: int, how: int, populate: bool = False) -> None:
        before = self.live()
        start, size = self.address(where, 0), (how % 5 + 1) * self.page
        self.call(
            syscalls.map_region, pid, syscalls.Mapping(start, size, (15, 11, 9, 8)[how % 4], 0, populate)
        )
        self.done(before)

    def do_populate(self, pid: int, where: int, how: int) -> None:
        self.do_mmap(pid, where, how, True)

    def do_large(self, pid: int, where: int, how: int) -> None:
        start = self.base + (1 + where % 2) * self.large
        if where > 8:
            self.do_write(pid, start // self.page - self.base // self.page + where, how)
        else:
            mapping = syscalls.Mapping(start, self.large, 11, self.large, bool(how % 2))
            self.call(syscalls.map_region, pid, mapping)

    def forget(self, pid: int, start: int, end: int) -> None:
        self.memory[pid] = {va: v for va, v in self.memory[pid].items() if not start <= va < end}

    def do_munmap(self, pid: int, where: int, how: int) -> None:
        start, size = self.address(where, 0), (how % 5 + 1) * self.page
        self.call(regions.unmap, pid, start, size)
        self.forget(pid, start, start + size)

    def do_mprotect(self, pid: int, where: int, how: int) -> None:
        start, size = self.address(where, 0), (how % 5 + 1) * self.page
        self.call(regions.protect, pid, start, size, (15, 11, 9, 11)[how % 4])

    def do_brk(self, pid: int, where: int, how: int) -> None:
        heap = regions.REGION_KINDS.index("heap")
        rows = [r for r in regions.regions_of(self.machine.k, pid) if self.kind(r) == heap]
        end = self.machine.m.region[rows[-1] * regions.REGION + regions.REGION_END] if rows else 0
        self.call(regions.set_break, pid, self.address(where % 12, 0))
        if rows:
            self.forget(pid, self.address(where % 12, 0), end)

    def kind(self, region: int) -> int:
        return int(self.machine.m.region[region * regions.REGION + regions.REGION_KIND])

    def do_fork(self, pid: int, where: int, how: int) -> None:
        if len(self.live()) < 8:
            self.machine.make_room_for_system_call(pid)
            row = self.machine.m.process[pid * accesses.PROCESS + processes.PROCESS_PC]
            asids = self.machine.config["tlb.asids"]
            before = self.machine.digest()
            try:
                child, _, _ = processes.fork(self.machine.k, self.machine.format, pid, asids, row)
            except UserError:
                assert check(self.machine) == []
                assert before
                raise
            self.memory[child] = dict(self.memory[pid])

    def do_kill(self, pid: int, where: int, how: int) -> None:
        processes.end_process(self.machine.k, self.machine.format, pid, 137)
        self.memory.pop(pid)

    def do_swapout(self, pid: int, where: int, how: int) -> None:
        self.machine.swap_out(pid, self.address(where, 0))

    def do_evict(self, pid: int, where: int, how: int) -> None:
        accesses.swap_out_pages(self.machine, how % 4 + 1)

    def do_swapin(self, pid: int, where: int, how: int) -> None:
        accesses.swap_in(self.machine, pid, self.address(where, 0))

    def do_run(self, pid: int, where: int, how: int) -> None:
        """The programs write 1 to the first byte; they are followed one operation at a time."""
        for _ in range(how % 4):
            before = self.live()
            self.machine.run(self.machine.operations + 1)
            self.done(before)
            for other in self.live():
                for va in (self.base,):
                    value = self.peek(other, va)
                    if value == 1:
                        self.memory[other][va] = 1

    def peek(self, pid: int, va: int) -> int:
        """What a byte holds if its page is in memory; -1 if it is not."""
        frame = self.machine.find_page(pid, va)
        return -1 if frame < 0 else self.machine.m.ram1[frame * self.page + va % self.page]

    def do_flush(self, pid: int, where: int, how: int) -> None:
        accesses.flush(self.machine, None, everything=bool(how % 2))

    def finish(self) -> None:
        """Everything that was written is still there."""
        for pid in self.live():
            for va, value in self.memory[pid].items():
                seen = self.peek(pid, va)
                assert seen in (-1, value), f"process {pid}, {va:#x}"


def test_a_large_page_takes_the_place_of_small_ones_and_back() -> None:
    """The table that held the small pages goes, and comes again."""
    lives = Lives("large", 3)
    start, k, form = lives.base + 2 * lives.large, lives.machine.k, lives.machine.format
    for _ in range(2):
        syscalls.map_region(k, form, 1, syscalls.Mapping(start, 5 * lives.page, 11, 0, True))
        assert check(lives.machine) == []
        regions.unmap(k, form, 1, start, 5 * lives.page)
        syscalls.map_region(k, form, 1, syscalls.Mapping(start, lives.large, 11, lives.large, True))
        assert check(lives.machine) == []
        regions.unmap(k, form, 1, start, lives.large)
        assert check(lives.machine) == []


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(MACHINES))
def test_acting_commands_leave_the_machine_consistent(name: str) -> None:
    @hypothesis.settings(max_examples=drawn(25), deadline=None)
    @hypothesis.given(st.sampled_from((100, 12, 3, 0)), st.lists(actions, min_size=1, max_size=50))
    def scenario(slots: int, steps: list[tuple[str, int, int, int]]) -> None:
        lives = Lives(name, slots)
        for number, step in enumerate(steps):
            try:
                lives.step(*step)
            except UserError:
                lives.done([*lives.memory])
            assert check(lives.machine) == [], f"after step {number}: {step}"
            lives.finish()
        assert lives.machine.m.cpu[CPU_PID] >= 0

    scenario()
