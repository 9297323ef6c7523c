"""mmap, munmap, mprotect and brk as Linux does them: borders, holes, merging, guards, and what is refused."""

from __future__ import annotations

from array import array
from typing import Any

import pytest

from vmdbg.debugger import accesses
from vmdbg.errors import UserError
from vmdbg.kernel.calls import processes, regions, syscalls
from vmdbg.kernel.calls.objects import Wanted
from vmdbg.kernel.calls.page_tables import entries
from vmdbg.kernel.calls.syscalls import Mapping
from vmdbg.kernel.scheduler import OP_EXIT
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.file import load_machine, save_machine
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.state.tables import REGION, REGION_END, REGION_RIGHTS, REGION_START

K, PAGE, BASE = 1 << 10, 4096, 0x400000
NONE, R, RW, RX = 8, 9, 11, 13
READ, WRITE = 0, 1


class Space:
    """A process, and its regions as (first page, pages, kind, rights)."""

    def __init__(self, *specs: RegionSpec, **settings: Any) -> None:
        values = {name.replace("__", "."): value for name, value in settings.items()}
        self.machine = Machine(MachineConfig({"machine.ram": 1 << 22, "kernel.first_frame": 1, **values}))
        spec = ProcessSpec("p", None, -1, list(specs), array("q", [OP_EXIT, 0, 0, 0]))
        self.machine.load(Program("p", "", [], [spec]))

    def call(self, function: Any, *arguments: Any) -> None:
        self.machine.make_room_for_system_call(1)
        function(self.machine.k, self.machine.format, 1, *arguments)
        assert check(self.machine) == []

    def mmap(self, page: int, pages: int, rights: int = RW, **more: Any) -> None:
        mapping = Mapping(BASE + page * PAGE, pages * PAGE, rights)
        for name, value in more.items():
            setattr(mapping, name, value)
        self.call(syscalls.map_region, mapping)

    def munmap(self, page: int, pages: int) -> None:
        self.call(regions.unmap, BASE + page * PAGE, pages * PAGE)

    def mprotect(self, page: int, pages: int, rights: int) -> None:
        self.call(regions.protect, BASE + page * PAGE, pages * PAGE, rights)

    def brk(self, page: int) -> None:
        self.call(regions.set_break, BASE + page * PAGE)

    def access(self, page: int, how: int = READ, value: int = 0) -> Any:
        return accesses.access(self.machine, BASE + page * PAGE, how, 1, value)

    @property
    def regions(self) -> list[tuple[int, int, str, int]]:
        m, found = self.machine.m, []
        for region in regions.regions_of(self.machine.k, 1):
            row = region * REGION
            start, end = m.region[row + REGION_START], m.region[row + REGION_END]
            kind = regions.region_kind(self.machine.k, region)
            found.append(((start - BASE) // PAGE, (end - start) // PAGE, kind, m.region[row + REGION_RIGHTS]))
        return found


def test_neighbours_that_are_equal_are_one_region() -> None:
    space = Space()
    space.mmap(0, 2)
    space.mmap(4, 2)
    assert space.regions == [(0, 2, "anon", RW), (4, 2, "anon", RW)]
    space.mmap(2, 2)
    assert space.regions == [(0, 6, "anon", RW)]
    space.mmap(6, 1, R)
    assert space.regions == [(0, 6, "anon", RW), (6, 1, "anon", R)]


def test_regions_that_a_program_declares_stay_apart() -> None:
    specs = [RegionSpec("anon", BASE + page * PAGE, PAGE, RW) for page in (0, 1)]
    assert Space(*specs).regions == [(0, 1, "anon", RW), (1, 1, "anon", RW)]


def test_mprotect_splits_and_merges() -> None:
    space = Space()
    space.mmap(0, 6)
    space.mprotect(2, 2, R)
    assert space.regions == [(0, 2, "anon", RW), (2, 2, "anon", R), (4, 2, "anon", RW)]
    space.mprotect(1, 1, R)
    assert space.regions == [(0, 1, "anon", RW), (1, 3, "anon", R), (4, 2, "anon", RW)]
    space.mprotect(0, 6, RW)
    assert space.regions == [(0, 6, "anon", RW)]


def test_mprotect_over_a_hole_is_refused_and_changes_nothing() -> None:
    space = Space()
    space.mmap(0, 2)
    space.mmap(3, 2)
    before = space.machine.digest()
    with pytest.raises(UserError, match=r"^No region holds 0x402000\.$"):
        space.mprotect(1, 3, R)
    assert space.machine.digest() == before


def test_pages_without_rights_keep_what_is_in_them() -> None:
    space = Space()
    space.mmap(0, 2)
    space.access(0, WRITE, 7)
    space.mprotect(0, 1, NONE)
    assert space.regions == [(0, 1, "guard", NONE), (1, 1, "anon", RW)]
    space.mprotect(0, 1, R)
    assert space.access(0).value == 7


def test_munmap_takes_parts_of_regions_and_what_is_between() -> None:
    space = Space()
    for page in (0, 4, 8):
        space.mmap(page, 3, R)
    space.munmap(2, 7)
    assert space.regions == [(0, 2, "anon", R), (9, 2, "anon", R)]
    space.munmap(2, 7)
    assert space.regions == [(0, 2, "anon", R), (9, 2, "anon", R)]


def test_fixed_replaces_all_that_is_there() -> None:
    space = Space()
    space.mmap(0, 3)
    space.mmap(5, 3)
    space.access(2, WRITE, 7)
    with pytest.raises(
        UserError, match=r"^Region 0x402000\.\.0x406000 overlaps another region of process 1\.$"
    ):
        space.mmap(2, 4)
    space.mmap(2, 4, R, fixed=True)
    assert space.regions == [(0, 2, "anon", RW), (2, 4, "anon", R), (6, 2, "anon", RW)]
    assert space.access(2).value == 0


@pytest.mark.parametrize(
    ("start", "size", "page", "message"),
    [
        (BASE + 1, PAGE, 0, "Region 0x400001..0x401001 is not aligned to its page size, 0x1000."),
        (BASE, 0, 0, "Region 0x400000..0x400000 is not aligned to its page size, 0x1000."),
        (BASE + PAGE, 2 << 20, 2 << 20, "Region 0x401000..0x601000 is not aligned to its page size, 0x200000."),  # noqa: E501
        (0x7FFFFFFF0000, 4 << 20, 0, "Region 0x7fffffff0000..0x8000003f0000 does not fit the address space of x86_64."),  # noqa: E501
        (-PAGE, PAGE, 0, "Region 0xfffffffffffff000..0x0 is not in the user's half of the address space."),
        (BASE, PAGE, 8192, "x86_64 has no pages of 8192 bytes."),
    ],
)  # fmt: skip
def test_mmap_refuses(start: int, size: int, page: int, message: str) -> None:
    space = Space()
    before = space.machine.digest()
    with pytest.raises(UserError) as caught:
        space.call(syscalls.map_region, Mapping(start, size, RW, page))
    assert str(caught.value) == message
    assert space.machine.digest() == before


@pytest.mark.parametrize("call", [regions.unmap, regions.protect])
@pytest.mark.parametrize(("start", "size"), [(BASE + 1, PAGE), (BASE, 0), (BASE, -PAGE)])
def test_a_range_starts_at_a_page_and_is_not_empty(call: Any, start: int, size: int) -> None:
    space = Space()
    space.mmap(0, 4)
    with pytest.raises(UserError, match="is empty or does not start at a page"):
        space.call(call, start, size, *([R] if call is regions.protect else []))


def test_brk_grows_shrinks_and_meets_what_is_above() -> None:
    space = Space(
        RegionSpec("heap", BASE, 2 * PAGE, RW),
        RegionSpec("anon", BASE + 8 * PAGE, PAGE, RW),
    )
    space.brk(8)
    space.access(5, WRITE, 7)
    with pytest.raises(UserError, match=r"^The heap of process 1 cannot grow over 0x408000\.$"):
        space.brk(9)
    space.brk(3)
    space.brk(6)
    assert space.regions == [(0, 6, "heap", RW), (8, 1, "anon", RW)]
    assert space.access(5).value == 0
    with pytest.raises(UserError, match=r"^The heap of process 1 starts at 0x400000\.$"):
        space.brk(0)


@pytest.mark.parametrize(("rights", "lowest"), [(RW, 9), (NONE, 8)])
def test_a_stack_leaves_a_page_free_to_what_may_be_accessed(rights: int, lowest: int) -> None:
    """Below it lies another region up to page 8; a guard needs no gap."""
    space = Space(
        RegionSpec("anon", BASE, 8 * PAGE, rights), RegionSpec("stack", BASE + 20 * PAGE, 2 * PAGE, RW)
    )
    assert not space.access(lowest, WRITE, 7).killed
    assert space.regions[1] == (lowest, 22 - lowest, "stack", RW)
    assert space.access(lowest - 1, WRITE, 7).killed


def test_a_stack_grows_to_its_limit() -> None:
    space = Space(RegionSpec("stack", BASE + 20 * PAGE, 2 * PAGE, RW), kernel__stack_limit=8 * PAGE)
    assert not space.access(14, WRITE, 7).killed
    assert space.access(13, WRITE, 7).killed


def test_a_region_mapped_below_a_stack_later_stops_it() -> None:
    space = Space(RegionSpec("stack", BASE + 20 * PAGE, 2 * PAGE, RW))
    space.mmap(15, 2)
    assert not space.access(18, WRITE, 7).killed
    assert space.access(17, WRITE, 7).killed


def test_parts_of_a_file_that_go_on_are_one_region_again() -> None:
    space = Space()
    file = Wanted("f", 0, bytes(range(256)) * 64)
    space.mmap(0, 4, R, object=file)
    space.mprotect(1, 2, RW)
    assert [region[:2] for region in space.regions] == [(0, 1), (1, 2), (3, 1)]
    space.mprotect(1, 2, R)
    assert space.regions == [(0, 4, "file", R)]
    space.mmap(4, 1, R, object=file)
    assert space.regions == [(0, 4, "file", R), (4, 1, "file", R)]


def test_swap_of_a_shared_page_is_in_every_entry_and_counted() -> None:
    """Two regions map it: both entries keep the slot, whose references are theirs and the page cache's."""
    space = Space()
    for page in (0, 8):
        space.mmap(page, 2, object=Wanted("box", 2 * PAGE), share=True)
    space.access(0, WRITE, 7)
    assert space.access(8).value == 7
    space.machine.swap_out(1, BASE)
    k, form = space.machine.k, space.machine.format
    held = [k.swapped_slot(found.entry) for found in entries(k, form, 1) if found.depth == 3]
    assert held == [1, 1]
    assert [row["refs"] for row in list_slots(space.machine)] == [3]
    assert space.access(8).value == 7
    assert [(row["refs"], row["pfn"] is not None) for row in list_slots(space.machine)] == [(2, True)]
    assert check(space.machine) == []


def list_slots(machine: Machine) -> list[dict[str, Any]]:
    from vmdbg.inspect.processes import slots

    return list(slots(machine))


def test_what_nobody_maps_any_more_gives_everything_back() -> None:
    space = Space()
    free = space.machine.k.user_frames_free(space.machine.m)
    space.mmap(0, 4, object=Wanted("", 4 * PAGE), share=True, populate=True)
    space.access(1, WRITE, 7)
    space.machine.swap_out(1, BASE + PAGE)
    space.munmap(0, 2)
    space.munmap(2, 2)
    assert space.machine.k.user_frames_free(space.machine.m) == free - 3  # tables stay
    assert list_slots(space.machine) == []
    assert not any(space.machine.m.object)


def test_a_process_that_ends_leaves_shared_memory_to_the_others() -> None:
    space = Space()
    space.mmap(0, 1, object=Wanted("", PAGE), share=True)
    space.access(0, WRITE, 7)
    space.machine.make_room_for_system_call(1)
    child, _, _ = processes.fork(space.machine.k, space.machine.format, 1, True, 0)
    processes.end_process(space.machine.k, space.machine.format, child, 0)
    assert check(space.machine) == []
    assert space.access(0).value == 7


def test_a_page_that_two_entries_map_ages_in_both() -> None:
    """The event counts entries whose accessed bit was cleared, not pages."""
    space = Space()
    for page in (0, 4):
        space.mmap(page, 1, object=Wanted("box", PAGE), share=True)
        space.access(page)
    machine = space.machine
    frame = machine.find_page(1, BASE)
    assert frame == machine.find_page(1, BASE + 4 * PAGE)
    assert machine.k.age(machine.m, frame)
    assert machine.counts()["age"] == 2
    assert not machine.k.age(machine.m, frame)
    assert machine.counts()["age"] == 2


def test_a_saved_machine_carries_its_files(tmp_path: Any) -> None:
    space = Space()
    space.mmap(0, 1, object=Wanted("f", 0, b"Hello"), share=True)
    space.access(0, WRITE, 0x4A)
    space.machine.swap_out(1, BASE)
    save_machine(space.machine, str(tmp_path / "saved"))
    other = load_machine(str(tmp_path / "saved"))
    assert other.digest() == space.machine.digest()
    assert [accesses.access(other, BASE + at, READ).value for at in range(6)] == [*b"Jello", 0]


def test_going_back_brings_a_file_back() -> None:
    space = Space()
    before = space.machine.snapshot()
    space.mmap(0, 1, object=Wanted("f", 0, b"Hello"), share=True)
    there = space.machine.digest()
    space.machine.restore(before)
    assert space.regions == []
    space.mmap(0, 1, object=Wanted("f", 0, b"Hello"), share=True)
    assert space.machine.digest() == there


@pytest.mark.long
def test_many_regions_of_one_object_find_room_in_the_reverse_map() -> None:
    """Populated regions that map resident pages take rows of the reverse map, and no frames."""
    space = Space(machine__ram=64 * PAGE, kernel__first_frame=1)
    for number in range(16):
        space.mmap(number * 8, 8, object=Wanted("box", 8 * PAGE), share=True, populate=True)
    assert space.machine.shape["rmaps"] > 64 + 64
    assert [region[:2] for region in space.regions] == [(number * 8, 8) for number in range(16)]


@pytest.mark.parametrize(("start", "size"), [(-PAGE, PAGE), (BASE, 1 << 47), (0x800000000000, PAGE)])
def test_munmap_refuses_what_no_process_can_map(start: int, size: int) -> None:
    with pytest.raises(UserError, match="is not all a process's"):
        Space().call(regions.unmap, start, size)
