"""Address spaces as rows: regions with what of them is in memory, runs of frames, the kernel's part."""

from __future__ import annotations

from vmdbg.formats.contract import ALL_RIGHTS, ENTRY_LEAF, ENTRY_SWAPPED, RIGHT_U
from vmdbg.hardware.page_runs import Block, page_blocks, page_runs
from vmdbg.hardware.page_tables import Bounded, entries
from vmdbg.inspect.notation import Notation, rights_text
from vmdbg.inspect.segments import segments
from vmdbg.kernel.calls.objects import is_file, object_name
from vmdbg.kernel.calls.regions import region_kind
from vmdbg.state.tables import (
    OBJECT,
    OBJECT_CACHED,
    PROCESS,
    PROCESS_REGION,
    REGION,
    REGION_CACHED,
    REGION_END,
    REGION_NEXT,
    REGION_OBJECT,
    REGION_RIGHTS,
    REGION_SHARE,
    REGION_SIZE,
    REGION_START,
)
from vmdbg.units import WORD_MASK, format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from vmdbg.hardware.page_runs import PageRun
    from vmdbg.machine.machine import Machine

MOST_JOINED = 256  # blocks of which the joined runs are kept
ZEROS = "zero"  # the backing of memory that is a process's own


class Space:
    """A region.  `start` and `end` as tables keep them; sizes in bytes; `rights` a nibble."""

    __slots__ = ("backing", "end", "kind", "page_size", "resident", "rights", "row", "start", "swapped")

    def __init__(self, row: int, start: int, end: int, rights: int, kind: str, page_size: int) -> None:
        self.row, self.start, self.end, self.rights, self.kind = row, start, end, rights, kind
        self.page_size, self.backing = page_size, ZEROS
        self.resident = self.swapped = 0


def spaces(machine: Machine, pid: int) -> Iterator[Space]:
    """The regions of a process by address, without what is in memory."""
    m = machine.m
    region = m.process[pid * PROCESS + PROCESS_REGION]
    while region:
        row = region * REGION
        space = Space(
            region,
            m.region[row + REGION_START],
            m.region[row + REGION_END],
            m.region[row + REGION_RIGHTS],
            region_kind(machine.k, region),
            1 << machine.format.page_shifts[m.region[row + REGION_SIZE]],
        )
        if m.region[row + REGION_OBJECT]:
            space.backing = backing_text(machine, region)
        yield space
        region = m.region[row + REGION_NEXT]


def backing_text(machine: Machine, region: int) -> str:
    """What a region maps of an object: `file demo.txt+0x1000`, `shared box`, `shared #3` without a name."""
    m, k = machine.m, machine.k
    number = m.region[region * REGION + REGION_OBJECT]
    page = m.region[region * REGION + REGION_CACHED] - m.object[number * OBJECT + OBJECT_CACHED]
    name = object_name(k, number) or f"#{number}"
    if page:
        name += f"+{page << machine.format.page_bits:#x}"
    if is_file(k, number):
        return f"file {name}" + (", shared" if m.region[region * REGION + REGION_SHARE] else "")
    return f"shared {name}"


def measured(machine: Machine, pid: int, root: int) -> Iterator[Space]:
    """The regions of a process with the bytes that are resident and swapped."""
    for space in spaces(machine, pid):
        if machine.format.bounded:
            space.resident = space.end - space.start
            yield space
            continue
        for found in entries(machine.k, machine.format, root, space.start, space.end):
            size = 1 << machine.format.levels[found.depth].shift
            if found.kind == ENTRY_LEAF:
                space.resident += size
            elif found.kind == ENTRY_SWAPPED:
                space.swapped += size
        yield space


class Run:
    """Pages in a row with one set of rights; without `merge` with one page size, and their frames are in a
    row.

    `like`: of addresses whose tables were shown before, with other addresses: the first of those; else None.
    """

    __slots__ = ("end", "like", "pa", "page_size", "rights", "start")

    def __init__(
        self, start: int, end: int, pa: int, page_size: int, rights: int, like: int | None = None
    ) -> None:
        self.start, self.end, self.pa, self.page_size, self.rights = start, end, pa, page_size, rights
        self.like = like


class RunBlock:
    """Runs that lie somewhere else too: `runs` with `base` added to their addresses; one list for all."""

    __slots__ = ("base", "runs")

    def __init__(self, base: int, runs: list[Run]) -> None:
        self.base, self.runs = base, runs


def runs(
    machine: Machine,
    root: int,
    start: int | None = None,
    end: int | None = None,
    merge: bool = False,
    fold: bool = False,
    follow: Bounded | None = None,
    cpu: int | None = None,
) -> Iterator[Run]:
    """Mapped pages joined while addresses, frames, rights and page size go on.

    `merge`: while addresses and rights go on.  `fold`: tables that were shown are not shown again, but one
    run says where.  `follow` bounds how often a table is read again.  `cpu`: by whose registers
    (None: by those of the one in use).
    """
    form = machine.format
    if form.segments and form.bounded:
        for segment in (segment for segment in segments(machine, root, cpu) if segment.limit):
            first, past = segment.held
            pa = segment.base - segment.limit if segment.down else segment.base
            yield Run(first, past, pa, past - first, segment.rights)
        return
    if form.bounded:
        first = start or 0
        yield Run(first, form.page_size if end is None else end, root + first, form.page_size, ALL_RIGHTS)
        return
    yield from joined_runs(
        page_runs(machine.k, form, root, start, end, follow or Bounded(), fold, cpu), merge
    )


def joined_runs(found: Iterable[PageRun], merge: bool) -> Iterator[Run]:
    """Runs that belong together as one."""
    held: Run | None = None
    for new in found:
        if held is not None and continues(held, new, merge):
            held.end += new[1] - new[0]
            continue
        if held is not None:
            yield held
        held = Run(*new)
    if held is not None:
        yield held


def blocks(
    machine: Machine, root: int, merge: bool, follow: Bounded, cpu: int | None = None
) -> Iterator[Run | RunBlock]:
    """`runs` of a whole tree, of which those that were told before may come as blocks."""
    held: Run | None = None
    pending: tuple[int, JoinedBlock] | None = None  # its last run may go on
    known: dict[int, JoinedBlock] = {}  # by identity of the runs, which are held in it
    for one in page_blocks(machine.k, machine.format, root, follow, cpu):
        inner = None
        if isinstance(one, Block):
            inner = known.get(id(one.runs))
            if inner is None:
                if len(known) >= MOST_JOINED:
                    known.clear()
                inner = known[id(one.runs)] = JoinedBlock(one.runs, merge)
            news = [moved(run, one.base) for run in inner.whole[:1]]
        else:
            news = [one]
        if pending is not None:
            base, before = pending
            pending, last = None, moved(before.whole[-1], base)
            held = Run(*last) if last[1] == news[0][0] else None
            yield RunBlock(base, before.whole if held is None else before.but_last)
        if isinstance(one, Block) and inner is not None:
            if inner.but_last and not (held is not None and continues(held, news[0], merge)):
                if held is not None:
                    yield held
                held, pending = None, (one.base, inner)
                continue
            news = [moved(run, one.base) for run in inner.whole]
        for new in news:
            if held is not None and continues(held, new, merge):
                held.end += new[1] - new[0]
                continue
            if held is not None:
                yield held
            held = Run(*new)
    if pending is not None:
        yield RunBlock(pending[0], pending[1].whole)
    if held is not None:
        yield held


class JoinedBlock:
    """The runs of a block, joined: all, and all but the last.  `told` is held for its identity."""

    __slots__ = ("but_last", "told", "whole")

    def __init__(self, told: list[PageRun], merge: bool) -> None:
        self.told, self.whole = told, list(joined_runs(told, merge))
        self.but_last = self.whole[:-1]


def moved(run: Run, by: int) -> PageRun:
    """A run at other addresses."""
    return run.start + by, run.end + by, run.pa, run.page_size, run.rights, run.like


def continues(held: Run, new: PageRun, merge: bool) -> bool:
    """Does a run belong to the one before it?"""
    start, _, pa, page_size, rights, like = new
    if held.end & WORD_MASK != start or held.rights != rights or held.like != like:
        return False
    if merge or like is not None:
        return True
    return held.page_size == page_size and held.pa + held.end - held.start == pa


def pages(machine: Machine, root: int, start: int | None, end: int | None) -> Iterator[Run]:
    """Each mapped page as a run of one; a table is read for every entry that points to it."""
    for first, past, pa, size, rights, _ in page_runs(machine.k, machine.format, root, start, end):
        for va in range(first, past, size):
            yield Run(va, va + size, pa + va - first, size, rights)


def named_runs(machine: Machine, root: int, pid: int | None, **how: Any) -> Iterator[tuple[Run, str]]:
    """`runs` of what users may use, each with the kind of its region; of everything without a process, with
    the first symbol in each, if symbols were read.  `how` as for `runs`."""
    if pid is None:
        symbols = machine.symbols
        for run in runs(machine, root, **how):
            yield run, symbols.first_in(run.start, run.end) if symbols is not None else ""
        return
    for space in spaces(machine, pid):
        for run in runs(machine, root, **{**how, "start": space.start, "end": space.end}):
            yield run, space.kind


def kernel_runs(machine: Machine, root: int, **how: Any) -> Iterator[Run]:
    """What of a tree the kernel alone may use.  `how` as for `runs`."""
    return (run for run in runs(machine, root, **how) if not run.rights & RIGHT_U)


def map_notes(machine: Machine, root: int, pid: int) -> Iterator[str]:
    """A line about each region that maps an object, and one about the kernel's part, if there is one."""
    show = Notation(machine.format)
    for space in spaces(machine, pid):
        if space.backing != ZEROS:
            yield f"{show.va(space.start & WORD_MASK)}: {space.backing}"
    found = list(kernel_runs(machine, root))
    if not found:
        return
    sizes = sorted({run.page_size for run in found}, reverse=True)
    rights = sorted({rights_text(run.rights) for run in found})
    total = format_size(sum(run.end - run.start for run in found))
    pages = ", ".join(format_size(size) for size in sizes)
    yield f'kernel half, the same in all: {total} direct map, {", ".join(rights)}, {pages} pages ("map -k")'


def page_number(machine: Machine, va: int) -> int:
    """The virtual page number of an address, in base pages."""
    form = machine.format
    return (va & WORD_MASK & ((1 << form.va_bits) - 1)) >> form.page_bits
