"""What every format promises: its functions undo each other, its walk is the manual's."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
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
from vmdbg.formats.dataclass import replace
from vmdbg.formats.record import Field, Format
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
RAM = 1 << 16  # at least


@cache
def linked(name: str) -> Any:
    """The hot functions with a format bound, some memory, and registers as at boot."""
    config = MachineConfig({"machine.format": name, "machine.ram": ram(name), "machine.swap.size": 0})
    k = link.Linked(link.link({**boot.bindings(config), "halt": halt}), None)
    k.m = tables.views(tables.allocate(boot.shape(config)))
    form = find(name)
    for register in form.registers:
        k.m.cpu[tables.CONTROLS[register.word]] |= boot.initial(register, config) << register.low
    boot.set_allowed(k.m, 0, form)
    return k


def ram(name: str) -> int:
    """Bytes of memory: some pages."""
    return max(RAM, 8 * find(name).page_size)


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
    frame = form.by_role["frame"]
    bits = min(form.page_bits + frame.width, 52) - form.levels[depth].shift
    number = draw(st.integers(0, (1 << max(bits, 1)) - 1))
    return number << form.levels[depth].shift, draw(st.integers(0, 15)), depth


@pytest.mark.long
@pytest.mark.parametrize("name", FORMATS)
def test_a_leaf_says_what_it_was_made_from(name: str) -> None:
    k = linked(name)

    @hypothesis.given(leaves(name))
    def scenario(drawn: tuple[int, int, int]) -> None:
        address, rights, depth = drawn
        entry = stored(name, k.make_leaf(address, rights, depth))
        assert k.classify(entry, depth) == ENTRY_LEAF
        assert k.leaf_frame(entry, depth) == address
        given_rights = k.combine(ALL_RIGHTS, entry, ENTRY_LEAF, depth)
        if rights & 7:
            assert given_rights & rights == rights
        again = stored(name, k.make_leaf(address, given_rights, depth))
        assert k.combine(ALL_RIGHTS, again, ENTRY_LEAF, depth) == given_rights
        assert (
            k.protected(entry) == entry
            or not k.combine(ALL_RIGHTS, k.protected(entry), ENTRY_LEAF, depth) & 2
        )

    scenario()


@pytest.mark.parametrize("name", [name for name in FORMATS if find(name).role("user")])
def test_a_page_without_rights_is_not_for_users(name: str) -> None:
    k = linked(name)
    sets = find(name).allowed([0] * 8, 0)
    for depth in leaf_depths(name):
        entry = stored(name, k.make_leaf(0, 8, depth))
        assert k.classify(entry, depth) == ENTRY_LEAF
        rights = k.combine(ALL_RIGHTS, entry, ENTRY_LEAF, depth)
        assert [allowed >> rights & 1 for allowed in sets] == [0, 0, 0]


@pytest.mark.long
@pytest.mark.parametrize("name", FORMATS)
def test_marks_are_set_and_taken_off(name: str) -> None:
    k = linked(name)

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
        assert k.is_global(k.globalized(entry)) == (find(name).role("global") is not None)
        for changed in (read, written, stored(name, k.globalized(entry)), k.protected(written)):
            assert k.classify(changed, depth) == ENTRY_LEAF
            assert k.leaf_frame(changed, depth) == drawn[0]

    scenario()


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in FORMATS if len(find(name).levels) > 1])
def test_a_table_entry_leads_to_its_table(name: str) -> None:
    k, form = linked(name), find(name)
    frame = form.by_role["frame"]
    top = 1 << min(frame.width, 52 - form.page_bits)

    @hypothesis.given(st.integers(0, top - 1), st.integers(0, len(form.levels) - 2))
    def scenario(number: int, depth: int) -> None:
        address = number << form.page_bits
        entry = stored(name, k.make_table(address, depth))
        assert k.classify(entry, depth) == ENTRY_TABLE
        assert k.next_table(entry, depth) == address
        touched = stored(name, k.touched_table(entry, depth))
        assert k.classify(touched, depth) == ENTRY_TABLE
        assert k.next_table(touched, depth) == address
        assert k.touched_table(touched, depth) == touched
        assert all(k.combine(rights, entry, ENTRY_TABLE, depth) == rights for rights in range(16))

    scenario()


@pytest.mark.long
@pytest.mark.parametrize("name", FORMATS)
def test_a_slot_is_kept(name: str) -> None:
    k, form = linked(name), find(name)
    slot = form.by_role["slot"]
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
        assert 0 <= k.combine(ALL_RIGHTS, entry, kind, depth) < 1 << form.rights_bits
        assert 0 <= k.next_table(entry, depth) < 1 << 62
        assert 0 <= k.leaf_frame(entry, depth) < 1 << 62
        assert k.swapped_slot(entry) >= 0
        if depth == len(form.levels) - 1:
            assert kind != ENTRY_TABLE

    scenario()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("where", "tlhs")
def test_fields_do_not_overlap(name: str, where: str) -> None:
    form = find(name)
    for depth in range(len(form.levels)):
        used = 0
        for field in form.standing(where, depth):
            mask = (1 << field.width) - 1 << field.low
            assert not used & mask, field.name
            used |= mask
            assert field.low + field.width <= 8 * form.entry_bytes
            assert field.get(field.put(0, (1 << field.width) - 1)) == (1 << field.width) - 1


@pytest.mark.parametrize("name", FORMATS)
def test_a_record_does_not_contradict_itself(name: str) -> None:
    form = find(name)
    shift = form.va_bits - form.split  # both halves are cut alike
    for level in form.levels:
        shift -= level.bits
        assert level.shift == shift
    names = [field.name for field in form.fields if "s" not in field.where]
    assert len(set(names)) == len(names)
    assert len(form.by_role) == sum(field.role != "" for field in form.fields)
    at = {level.name for level in form.levels}
    leaves = {level.name for level in form.levels if level.leaf}
    for field in form.fields:
        assert set(field.levels) <= at
        if field.levels and field.role == "huge":
            assert set(field.levels) == leaves - {form.levels[-1].name}
        elif field.levels and field.role:
            assert leaves <= set(field.levels)
    assert list(wrong_texts(form)) == []


BITS = re.compile(r"\bbits? (\d+)(?::(\d+))?")
MODE = re.compile(r"(\d+): Sv(\d+)")


def wrong_texts(form: Format) -> Iterator[str]:
    """The texts of a record that its own numbers contradict: bits of an address or of an entry, modes."""
    for letter, (_, text) in form.rules.items():
        for high, low in BITS.findall(text):
            if letter == "c":
                if (int(high), int(low or -1)) != (63, form.va_bits - 1):
                    yield f"{text}: an address has {form.va_bits} bits"
            elif int(high) >= 8 * form.entry_bytes:
                yield f"{text}: an entry has {8 * form.entry_bytes} bits"
        section = form.manual.rpartition(" ")[2]
        cited = re.findall(r"[Pp]rivileged, (12\.[4-6])\.1", text)
        if any(number != section for number in cited):
            yield f"{text}: the format is that of {form.manual}"
    for register in form.root_fields:
        for mode, bits in MODE.findall(register.help):
            if (int(mode), int(bits)) != (register.initial, form.va_bits):
                yield f"{register.name}, {register.help}: it is {register.initial}, for {form.va_bits} bits"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rule_texts": {"c": "bits 63:38 of an address must be equal"}}, "an address has 48 bits"),
        ({"rule_texts": {"c": "bits {top} must be equal (RISC-V Privileged, 12.4.1)"}}, "is that of RISC-V"),
        ({"rule_texts": {"z": "bit 64 must be 0"}}, "an entry has 64 bits"),
        ({"root_fields": find("sv39").root_fields}, "for 48 bits"),
    ],
)
def test_a_text_that_the_numbers_contradict_is_found(changed: dict[str, Any], message: str) -> None:
    """Sv48 with texts of Sv39."""
    form = find("sv48")
    assert list(wrong_texts(form)) == []
    (found,) = wrong_texts(replace(form, **changed))
    assert message in found


def test_the_modes_of_risc_v() -> None:
    """Privileged Architecture, 12.1.11, table of the encodings of MODE; 12.4 to 12.6."""
    known = {32: (1, "12.3"), 39: (8, "12.4"), 48: (9, "12.5"), 57: (10, "12.6")}
    for name in FORMATS:
        form = find(name)
        if form.root_register == "satp":
            mode, section = known[form.va_bits]
            assert form.root_fields[0].initial == mode
            assert form.manual == f"RISC-V Privileged, {section}"
            if form.va_bits == 32:
                assert "c" not in form.rules
                continue
            assert form.rules["c"][1] == (
                f"bits 63:{form.va_bits - 1} of an address must be equal (RISC-V Privileged, {section}.1)"
            )
            assert "bits 60:54" in form.rules["z"][1]


@pytest.mark.parametrize("name", FORMATS)
def test_a_walk_is_that_of_the_manual(name: str, model: Callable[[str], ModuleType]) -> None:
    walker, k, form = model("walker"), linked(name), find(name)
    layout, m, base = walker.LAYOUTS[name], linked(name).m, 1 << (14 if form.va_bits < 20 else 30)
    if form.va_bits < 20:
        base = 0
    m.bank[BANK_BASE], m.bank[BANK_SIZE] = base, ram(name)
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
    pages = len(words) // per_page
    for page in range(min(pages, 16)):
        for depth in range(len(form.levels)):
            at = page * per_page + form.index(va, depth)
            if at >= len(words):
                continue
            target = base + rng.randrange(min(pages, 16)) * form.page_size
            large = target >> form.levels[depth].shift << form.levels[depth].shift
            entry = rng.choice(
                (
                    k.make_table(target, depth),
                    k.make_table(target, depth),
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


def test_a_record_has_the_facts_that_its_class_names() -> None:
    """`formats.dataclass` does what dataclasses does, as far as records need it."""
    form = find("sv48")
    changed = replace(form, name="other")
    assert (changed.name, changed.levels, form.name) == ("other", form.levels, "sv48")
    assert changed.by_role == form.by_role
    wrong: tuple[dict[str, Any], ...] = ({"nosuch": 1}, {"name": "F", "low": 1, "lo": 2}, {"low": 1}, {})
    for facts in wrong:
        with pytest.raises(TypeError, match="Field: wrong or missing: "):
            Field(**facts)
    with pytest.raises(TypeError):
        Field("F", 1, name="G")  # type: ignore[misc]
