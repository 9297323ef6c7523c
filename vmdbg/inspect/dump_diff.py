"""What two states of a real computer differ in: registers, and what the page tables map."""

from __future__ import annotations

from vmdbg import progress
from vmdbg.errors import UserError
from vmdbg.hardware.page_tables import Bounded, entries
from vmdbg.inspect.address_space import runs
from vmdbg.inspect.context import find_context
from vmdbg.inspect.notation import Notation, rights_text
from vmdbg.state.tables import CPU, CPU_ROOT
from vmdbg.units import WORD_MASK, format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vmdbg.dumps.machine import DumpMachine
    from vmdbg.hardware.page_tables import Entry
    from vmdbg.inspect.address_space import Run

    Row = tuple[str, str, str | None, str | None]


def read_tables(machine: DumpMachine) -> None:
    """Read every page table of every CPU, once, so that memory that is read when it is looked at has them."""
    k, m, form = machine.k, machine.m, machine.format
    last = len(form.levels) - 1

    def follow(found: Entry) -> bool:
        if found.depth + 1 < last:
            return not found.seen
        k.ram_offset(m, found.target, form.table_bytes(last))
        return False

    with progress.task("Reading page tables", "entries") as task:
        roots = {int(m.cpu[row + CPU_ROOT]) for row in range(0, len(m.cpu), CPU)}
        for root in roots if machine.rooted else roots - {0}:  # 0: paging is off
            for count, _ in enumerate(entries(k, form, root, follow=follow)):
                task.at(count)


def same_register(name: str, others: Mapping[str, int]) -> str:
    """The name of a register among others: eax for rax, or the other way, where only that one is there."""
    other = {"r": "e", "e": "r"}.get(name[:1], "") + name[1:]
    return other if name not in others and other in others else name


def dump_changes(before: DumpMachine, after: DumpMachine) -> Iterator[Row]:
    """A row for each register that changed, and for each range of addresses that is mapped otherwise: sort,
    what, before, after (None: not there).  Where one is in another mode, eax is taken for the lower half of
    rax."""
    if before.format.name != after.format.name:
        yield "machine", "format", before.format.name, after.format.name
    for number, (old, new) in enumerate(zip(before.saved_registers, after.saved_registers, strict=False)):
        old = {same_register(name, new): value for name, value in old.items()}
        for name, value in new.items():
            if name in old and old[name] != value:
                yield "cpu", f"{number}: {name}", f"{old[name]:#x}", f"{value:#x}"
    show = Notation(after.format)
    for start, end, was, now in mapped_otherwise(before, after):
        what = f"{show.va(start)}..{show.va(end & WORD_MASK)} ({format_size(end - start)})"
        yield "map", what, said(show, was, start), said(show, now, start)


def said(show: Notation, run: Run | None, start: int) -> str | None:
    """`0x101000, 4 KiB, r-xk`: where an address of a run leads."""
    if run is None:
        return None
    return f"{show.pa(run.pa + start - run.start)}, {format_size(run.page_size)}, {rights_text(run.rights)}"


def mapped(machine: DumpMachine) -> Iterator[Run]:
    """The runs of the first CPU's tables; none if it has no tables."""
    try:
        root = find_context(machine, cpu=0).root
    except UserError:
        return
    yield from runs(machine, root, follow=Bounded())


def mapped_otherwise(
    before: DumpMachine, after: DumpMachine
) -> Iterator[tuple[int, int, Run | None, Run | None]]:
    """Ranges of addresses (the end not included), with the run that each was in before and is in now.

    Both are read side by side, so that nothing of them is held.
    """
    old, new = mapped(before), mapped(after)
    was, now = next(old, None), next(new, None)
    at = 0
    while was is not None or now is not None:
        while was is not None and was.end <= at:
            was = next(old, None)
        while now is not None and now.end <= at:
            now = next(new, None)
        at = max(at, min((run.start for run in (was, now) if run is not None), default=at))
        here = [run if run is not None and run.start <= at else None for run in (was, now)]
        edges = [run.end if run.start <= at else run.start for run in (was, now) if run is not None]
        if not edges:
            return
        end = min(edges)
        if not alike(here[0], here[1]):
            yield at, end, here[0], here[1]
        at = end


def alike(one: Run | None, other: Run | None) -> bool:
    """Do two runs say the same of an address that both have?"""
    if one is None or other is None:
        return one is other
    return (one.pa - one.start, one.rights, one.page_size) == (
        other.pa - other.start, other.rights, other.page_size,
    )  # fmt: skip
