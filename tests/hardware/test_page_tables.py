"""The one reader of trees of page tables says what walks say, of bare memory, and nobody else descends."""

from __future__ import annotations

import ast
import random
from array import array
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from tests.drawn import drawn
from tests.sources import tree_of
from vmdbg.engine import link
from vmdbg.formats import NAMES, find
from vmdbg.formats.contract import ALL_RIGHTS, ENTRY_BUS, ENTRY_LEAF, ENTRY_TABLE, RIGHT_R, RIGHT_U, RIGHT_W
from vmdbg.formats.record import Format
from vmdbg.hardware.page_runs import page_runs
from vmdbg.hardware.page_tables import Entry, entries, once
from vmdbg.kernel.scheduler import OP_EXIT
from vmdbg.machine import boot
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine, halt
from vmdbg.machine.registers import read, write
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.state.tables import (
    CONTROL_RIGHTS,
    CONTROL_STEPS,
    CPU,
    CPU_REACH_HIGH,
    CPU_REACH_LOW,
    CPU_ROOT,
    KERNEL,
    PATH,
    PATH_ADDRESS,
    PATH_ENTRY,
    PATH_INDEX,
    PATH_KIND,
    PATH_RIGHTS,
    PATH_TABLE,
)
from vmdbg.units import WORD_MASK, s64

PACKAGE = Path(__file__).resolve().parents[2] / "vmdbg"
SIZE, BASE = 1 << 16, 1 << 16
TREES = sorted(name for name in NAMES if not find(name).bounded)
SV39_USER = RIGHT_R | RIGHT_W | RIGHT_U


def bare(name: str) -> tuple[link.Linked, Format]:
    """Zeroed memory of one bank, and the format's linked functions: no machine, no kernel."""
    ram = memoryview(bytearray(SIZE))
    m = SimpleNamespace(
        bank=[BASE, SIZE, 0], ram1=ram, ram2=ram.cast("H"), ram4=ram.cast("I"), ram8=ram.cast("q"),
        dirty=bytearray(SIZE), control=[0] * 64, path=[0] * 64, kernel=[0] * KERNEL, cpu=[0] * CPU,
    )  # fmt: skip
    form = find(name)
    if form.split:  # all of an address counts, in both halves
        m.cpu[CPU_REACH_LOW] = m.cpu[CPU_REACH_HIGH] = form.va_bits - 1
    return link.Linked(copies(name), m), form


@cache
def copies(name: str) -> dict[str, Any]:
    return link.link({**boot.bindings(MachineConfig().with_({"machine.format": name})), "halt": halt})


@cache
def spoiled(name: str, seed: int) -> tuple[link.Linked, Format]:
    """Entries that point into memory or near it, and some that are anything."""
    draw, entry = random.Random(seed), 0
    k, form = bare(name)
    steps = [
        k.make_leaf(1 << level.shift, ALL_RIGHTS, depth) - k.make_leaf(0, ALL_RIGHTS, depth)
        for depth, level in enumerate(form.levels)
    ]
    for address in range(BASE, BASE + SIZE, form.entry_bytes):
        if draw.random() < 0.7:  # the next page
            entry = s64(entry + draw.choice(steps))
            k.store(k.m, address, form.entry_bytes, entry)
            continue
        page = (BASE + draw.randrange(SIZE + SIZE // 8)) & -form.page_size
        entry = draw.choice(
            (0, k.make_table(page, 0), k.make_table(page, 0), k.make_leaf(page, draw.randrange(16), 0))
        )
        if draw.random() < 0.1:
            entry = s64(draw.getrandbits(64))
        k.store(k.m, address, form.entry_bytes, entry)
    return k, form


def row(found: Entry) -> tuple[int, ...]:
    return found.table, found.index, found.address, found.entry, found.kind, found.rights


def walked(k: link.Linked, root: int, va: int) -> list[tuple[int, ...]]:
    """What a walk reads, as far as it is in memory and not zero."""
    k.walk(k.m, root, va)
    columns = PATH_TABLE, PATH_INDEX, PATH_ADDRESS, PATH_ENTRY, PATH_KIND, PATH_RIGHTS
    rows = [
        tuple(k.m.path[PATH * at + column] for column in columns) for at in range(k.m.control[CONTROL_STEPS])
    ]
    return [found for found in rows if found[3] and found[4] != ENTRY_BUS]


@pytest.mark.long
@pytest.mark.parametrize("name", TREES)
@given(st.integers(0, 2), st.integers(0, SIZE - 1), st.integers(0, (1 << 64) - 1))
def test_on_the_way_to_an_address_it_reads_what_a_walk_reads(
    name: str, seed: int, root: int, va: int
) -> None:
    k, form = spoiled(name, seed)
    va = form.signed(va & ((1 << form.va_bits) - 1))
    page = va & -form.page_size
    found = list(entries(k, form, BASE + root, page, page + form.page_size))
    assert [row(one) for one in found] == walked(k, BASE + root, va)
    assert all(one.va == va >> form.levels[one.depth].shift << form.levels[one.depth].shift for one in found)
    last = list(entries(k, form, BASE + root, page, page + form.page_size, tables_last=True))
    assert [row(one) for one in last] == [row(one) for one in reversed(found)]


def recursive() -> tuple[link.Linked, Format]:
    """A root whose first two entries point to one table, which maps two pages, and whose last to itself."""
    k, form = bare("sv39")
    for address, entry in (
        (0x10000, k.make_table(0x11000, 0)),
        (0x10008, k.make_table(0x11000, 0)),
        (0x10FF8, k.make_table(0x10000, 0)),
        (0x11000, k.make_table(0x12000, 0)),
        (0x12008, k.make_leaf(0x13000, SV39_USER, 2)),
        (0x12010, k.make_leaf(0x14000, SV39_USER, 2)),
        (0x12018, k.make_table(0x11000, 0)),  # at the last level: reserved
        (0x11008, k.make_table(0x20000, 0)),  # outside memory
    ):
        k.store(k.m, address, 8, entry)
    return k, form


def test_a_table_is_read_for_each_path_to_it() -> None:
    k, form = recursive()
    found = list(entries(k, form, 0x10000))
    assert [one.va for one in found if one.kind == ENTRY_LEAF] == [0x1000, 0x2000, 0x40001000, 0x40002000]
    assert [(one.depth, one.above) for one in found if one.above >= 0] == [(0, 0), (1, 0)]
    assert [one.seen for one in found if one.depth == 0] == [False, True, False]
    assert not any(one.depth == 2 and one.kind == ENTRY_TABLE for one in found)


def test_a_caller_says_which_tables_are_read() -> None:
    k, form = recursive()
    found = list(entries(k, form, 0x10000, follow=lambda one: one.above < 0))
    assert [one.va for one in found if one.kind == ENTRY_LEAF] == [0x1000, 0x2000, 0x40001000, 0x40002000]
    alone = list(entries(k, form, 0x10000, follow=once))
    assert [one.va for one in alone if one.kind == ENTRY_LEAF] == [0x1000, 0x2000]
    keys = [(one.address, one.depth) for one in alone]
    assert len(keys) == len(set(keys))
    asked: list[int] = []
    list(entries(k, form, 0x10000, follow=lambda one: asked.append(one.index)))
    assert asked == [0, 1, 511]


def test_what_each_of_many_tables_points_to_is_read_in_good_time_once() -> None:
    """Every entry of eight tables points to one of them: 2^36 paths."""
    k, form = bare("x86_64")
    for word in range(SIZE // 8):
        k.m.ram8[word] = k.make_table(BASE + word % 8 * 0x1000, 0)
    assert len(list(entries(k, form, BASE, follow=once))) <= 4 * SIZE // 8


# -- runs of pages

BOUNDS = st.none() | st.integers(0, (1 << 64) - 1)


def each_page(name: str, root: int, start: int | None, end: int | None, most: int) -> list[tuple[int, ...]]:
    """What `page_runs` says, page by page."""
    k, form = spoiled(name, root & 3)
    found: list[tuple[int, ...]] = []
    for first, past, target, size, rights, _ in page_runs(k, form, BASE + root, start, end, Repeats(most)):
        assert past > first
        for place in range(0, past - first, size):
            found.append((first + place, target + place, size, rights))
            assert len(found) < 1 << 20
    return found


class Repeats:
    """A value for `follow` that bounds repeats, for both readers alike."""

    def __init__(self, most: int) -> None:
        self.left = most

    def __call__(self, found: Entry) -> bool:
        self.left -= found.seen
        return not found.seen or self.left >= 0


@pytest.mark.long
@pytest.mark.parametrize("name", TREES)
@settings(max_examples=drawn(40))
@given(st.integers(0, SIZE - 1), BOUNDS, BOUNDS, st.integers(0, 3))
def test_runs_of_pages_are_the_leaves(
    name: str, root: int, start: int | None, end: int | None, most: int
) -> None:
    k, form = spoiled(name, root & 3)
    mask = (1 << form.va_bits) - 1
    if start is not None and end is not None and start & mask >= (end - 1 & mask) + 1:
        start, end = end, start
    leaves = [
        (one.va & (1 << 64) - 1, one.target, 1 << form.levels[one.depth].shift, one.rights)
        for one in entries(k, form, BASE + root, start, end, Repeats(most))
        if one.kind == ENTRY_LEAF
    ]
    assert each_page(name, root, start, end, most) == leaves


def test_a_run_does_not_go_on_over_the_hole() -> None:
    """Leaves of a root table on both sides of it whose frames go on."""
    k, form = bare("sv39")
    for index in (255, 256):
        k.store(k.m, BASE + 8 * index, 8, k.make_leaf(index << 30, SV39_USER, 0))
    assert [run[:3] for run in page_runs(k, form, BASE)] == [
        (255 << 30, 256 << 30, 255 << 30),
        ((1 << 64) - (1 << 38), (1 << 64) - (1 << 38) + (1 << 30), 256 << 30),
    ]


# -- nobody else

#: Who may ask which table an entry points to, and why that is no descent of its own.
ASKS = {
    ("hardware/page_tables.py", "below"): "the reader of trees",
    ("hardware/page_runs.py", "read"): "the reader of what trees map, held against the one of trees",
    ("hardware/walk.py", "walk_from"): "the reader of one path",
    ("kernel/address_space.py", "entry_address"): "makes the tables on one path that are missing",
    ("hardware/walk_cache.py", "table_agrees"): "compares a table with a cached one",
    ("hardware/walk_cache.py", "walk_cache_fill"): "keeps what a walk read",
    ("inspect/why.py", "arrives"): "goes on with `walk_from`",
    ("inspect/pte.py", "title"): "names the table",
    ("inspect/stale.py", "table_disagreement"): "names the table",
}
#: Who may read all the entries of one table, and why that is no descent.
READS = {
    ("hardware/page_tables.py", "below"): "the reader of trees",
    ("machine/check/survey.py", "read_tree"): "compares two kernel halves",
    ("machine/registers.py", "check_root_entries"): "the entries that MOV to CR3 loads",
    ("inspect/why.py", "nearest"): "looks beside one entry",
}


def users(name: str) -> set[tuple[str, str]]:
    """File and innermost function of every use of a name, or of an attribute of that name."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        file = path.relative_to(PACKAGE).as_posix()
        if name in path.read_text() and not file.startswith("formats/"):
            found |= {(file, function) for function in functions_with(tree_of(path), name)}
    return found


def functions_with(node: ast.AST, name: str, inside: str = "") -> set[str]:
    """The functions below a node that say a name."""
    if isinstance(node, ast.FunctionDef):
        inside = node.name
    said = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    found = {inside} if said == name else set()
    return found.union(*(functions_with(child, name, inside) for child in ast.iter_child_nodes(node)))


def test_nobody_else_descends() -> None:
    """A descent needs the table that an entry points to: only `next_table` says which."""
    assert users("next_table") == set(ASKS)
    assert users("table_entries") == set(READS)
    assert users("entry_words") == {
        ("hardware/page_tables.py", "table_entries"),
        ("hardware/page_runs.py", "read"),  # the reader of what trees map
    }


@pytest.mark.parametrize(
    ("name", "turned"),
    [("x86_32", ["cr4.pse"]), ("arm64", ["tcr_el1.hd"]), ("arm64", ["tcr_el1.hpd0", "tcr_el1.hd"])],
)
def test_bits_that_the_registers_silence_count_for_nothing(name: str, turned: list[str]) -> None:
    """Both readers give what the walk of each page gives, and `check` knows what the TLB may hold."""
    machine = Machine(MachineConfig({"machine.format": name, "machine.ram": 8 << 20}))
    rows = array("q", [value for page in range(4) for value in (0, 0x400000 + page * 4096, 0, 0)])
    rows.extend((OP_EXIT, 0, 0, 0))
    region = RegionSpec("heap", 0x400000, 4 * 4096, 15)
    machine.load(Program("p", "", [], [ProcessSpec("p", None, -1, [region], rows)]))
    for register in turned:
        write(machine, 0, register, 1 - (read(machine, 0, register) or 0))
    machine.run(4)
    assert check(machine) == []
    m, form = machine.m, machine.format
    root = m.cpu[CPU_ROOT]
    leaves = [leaf for leaf in entries(machine.k, form, root, follow=once) if leaf.kind == ENTRY_LEAF]
    runs = {
        va: (rights, pa + va - first)
        for first, past, pa, size, rights, entry in page_runs(machine.k, form, root, follow=once)
        if entry is None
        for va in range(first, past, size)
    }
    assert {leaf.va & WORD_MASK: (leaf.rights, leaf.target) for leaf in leaves} == runs
    assert len(leaves) >= 4
    for leaf in leaves:
        assert machine.k.walk(m, root, leaf.va) == ENTRY_LEAF
        assert machine.k.path_address(m, leaf.va) == leaf.target
        assert m.control[CONTROL_RIGHTS] == leaf.rights
