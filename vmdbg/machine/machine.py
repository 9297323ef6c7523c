"""The machine: tables, the two engines that run them, cold work between operations, snapshots."""

from __future__ import annotations

import contextlib
import os

from vmdbg.engine import Linked, link, reads
from vmdbg.errors import UserError
from vmdbg.formats.contract import ENTRY_LEAF
from vmdbg.kernel import policies
from vmdbg.kernel.calls import huge_pages, processes, regions, signals, syscalls
from vmdbg.kernel.calls.objects import Wanted, open_object
from vmdbg.kernel.exits import (
    REASON_IDLE,
    REASON_LARGE,
    REASON_MEMORY,
    REASON_NONE,
    REASON_SIGNAL,
    REASON_SYSCALL,
)
from vmdbg.kernel.frames import FRAME_IS_USER, RMAP_SPARE
from vmdbg.machine import boot, feeds, future, op_breakpoints, registers
from vmdbg.machine.kernel_half import map_kernel
from vmdbg.machine.pools import Pools
from vmdbg.machine.snapshot import Recorder, Snapshot
from vmdbg.machine.verify_program import check_rows
from vmdbg.state import events, tables
from vmdbg.state.tables import (
    CONTROL_GOAL,
    CONTROL_LIMIT,
    CONTROL_STEPS,
    CONTROL_STOP,
    CONTROL_VALUE,
    CPU,
    CPU_PID,
    FRAME,
    FRAME_STATE,
    KERNEL_CPU,
    KERNEL_OPERATIONS,
    KERNEL_RMAP_COUNT,
    KERNEL_WAKE,
    OP,
    PATH,
    PATH_ENTRY,
    PROCESS,
    PROCESS_END,
    PROCESS_OOM,
    PROCESS_PC,
    PROCESS_PINNED,
    PROCESS_ROOT,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from vmdbg.engine.build import Build
    from vmdbg.engine.module import Layout
    from vmdbg.engine.native import Code
    from vmdbg.machine.config import MachineConfig


ENTRY = "run"
WATCHING = ("stops", "log")  # tables that grow and are never made smaller, even if an older state is restored


class Halted(Exception):
    """Raised by the interpreted engine at the event CONTROL_STOP_AT, in the middle of an operation."""


@reads(cold=True, fills=True)
def halt(number: int) -> None:
    """Leave the interpreted engine in the middle of an operation: raises Halted."""
    raise Halted


@reads(fills=True)
def no_halt(number: int) -> None:
    """Do nothing: the compiled engine stops only after the operation, because CONTROL_LIMIT is 0."""


def layout() -> Layout:
    """The tables as compiled code takes them."""
    from vmdbg.engine.module import Layout

    return Layout(tables.COMPILED, ("ram1", *tables.RAM_VIEWS))


class Machine(Pools):
    """A simulated computer.  `m` are its tables as the interpreted engine sees them.

    `instead` are functions and constants of hot code that take the place of those that the configuration
    binds; such a machine runs interpreted only.
    `saved_registers` has, for each CPU of a real computer, registers that play no part in translation too.

    Do not keep a reference to `m` or to a table over a call that may run operations: pools grow, and `m` is
    another object then.
    """

    saved_registers: tuple[dict[str, int], ...] = ()
    symbols: Any = None  # names of addresses (`programs.symbols.Symbols`), besides those of the program
    rooted = False  # the root register of a CPU without a process counts, even if it is 0
    #: What is said where there is no root table to begin at, and what helps.
    no_root = ("No process.", 'Give a root table with "-root", or start a program.')

    def __init__(self, config: MachineConfig, instead: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.config = config
        self.first: Snapshot | None = None  # the state before boot executed anything, if it did
        self.format = boot.format_of(config)
        self.bindings = {**boot.bindings(config), **(instead or {})}
        self.shape = boot.shape(config)
        self.buffers = tables.allocate(self.shape)
        self.k = Linked(self.interpreted(), tables.views(self.buffers))
        known = config["kernel.policy"] in policies.POLICIES
        self.recorder = Recorder(self.buffers, self.format.page_size, self.format.chunk_size, known)
        self.k.recorder, self.k.grow, self.k.grow_rmap = self.recorder, self.grow, self.grow_rmap
        boot.fill(self.m, config)
        if config["machine.kernel"]:
            map_kernel(self.k, self.format)
        self.program: Any = None
        self.compiled: Code | None = None
        self.feeds: dict[int, feeds.Feed] = {}  # of processes whose operations come from a trace, by pid
        self.saved_words: dict[int, int] = {}  # the first word of each row that has a breakpoint

    def interpreted(self) -> dict[str, Callable[..., Any]]:
        """The functions of the interpreted engine."""
        # Halted raised by `halt`: bound by identity, so that `except Halted` sees it.
        copies = link.link({**self.bindings, "halt": halt})
        copies["halt"].__globals__["Halted"] = Halted
        if self.config["kernel.policy"] not in policies.POLICIES:
            from vmdbg.engine.checked import check_tables

            check_tables(copies, policies.HOLES)
        return copies

    # -- time

    @property
    def operations(self) -> int:
        """Operations executed since the machine started."""
        return int(self.m.kernel[KERNEL_OPERATIONS])

    # -- programs

    def load(self, program: Any) -> list[int]:
        """Make the program's processes, ready to run; returns their pids.

        UserError if one cannot be made: then nothing has changed.
        """
        boot.require_kernel(self.config)
        before = self.snapshot()
        pids = []
        try:
            for spec in program.processes:
                limit = self.config["kernel.limit"] if spec.limit is None else spec.limit
                cpus = self.config["machine.cpus"]
                if spec.cpu >= cpus:
                    raise UserError(f"Process {spec.name} runs on CPU {spec.cpu}; machine.cpus is {cpus}.")
                pid = self.spawn(spec.name, limit)
                self.m.process[pid * PROCESS + PROCESS_OOM] = spec.oom
                self.m.process[pid * PROCESS + PROCESS_PINNED] = spec.cpu + 1
                pids.append(pid)
                for region in spec.regions:
                    map_region(self, pid, region, program.name)
                self.append_operations(pid, spec)
                self.k.ready_put(self.m, pid)
            if future.looks_ahead(self.config):
                future.foresee(self, pids)
        except UserError:
            self.restore(before)
            raise
        self.program = program
        for cpu in range(len(self.m.cpu) // CPU):
            if self.m.cpu[cpu * CPU + CPU_PID] == 0:
                self.k.dispatch(self.m, cpu)
        self.k.charge(self.m)
        return pids

    def spawn(self, name: str, limit: int) -> int:
        """Make a process without a program and regions, which is in no queue.

        UserError if there is no room.
        """
        self.make_room_for_process()
        return processes.spawn(self.k, self.format, name, limit, self.config["tlb.asids"])

    def append_operations(self, pid: int, spec: Any) -> None:
        """Put a process's operations behind all others, and its program counter at the first.

        UserError for rows that the run loop cannot execute.
        """
        first = self.shape["ops"]
        rows = spec.relocated(first, [open_object(self.k, self.format, wanted) for wanted in spec.objects])
        check_rows(rows, first, spec.kinds)
        count = len(rows) // OP
        self.grow("ops", first + count + 1)
        self.m.op[first * OP : (first + count) * OP] = rows
        self.m.process[pid * PROCESS + PROCESS_PC] = first
        self.m.process[pid * PROCESS + PROCESS_END] = first + count

    # -- running

    def run(self, limit: int, compiled: bool = False) -> int:
        """Run until `limit` operations are executed, a stop row matched or nobody can run; or for a shorter
        while, where rows came from a trace.

        Returns REASON_NONE or REASON_IDLE.  CONTROL_STOP is not 0 if a stop row matched.  The interpreted
        engine raises Halted at the event CONTROL_STOP_AT.  A mistake in a policy of the user's is a
        UserError; then nothing was run.
        """
        if self.config["kernel.policy"] in policies.POLICIES:
            return self.run_on(limit, compiled)
        before = self.snapshot()
        try:
            with self.blaming():
                return self.run_on(limit, compiled)
        except UserError:
            self.restore(before)
            raise

    @contextlib.contextmanager
    def blaming(self) -> Iterator[None]:
        """A context: an exception from a function of the user's policy becomes a UserError."""
        try:
            yield
        except policies.MISTAKES as error:
            mistake = policies.blame(error, self.config["kernel.policy"])
            if mistake is None:
                raise
            raise mistake from None

    def run_on(self, limit: int, compiled: bool) -> int:
        """As `run`, without the check for mistakes in a policy of the user's."""
        control = self.m.control
        control[CONTROL_STOP] = 0
        served = False
        while True:
            self.m.control[CONTROL_LIMIT] = self.m.control[CONTROL_GOAL] = limit
            if self.m.kernel[KERNEL_WAKE]:
                # Background reclaim comes first, but not between a fault and its access: it might undo it.
                self.m.control[CONTROL_LIMIT] = self.operations + 1 if served else 0
            reason = self.engine(compiled)
            served = reason == REASON_LARGE
            if reason == REASON_SYSCALL and self.saved_words and op_breakpoints.reached(self):
                return REASON_NONE
            fed = reason == REASON_SYSCALL and feeds.is_fed(self)
            if reason not in (REASON_NONE, REASON_IDLE) and not fed:
                self.finish_operation(reason)
            if self.m.kernel[KERNEL_RMAP_COUNT] < RMAP_SPARE:
                self.grow_rmap()
            if fed or reason == REASON_IDLE or self.m.control[CONTROL_STOP] or self.operations >= limit:
                if self.feeds:
                    feeds.feed_all(self)
                self.k.charge(self.m)
                return REASON_IDLE if reason == REASON_IDLE else REASON_NONE

    def engine(self, compiled: bool) -> int:
        """Run hot code until it returns; returns its reason."""
        if not compiled:
            return int(self.k.run(self.m))
        if self._tables is None:
            from vmdbg.engine.native import Tables

            self._tables = Tables(tables.compiled_buffers(self.buffers), layout())
        assert self.compiled is not None, "compile() comes first"
        return self.compiled(self._tables)

    def finish_operation(self, reason: int) -> None:
        """Do the cold work that a reason asks for, and count the operation if that completes it."""
        cpu = self.m.kernel[KERNEL_CPU]
        pid = self.m.cpu[cpu * CPU + CPU_PID]
        if self.cold_work(reason):
            stays = self.m.cpu[cpu * CPU + CPU_PID] == pid
            (self.k.end_operation if stays else self.k.count_operation)(self.m, cpu)

    def cold_work(self, reason: int) -> bool:
        """The cold work that a reason asks for.  True: the operation is complete; False: repeat it."""
        m = self.m
        pid = m.cpu[m.kernel[KERNEL_CPU] * CPU + CPU_PID]
        if reason == REASON_SYSCALL:
            return self.system_call(pid)
        if reason == REASON_SIGNAL:
            signals.deliver(self.k, self.format, pid)
            return True
        if reason == REASON_MEMORY:
            return processes.kill_for_memory(self.k, self.format) in (0, pid)
        assert reason == REASON_LARGE
        return self.large_fault(pid)

    def large_fault(self, pid: int) -> bool:
        """Serve a fault on a page larger than a base page; the access at CONTROL_VALUE is repeated."""
        try:
            huge_pages.large_fault(self.k, self.format, pid, self.m.control[CONTROL_VALUE])
        except UserError:
            return processes.kill_for_memory(self.k, self.format) in (0, pid)
        return False

    def system_call(self, pid: int) -> bool:
        """Execute the system call at a process's program counter."""
        self.make_room_for_system_call(pid)
        syscalls.execute(self.k, self.format, self.config["tlb.asids"], pid, self.open_window)
        return True

    def open_window(self, opened: bool) -> None:
        """Let the CPU in use touch user pages in kernel mode, or not.  UserError: it has no such register."""
        registers.set_window(self, int(self.m.kernel[KERNEL_CPU]), opened)

    def find_page(self, pid: int, va: int) -> int:
        """The first frame of the page of `va` in a process's space; -1 if it has none, or a large one that
        stays in memory."""
        k, m = self.k, self.m
        kind = k.walk(m, m.process[pid * PROCESS + PROCESS_ROOT], va)
        depth = m.control[CONTROL_STEPS] - 1
        if kind != ENTRY_LEAF:
            return -1
        frame = int(k.frame_at(m, k.leaf_frame(m.path[depth * PATH + PATH_ENTRY], depth)))
        large = depth != len(self.format.levels) - 1
        return -1 if large and (frame < 0 or not k.may_leave(m, frame, pid)) else frame

    def swap_out(self, pid: int, va: int) -> None:
        """Evict the page of `va` of a process.  UserError if it is not in memory or swap is full."""
        frame = self.find_page(pid, va)
        if frame < 0 or self.m.frame[frame * FRAME + FRAME_STATE] != FRAME_IS_USER:
            raise UserError(f"No page of process {pid} at {va:#x} is in memory and can leave it.")
        if self.k.evict(self.m, frame):
            raise UserError("The swap area is full.")

    # -- engines

    def build(self, checked: bool | None = None) -> Build:
        """What makes this machine's compiled code; imports llvmlite.  SourceError.

        `checked`: with bounds checks everywhere; None: if VMDBG_CHECKED is set.
        """
        from vmdbg.engine.build import build

        if checked is None:
            checked = os.environ.get("VMDBG_CHECKED", "0") not in ("", "0")
        return build({**self.bindings, "halt": no_halt}, ENTRY, layout(), checked)

    def compile(self) -> Code:
        """Get full compiled code ready: about a second, unless it is cached.  NotHotError, SourceError."""
        if self.compiled is None or not self.compiled.full:
            self.compiled = self.build().full()
        return self.compiled

    # -- snapshots

    def snapshot(self) -> Snapshot:
        """The state, sharing what did not change since the last one."""
        return self.recorder.take(self.shape)

    def restore(self, snapshot: Snapshot) -> None:
        """Restore the state of a snapshot; pools that have grown since get their old size again."""
        for rows, count in snapshot.shape.items():
            if count != self.shape[rows] and rows not in WATCHING:
                self.resize(rows, count)
        self.recorder.put(snapshot)
        self.k.charge(self.m)

    def digest(self) -> str:
        """A hash of the state, in hex.  Equal states have equal digests, whatever their history."""
        import hashlib

        total = hashlib.blake2b(digest_size=16)
        for name, number, piece in self.snapshot().pieces():
            part = hashlib.blake2b(piece, digest_size=16).digest()
            total.update(b"%s %d " % (name.encode(), number) + part)
        return total.hexdigest()

    # -- what is counted

    def counts(self, pid: int | None = None, cpu: int | None = None) -> dict[str, int]:
        """The counts of events by name, of one process or of all, on one CPU or all; without zeros."""
        m, width = self.m, events.KINDS
        cpus = self.config["machine.cpus"]
        rows = range(len(m.count) // width) if pid is None else range(pid * cpus, (pid + 1) * cpus)
        rows = rows if cpu is None else rows[cpu::cpus]
        total = {}
        for event in events.EVENTS:
            number = sum(m.count[row * width + event.kind] for row in rows)
            if number:
                total[event.name] = number
        return total


def map_region(machine: Machine, pid: int, spec: Any, name: str) -> None:
    """Map a region (`programs.program.RegionSpec`) of the program of that name; or UserError."""
    machine.make_room_for_system_call(pid)
    k, form = machine.k, machine.format
    wanted = Wanted(name, spec.size, spec.content) if spec.content else spec.object
    index, backing = regions.page_index(form, spec.page_size, wanted is not None), None
    if wanted is not None:
        backing = syscalls.backing_of(k, form, wanted, spec.offset, spec.share)
    start, size = spec.start, spec.size
    regions.add_region(k, form, pid, spec.kind, start, size, spec.rights, index, spec.populate, backing)
