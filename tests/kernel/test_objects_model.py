"""Files and shared memory against a model of dictionaries: what processes find, wherever pages are."""

from __future__ import annotations

from array import array
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg.debugger import accesses
from vmdbg.errors import UserError
from vmdbg.formats.contract import ENTRY_LEAF, ENTRY_SWAPPED
from vmdbg.kernel.calls import processes, regions, syscalls
from vmdbg.kernel.calls.objects import Wanted
from vmdbg.kernel.scheduler import OP_EXIT
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program
from vmdbg.state.tables import (
    CACHE,
    CACHE_CONTENT,
    CACHE_FRAME,
    CACHE_SLOT,
    CONTROL_STEPS,
    KERNEL_CPU,
    PATH,
    PATH_ENTRY,
    PROCESS,
    PROCESS_PC,
    PROCESS_ROOT,
    REGION,
    REGION_OBJECT,
    REGION_SHARE,
)

READ, WRITE = 0, 1
R, RW, NONE = 9, 11, 8
PAGE, BASE, PAGES = 4096, 0x400000, 8
FILES = {
    "short": b"short",
    "page": bytes(range(256)) * 16,
    "long": b"".join(bytes([number + 1]) * 4000 for number in range(3)),
    "empty": b"",
}
SHARED_PAGES = 4
MACHINES: dict[str, dict[str, Any]] = {
    "clock": {"kernel.policy": "clock", "kernel.user_frames": 9},
    "lru": {"kernel.policy": "lru", "kernel.user_frames": 5, "machine.format": "sv39-svade"},
    "fifo": {"kernel.policy": "fifo", "machine.ram": 40 * PAGE, "kernel.low_free": 2, "kernel.high_free": 4},
    "random": {"kernel.policy": "random", "kernel.user_frames": 16, "machine.format": "x86_32"},
}
KINDS = (
    *("write",) * 8, *("read",) * 6, *("map_file",) * 4, *("map_named",) * 3, *("swapout",) * 3, "map_own",
    "map_new", "munmap", "munmap", "mprotect", "fork", "fork", "evict", "evict", "kill", "back",
)  # fmt: skip
#: kind, three numbers that say which process, which page, how much.
actions = st.tuples(st.sampled_from(KINDS), st.integers(0, 7), st.integers(0, PAGES - 1), st.integers(0, 255))


class Object:
    """A file, or shared memory (without `content`): its pages, and how many pages of processes are it."""

    def __init__(self, pages: int, content: bytes | None = None) -> None:
        padded = (content or b"").ljust(pages * PAGE, b"\0")
        self.pages = [bytearray(padded[at * PAGE : (at + 1) * PAGE]) for at in range(pages)]
        self.is_file = content is not None


class Page:
    """One page of a process: `own` bytes, or those of page `number` of an object."""

    def __init__(self, rights: int, of: Object | None = None, number: int = 0, share: bool = False) -> None:
        self.rights, self.object, self.number, self.share = rights, of, number, share
        self.own = bytearray(PAGE) if of is None else None

    def copy(self) -> Page:
        twin = Page(self.rights, self.object, self.number, self.share)
        twin.own = None if self.own is None else bytearray(self.own)
        return twin

    @property
    def exists(self) -> bool:
        """Has the page a content: is it not beyond the end of its object?"""
        return self.own is not None or (self.object is not None and self.number < len(self.object.pages))

    @property
    def content(self) -> bytearray:
        if self.own is not None:
            return self.own
        assert self.object is not None
        return self.object.pages[self.number]

    def written(self) -> bytearray:
        """What a write goes to."""
        if self.own is None and not self.share:
            self.own = bytearray(self.content)
        return self.content


Space = dict[int, Page]


class Model:
    """What every process has to find: pid -> (page -> what it is), and the objects by name."""

    def __init__(self) -> None:
        self.spaces: dict[int, Space] = {1: {}, 2: {}}
        self.files = {name: Object(-(-len(data) // PAGE), data) for name, data in FILES.items()}
        self.named: dict[str, Object] = {}

    def copy(self) -> Model:
        twin = Model()
        same = {
            id(it): Object(len(it.pages), b"" if it.is_file else None)
            for it in [*self.files.values(), *self.named.values(), *self.objects()]
        }
        for it in [*self.files.values(), *self.named.values(), *self.objects()]:
            same[id(it)].pages = [bytearray(page) for page in it.pages]
        twin.files = {name: same[id(it)] for name, it in self.files.items()}
        twin.named = {name: same[id(it)] for name, it in self.named.items()}
        twin.spaces = {}
        for pid, space in self.spaces.items():
            twin.spaces[pid] = {at: page.copy() for at, page in space.items()}
            for page in twin.spaces[pid].values():
                page.object = same[id(page.object)] if page.object is not None else None
        return twin

    def objects(self) -> list[Object]:
        return [p.object for space in self.spaces.values() for p in space.values() if p.object is not None]

    def settle(self) -> None:
        """Shared memory that nobody maps any more is gone."""
        mapped = {id(it) for it in self.objects()}
        self.named = {name: it for name, it in self.named.items() if id(it) in mapped}


class Both:
    """The machine and the model, which do the same."""

    def __init__(self, name: str, slots: int) -> None:
        values = {
            "machine.ram": 1 << 19,
            "kernel.first_frame": 1,
            "tlb.l1": "2x2",
            "tlb.l2": "4x2",
            "machine.swap.size": slots * PAGE,
            **MACHINES[name],
        }
        self.machine = Machine(MachineConfig(values))
        spec = ProcessSpec("p", None, -1, [], array("q", [OP_EXIT, 0, 0, 0]))
        self.machine.load(Program("p", "", [], [spec, spec]))
        self.model = Model()
        self.short = False  # the last access killed somebody, because memory was full
        self.saved = self.machine.snapshot(), self.model.copy()

    def live(self) -> list[int]:
        return processes.live_processes(self.machine.k)

    def step(self, kind: str, who: int, where: int, how: int) -> None:
        while len(self.live()) < 2:
            self.spawn()
        live = self.live()
        if kind == "back":
            self.machine.restore(self.saved[0])
            self.model = self.saved[1].copy()
        else:
            getattr(self, f"do_{kind}")(live[who % len(live)], where, how)
            self.bury()
        if kind != "back" and how % 4 == 0:
            self.saved = self.machine.snapshot(), self.model.copy()

    def spawn(self) -> None:
        pid = self.machine.spawn("new", 0)
        self.machine.append_operations(pid, ProcessSpec("", 0, -1, [], array("q", [OP_EXIT, 0, 0, 0])))
        self.machine.k.ready_put(self.machine.m, pid)
        self.model.spaces[pid] = {}

    def place(self, pid: int, where: int, right: int, how: int) -> int:
        """A page of a process: mostly one that it may access so."""
        space = self.model.spaces[pid]
        good = [at for at, page in sorted(space.items()) if page.exists and page.rights & right]
        return good[where % len(good)] if good and how else where

    def bury(self) -> None:
        """Who was killed has no memory any more."""
        live = self.live()
        self.model.spaces = {pid: space for pid, space in self.model.spaces.items() if pid in live}
        self.model.settle()

    def access(self, pid: int, va: int, how: int, value: int = 0) -> Any:
        if self.machine.m.cpu[accesses.CPU_PID] != pid:
            processes.put_on_cpu(self.machine.k, self.machine.m.kernel[KERNEL_CPU], pid)
        before = self.machine.counts().get("oom", 0)
        done = accesses.access(self.machine, va, how, 1, value)
        self.short = self.machine.counts().get("oom", 0) > before
        return done

    def do_read(self, pid: int, where: int, how: int) -> None:
        where = self.place(pid, where, 1, how)
        page = self.model.spaces[pid].get(where)
        done = self.access(pid, BASE + where * PAGE + how, READ)
        if page is None or not page.exists or not page.rights & 1:
            assert done.killed
        elif not done.killed:
            assert done.value == page.content[how]
        else:
            assert self.short

    def do_write(self, pid: int, where: int, how: int) -> None:
        where = self.place(pid, where, 2, how)
        page = self.model.spaces[pid].get(where)
        done = self.access(pid, BASE + where * PAGE + how, WRITE, how ^ 0x5A)
        if page is None or not page.exists or not page.rights & 2:
            assert done.killed
        elif not done.killed:
            assert done.value == page.content[how]
            page.written()[how] = how ^ 0x5A
        else:
            assert self.short

    def map(
        self, pid: int, where: int, how: int, wanted: Wanted | None, it: Object | None, share: bool
    ) -> None:
        count = min(how % 4 + 1, PAGES - where)
        rights = (RW, RW, R, NONE)[how // 4 % 4]
        mapping = syscalls.Mapping(BASE + where * PAGE, count * PAGE, rights)
        mapping.fixed, mapping.populate = bool(how & 64), how & 128 > 0
        mapping.object, mapping.share = wanted, share
        mapping.offset = how // 32 % 2 * PAGE if it is not None else 0
        self.machine.make_room_for_system_call(pid)
        space = self.model.spaces[pid]
        if mapping.fixed:
            mapping.populate = False  # it may fail with what was there gone
        taken = any(where <= at < where + count for at in space)
        try:
            syscalls.map_region(self.machine.k, self.machine.format, pid, mapping)
        except UserError:
            assert (taken and not mapping.fixed) or mapping.populate
            raise
        assert mapping.fixed or not taken
        for place in range(count):
            page = Page(rights, it, mapping.offset // PAGE + place, share)
            space[where + place] = page
            if mapping.populate and page.exists and rights == RW:
                page.written()
        self.model.settle()

    def do_map_own(self, pid: int, where: int, how: int) -> None:
        self.map(pid, where, how, None, None, False)

    def do_map_file(self, pid: int, where: int, how: int) -> None:
        name = list(FILES)[how % 3 if how < 240 else 3]
        it, share = self.model.files[name], bool(how // 16 % 2)
        self.map(pid, where, how, Wanted(f"/somewhere/{name}", 0, FILES[name]), it, share)

    def do_map_named(self, pid: int, where: int, how: int) -> None:
        name = "ab"[how // 16 % 2]
        it = self.model.named.get(name) or Object(SHARED_PAGES)
        self.map(pid, where, how, Wanted(name, SHARED_PAGES * PAGE), it, True)
        self.model.named[name] = it

    def do_map_new(self, pid: int, where: int, how: int) -> None:
        how &= ~32  # from its first page on
        count = min(how % 4 + 1, PAGES - where)
        self.map(pid, where, how, Wanted("", count * PAGE), Object(count), True)

    def do_munmap(self, pid: int, where: int, how: int) -> None:
        count = how % 4 + 1
        self.machine.make_room_for_system_call(pid)
        regions.unmap(self.machine.k, self.machine.format, pid, BASE + where * PAGE, count * PAGE)
        space = self.model.spaces[pid]
        self.model.spaces[pid] = {at: p for at, p in space.items() if not where <= at < where + count}

    def do_mprotect(self, pid: int, where: int, how: int) -> None:
        count, rights = how % 4 + 1, (RW, R, NONE, RW)[how // 4 % 4]
        self.machine.make_room_for_system_call(pid)
        space = self.model.spaces[pid]
        whole = all(at in space for at in range(where, where + count))
        try:
            size = count * PAGE
            regions.protect(self.machine.k, self.machine.format, pid, BASE + where * PAGE, size, rights)
        except UserError:
            assert not whole
            raise
        assert whole
        for at in range(where, where + count):
            space[at].rights = rights

    def do_fork(self, pid: int, where: int, how: int) -> None:
        if len(self.live()) >= 6:
            return
        self.machine.make_room_for_system_call(pid)
        row = self.machine.m.process[pid * PROCESS + PROCESS_PC]
        child, _, _ = processes.fork(self.machine.k, self.machine.format, pid, True, row)
        self.model.spaces[child] = {at: page.copy() for at, page in self.model.spaces[pid].items()}

    def do_kill(self, pid: int, where: int, how: int) -> None:
        if where < 3:
            processes.end_process(self.machine.k, self.machine.format, pid, 137)

    def do_swapout(self, pid: int, where: int, how: int) -> None:
        self.machine.swap_out(pid, BASE + self.place(pid, where, 1, how) * PAGE)

    def do_evict(self, pid: int, where: int, how: int) -> None:
        accesses.swap_out_pages(self.machine, how % 8 + 1)

    def content(self, pid: int, at: int) -> bytes:
        """What the machine has for a page of a process: in memory, in swap, in a file, or nowhere yet."""
        k, m, va = self.machine.k, self.machine.m, BASE + at * PAGE
        kind = k.walk(m, m.process[pid * PROCESS + PROCESS_ROOT], va)
        depth = m.control[CONTROL_STEPS] - 1
        entry = m.path[depth * PATH + PATH_ENTRY]
        if kind == ENTRY_LEAF:
            return self.words(m.ram8, k.frame_at(m, k.leaf_frame(entry, depth)))
        region = k.region_find(m, pid, va)
        if kind == ENTRY_SWAPPED and not m.region[region * REGION + REGION_SHARE]:
            return self.words(m.swap8, k.swapped_slot(entry))
        row = k.cache_row(m, region, va) * CACHE if m.region[region * REGION + REGION_OBJECT] else 0
        if m.cache[row + CACHE_FRAME]:
            return self.words(m.ram8, m.cache[row + CACHE_FRAME] - 1)
        if m.cache[row + CACHE_SLOT]:
            return self.words(m.swap8, m.cache[row + CACHE_SLOT])
        kept = m.cache[row + CACHE_CONTENT]
        return self.words(m.file8, kept - 1) if kept else bytes(PAGE)

    @staticmethod
    def words(table: Any, number: int) -> bytes:
        return bytes(table[number * PAGE // 8 : (number + 1) * PAGE // 8])

    def compare(self) -> None:
        """Every page of every process is what the model says."""
        for pid, space in self.model.spaces.items():
            for at, page in space.items():
                assert not page.exists or self.content(pid, at) == page.content, f"process {pid}, page {at}"

    def finish(self) -> None:
        """Every byte of every process, read as the process does."""
        for pid, space in list(self.model.spaces.items()):
            for at, page in space.items():
                if page.exists and page.rights & 1 and pid in self.live():
                    for offset in (0, 4, 90, 255):
                        done = self.access(pid, BASE + at * PAGE + offset, READ)
                        if done.killed:
                            break
                        assert done.value == page.content[offset], f"process {pid}, page {at}, byte {offset}"
            self.bury()


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(MACHINES))
def test_every_process_reads_what_the_model_has(name: str) -> None:
    @hypothesis.settings(max_examples=drawn(5), deadline=None)
    @hypothesis.given(st.sampled_from((100, 12, 3, 0)), st.lists(actions, min_size=60, max_size=80))
    def scenario(slots: int, steps: list[tuple[str, int, int, int]]) -> None:
        both = Both(name, slots)
        for number, step in enumerate(steps):
            try:
                both.step(*step)
            except UserError:
                both.bury()
            assert check(both.machine) == [], f"after step {number}: {step}"
            both.compare()
        both.finish()
        assert check(both.machine) == []

    scenario()
