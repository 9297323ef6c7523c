"""The TLB as rows, the look-up of one address step by step, and every entry against a fresh walk."""

from __future__ import annotations

from vmdbg.hardware.tlb import (
    ASID_MASK,
    KEY_ASID,
    KEY_SIZE,
    KEY_TAG,
    WORD_DIRTY,
    WORD_GLOBAL,
    WORD_PFN,
    WORD_RIGHTS,
)
from vmdbg.kernel.shootdown import owed_since
from vmdbg.state.tables import (
    ARRAY,
    ARRAY_DATA,
    ARRAY_FETCHES,
    ARRAY_LEVEL,
    ARRAY_MASK,
    ARRAY_PRESENT,
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
from vmdbg.targets.mapping import canonical_form
from vmdbg.targets.place import is_alive
from vmdbg.targets.translating import array_names, disagreement, walk_tables
from vmdbg.units import s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.machine.machine import Machine
    from vmdbg.targets.place import Place

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
    machine: Machine, level: int | None = None, cpu: int | None = None, asid: int | None = None
) -> Iterator[Cached]:
    """Every entry of every array, checked; of one level, CPU or address space where asked."""
    m, form = machine.m, machine.format
    names = array_names(machine)
    spaces = roots_by_asid(machine)
    for number in range(len(m.cpu) // CPU):
        if cpu is not None and number != cpu:
            continue
        for place, name in enumerate(names):
            array = place * ARRAY
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
                shift = form.page_shifts[min(key & KEY_SIZE, len(form.page_shifts) - 1)]
                found.va = canonical_form(machine, (key >> KEY_TAG) << shift)
                found.vpn = (key >> KEY_TAG) << (shift - form.page_bits)
                found.page_size, found.pfn = 1 << shift, word >> WORD_PFN
                found.rights, found.dirty = word & WORD_RIGHTS, bool(word & WORD_DIRTY)
                found.asid = None if space == 0 or word & WORD_GLOBAL else space
                found.check, found.reason = check(machine, found, key, word, spaces)
                found.owed = owed_since(m, number, key, shift - form.page_bits)
                yield found


def roots_by_asid(machine: Machine) -> dict[tuple[int, int], int]:
    """The root tables by (CPU, address-space number); what a CPU runs now is by its own register."""
    m = machine.m
    found: dict[tuple[int, int], int] = {}
    for cpu in range(len(m.cpu) // CPU):
        for pid in range(1, len(m.process) // PROCESS):
            if is_alive(machine, pid) and machine.config["tlb.asids"]:
                key = (cpu, m.process[pid * PROCESS + PROCESS_ASID])
                found.setdefault(key, m.process[pid * PROCESS + PROCESS_ROOT])
        if m.cpu[cpu * CPU + CPU_PID]:
            found[cpu, m.cpu[cpu * CPU + CPU_ASID]] = m.cpu[cpu * CPU + CPU_ROOT]
    return found


def check(
    machine: Machine, cached: Cached, key: int, word: int, spaces: dict[tuple[int, int], int]
) -> tuple[str, str]:
    """One entry against the tables of its address space."""
    m = machine.m
    if cached.asid is None:
        root = m.cpu[cached.cpu * CPU + CPU_ROOT]
    else:
        found = spaces.get((cached.cpu, cached.asid))
        if found is None:
            return WRONG_ASID, f"no process has asid {cached.asid}"
        root = found
    kind, reason = disagreement(machine, walk_tables(machine, root, cached.va), key, word, cached.va)
    return kind or OK, reason


class Probe:
    """The look-up of an address in one array, for one page size: where it looks and what it finds.

    `way` -1: a miss.  `sets` 1: fully associative.
    """

    __slots__ = ("array", "asid", "page_number", "page_size", "set", "sets", "tag", "way", "ways")

    def __init__(self, array: str, sets: int, ways: int, page_number: int, page_size: int, asid: int) -> None:
        self.array, self.sets, self.ways, self.asid = array, sets, ways, asid
        self.page_number, self.page_size = page_number, page_size
        self.set, self.tag = page_number % sets, page_number // sets
        self.way = -1


def look_up(machine: Machine, place: Place, va: int, access: int) -> list[Probe]:
    """The look-ups that an access makes, up to the first hit."""
    k, m, form = machine.k, machine.m, machine.format
    if place.asid is None:
        return []
    probes: list[Probe] = []
    names = array_names(machine)
    for array in (k.first_array(access), machine.bindings["SECOND"]):
        if array < 0:
            continue
        span = m.array[array + ARRAY_SPAN]
        base = k.array_base(m, array, place.cpu)
        row = k.tlb_find(m, array, place.cpu, s64(va), place.asid)
        for size, shift in enumerate(form.page_shifts):
            hit = row >= 0 and m.tlb[row + TLB_KEY] & KEY_SIZE == size
            if not hit and size and not m.array[array + ARRAY_PRESENT] >> size & 1:
                continue
            number = (va & ((1 << form.va_bits) - 1)) >> shift
            sets = m.array[array + ARRAY_MASK] + 1
            probe = Probe(names[array // ARRAY], sets, span // TLB, number, 1 << shift, place.asid)
            if hit:
                probe.way = (row - base) % span // TLB
                return [*probes, probe]
            if row < 0:
                probes.append(probe)
        if row >= 0:
            break
    return probes


def geometry(machine: Machine) -> list[tuple[str, int, int, bool, bool]]:
    """Name, sets, ways, serves fetches, serves data, of each array."""
    m = machine.m
    return [
        (
            name,
            m.array[place * ARRAY + ARRAY_MASK] + 1,
            m.array[place * ARRAY + ARRAY_SPAN] // TLB,
            bool(m.array[place * ARRAY + ARRAY_FETCHES]),
            bool(m.array[place * ARRAY + ARRAY_DATA]),
        )
        for place, name in enumerate(array_names(machine))
    ]


def probe_data(va: int, probes: list[Probe]) -> dict[str, Any]:
    """Look-ups as JSON shows them; `via` is the array that hit, or None."""
    return {
        "va": va,
        "via": next((probe.array for probe in probes if probe.way >= 0), None),
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
