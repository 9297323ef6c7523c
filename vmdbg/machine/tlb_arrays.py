"""The arrays of a machine's TLB and page-walk caches: from settings to rows of the tables `array`, `tlb`."""

from __future__ import annotations

from array import array

from vmdbg.errors import UserError
from vmdbg.hardware.replacement import facts_of
from vmdbg.hardware.tlb import KEY_SIZE
from vmdbg.machine.config import MOST_DIGITS, MOST_ENTRIES
from vmdbg.state.tables import (
    ARRAY,
    ARRAY_BASE,
    ARRAY_DATA,
    ARRAY_DEPTH,
    ARRAY_FETCHES,
    ARRAY_LEVEL,
    ARRAY_MASK,
    ARRAY_RANDOM,
    ARRAY_SIZES,
    ARRAY_SPAN,
    ARRAY_STRIDE,
    ARRAY_TREES,
    TLB,
    TLB_KEY,
)
from vmdbg.units import decimal, format_size, parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.formats.record import Format
    from vmdbg.machine.config import MachineConfig
    from vmdbg.machine.machine import Machine

ALL_SIZES = "all"


class Array:
    """One array.  `sizes`: bit i set = may hold pages of size index i; `level` 0: a page-walk cache of
    the entries of `depth`."""

    __slots__ = ("data", "depth", "fetches", "level", "name", "sets", "sizes", "ways")

    def __init__(self, name: str, level: int, sets: int, ways: int, sizes: int, depth: int = 0) -> None:
        self.name, self.level, self.sets, self.ways = name, level, sets, ways
        self.sizes, self.depth = sizes, depth
        self.fetches, self.data = int(not name.endswith("l1d")), int(not name.endswith("l1i"))


class Arrays:
    """The arrays of a configuration, in the order of the table: first level, second level, walk caches."""

    def __init__(self, config: MachineConfig, form: Format) -> None:
        self.rows: list[Array] = []
        for name, level in (("tlb.l1", 1), ("tlb.l1i", 1), ("tlb.l1d", 1), ("tlb.l2", 2)):
            sets, ways = config.geometry(name)
            sizes = page_sizes(form, f"{name}_pages", config[f"{name}_pages"])
            if sets:
                self.rows.append(Array(name, level, sets, ways, sizes))
        if any(row.name == "tlb.l1" for row in self.rows) and sum(row.level == 1 for row in self.rows) > 1:
            raise UserError("tlb.l1 serves fetches and data; it excludes tlb.l1i and tlb.l1d.")
        self.rows += walk_caches(form, config["tlb.walk_cache"])
        self.policy = config["tlb.replacement"]
        self.facts = facts_of(self.policy)
        for row in self.rows:
            check_ways(self, row.name, row.ways)
        self.inclusive = config["tlb.inclusive"]

    @property
    def tlb_rows(self) -> int:
        """Rows that one CPU has in the table `tlb`: its entries, then what the policy keeps for its sets."""
        words: int = sum(row.sets for row in self.rows) * self.facts.set_words
        return sum(row.sets * row.ways for row in self.rows) + -(-words // TLB)

    def bindings(self) -> dict[str, int]:
        """The constants of hot code that name rows of the table `array`."""
        found = {"FIRST_FETCH": -1, "FIRST_DATA": -1, "SECOND": -1}
        for index, row in enumerate(self.rows):
            if row.level == 2:
                found["SECOND"] = index * ARRAY
            elif row.level == 1:
                if row.fetches:
                    found["FIRST_FETCH"] = index * ARRAY
                if row.data:
                    found["FIRST_DATA"] = index * ARRAY
        inclusive = int(self.inclusive and any(row.level == 1 for row in self.rows))
        return {
            **found,
            "INCLUSIVE": inclusive,
            "WALK_CACHES": sum(row.level == 0 for row in self.rows),
        }


def check_ways(arrays: Arrays, name: str, ways: int) -> None:
    """UserError if the replacement policy does not know so many ways."""
    most = arrays.facts.most_ways
    if ways > most:
        raise UserError(f"{name}: {arrays.policy} knows at most {most} ways, not {ways}.")


def page_sizes(form: Format, name: str, text: str) -> int:
    """The page sizes that a setting such as `tlb.l2_pages` lists, as bits.  UserError if one is none.

    A key of the TLB has two bits for the size: page sizes beyond the fourth are never cached.
    """
    known = {1 << level.shift: 1 << index for index, level in enumerate(reversed(form.levels)) if level.leaf}
    cached = (1 << KEY_SIZE + 1) - 1
    if text == ALL_SIZES:
        return sum(known.values()) & cached
    bits = 0
    for word in text.replace(",", " ").split():
        try:
            bits |= known[parse_size(word)]
        except (KeyError, UserError):
            bits = 0
            break
    if not bits:
        sizes = " ".join(format_size(size).replace(" ", "").rstrip("iB") for size in known)
        raise UserError(
            f'{name}: "{text}" lists no page sizes of {form.name}; expected some of {sizes}, or all.'
        )
    return bits & cached


def walk_caches(form: Format, text: str) -> list[Array]:
    """The caches that `tlb.walk_cache` lists (`PDPT:4 PD:32`), root first.  UserError if one cannot be."""
    last = len(form.levels) - 1
    depths = {form.levels[depth].name: depth for depth in range(max(0, last - KEY_SIZE), last)}
    known = {name.lower(): depth for name, depth in depths.items()}
    found: dict[int, Array] = {}
    for word in text.replace(",", " ").split():
        name, _, count = word.partition(":")
        depth = known.get(name.lower(), -1)
        entries = (decimal(count) or 0) if len(count) < MOST_DIGITS else 0
        if depth < 0 or depth in found or form.software_walk or not 0 < entries <= MOST_ENTRIES:
            what = f"LEVEL:ENTRIES, LEVEL one of {', '.join(depths)}" if depths else "nothing"
            if form.software_walk:
                what = f"nothing, because {form.name} has no walker"
            raise UserError(f'tlb.walk_cache: "{word}" is no page-walk cache; expected {what}.')
        found[depth] = Array(form.levels[depth].name, 0, 1, entries, 1 << last - depth, depth)
    return [found[depth] for depth in sorted(found)]


def check_served(arrays: Arrays, form: Format) -> None:
    """UserError if the kernel fills the TLB and no array of it can hold some page size.

    Without a TLB the kernel translates each access.
    """
    if not form.software_walk or not arrays.rows:
        return
    sizes = page_sizes(form, "", ALL_SIZES)
    for fetches in (0, 1):
        held = 0
        for row in arrays.rows:
            if row.level == 2 or (row.fetches if fetches else row.data):
                held |= row.sizes
        if held != sizes:
            raise UserError(
                f"{form.name} has no walker: it needs no TLB at all, or one for fetches and one for data, "
                "for all page sizes."
            )


def layout(arrays: Arrays) -> list[dict[int, int]]:
    """The columns of the table `array` that say where each array lies, and what it is."""
    found = []
    base, trees = 0, sum(row.sets * row.ways for row in arrays.rows) * TLB
    for row in arrays.rows:
        found.append(
            {
                ARRAY_LEVEL: row.level,
                ARRAY_BASE: base,
                ARRAY_MASK: row.sets - 1,
                ARRAY_SPAN: row.ways * TLB,
                ARRAY_FETCHES: row.fetches,
                ARRAY_DATA: row.data,
                ARRAY_SIZES: row.sizes,
                ARRAY_STRIDE: arrays.tlb_rows * TLB,
                ARRAY_TREES: trees - base if arrays.facts.set_words else 0,
                ARRAY_DEPTH: row.depth,
            }
        )
        base += row.sets * row.ways * TLB
        trees += row.sets
    return found


def place_arrays(m: Any, arrays: Arrays) -> None:
    """Write the geometry of the TLB; no entry is in it."""
    for index, columns in enumerate(layout(arrays)):
        for column, value in columns.items():
            m.array[index * ARRAY + column] = value
    entries = sum(row.sets * row.ways for row in arrays.rows) * TLB
    stride = arrays.tlb_rows * TLB
    for first in range(0, len(m.tlb) if stride else 0, stride or 1):
        m.tlb[first : first + stride] = array("q", [-1, 0] * (entries // TLB) + [0] * (stride - entries))


def fill_arrays(m: Any, arrays: Arrays, seed: int) -> None:
    """The arrays before the first operation."""
    place_arrays(m, arrays)
    for index in range(len(arrays.rows)):
        m.array[index * ARRAY + ARRAY_RANDOM] = seed


def present_arrays(machine: Machine) -> Arrays:
    """The arrays as they are now: some may have been resized since boot."""
    arrays = Arrays(machine.config, machine.format)
    for index, row in enumerate(arrays.rows):
        at = index * ARRAY
        row.sets, row.ways = machine.m.array[at + ARRAY_MASK] + 1, machine.m.array[at + ARRAY_SPAN] // TLB
    return arrays


def misplaced_arrays(machine: Machine) -> bool:
    """Does the table `array` have a layout that this machine cannot have?"""
    arrays = present_arrays(machine)
    if any(row.sets < 1 or row.ways < 1 or row.sets & (row.sets - 1) for row in arrays.rows):
        return True
    columns = layout(arrays)
    return arrays.tlb_rows != machine.shape["tlb_rows"] or any(
        machine.m.array[index * ARRAY + column] != value
        for index, wanted in enumerate(columns)
        for column, value in wanted.items()
    )


def resize_array(machine: Machine, index: int, sets: int, ways: int) -> None:
    """Give one array of each CPU another geometry.  Its entries are lost, and with an inclusive second level
    those of the first.

    UserError if it cannot be that large.
    """
    arrays, k = present_arrays(machine), machine.k
    row = arrays.rows[index]
    check_ways(arrays, row.name, ways)
    above = machine.bindings["INCLUSIVE"] and row.level == 2
    emptied = range(0 if above else index, index + 1)
    kept: dict[tuple[int, int], Any] = {}
    cpus = range(machine.config["machine.cpus"])
    for number, other in enumerate(arrays.rows):
        words = other.sets * other.ways * TLB
        for cpu in cpus:
            base = k.array_base(machine.m, number * ARRAY, cpu)
            if number in emptied:
                for at in range(base + words - TLB, base - 1, -TLB):
                    if machine.m.tlb[at + TLB_KEY] >= 0:
                        k.tlb_remove(machine.m, number * ARRAY, cpu, at)
            trees = base + machine.m.array[number * ARRAY + ARRAY_TREES]
            kept[number, cpu] = (
                machine.m.tlb[base : base + words].tolist(),
                machine.m.tlb[trees : trees + other.sets].tolist(),
            )
    row.sets, row.ways = sets, ways
    machine.resize("tlb_rows", arrays.tlb_rows)
    place_arrays(machine.m, arrays)
    for (number, cpu), (words, trees) in kept.items():
        if number != index:
            base = k.array_base(machine.m, number * ARRAY, cpu)
            machine.m.tlb[base : base + len(words)] = array("q", words)
            if arrays.facts.set_words:
                at = base + machine.m.array[number * ARRAY + ARRAY_TREES]
                machine.m.tlb[at : at + len(trees)] = array("q", trees)
