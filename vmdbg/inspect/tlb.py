"""The TLB as rows, the look-up of one address step by step, and every entry against a fresh walk."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.hardware.page_tables import seen_by
from vmdbg.hardware.tlb import (
    ASID_MASK,
    KEY_ASID,
    KEY_SIZE,
    KEY_TAG,
    WORD_DIRTY,
    WORD_GLOBAL,
    WORD_PFN,
)
from vmdbg.inspect.context import check_asid, check_cpu, is_alive, shown_asid
from vmdbg.inspect.stale import disagreement, table_disagreement
from vmdbg.inspect.tlb_rows import array_names, first_arrays
from vmdbg.inspect.walk import READ, walk_tables
from vmdbg.kernel.shootdown import owed_since
from vmdbg.state.tables import (
    ARRAY,
    ARRAY_DATA,
    ARRAY_DEPTH,
    ARRAY_FETCHES,
    ARRAY_LEVEL,
    ARRAY_MASK,
    ARRAY_PRESENT,
    ARRAY_SIZES,
    ARRAY_SPAN,
    CPU,
    CPU_ASID,
    CPU_PID,
    CPU_ROOT,
    PROCESS,
    PROCESS_ASID,
    PROCESS_ROOT,
    TLB,
    TLB_KEY,
    TLB_WORD,
)
from vmdbg.units import WORD_MASK, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.inspect.context import Context
    from vmdbg.machine.machine import Machine

OK, WRONG_ASID = "ok", "wrong-asid"


class Cached:
    """One TLB entry.  `asid` None: global.  `check` is `ok` or how it disagrees with the tables, `reason`
    the same as a sentence; `owed` is the operation since which its CPU owes to drop it, or None; `vpn` and
    `pfn` count base pages."""

    __slots__ = (
        "array", "asid", "check", "cpu", "dirty", "level", "owed", "page_size", "pfn", "reason", "rights",
        "set", "sets", "va", "vpn", "way",
    )  # fmt: skip

    def __init__(self, cpu: int, array: str, level: int, index: int, way: int) -> None:
        self.cpu, self.array, self.level, self.set, self.way = cpu, array, level, index, way
        self.sets = 1
        self.asid: int | None = None
        self.owed: int | None = None
        self.va = self.vpn = self.pfn = self.page_size = self.rights = 0
        self.dirty = False
        self.check = self.reason = ""

    @property
    def flags(self) -> str:
        """`D`, `G`, `D G` or `-`."""
        return " ".join([*("D" if self.dirty else ""), *("G" if self.asid is None else "")]) or "-"


def cached_entries(
    machine: Machine,
    level: int | None = None,
    cpu: int | None = None,
    asid: int | None = None,
    walk: bool = False,
) -> Iterator[Cached]:
    """Every entry of every array, checked; of one level, CPU or address space where asked.

    With `walk` those of the page-walk caches: their level is 0, and what they hold are tables.  UserError
    if there is no such level, CPU or number.
    """
    if level not in (None, 1, 2):
        raise UserError(f"No TLB level {level}: expected 1 or 2.")
    if cpu is not None:
        check_cpu(machine, cpu)
    if asid is not None:
        asid = check_asid(asid)
    return every_entry(machine, level, cpu, asid, walk)


def every_entry(
    machine: Machine, level: int | None, cpu: int | None, asid: int | None, walk: bool
) -> Iterator[Cached]:
    """`cached_entries`, of numbers that were checked."""
    m = machine.m
    spaces = roots_by_asid(machine)
    names = array_names(machine)
    arrays = [(index * ARRAY, name) for index, name in enumerate(names)]
    if walk:
        first = len(names) * ARRAY
        levels = machine.format.levels
        arrays = [(at, levels[m.array[at + ARRAY_DEPTH]].name) for at in walk_arrays(machine, first)]
    for number in range(len(m.cpu) // CPU):
        if cpu is not None and number != cpu:
            continue
        for array, name in arrays:
            if level is not None and m.array[array + ARRAY_LEVEL] != level:
                continue
            base, span = machine.k.array_base(m, array, number), m.array[array + ARRAY_SPAN]
            for row in range(base, base + (m.array[array + ARRAY_MASK] + 1) * span, TLB):
                key, word = m.tlb[row + TLB_KEY], m.tlb[row + TLB_WORD]
                space = (key >> KEY_ASID) & ASID_MASK
                if key < 0 or (asid is not None and space not in (0, asid)):
                    continue
                index, way = divmod(row - base, span)
                found = Cached(number, name, m.array[array + ARRAY_LEVEL], index, way // TLB)
                found.sets = m.array[array + ARRAY_MASK] + 1
                fill(machine, found, key, word)
                if walk:
                    found.check, found.reason = check_table(machine, found, array, word, spaces)
                else:
                    found.check, found.reason = check(machine, found, key, word, spaces)
                yield found


def walk_arrays(machine: Machine, first: int) -> range:
    """The page-walk caches, as rows of the table of arrays; `first` is where they begin."""
    return range(first, first + machine.bindings["WALK_CACHES"] * ARRAY, ARRAY)


def fill(machine: Machine, found: Cached, key: int, word: int) -> None:
    """Say what a row of the TLB holds."""
    form, space = machine.format, (key >> KEY_ASID) & ASID_MASK
    shift = form.page_shifts[min(key & KEY_SIZE, len(form.page_shifts) - 1)]
    found.va = form.signed((key >> KEY_TAG) << shift) & WORD_MASK
    found.vpn = (key >> KEY_TAG) << (shift - form.page_bits)
    found.page_size, found.pfn = 1 << shift, word >> WORD_PFN
    found.rights, found.dirty = word & machine.bindings["RIGHTS"], found.level > 0 and bool(word & WORD_DIRTY)
    found.asid = None if space == 0 or word & WORD_GLOBAL else shown_asid(space)
    found.owed = owed_since(machine.m, found.cpu, key, shift - form.page_bits if found.level else None)


def roots_by_asid(machine: Machine) -> dict[tuple[int, int], int]:
    """The root tables by (CPU, address-space number); what a CPU runs now is by its own register."""
    m = machine.m
    found: dict[tuple[int, int], int] = {}
    for cpu in range(len(m.cpu) // CPU):
        for pid in range(1, len(m.process) // PROCESS):
            if is_alive(machine, pid) and machine.config["tlb.asids"]:
                key = (cpu, m.process[pid * PROCESS + PROCESS_ASID])
                found.setdefault(key, m.process[pid * PROCESS + PROCESS_ROOT])
        if m.cpu[cpu * CPU + CPU_PID] or not machine.config["machine.kernel"]:
            found[cpu, shown_asid(m.cpu[cpu * CPU + CPU_ASID])] = m.cpu[cpu * CPU + CPU_ROOT]
    return found


def check(
    machine: Machine, cached: Cached, key: int, word: int, spaces: dict[tuple[int, int], int]
) -> tuple[str, str]:
    """One entry against the tables of its address space."""
    root = root_of(machine, cached, spaces)
    if root is None:
        return WRONG_ASID, f"no process has asid {cached.asid}"
    walk = walk_tables(machine, root, cached.va, cached.cpu)
    kind, reason = disagreement(machine, walk, key, word, cached.va, cached.cpu)
    return kind or OK, reason


def root_of(machine: Machine, cached: Cached, spaces: dict[tuple[int, int], int]) -> int | None:
    """The root table of an entry's address space; None if no process has that."""
    if cached.asid is None:
        return int(machine.m.cpu[cached.cpu * CPU + CPU_ROOT])
    return spaces.get((cached.cpu, cached.asid))


def check_table(
    machine: Machine, cached: Cached, array: int, word: int, spaces: dict[tuple[int, int], int]
) -> tuple[str, str]:
    """One entry of a page-walk cache against the tables: the table, and the rights so far."""
    root = root_of(machine, cached, spaces)
    if root is None:
        return WRONG_ASID, f"no process has asid {cached.asid}"
    walk = walk_tables(machine, root, cached.va, cached.cpu)
    kind, reason = table_disagreement(machine, walk, machine.m.array[array + ARRAY_DEPTH], word)
    return kind or OK, reason


class Probe:
    """The look-up of an address in one array, for one page size: where it looks and what it finds.

    `way` -1: a miss.  `sets` 1: fully associative.  `level` 0: a page-walk cache.
    """

    __slots__ = ("array", "asid", "level", "page_number", "page_size", "set", "sets", "tag", "way", "ways")

    def __init__(self, array: str, sets: int, ways: int, page_number: int, page_size: int, asid: int) -> None:
        self.array, self.sets, self.ways, self.asid = array, sets, ways, shown_asid(asid)
        self.page_number, self.page_size = page_number, page_size
        self.set, self.tag = page_number % sets, page_number // sets
        self.way, self.level = -1, 1


def look_up(machine: Machine, context: Context, va: int, access: int | None) -> list[Probe]:
    """The look-ups that an access makes, up to the level of the first hit.

    None stands for any access: all of a split first level is asked, and what misses beside a hit left out.
    """
    if context.asid is None:
        return []
    firsts = sorted(first_arrays(machine, READ)) if access is None else [machine.k.first_array(access)]
    probes = [probe for array in firsts if array >= 0 for probe in look_in(machine, context, va, array)]
    hits = [probe for probe in probes if probe.way >= 0]
    if hits:
        return hits
    second = machine.bindings["SECOND"]
    probes += look_in(machine, context, va, second) if second >= 0 else []
    if any(probe.way >= 0 for probe in probes):
        return probes
    return probes + look_in_walk_caches(machine, context, va)


def look_in_walk_caches(machine: Machine, context: Context, va: int) -> list[Probe]:
    """The look-ups that a walk begins with: in the page-walk caches, the deepest level first, up to a hit."""
    m, probes = machine.m, list[Probe]()
    first = len(m.array) - machine.bindings["WALK_CACHES"] * ARRAY
    for array in range(len(m.array) - ARRAY, first - ARRAY, -ARRAY):
        probe = look_in_one(machine, context, va, array)
        probes.append(probe)
        if probe.way >= 0:
            break
    return probes


def look_in_one(machine: Machine, context: Context, va: int, array: int) -> Probe:
    """The look-up of an address in a page-walk cache."""
    k, m, form, depth = machine.k, machine.m, machine.format, machine.m.array[array + ARRAY_DEPTH]
    assert context.asid is not None
    sets, span = m.array[array + ARRAY_MASK] + 1, m.array[array + ARRAY_SPAN]
    shift = form.levels[depth].shift
    number = (va & ((1 << form.va_bits) - 1)) >> shift
    probe = Probe(f"{form.levels[depth].name} cache", sets, span // TLB, number, 1 << shift, context.asid)
    probe.level = 0
    known = seen_by(k, context.cpu, k.canonical, s64(va))
    row = k.tlb_find(m, array, context.cpu, s64(va), context.asid) if known else -1
    if row >= 0:
        probe.way = (row - k.array_base(m, array, context.cpu)) % span // TLB
    return probe


def look_in(machine: Machine, context: Context, va: int, array: int) -> list[Probe]:
    """The look-ups of an address in one array: for each page size that it may hold, or that which hits."""
    k, m, form = machine.k, machine.m, machine.format
    assert context.asid is not None
    probes: list[Probe] = []
    span, base = m.array[array + ARRAY_SPAN], k.array_base(m, array, context.cpu)
    row = k.tlb_find(m, array, context.cpu, s64(va), context.asid)
    held = m.array[array + ARRAY_PRESENT] | (m.array[array + ARRAY_SIZES] & 1)
    for size, shift in enumerate(form.page_shifts):
        hit = row >= 0 and m.tlb[row + TLB_KEY] & KEY_SIZE == size
        if not hit and not held >> size & 1:
            continue
        number = (va & ((1 << form.va_bits) - 1)) >> shift
        sets = m.array[array + ARRAY_MASK] + 1
        name = array_names(machine)[array // ARRAY]
        probe = Probe(name, sets, span // TLB, number, 1 << shift, context.asid)
        if hit:
            probe.way = (row - base) % span // TLB
            return [probe]
        probes.append(probe)
    return probes


def geometry(machine: Machine) -> list[tuple[str, int, int, bool, bool]]:
    """Name, sets, ways, serves fetches, serves data, of each array."""
    m = machine.m
    return [
        (
            name,
            m.array[index * ARRAY + ARRAY_MASK] + 1,
            m.array[index * ARRAY + ARRAY_SPAN] // TLB,
            bool(m.array[index * ARRAY + ARRAY_FETCHES]),
            bool(m.array[index * ARRAY + ARRAY_DATA]),
        )
        for index, name in enumerate(array_names(machine))
    ]


def page_sizes(machine: Machine) -> list[list[int]]:
    """The sizes of the pages, in bytes, of which each array may hold entries."""
    shifts = machine.format.page_shifts
    held = machine.m.array[ARRAY_SIZES::ARRAY]
    return [
        [1 << shift for index, shift in enumerate(shifts) if held[number] >> index & 1]
        for number in range(len(array_names(machine)))
    ]


def probe_data(va: int, probes: list[Probe]) -> dict[str, Any]:
    """Look-ups as JSON shows them; `via` is the level that hit, or None."""
    return {
        "va": va,
        "via": next((probe.array.rstrip("id") for probe in probes if probe.way >= 0 and probe.level), None),
        "probes": [
            {
                "array": probe.array,
                "set": probe.set,
                "sets": probe.sets,
                "tag": probe.tag,
                "page_size": probe.page_size,
                "asid": probe.asid,
                "way": probe.way if probe.way >= 0 else None,
                "ways": probe.ways,
                "hit": probe.way >= 0,
            }
            for probe in probes
        ],
    }
