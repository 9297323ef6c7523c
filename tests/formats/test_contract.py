"""What every format promises: its functions undo each other, its walk is the manual's."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from vmdbg.engine import link
from vmdbg.formats import NAMES, find
from vmdbg.formats.contract import (
    ALL_RIGHTS,
    ENTRY_BUS,
    ENTRY_EMPTY,
    ENTRY_KINDS,
    ENTRY_LEAF,
    ENTRY_SWAPPED,
    ENTRY_TABLE,
)
from vmdbg.machine import boot
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import halt
from vmdbg.state import tables
from vmdbg.state.tables import (
    BANK_BASE,
    BANK_SIZE,
    CONTROL_RIGHTS,
    CONTROL_STEPS,
    PATH,
    PATH_ADDRESS,
    PATH_ENTRY,
)
from vmdbg.units import s64, u64

FORMATS = sorted(name for name in NAMES if not find(name).bounded)
RAM = 1 << 16


@cache
def linked(name: str) -> Any:
    """The hot functions with a format bound, and 64 KiB of memory."""
    config = MachineConfig({"machine.format": name, "machine.ram": RAM, "machine.swap.size": 0})
    k = link.Linked(link.link({**boot.bindings(config), "halt": halt}), None)
    k.m = tables.views(tables.allocate(boot.shape(config)))
    return k


def stored(name: str, entry: int) -> int:
    """An entry as memory gives it back."""
    width = find(name).entry_bytes
    return s64(entry) if width == 8 else entry & (1 << 8 * width) - 1


def leaf_depths(name: str) -> list[int]:
    return [depth for depth, level in enumerate(find(name).levels) if level.leaf]


@st.composite
def leaves(draw: st.DrawFn, name: str) -> tuple[int, int, int]:
    """Address, rights and depth of a leaf that the format can express."""
    form = find(name)
    depth = draw(st.sampled_from(leaf_depths(name)))
    frame = next(field for field in form.fields if field.name in ("PFN", "PPN"))
    bits = min(form.page_bits + frame.width, 52) - form.levels[depth].shift
    number = draw(st.integers(0, (1 << max(bits, 1)) - 1))
    return number << form.levels[depth].shift, draw(st.integers(0, 15)), depth


@pytest.mark.parametrize("name", FORMATS)
def test_a_leaf_says_what_it_was_made_from(name: str) -> None:
    k = linked(name)

    @hypothesis.given(leaves(name))
    def scenario(drawn: tuple[int, int, int]) -> None:
        address, rights, depth = drawn
        entry = stored(name, k.make_leaf(address, rights, depth))
        assert k.classify(entry, depth) == ENTRY_LEAF
        assert k.leaf_frame(entry, depth) == address
        given_rights = k.combine(ALL_RIGHTS, entry, ENTRY_LEAF)
        if rights & 7:
            assert given_rights & rights == rights
        again = stored(name, k.make_leaf(address, given_rights, depth))
        assert k.combine(ALL_RIGHTS, again, ENTRY_LEAF) == given_rights
        assert k.protected(entry) == entry or not k.combine(ALL_RIGHTS, k.protected(entry), ENTRY_LEAF) & 2

    scenario()


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "word-table"])
def test_a_page_without_rights_is_not_for_users(name: str) -> None:
    k = linked(name)
    sets = find(name).allowed([0, 0, 0, 0], 0)
    for depth in leaf_depths(name):
        entry = stored(name, k.make_leaf(0, 8, depth))
        assert k.classify(entry, depth) == ENTRY_LEAF
        rights = k.combine(ALL_RIGHTS, entry, ENTRY_LEAF)
        assert [allowed >> rights & 1 for allowed in sets] == [0, 0, 0]


@pytest.mark.parametrize("name", FORMATS)
def test_marks_are_set_and_taken_off(name: str) -> None:
    k = linked(name)
    has = {field.name for field in find(name).fields}

    @hypothesis.given(leaves(name))
    def scenario(drawn: tuple[int, int, int]) -> None:
        entry = stored(name, k.make_leaf(*drawn))
        depth = drawn[2]
        assert (k.is_accessed(entry), k.is_dirty(entry), k.is_global(entry)) == (0, 0, 0)
        read, written = stored(name, k.touched(entry, 0)), stored(name, k.touched(entry, 1))
        assert (k.is_accessed(read), k.is_dirty(read)) == (1, 0)
        assert (k.is_accessed(written), k.is_dirty(written)) == (1, 1)
        assert k.aged(read) == entry
        assert k.cleaned(written) == read
        assert k.touched(written, 0) == written
        assert k.is_global(k.globalized(entry)) == ("G" in has)
        for changed in (read, written, stored(name, k.globalized(entry)), k.protected(written)):
            assert k.classify(changed, depth) == ENTRY_LEAF
            assert k.leaf_frame(changed, depth) == drawn[0]

    scenario()


@pytest.mark.parametrize("name", [name for name in FORMATS if len(find(name).levels) > 1])
def test_a_table_entry_leads_to_its_table(name: str) -> None:
    k, form = linked(name), find(name)
    frame = next(field for field in form.fields if field.name in ("PFN", "PPN"))
    top = 1 << min(frame.width, 52 - form.page_bits)

    @hypothesis.given(st.integers(0, top - 1), st.integers(0, len(form.levels) - 2))
    def scenario(number: int, depth: int) -> None:
        address = number << form.page_bits
        entry = stored(name, k.make_table(address))
        assert k.classify(entry, depth) == ENTRY_TABLE
        assert k.next_table(entry) == address
        touched = stored(name, k.touched_table(entry))
        assert k.classify(touched, depth) == ENTRY_TABLE
        assert k.next_table(touched) == address
        assert k.touched_table(touched) == touched
        assert all(k.combine(rights, entry, ENTRY_TABLE) == rights for rights in range(16))

    scenario()


@pytest.mark.parametrize("name", FORMATS)
def test_a_slot_is_kept(name: str) -> None:
    k, form = linked(name), find(name)
    slot = next(field for field in form.fields if field.name == "slot")
    last = len(form.levels) - 1

    @hypothesis.given(st.integers(1, (1 << slot.width) - 1))
    def scenario(number: int) -> None:
        entry = stored(name, k.make_swapped(number))
        assert k.classify(entry, last) == ENTRY_SWAPPED
        assert k.swapped_slot(entry) == number
        assert slot.get(entry) == number

    scenario()


@pytest.mark.parametrize("name", FORMATS)
def test_any_word_is_something(name: str) -> None:
    k, form = linked(name), find(name)
    assert {k.classify(0, depth) for depth in range(len(form.levels))} == {ENTRY_EMPTY}

    @hypothesis.given(st.integers(0, (1 << 8 * form.entry_bytes) - 1), st.integers(0, len(form.levels) - 1))
    def scenario(word: int, depth: int) -> None:
        entry = stored(name, word)
        kind = k.classify(entry, depth)
        assert kind in range(ENTRY_BUS)
        assert 0 <= k.combine(ALL_RIGHTS, entry, kind) <= ALL_RIGHTS
        assert 0 <= k.next_table(entry) < 1 << 62
        assert 0 <= k.leaf_frame(entry, depth) < 1 << 62
        assert k.swapped_slot(entry) >= 0
        if depth == len(form.levels) - 1:
            assert kind != ENTRY_TABLE

    scenario()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("where", "tlhs")
def test_fields_do_not_overlap(name: str, where: str) -> None:
    used = 0
    for field in find(name).fields:
        if where in field.where:
            mask = (1 << field.width) - 1 << field.low
            assert not used & mask, field.name
            used |= mask
            assert field.low + field.width <= 8 * find(name).entry_bytes
            assert field.get(field.put(0, (1 << field.width) - 1)) == (1 << field.width) - 1


@pytest.mark.parametrize("name", FORMATS)
def test_a_walk_is_that_of_the_manual(name: str, model: Callable[[str], ModuleType]) -> None:
    walker, k, form = model("walker"), linked(name), find(name)
    layout, m, base = walker.LAYOUTS[name], linked(name).m, 1 << (14 if form.va_bits < 20 else 30)
    if form.va_bits < 20:
        base = 0
    m.bank[BANK_BASE], m.bank[BANK_SIZE] = base, RAM
    words = {8: m.ram8, 4: m.ram4, 2: m.ram2}[form.entry_bytes]

    @hypothesis.given(st.integers(0, 1 << 30), st.integers(0, (1 << form.va_bits) - 1))
    def scenario(seed: int, va: int) -> None:
        rng = random.Random(seed)
        plant(rng, k, form, words, base, va)
        root = base + rng.randrange(4) * form.page_size
        expected = walker.walk(layout, bytes(m.ram1), base, root, va)
        kind = k.walk(m, root, s64(va))
        steps = m.control[CONTROL_STEPS]
        assert ENTRY_KINDS[kind] == expected.kind
        assert [m.path[row * PATH + PATH_ADDRESS] for row in range(steps)] == expected.entries
        if kind == ENTRY_LEAF:
            depth = steps - 1
            entry = m.path[depth * PATH + PATH_ENTRY]
            offset = va & (1 << form.levels[depth].shift) - 1
            assert k.leaf_frame(entry, depth) | offset == expected.pa
            assert m.control[CONTROL_RIGHTS] == expected.rights

    scenario()


def plant(rng: random.Random, k: Any, form: Any, words: Any, base: int, va: int) -> None:
    """Fill the entries that a walk of `va` may meet: mostly good ones, some garbage."""
    per_page = max(form.page_size // form.entry_bytes, 1)
    pages = RAM // form.page_size
    for page in range(min(pages, 16)):
        for depth in range(len(form.levels)):
            at = page * per_page + form.index(va, depth)
            if at >= len(words):
                continue
            target = base + rng.randrange(min(pages, 16)) * form.page_size
            large = target >> form.levels[depth].shift << form.levels[depth].shift
            entry = rng.choice(
                (
                    k.make_table(target),
                    k.make_table(target),
                    k.make_leaf(large, rng.randrange(16), depth),
                    k.make_swapped(rng.randrange(1, 9)),
                    rng.getrandbits(8 * form.entry_bytes),
                    0,
                )
            )
            if rng.random() < 0.3:
                entry ^= 1 << rng.randrange(8 * form.entry_bytes)
            words[at] = (
                s64(u64(entry)) if form.entry_bytes == 8 else u64(entry) & (1 << 8 * form.entry_bytes) - 1
            )
