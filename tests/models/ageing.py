"""Few pages, much that happens to each: written, aged, protected, shared, swapped out, in any order.

`lives` with a denser machine: a handful of anonymous pages, a file that is mapped shared and private, and
memory that is shared.  What a page has to hold at the end is all that the model knows.
"""

from __future__ import annotations

from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

from vmdbg.kernel.calls.syscalls import MMAP_OBJECT, MMAP_OFFSET, MMAP_SHARED, OP_MMAP, OP_MPROTECT, OP_MUNMAP
from vmdbg.machine.config import MachineConfig
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.state.tables import PROCESS, PROCESS_PC


def beside(name: str) -> ModuleType:
    """Another model, from the file beside this one."""
    spec = util.spec_from_file_location(f"ageing_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


lives = beside("lives")
OWN, SHARED, PRIVATE, BOX = 3, 2, 2, 2  # pages of each region, one after the other
RW, R = 11, 9


class Ageing(lives.Lives):  # type: ignore[misc, name-defined]
    """One process at first, with the four regions; children have them, too."""

    def __init__(self, config: MachineConfig, base: int, compiled: Any = None) -> None:
        super().__init__(config, base, compiled)
        for pid in self.live()[1:]:
            self.do_kill(pid, 0, 0)
        (pid,) = self.live()
        self.clear(pid)
        content = self.pages_of(bytes(at * 11 % 255 + 1 for at in range(2 * self.page)))
        spec = ProcessSpec("q", None, -1, [self.file_region()], self.desk_rows())
        (self.first,) = self.machine.load(Program("q", "", [], [spec]))
        self.desks[self.first] = self.machine.m.process[self.first * PROCESS + PROCESS_PC]
        self.spaces[self.first] = space = lives.Space()
        self.file = self.object_at(self.first, self.at(OWN))
        self.objects = {self.file: content}
        space.borrow(self.pages(OWN, SHARED), RW, content, True)
        self.do_kill(pid, 0, 0)
        self.map_own(self.first)
        self.map_private(self.first)
        self.map_box(self.first)
        assert len(space) == OWN + SHARED + PRIVATE + BOX
        self.save()

    def clear(self, pid: int) -> None:
        """Unmap all that a process has."""
        for start, end in self.regions(pid):
            assert self.call(pid, [OP_MUNMAP, start, end - start, 0])
        self.spaces[pid].clear()

    def file_region(self) -> RegionSpec:
        content = bytes(at * 11 % 255 + 1 for at in range(2 * self.page))
        region = RegionSpec("file", self.at(OWN), SHARED * self.page, RW, content=content)
        region.share = True
        return region

    def at(self, page: int) -> int:
        return int(self.base + page * self.page)

    def pages(self, first: int, count: int) -> range:
        return range(self.at(first), self.at(first + count), self.page)

    def map_own(self, pid: int) -> None:
        if self.call(pid, [OP_MMAP, self.at(0), OWN * self.page, RW]):
            self.spaces[pid].put(self.pages(0, OWN), RW)

    def map_private(self, pid: int) -> None:
        self.map_file(pid, OWN + SHARED, PRIVATE, False)

    def map_file(self, pid: int, first: int, count: int, share: bool) -> None:
        flags = RW | self.file << MMAP_OBJECT | 0 << MMAP_OFFSET | (MMAP_SHARED if share else 0)
        if self.call(pid, [OP_MMAP, self.at(first), count * self.page, flags]):
            self.spaces[pid].borrow(self.pages(first, count), RW, self.objects[self.file], share)

    def map_box(self, pid: int) -> None:
        first = OWN + SHARED + PRIVATE
        if self.call(pid, [OP_MMAP, self.at(first), BOX * self.page, RW | MMAP_SHARED]):
            self.spaces[pid].borrow(self.pages(first, BOX), RW, [{} for _ in range(BOX)], True)

    # -- what happens: `where` chooses the page

    def page_at(self, where: int) -> int:
        return self.at(where % (OWN + SHARED + PRIVATE + BOX))

    def do_write(self, pid: int, where: int, how: int) -> None:
        self.touch(pid, self.page_at(where) + how % 3, lives.WRITE, how)

    def do_read(self, pid: int, where: int, how: int) -> None:
        self.touch(pid, self.page_at(where) + how % 3, lives.READ)

    def do_age(self, pid: int, where: int, how: int) -> None:
        """The clock's hand passes over a page."""
        frame = self.machine.find_page(pid, self.page_at(where))
        if frame >= 0:
            self.machine.k.age(self.machine.m, frame)

    def do_mprotect(self, pid: int, where: int, how: int) -> None:
        """Mostly to the rights that it has."""
        first, rights, space = self.page_at(where), R if how % 8 == 0 else RW, self.spaces[pid]
        pages = range(first, first + (1 + how // 8 % 2) * self.page, self.page)
        if self.call(pid, [OP_MPROTECT, first, len(pages) * self.page, rights]):
            for page in pages:
                space[page].rights = rights

    def do_swapout(self, pid: int, where: int, how: int) -> None:
        self.machine.swap_out(pid, self.page_at(where))

    def do_swapin(self, pid: int, where: int, how: int) -> None:
        lives.accesses.swap_in(self.machine, pid, self.page_at(where))

    def do_remap(self, pid: int, where: int, how: int) -> None:
        """Unmap a region and map it anew: what was written to the file has to be there."""
        first, count, again = (
            (0, OWN, self.map_own),
            (OWN, SHARED, lambda one: self.map_file(one, OWN, SHARED, True)),
            (OWN + SHARED, PRIVATE, self.map_private),
            (OWN + SHARED + PRIVATE, BOX, self.map_box),
        )[where % 4]
        if self.call(pid, [OP_MUNMAP, self.at(first), count * self.page, 0]):
            self.spaces[pid].forget(self.pages(first, count))
            again(pid)


KINDS = (
    "age",
    "evict",
    "evict_all",
    "fork",
    "kill",
    "mprotect",
    "read",
    "remap",
    "swapin",
    "swapout",
    "write",
)
MORE = ("write", "age", "mprotect", "swapout", "read")
#: Pages, so few that much happens to each: mostly one of its own, one of the file, one of each other sort.
PLACES = (0, 0, 0, 3, 3, 5, 7, 1, 4)
step = lives.step
