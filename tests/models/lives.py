"""A machine that does whatever comes, and beside it what each process has to find in its memory.

The model knows pages: who may do what there, and which bytes were written.  It knows nothing of frames,
entries, slots or policies.
"""

# Long: one method for each thing that can happen, and the model that all of them share.
from __future__ import annotations

from array import array
from contextlib import suppress
from copy import deepcopy
from typing import Any

from vmdbg.debugger import accesses
from vmdbg.errors import UserError
from vmdbg.formats.contract import ENTRY_LEAF, ENTRY_SWAPPED
from vmdbg.kernel.calls import processes, regions
from vmdbg.kernel.calls.syscalls import (
    MMAP_FIXED,
    MMAP_OBJECT,
    MMAP_OFFSET,
    MMAP_PAGE_SHIFT,
    MMAP_POPULATE,
    MMAP_SHARED,
    OP_BRK,
    OP_FORK,
    OP_MMAP,
    OP_MPROTECT,
    OP_MUNMAP,
)
from vmdbg.kernel.scheduler import OP_EXIT, OP_KIND, OP_RANGED, OP_WIDTH
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.file import load_machine, save_machine
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.state import events
from vmdbg.state.events import SYSCALL_ERROR
from vmdbg.state.tables import (
    CACHE,
    CACHE_CONTENT,
    CACHE_FRAME,
    CACHE_SLOT,
    CONTROL_STEPS,
    CONTROL_VALUE,
    CPU,
    CPU_PID,
    FRAME,
    KERNEL_CPU,
    OP,
    PATH,
    PATH_ENTRY,
    PROCESS,
    PROCESS_CURSOR,
    PROCESS_PC,
    PROCESS_ROOT,
    PROCESS_STATUS,
    REGION,
    REGION_CACHED,
    REGION_END,
    REGION_KIND,
    REGION_LIMIT,
    REGION_OBJECT,
    REGION_START,
)

READ, WRITE, FETCH = 0, 1, 2
RIGHT = {READ: 1, WRITE: 2, FETCH: 4}
RIGHTS = (15, 11, 9, 13)  # all with u: rwx, rw, r, rx
SIGSEGV, SIGBUS = 128 + 11, 128 + 7
MOST_PROCESSES = 7
PAGES = 28  # that processes use, from `base` on


class Page:
    """A page of a process.  `held` are the bytes that were written; None: it lies beyond its object.

    `link` is "own", "shared" (others see what is written) or "borrowed" (until it is written).
    """

    def __init__(self, rights: int, held: dict[int, int] | None, link: str = "own") -> None:
        self.rights, self.held, self.link = rights, held, link

    def write(self, at: int, value: int) -> None:
        """One byte."""
        assert self.held is not None
        if self.link == "borrowed":
            self.held, self.link = dict(self.held), "own"
        self.held[at] = value

    def forked(self) -> Page:
        """What a child has of it."""
        own = self.link == "own" and self.held is not None
        return Page(
            self.rights, dict(self.held) if own and self.held else {} if own else self.held, self.link
        )


class Space(dict[int, Page]):
    """The pages of one process, by address."""

    def put(self, pages: range, rights: int) -> None:
        """Pages of its own, all zero."""
        for page in pages:
            self[page] = Page(rights, {})

    def borrow(self, pages: range, rights: int, shared: list[dict[int, int]], share: bool) -> None:
        """Pages of an object; beyond its end there is nothing."""
        for number, page in enumerate(pages):
            held = shared[number] if number < len(shared) else None
            self[page] = Page(rights, held, "shared" if share else "borrowed")

    def forget(self, pages: range) -> None:
        """Nothing is mapped there any more."""
        for page in pages:
            self.pop(page, None)


class Lives:
    """The machine, its model, and one method for each thing that can happen.

    Each takes three numbers: which process, where, how.  `engine` runs the machine up to a number of
    operations.  UserError: it was refused.
    """

    def __init__(self, config: MachineConfig, base: int, compiled: Any = None) -> None:
        self.machine = Machine(config)
        self.machine.compiled = compiled
        self.form = self.machine.format
        self.page, self.base = self.form.page_size, base
        self.large = 1 << self.form.page_shifts[min(1, len(self.form.levels) - 1)]
        self.can_fetch = any(field.name in ("X", "NX") for field in self.form.fields)
        self.spaces: dict[int, Space] = {}
        self.desks: dict[int, int] = {}
        content = bytes(at * 7 % 255 + 1 for at in range(2 * self.page + 10))
        heap = RegionSpec("heap", base, 6 * self.page, 11)
        text = RegionSpec("text", base + 12 * self.page, 2 * self.page, 13, content=content)
        stack = RegionSpec("stack", base + 24 * self.page, 2 * self.page, 11)
        spec = ProcessSpec("p", None, -1, [heap, text, stack], self.desk_rows())
        pids = self.machine.load(Program("p", "", [], [spec, spec]))
        #: Number of an object -> the bytes of its pages.
        self.objects = {self.object_at(pids[0], text.start): self.pages_of(content)}
        for pid in pids:
            self.spaces[pid] = space = Space()
            self.desks[pid] = self.machine.m.process[pid * PROCESS + PROCESS_PC]
            for region in (heap, stack):
                space.put(range(region.start, region.end, self.page), region.rights)
            (file,) = self.objects.values()
            space.borrow(range(text.start, text.end, self.page), text.rights, file, False)
        self.save()

    def pages_of(self, content: bytes) -> list[dict[int, int]]:
        """The bytes of a file, page by page."""
        return [
            dict(enumerate(content[start : start + self.page])) for start in range(0, len(content), self.page)
        ]

    def object_at(self, pid: int, va: int) -> int:
        """The number of the object that the region of an address maps."""
        k, m = self.machine.k, self.machine.m
        return int(m.region[k.region_find(m, pid, va) * REGION + REGION_OBJECT])

    # -- what a process runs: row 0 is whatever is asked for, the others are run by `do_run`

    def desk_rows(self) -> array[int]:
        """A row for what is asked, then a program."""
        low, high = self.base + 1, self.base + 3 * self.page + 2
        rows = [
            [READ | 1 << OP_WIDTH, low, 0, 0],
            [WRITE | 1 << OP_WIDTH, low, 0x5A, 0],
            [WRITE | 1 << OP_WIDTH, high, 0x5B, 0],
            [READ | 1 << OP_WIDTH | OP_RANGED, low, 0, 0],
            [4, self.page, 0, 0],
            [OP_EXIT, 0, 0, 0],
        ]
        return array("q", [word for row in rows for word in row])

    def ask(self, pid: int, row: list[int]) -> bool:
        """Let a process execute one operation; False if it did not live through it."""
        self.do_switch(pid, 0, 0)
        m, desk = self.machine.m, self.desks[pid]
        m.op[desk * OP : (desk + 1) * OP] = array("q", row)
        m.process[pid * PROCESS + PROCESS_PC] = desk
        m.process[pid * PROCESS + PROCESS_CURSOR] = 0
        for _ in range(4):  # background reclaim is an operation, too
            self.step()
            if pid not in self.live():
                return False
            if self.machine.m.process[pid * PROCESS + PROCESS_PC] != desk:
                return True
            self.do_switch(pid, 0, 0)
        raise AssertionError(f"process {pid} does not get on")

    def call(self, pid: int, row: list[int]) -> bool:
        """Let a process make a system call; was it done?"""
        before = self.refused()
        return self.ask(pid, row) and self.refused() == before

    def refused(self) -> int:
        """System calls that were refused so far."""
        return sum(self.machine.m.count[SYSCALL_ERROR :: events.KINDS])

    def step(self) -> None:
        """One operation; where there are two engines, both do the same."""
        machine, goal = self.machine, self.machine.operations + 1
        if machine.compiled is None:
            machine.run(goal)
        else:
            before = machine.snapshot()
            machine.run(goal)
            value, digest = machine.m.control[CONTROL_VALUE], machine.digest()
            machine.restore(before)
            machine.run(goal, compiled=True)
            assert machine.digest() == digest
            assert machine.m.control[CONTROL_VALUE] == value
        for pid in set(self.spaces) - set(self.live()):
            del self.spaces[pid], self.desks[pid]

    def live(self) -> list[int]:
        """The processes that have not ended."""
        return processes.live_processes(self.machine.k)

    def status(self, pid: int) -> int:
        """The exit status of a process that has ended; 0 if its row is another one's by now."""
        return int(self.machine.m.process[pid * PROCESS + PROCESS_STATUS])

    # -- accesses

    def address(self, where: int, how: int) -> int:
        """An address in the pages that processes use, or just outside."""
        return self.base + where % (PAGES + 2) * self.page + how * 7 % self.page

    def mapped(self, pid: int, where: int, how: int, kind: int = READ) -> int:
        """Mostly an address that the process may access like that."""
        space = self.spaces[pid]
        pages = [at for at in sorted(space) if space[at].rights & RIGHT[kind] and space[at].held is not None]
        if not pages or where == 31 and how % 4 == 0:
            return self.address(where + how, how)
        return pages[where * 5 % len(pages)] + (how * 7 if how % 2 else how % 5) % self.page

    def may(self, pid: int, va: int, kind: int) -> bool | None:
        """May the process do this?  None below a stack that may grow: it depends on what is there."""
        page = self.spaces[pid].get(va - va % self.page)
        if page is not None:
            return page.held is not None and bool(page.rights & RIGHT[kind])
        for row in regions.regions_of(self.machine.k, pid):
            at = row * REGION
            if self.machine.m.region[at + REGION_LIMIT] <= va < self.machine.m.region[at + REGION_START]:
                return None
        return False

    def touch(self, pid: int, va: int, kind: int, value: int = 0) -> None:
        """One access of a byte: it ends as the rights say, and finds what was written."""
        space, may, start = self.spaces[pid], self.may(pid, va, kind), va - va % self.page
        if not self.ask(pid, [kind | 1 << OP_WIDTH, va, value, 0]):
            if self.status(pid) in (SIGSEGV, SIGBUS):
                assert not may, f"process {pid} may access {va:#x}"
            return
        assert may is not False, f"process {pid} may not access {va:#x}"
        if may is None:
            for first, end in self.regions(pid):
                if first <= va < end:
                    grown = [page for page in range(first, end, self.page) if page not in space]
                    space.put(range(grown[0], grown[-1] + 1, self.page), 11)
        page = space[start]
        held = (page.held or {}).get(va - start, 0)
        assert self.machine.m.control[CONTROL_VALUE] == held, f"process {pid}, {va:#x}"
        if kind == WRITE:
            page.write(va - start, value)

    def do_write(self, pid: int, where: int, how: int) -> None:
        self.touch(pid, self.mapped(pid, where, how, WRITE), WRITE, how)

    def do_read(self, pid: int, where: int, how: int) -> None:
        held = [start + at for start, page in self.spaces[pid].items() for at in page.held or ()]
        va = held[how * 31 % len(held)] if held and where % 4 else self.mapped(pid, where, how)
        self.touch(pid, va, READ)

    def do_fetch(self, pid: int, where: int, how: int) -> None:
        if self.can_fetch:
            self.touch(pid, self.mapped(pid, where, how, FETCH), FETCH)

    # -- system calls

    def span(self, where: int, how: int) -> range:
        """Some pages; the step is the size of a page."""
        start = self.base + where % PAGES * self.page
        return range(start, start + (how % 5 + 1) * self.page, self.page)

    def do_mmap(self, pid: int, where: int, how: int, flags: int = 0) -> None:
        pages, rights = self.span(where, how), RIGHTS[how % 4]
        overlaps = any(page in self.spaces[pid] for page in pages)
        size = pages.stop - pages.start
        if self.call(pid, [OP_MMAP, pages.start, size, rights | flags]):
            assert not overlaps or flags & MMAP_FIXED
            self.spaces[pid].put(pages, rights)

    def do_populate(self, pid: int, where: int, how: int) -> None:
        self.do_mmap(pid, where, how, MMAP_POPULATE)

    def do_replace(self, pid: int, where: int, how: int) -> None:
        self.do_mmap(pid, where, how, MMAP_FIXED)

    def do_object(self, pid: int, where: int, how: int) -> None:
        """Map the file or shared memory of before, from one of its pages on."""
        numbers = sorted(self.objects)
        self.map_object(pid, where, how, numbers[how // 4 % len(numbers)], how // 32 % 3)

    def do_share(self, pid: int, where: int, how: int) -> None:
        """New shared memory, which children share, too."""
        self.map_object(pid, where, how, 0, 0)

    def map_object(self, pid: int, where: int, how: int, number: int, first: int) -> None:
        pages, rights, share = self.span(where, how), RIGHTS[how % 4], how % 3 > 0 or not number
        overlaps = any(page in self.spaces[pid] for page in pages)
        flags = rights | (MMAP_SHARED if share else 0) | (MMAP_POPULATE if how % 5 == 0 else 0)
        flags |= number << MMAP_OBJECT | first << MMAP_OFFSET
        if self.call(pid, [OP_MMAP, pages.start, pages.stop - pages.start, flags]):
            assert not overlaps
            held = self.objects[number][first:] if number else [{} for _ in pages]
            self.spaces[pid].borrow(pages, rights, held, share)
            if flags & MMAP_POPULATE and rights & 2 and not share:
                self.own_what_is_there(pid, pages)

    def own_what_is_there(self, pid: int, pages: range) -> None:
        """Private pages that may be written are copied when they are given at once, as far as there was
        memory for it (Linux: populate_vma_page_range, FOLL_WRITE)."""
        for page in pages:
            held = self.spaces[pid][page].held
            if held is not None and self.is_there(pid, page):
                self.spaces[pid][page] = Page(self.spaces[pid][page].rights, dict(held))

    def is_there(self, pid: int, page: int) -> bool:
        """Whether a leaf maps the page."""
        root = self.machine.m.process[pid * PROCESS + PROCESS_ROOT]
        return bool(self.machine.k.walk(self.machine.m, root, page) == ENTRY_LEAF)

    def do_large(self, pid: int, where: int, how: int) -> None:
        """A region of large pages, behind the others."""
        first = (self.base + PAGES * self.page) // self.large + 1 + where % 2
        pages = range(first * self.large, (first + 1) * self.large, self.page)
        if self.large == self.page or len(pages) * 3 > len(self.machine.m.frame) // FRAME:
            return
        overlaps = pages.start in self.spaces[pid]
        more = 11 | self.large.bit_length() - 1 << MMAP_PAGE_SHIFT | (MMAP_POPULATE if how % 2 else 0)
        if self.call(pid, [OP_MMAP, pages.start, self.large, more]):
            assert not overlaps
            self.spaces[pid].put(pages, 11)

    def regions(self, pid: int) -> list[tuple[int, int]]:
        """Start and end of the regions of a process."""
        m = self.machine.m
        return [
            (m.region[row * REGION + REGION_START], m.region[row * REGION + REGION_END])
            for row in regions.regions_of(self.machine.k, pid)
        ]

    def do_munmap(self, pid: int, where: int, how: int) -> None:
        pages = self.span(where, how)
        if self.call(pid, [OP_MUNMAP, pages.start, pages.stop - pages.start, 0]):
            self.spaces[pid].forget(pages)

    def do_mprotect(self, pid: int, where: int, how: int) -> None:
        pages, rights, space = self.span(where, how), RIGHTS[how // 8 % 4], self.spaces[pid]
        if self.call(pid, [OP_MPROTECT, pages.start, pages.stop - pages.start, rights]):
            for page in pages:
                space[page].rights = rights

    def do_brk(self, pid: int, where: int, how: int) -> None:
        heaps = [
            self.machine.m.region[row * REGION + REGION_START]
            for row in regions.regions_of(self.machine.k, pid)
            if self.machine.m.region[row * REGION + REGION_KIND] == regions.REGION_KINDS.index("heap")
        ]
        before = dict(self.regions(pid))
        if self.call(pid, [OP_BRK, self.base + where % 12 * self.page, 0, 0]):
            old, new = before[heaps[-1]], dict(self.regions(pid))[heaps[-1]]
            space = self.spaces[pid]
            space.forget(range(new, old, self.page))
            space.put(range(old, new, self.page), space[heaps[-1]].rights)

    def do_fork(self, pid: int, where: int, how: int) -> None:
        before = set(self.live())
        if len(before) > MOST_PROCESSES or not self.call(pid, [OP_FORK, -1, 0, 0]):
            return
        (child,) = set(self.live()) - before
        self.spaces[child] = Space({at: page.forked() for at, page in self.spaces[pid].items()})
        self.give_desk(child)

    def give_desk(self, pid: int) -> None:
        """Rows of its own for a process."""
        spec = ProcessSpec("", 0, -1, [], self.desk_rows())
        self.machine.append_operations(pid, spec)
        self.desks[pid] = self.machine.m.process[pid * PROCESS + PROCESS_PC]

    # -- what acts from outside

    def do_spawn(self, pid: int, where: int, how: int) -> None:
        if len(self.live()) <= MOST_PROCESSES:
            new = self.machine.spawn("new", how % 9)
            self.give_desk(new)
            self.machine.k.ready_put(self.machine.m, new)
            self.spaces[new] = Space()

    def do_kill(self, pid: int, where: int, how: int) -> None:
        if len(self.live()) > 1:
            processes.end_process(self.machine.k, self.form, pid, 137)
            del self.spaces[pid], self.desks[pid]

    def do_switch(self, pid: int, where: int, how: int) -> None:
        """Put a process on the CPU that is next, or take the CPU on which it runs."""
        m = self.machine.m
        for cpu in range(len(m.cpu) // CPU):
            if m.cpu[cpu * CPU + CPU_PID] == pid:
                m.kernel[KERNEL_CPU] = cpu
                self.machine.k.charge(m)
                return
        processes.put_on_cpu(self.machine.k, m.kernel[KERNEL_CPU], pid)

    def do_run(self, pid: int, where: int, how: int) -> None:
        """The programs go on, one operation at a time."""
        for _ in range(how % 5):
            m = self.machine.m
            runs = m.cpu[m.kernel[KERNEL_CPU] * CPU + CPU_PID]
            if not runs:
                return
            row = m.process[runs * PROCESS + PROCESS_PC]
            desk = self.desks[runs]
            if row >= desk + 5 and how % 8:  # most do not exit
                m.process[runs * PROCESS + PROCESS_PC] = row = desk + 1
                m.process[runs * PROCESS + PROCESS_CURSOR] = 0
            word, va, value, _ = m.op[row * OP : (row + 1) * OP]
            self.step()
            after = self.machine.m.process[runs * PROCESS + PROCESS_PC]
            if word & OP_KIND == WRITE and runs in self.spaces and after != row:
                start = va - va % self.page
                self.spaces[runs][start].write(va - start, value)

    def do_swapout(self, pid: int, where: int, how: int) -> None:
        self.machine.swap_out(pid, self.mapped(pid, where, how))

    def do_evict(self, pid: int, where: int, how: int) -> None:
        accesses.swap_out_pages(self.machine, how % 4 + 1)

    def do_evict_all(self, pid: int, where: int, how: int) -> None:
        accesses.swap_out_process(self.machine, pid)

    def do_swapin(self, pid: int, where: int, how: int) -> None:
        accesses.swap_in(self.machine, pid, self.mapped(pid, where, how))

    def do_flush(self, pid: int, where: int, how: int) -> None:
        if how % 3:
            accesses.flush(self.machine, None, everything=how % 3 == 1)
        else:
            accesses.flush_page(self.machine, self.mapped(pid, where, how))

    # -- time

    def save(self) -> None:
        """Keep this instant."""
        model = deepcopy((self.spaces, self.objects, self.desks))
        self.kept = (self.machine.snapshot(), model, self.machine.digest())

    def do_save(self, pid: int, where: int, how: int) -> None:
        self.save()

    def do_back(self, pid: int, where: int, how: int) -> None:
        snapshot, model, digest = self.kept
        self.machine.restore(snapshot)
        assert self.machine.digest() == digest
        self.spaces, self.objects, self.desks = deepcopy(model)

    def to_file_and_back(self, path: str) -> None:
        """Go on with the machine that was saved."""
        save_machine(self.machine, path)
        again = load_machine(path)
        assert again.digest() == self.machine.digest()
        again.compiled = self.machine.compiled
        self.machine = again
        self.save()

    # -- what always holds

    def check(self) -> None:
        """The machine agrees with itself, its processes are those of the model, and all bytes are there."""
        found = check(self.machine)
        assert found == [], found
        assert self.machine.recorder.overlooked() == []
        assert set(self.live()) == set(self.spaces)
        for pid, space in self.spaces.items():
            for start, page in space.items():
                if page.held is not None:
                    found, wanted = self.content(pid, start), bytearray(self.page)
                    for at, value in page.held.items():
                        wanted[at] = value
                    assert found == wanted, f"process {pid}, page {start:#x}"

    def content(self, pid: int, page: int) -> bytes:
        """What a page holds, wherever it is: in memory, in swap, in a file, or nowhere yet."""
        k, m, form = self.machine.k, self.machine.m, self.form
        kind = k.walk(m, m.process[pid * PROCESS + PROCESS_ROOT], page)
        depth = m.control[CONTROL_STEPS] - 1
        entry = m.path[depth * PATH + PATH_ENTRY]
        if kind == ENTRY_LEAF:
            inside = page & (1 << form.levels[depth].shift) - 1
            return self.bytes_at("ram1", k.ram_offset(m, k.leaf_frame(entry, depth) + inside, 1) // self.page)
        row = k.region_find(m, pid, page) * REGION
        at = (m.region[row + REGION_CACHED] + (page - m.region[row + REGION_START]) // self.page) * CACHE
        cached = list(m.cache[at : at + CACHE]) if m.region[row + REGION_OBJECT] else [0] * CACHE
        if kind == ENTRY_SWAPPED and k.swapped_slot(entry) != cached[CACHE_SLOT]:
            return self.bytes_at("swap8", k.swapped_slot(entry))
        for table, column in (("ram1", CACHE_FRAME), ("swap8", CACHE_SLOT), ("file8", CACHE_CONTENT)):
            if cached[column]:
                return self.bytes_at(table, cached[column] - (table != "swap8"))
        return bytes(self.page)

    def bytes_at(self, table: str, page: int) -> bytes:
        """One page of a table."""
        return bytes(self.machine.buffers[table][page * self.page : (page + 1) * self.page])


KINDS = tuple(name[3:] for name in vars(Lives) if name.startswith("do_"))


def step(lives: Lives, kind: str, who: int, where: int, how: int) -> None:
    """One thing happens to the machine; what is refused changes nothing in the model."""
    live = lives.live()
    if live or kind in ("back", "spawn"):
        with suppress(UserError):
            getattr(lives, f"do_{kind}")(live[who % len(live)] if live else 0, where, how)
    for pid in set(lives.spaces) - set(lives.live()):
        del lives.spaces[pid], lives.desks[pid]
    lives.check()
