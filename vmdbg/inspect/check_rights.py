"""Rights that a kernel should not give: what a tree of page tables lets somebody do, and what is wrong with
it."""

from __future__ import annotations

from bisect import bisect_left

from vmdbg.formats.contract import (
    ENTRY_LEAF,
    ENTRY_RESERVED,
    ENTRY_TABLE,
    RIGHT_U,
    RIGHT_W,
    RIGHT_X,
)
from vmdbg.hardware.page_tables import Bounded, entries
from vmdbg.inspect.address_space import Run, continues
from vmdbg.inspect.context import controls
from vmdbg.inspect.notation import rights_text
from vmdbg.inspect.page_tables import check_tables
from vmdbg.inspect.walk import Step
from vmdbg.inspect.why import suspects
from vmdbg.units import WORD_MASK, format_size, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.hardware.page_tables import Entry
    from vmdbg.machine.machine import Machine

#: What is looked for, in the order in which it is shown.
RULES = {
    "writable-executable": "writable and executable",
    "user-kernel": "user can reach kernel",
    "aliases": "one frame W here, X there",
    "reserved": "reserved bits set",
    "outside": "table outside memory",
    "user-tables": "tables that users can write",
    "null": "null page mapped",
}


class Finding:
    """`rule` is a key of RULES; `start` to `end` are addresses, or None for an entry that maps nothing;
    `address` is where the entry is; `other` the second address of an alias; `text` says the rest."""

    __slots__ = ("address", "end", "other", "pa", "rights", "rule", "start", "text")

    def __init__(self, rule: str, text: str, run: Run | None = None, address: int | None = None) -> None:
        self.rule, self.text, self.address = rule, text, address
        self.start = None if run is None else run.start
        self.end = None if run is None else run.end & WORD_MASK
        self.pa = None if run is None else run.pa
        self.rights = None if run is None else rights_text(run.rights)
        self.other: int | None = None

    def data(self) -> dict[str, Any]:
        """What JSON shows."""
        return {name: getattr(self, name) for name in sorted(self.__slots__)}


class Survey:
    """One reading of a tree: its pages as runs, each with the entry of the first; its tables; bad entries."""

    def __init__(self, machine: Machine, root: int, cpu: int) -> None:
        self.machine, self.root, self.cpu = machine, root, cpu
        self.runs: list[tuple[Run, Entry]] = []
        self.tables = {root & machine.format.root_mask: 0}
        self.bad: list[Entry] = []
        self.follow = Bounded()
        self.executes = executes_more(machine, cpu)
        self.read()

    def read(self) -> None:
        """Read every entry."""
        machine, form = self.machine, self.machine.format
        sizes = [1 << level.shift for level in form.levels]
        for found in entries(machine.k, form, self.root, follow=self.follow):
            if found.kind == ENTRY_LEAF:
                va, size = found.va & WORD_MASK, sizes[found.depth]
                rights = found.rights | (RIGHT_X if self.executes else 0)
                run = va, va + size, found.target, size, rights, None
                if self.runs and continues(self.runs[-1][0], run, merge=False):
                    self.runs[-1][0].end += size
                else:
                    self.runs.append((Run(*run), found))
            elif found.kind == ENTRY_RESERVED:
                self.bad.append(found)
            elif found.kind == ENTRY_TABLE:
                size = form.table_bytes(found.depth + 1)
                if machine.k.ram_offset(machine.m, found.target, size) < 0:
                    self.bad.append(found)
                else:
                    self.tables.setdefault(found.target, found.depth + 1)


def check_rights(machine: Machine, root: int, cpu: int) -> Iterator[Finding]:
    """What a tree of page tables gives that it should not, as a CPU with these control registers sees it.

    UserError for base and bounds.
    """
    check_tables(machine)
    survey = Survey(machine, root, cpu)
    for check in (both, reachable, aliased, reserved, user_tables, null_page):
        yield from check(survey)


def executes_more(machine: Machine, cpu: int) -> bool:
    """Does the CPU execute pages whose entries do not grant it (x86: EFER.NXE = 0)?"""
    sets = machine.format.allowed(controls(machine, cpu), 1)
    plain = RIGHT_W | 1
    return bool(sets[2] >> plain & 1)


def name_of(survey: Survey, found: Entry) -> str:
    """`PD[0] 0x4000`."""
    return f"{survey.machine.format.levels[found.depth].name}[{found.index}] {found.address:#x}"


def joined_runs(survey: Survey, rights: int, same: int) -> Iterator[tuple[Run, Entry]]:
    """Runs that have all of the bits `same` of their rights as in `rights`, joined while addresses go on."""
    held: tuple[Run, Entry] | None = None
    for run, found in survey.runs:
        if run.rights & same != rights:
            continue
        if held is not None and held[0].end & WORD_MASK == run.start and held[0].rights == run.rights:
            held[0].end += run.end - run.start
            continue
        if held is not None:
            yield held
        held = Run(run.start, run.end, run.pa, run.page_size, run.rights), found
    if held is not None:
        yield held


def both(survey: Survey) -> Iterator[Finding]:
    """Pages that can be written and executed."""
    wx = RIGHT_W | RIGHT_X
    for run, found in joined_runs(survey, wx, wx):
        yield Finding("writable-executable", name_of(survey, found), run, found.address)


def reachable(survey: Survey) -> Iterator[Finding]:
    """Pages of the kernel's half that users may access."""
    form = survey.machine.format
    if form.kernel_base is None:
        return
    for run, found in joined_runs(survey, RIGHT_U, RIGHT_U):
        if run.start >= form.user_end and found.va & WORD_MASK >= form.user_end:
            yield Finding("user-kernel", name_of(survey, found), run, found.address)


def aliased(survey: Survey) -> Iterator[Finding]:
    """Frames that one address may write, and another execute; those of the first rule are not said again."""
    writable = [(run.pa, run) for run, _ in survey.runs if run.rights & (RIGHT_W | RIGHT_X) == RIGHT_W]
    writable.sort(key=lambda pair: pair[0])
    starts = [pa for pa, _ in writable]
    longest = max((run.end - run.start for _, run in writable), default=0)
    for run, found in survey.runs:
        if run.rights & (RIGHT_W | RIGHT_X) != RIGHT_X:
            continue
        low, high = run.pa, run.pa + run.end - run.start
        for pa, other in writable[bisect_left(starts, low - longest) : bisect_left(starts, high)]:
            start, end = max(low, pa), min(high, pa + other.end - other.start)
            if start >= end:
                continue
            here = Run(run.start + start - low, run.start + end - low, start, run.page_size, run.rights)
            there = other.start + start - pa
            finding = Finding(
                "aliases",
                f"frame {start >> survey.machine.format.page_bits:#x}: "
                f"{there:#x} {rights_text(other.rights)}, {here.start:#x} {rights_text(run.rights)}",
                here,
                found.address,
            )
            finding.other = there
            yield finding


def reserved(survey: Survey) -> Iterator[Finding]:
    """Entries with reserved bits, and those that point outside memory."""
    machine = survey.machine
    for found in survey.bad:
        if found.kind == ENTRY_TABLE:
            text = f"{name_of(survey, found)}: table at {found.target:#x}"
            yield Finding("outside", text, None, found.address)
        else:
            yield Finding(
                "reserved", f"{name_of(survey, found)}: {reserved_text(machine, found)}", None, found.address
            )


def reserved_text(machine: Machine, found: Entry) -> str:
    """Which bits are to blame: `bit 13 of a 2 MiB entry`."""
    form = machine.format
    step = Step(
        form, found.depth, found.table, found.index, found.address, found.entry & WORD_MASK, found.kind, 0
    )
    size = format_size(1 << form.levels[found.depth].shift)
    for name, mask in suspects(machine, step):
        if machine.k.classify(s64(step.entry ^ mask), found.depth) <= ENTRY_LEAF:
            return f"{name} of a {size} entry"
    return f"several bits of a {size} entry"


def user_tables(survey: Survey) -> Iterator[Finding]:
    """Page tables in frames that users may write."""
    form = survey.machine.format
    tables = sorted(survey.tables)
    for run, found in survey.runs:
        if run.rights & (RIGHT_U | RIGHT_W) != RIGHT_U | RIGHT_W:
            continue
        length = run.end - run.start
        for table in tables[bisect_left(tables, run.pa) : bisect_left(tables, run.pa + length)]:
            va = run.start + table - run.pa
            here = Run(va, va + form.page_size, table, run.page_size, run.rights)
            level = form.levels[survey.tables[table]].name
            yield Finding("user-tables", f"{level} at {table:#x}", here, found.address)


def null_page(survey: Survey) -> Iterator[Finding]:
    """The page at address 0."""
    if survey.runs and survey.runs[0][0].start == 0:
        run, found = survey.runs[0]
        here = Run(0, min(run.end, survey.machine.format.page_size), run.pa, run.page_size, run.rights)
        yield Finding("null", name_of(survey, found), here, found.address)
