"""A walk as a value: its steps, what their entries say, and what the CPU may do with the page it ends at."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.formats.contract import (
    ACCESS_LETTERS,
    BARE_ROOT,
    ENTRY_BOUND,
    ENTRY_BUS,
    ENTRY_EMPTY,
    ENTRY_LEAF,
    ENTRY_RESERVED,
    ENTRY_SWAPPED,
    ENTRY_TABLE,
    FAULT_KINDS,
    NAPOT_ENTRIES,
)
from vmdbg.hardware.page_tables import seen_by
from vmdbg.inspect.context import controls
from vmdbg.inspect.notation import Notation, rights_text
from vmdbg.kernel.calls import regions
from vmdbg.state.tables import (
    CONTROL_STEPS,
    CPU,
    CPU_ROOT,
    PATH,
    PATH_ADDRESS,
    PATH_ENTRY,
    PATH_INDEX,
    PATH_KIND,
    PATH_RIGHTS,
    PATH_TABLE,
)
from vmdbg.units import WORD_MASK, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    from vmdbg.formats.record import Field, Format, Register
    from vmdbg.inspect.context import Context
    from vmdbg.machine.machine import Machine

READ, WRITE, FETCH = 0, 1, 2
ACCESSES = {"r": READ, "w": WRITE, "x": FETCH}
ACCESS_WORDS: tuple[Literal["read", "write", "fetch"], ...] = ("read", "write", "fetch")


class Step:
    """One entry that a walk read.  `entry` is unsigned; `rights` are those so far, a nibble."""

    __slots__ = ("address", "depth", "entry", "form", "index", "kind", "rights", "table")

    def __init__(
        self,
        form: Format,
        depth: int,
        table: int,
        index: int,
        address: int,
        entry: int,
        kind: int,
        rights: int,
    ) -> None:
        self.form, self.depth, self.table, self.index = form, depth, table, index
        self.address, self.entry, self.kind, self.rights = address, entry & WORD_MASK, kind, rights

    @property
    def level(self) -> str:
        """The manual's name of its level."""
        return self.form.levels[self.depth].name

    @property
    def flags(self) -> list[str]:
        """Names of the flags that are set in the entry."""
        if self.kind in (ENTRY_EMPTY, ENTRY_SWAPPED, ENTRY_BUS):
            return []
        return self.form.flags(self.entry, where(self.form, self.depth, self.kind), self.depth)

    @property
    def name(self) -> str:
        """`PT[12]`."""
        return f"{self.level}[{self.index}]"

    @property
    def outside(self) -> bool:
        """Is the entry outside every bank of memory, so that there is nothing to read?"""
        return self.kind == ENTRY_BUS


class Fault:
    """A fault as a value.  `level` None: no entry decided it; `slot` 0: none; `blank`: that entry is not
    one that is not zero and yet not valid."""

    __slots__ = ("blank", "code", "index", "kind", "level", "number", "reason", "slot")

    def __init__(
        self,
        number: int,
        reason: str,
        code: int,
        level: str | None = None,
        index: int | None = None,
        slot: int = 0,
    ) -> None:
        self.number, self.kind, self.reason, self.code = number, FAULT_KINDS[number], reason, code
        self.level, self.index, self.slot = level, index, slot
        self.blank = True

    def data(self) -> dict[str, Any]:
        """What JSON shows."""
        return {
            "kind": self.kind,
            "level": self.level,
            "index": self.index,
            "code": self.code,
            "slot": self.slot or None,
            "reason": self.reason,
        }


class Walk:
    """What the tables say about an address, whoever may use it.

    `begun`: the level of the entry, kept in a page-walk cache, that the walk began at; empty for the root.
    `rows`: the numbers of the table `path` from the row `first` on.  `cpu`: whose registers were asked, None
    for those of the CPU in use.
    """

    __slots__ = ("_steps", "begun", "cpu", "first", "form", "kind", "root", "rows", "va")

    def __init__(
        self, form: Format, va: int, root: int, kind: int, rows: list[int], first: int = 0, begun: str = ""
    ) -> None:
        self.form, self.va, self.root, self.kind = form, va, root, kind
        self.rows, self.first, self.begun = rows, first, begun
        self._steps: list[Step] | None = None
        self.cpu: int | None = None

    @property
    def steps(self) -> list[Step]:
        """The entries that were read, the first one first."""
        if self._steps is None:
            self._steps = [self.step(place) for place in range(len(self.rows) // PATH)]
        return self._steps

    def step(self, place: int) -> Step:
        """One of the entries, counted from the first that was read."""
        row = self.rows[place * PATH : place * PATH + PATH]
        return Step(
            self.form,
            self.first + place,
            row[PATH_TABLE],
            row[PATH_INDEX],
            row[PATH_ADDRESS],
            row[PATH_ENTRY],
            row[PATH_KIND],
            row[PATH_RIGHTS],
        )

    @property
    def rights(self) -> int:
        """What all entries that were read give, a nibble."""
        return self.rows[len(self.rows) - PATH + PATH_RIGHTS]

    @property
    def last(self) -> Step:
        """The entry at which it ended.  UserError if the machine has no tables."""
        if not self.rows:
            raise UserError("Base and bounds: there are no entries.")
        return self.steps[-1]

    @property
    def maps(self) -> bool:
        """Does it end in a page?"""
        return self.kind in (ENTRY_LEAF, ENTRY_TABLE)


class Outcome:
    """Where an access goes.  `fault` None: to physical address `pa`, by `via` (`L1`, `L2`, `walk`).

    `walk_cache` is the level of the entry of a page-walk cache that the walk began at, else empty.
    `stale` says how the cached entry that was used disagrees with the tables, empty if it does not;
    `region` is the kind of the region, None where no process is asked, empty where there is none;
    `segment`: the number of the segment that leads there, None where there are none.  `by_machine`: machine
    mode makes the access, so that a fault is told to it.
    """

    __slots__ = (
        "access", "by_machine", "cached", "fault", "mode", "pa", "page_size", "page_start", "pid", "region",
        "rights", "segment", "stale", "va", "via", "walk_cache",
    )  # fmt: skip

    def __init__(self, va: int, pid: int | None, access: int, mode: int) -> None:
        self.va, self.pid, self.access, self.mode = va & WORD_MASK, pid, access, mode
        self.pa: int | None = None
        self.page_size = 0
        self.rights = 0
        self.via, self.walk_cache = "walk", ""
        self.stale = ""
        self.cached = self.by_machine = False
        self.fault: Fault | None = None
        self.region: str | None = None
        self.segment: int | None = None

    def data(self) -> dict[str, Any]:
        """What JSON shows."""
        gone = self.fault is not None
        return {
            "va": self.va,
            "pid": self.pid,
            "access": ACCESS_LETTERS[self.access],
            "mode": ("user", "kernel")[self.mode],
            "outcome": "fault" if gone else "translated",
            "pa": self.pa,
            "page_size": self.page_size or None,
            "rights": rights_text(self.rights),
            "via": self.via,
            "walk_cache": self.walk_cache or None,
            "stale": bool(self.stale),
            "slot": (self.fault.slot or None) if self.fault else None,
            "region": self.region or None,
            "fault": self.fault.data() if self.fault else None,
        }


def walk_tables(machine: Machine, root: int, va: int, cpu: int | None = None, reserves: bool = True) -> Walk:
    """Read the tables for an address, canonical or not, as the control registers of a CPU want it.

    `cpu` None, or not `reserves`: bits that registers reserve are let pass.
    """
    k, m, form = machine.k, machine.m, machine.format
    if machine.bindings["BARE"] and root == BARE_ROOT:
        bare = cpu is None or m.cpu[cpu * CPU + CPU_ROOT] == BARE_ROOT
        why = f"${form.root_fields[0].name} is 0 (Bare)" if bare else "Machine mode does not translate"
        raise UserError(f"{why}: virtual addresses are physical ones.")
    kind = k.walk(m, root, s64(va)) if cpu is None else seen_by(k, cpu, k.walk, root, s64(va))
    if cpu is not None and reserves and k.reserves(m, cpu):
        kind = k.recheck(m, cpu, k.walk_began(m), kind)
    first = k.walk_began(m)
    without = form.bounded or kind == ENTRY_BOUND
    found = Walk(form, va & WORD_MASK, root, kind, [] if without else rows_read(machine, first), first)
    found.cpu = cpu
    return found


def rows_read(machine: Machine, first: int) -> list[int]:
    """The rows of `path` of the last walk, from one at a depth on."""
    m = machine.m
    rows: list[int] = m.path[first * PATH : m.control[CONTROL_STEPS] * PATH].tolist()
    return rows


def where(form: Format, depth: int, kind: int) -> str:
    """Which fields an entry has: the letter of `formats.record.Field`."""
    if kind == ENTRY_TABLE:
        return "t"
    if kind == ENTRY_SWAPPED:
        return "s"
    return "l" if depth == len(form.levels) - 1 else "h"


def remark(machine: Machine, step: Step) -> str:
    """What stands in the flags column: flags, `empty`, `not valid`, `slot 1`."""
    if step.kind == ENTRY_EMPTY:
        return "not valid" if step.entry else "empty"
    if step.kind == ENTRY_SWAPPED:
        return f"slot {machine.k.swapped_slot(s64(step.entry))}"
    if step.kind == ENTRY_BUS:
        return "outside memory"
    return " ".join([*step.flags, "(reserved)"] if step.kind == ENTRY_RESERVED else step.flags)


def reserving(machine: Machine, step: Step, cpu: int) -> tuple[Register, Field] | None:
    """The control register that reserves a field of an entry which has it set, and the field."""
    control, fields = controls(machine, cpu), machine.format.fields
    for register in machine.format.registers:
        field = next((field for field in fields if field.name == register.reserves), None)
        if field is not None and field.get(step.entry) and not control[register.word] >> register.low & 1:
            return register, field
    return None


def why_absent(machine: Machine, step: Step, cpu: int) -> tuple[str, int]:
    """Why an entry maps nothing for a CPU, in words, and the slot that it keeps or 0."""
    if step.kind == ENTRY_EMPTY:
        return f"{step.name} is {invalid_text(machine, step.entry)}", 0
    if step.kind == ENTRY_SWAPPED:
        slot = int(machine.k.swapped_slot(s64(step.entry)))
        return f"{step.name} holds slot {slot}", slot
    if step.kind == ENTRY_RESERVED:
        by = reserving(machine, step, cpu)
        if by is not None:
            return f"{step.name} has {by[1].name} = 1 with {by[0].name} = 0", 0
        return f"{step.name} has a reserved bit set", 0
    return f"{step.name} lies outside memory", 0


def invalid_text(machine: Machine, entry: int) -> str:
    """An entry that maps nothing and keeps no slot: `empty`, or `not valid (0x7f)` if it is not zero."""
    return f"not valid ({Notation(machine.format).entry(entry)})" if entry else "empty"


def page_of(machine: Machine, walk: Walk) -> tuple[int, int]:
    """Physical address of the page that a walk found, and its size."""
    if machine.format.bounded:
        return walk.root, machine.format.page_size
    row = len(walk.rows) - PATH
    depth, entry = walk.first + row // PATH, walk.rows[row + PATH_ENTRY]
    size = 1 << machine.format.levels[depth].shift
    if entry & machine.bindings["NAPOT"]:
        size *= NAPOT_ENTRIES
    return int(machine.k.leaf_frame(entry, depth)), size


def allows(machine: Machine, context: Context, access: int, rights: int) -> bool:
    """May the CPU make this access on a page with these rights?"""
    sets = machine.format.allowed(controls(machine, context.cpu), context.mode)
    return bool(sets[access] >> rights & 1)


def key_of(machine: Machine, entry: int) -> int:
    """The protection key of a leaf; 0 where the format has none."""
    field = machine.format.role("key")
    return field.get(entry) if field is not None else 0


def refusal(machine: Machine, context: Context, access: int, rights: int, key: int) -> int:
    """The fault of an access by a CPU to a page with these rights and this protection key, or FAULT_NONE."""
    return machine.format.refusal(controls(machine, context.cpu), context.mode, access, rights, key)


def lacking(machine: Machine, control: list[int], access: int, entry: int) -> Field | None:
    """The field, A or D, that a CPU with these control registers wants in a leaf and does not set itself."""
    form, k = machine.format, machine.k
    kept = 0 if form.software_walk else form.kernel_ad(control)
    if kept & 1 and not k.is_accessed(s64(entry)):
        return form.role("accessed")
    if kept & 2 and access == WRITE and not k.is_dirty(s64(entry)):
        return form.role("dirty")
    return None


def region_kind(machine: Machine, pid: int | None, va: int) -> str | None:
    """The kind of the region of an address; empty if there is none, None if no process is asked."""
    if pid is None:
        return None
    region = machine.k.region_find(machine.m, pid, s64(va))
    return regions.region_kind(machine.k, region) if region else ""


def linux_names(form: Format) -> list[str]:
    """Linux's five levels; a dash before those that a format lacks."""
    own = [level.linux for level in form.levels]
    return [name if name in own else f"-{name}" for name in ("pgd", "p4d", "pud", "pmd", "pte")]


def byte_at(machine: Machine, pa: int) -> int:
    """A byte of physical memory; 255 outside every bank."""
    return int(machine.k.load(machine.m, pa, 1)) & 255
