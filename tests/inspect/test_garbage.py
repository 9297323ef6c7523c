"""Whatever the tables, registers and the TLB hold, looking answers; it never raises and never changes."""

from __future__ import annotations

import itertools
import random
from functools import cache

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from tests.drawn import drawn
from vmdbg.formats import NAMES, find
from vmdbg.formats.contract import FAULT_AD
from vmdbg.inspect.address_space import kernel_runs, named_runs
from vmdbg.inspect.context import find_context
from vmdbg.inspect.notation import Notation
from vmdbg.inspect.page_tables import (
    aliases,
    all_mappers,
    entry_runs,
    overhead_data,
    table_costs,
    valid_entries,
)
from vmdbg.inspect.target import Target, boot, boot_named
from vmdbg.inspect.tlb import cached_entries, look_up
from vmdbg.inspect.translate import translate, walk_data
from vmdbg.inspect.translate import walk as walk_of
from vmdbg.inspect.walk import ACCESSES
from vmdbg.inspect.why import deciding_fields, why
from vmdbg.machine.config import MachineConfig, load_config, preset_names
from vmdbg.state.tables import TLB, TLB_KEY, TLB_WORD
from vmdbg.units import WORD_MASK, s64
from vmdbg.views.page_tables import overhead_lines, tree_lines
from vmdbg.views.why import why_data, why_lines

ADDRESSES = st.integers(0, WORD_MASK)
ENOUGH = 300  # lines of a dump of garbage that are looked at


@cache
def target(name: str) -> Target:
    page = find(name).page_size
    ram = min(max(1 << 20, 64 * page), find(name).frames * page)
    few = {
        "machine.format": name,
        "machine.ram": ram,
        "machine.swap.size": max(1 << 14, page),
        "kernel.first_frame": 4,
        "tlb.l2": "8x2",
    }
    return boot(MachineConfig().with_(few))


def spoil(found: Target, seed: int) -> None:
    """Fill memory and TLB with words that look like entries: present, pointing into memory or near it."""
    draw = random.Random(seed)
    m = found.machine.m
    top = len(m.ram1)
    base = found.machine.config["machine.ram_base"]
    for _ in range(400):
        word = draw.getrandbits(64)
        if draw.random() < 0.8:
            word = (
                word & 0x80000000000003FF
                | draw.choice([1, 3, 7, 0xF])
                | (base + draw.randrange(2 * top)) >> 12 << 12
            )
        m.ram8[draw.randrange(top // 8)] = s64(word)
    for row in range(0, len(m.tlb) - TLB + 1, TLB):
        if draw.random() < 0.5:
            m.tlb[row + TLB_KEY] = draw.getrandbits(62) if draw.random() < 0.5 else draw.getrandbits(24)
            m.tlb[row + TLB_WORD] = draw.getrandbits(40)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(name for name in NAMES if not find(name).bounded))
@settings(max_examples=drawn(25))
@given(st.integers(0, 1 << 30), ADDRESSES, ADDRESSES, st.sampled_from("rwx"), st.booleans())
def test_looking_answers_whatever_there_is(
    name: str, seed: int, va: int, root: int, access: str, near: bool
) -> None:
    found = target(name)
    spoil(found, seed)
    form, m = found.machine.format, found.machine.m
    if not form.sign_extended:
        va &= (1 << form.va_bits) - 1
    if near:
        root = found.machine.config["machine.ram_base"] + root % len(m.ram1)
    root &= form.root_mask
    before = bytes(m.ram1), bytes(m.tlb)
    for mode in (0, 1):
        context = find_context(found.machine, root=root, asid=seed % 0xFFFF, mode=mode)
        translated = translate(found.machine, context, va, ACCESSES[access])
        assert (translated.pa is None) == (translated.fault is not None)
        walk, outcome = walk_of(found.machine, context, va, ACCESSES[access])
        assert len(walk.steps) <= len(form.levels)
        assert walk_data(found.machine, walk, outcome)["outcome"] in ("translated", "fault")
        verdict = why(found.machine, context, va, ACCESSES[access])
        assert why_data(verdict)["allowed"] == (verdict.outcome.fault is None)
        assert list(why_lines(Notation(found.machine.format), found.machine.format, verdict))
        look_up(found.machine, context, va, ACCESSES[access])
        assert list(
            itertools.islice(tree_lines(found.notation, form, root, entry_runs(found.machine, root)), ENOUGH)
        )
        list(itertools.islice(named_runs(found.machine, root, None), ENOUGH))
        list(itertools.islice(kernel_runs(found.machine, root), ENOUGH))
        list(itertools.islice(valid_entries(found.machine, root), ENOUGH))
        list(itertools.islice(aliases(found.machine, va % len(m.ram1), root), ENOUGH))
        assert all(row["pfn"] == 7 for row in all_mappers(found.machine, 7, root))
        costs = table_costs(found.machine, root, own=False)
        data = overhead_data(found.machine, None, costs)
        assert data["tables"] == sum(cost.tables for cost in costs) >= 1
        assert list(overhead_lines(costs, data))
    list(cached_entries(found.machine))
    assert (bytes(m.ram1), bytes(m.tlb)) == before


def has_rights(name: str) -> bool:
    """Do pages of this machine have rights, and are some mapped at boot?"""
    config = load_config(name)
    return bool(config["machine.warm"]) and "w" in find(config["machine.format"]).rules


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in preset_names() if has_rights(name)])
def test_an_edit_that_why_proposes_makes_the_access_possible(name: str) -> None:
    """Mapped pages of every process-to-be, with fields of their entries turned at random."""
    found = boot_named(name)
    k, m, form = found.machine.k, found.machine.m, found.machine.format
    fields = [field for field in deciding_fields(found.machine.format) if field.name != form.rules["p"][0]]
    pages = [run.start for run, _ in named_runs(found.machine, find_context(found.machine).root, 1)] + [
        run.start for run in kernel_runs(found.machine, find_context(found.machine).root)
    ]
    draw, proposed = random.Random(name), 0
    for _ in range(drawn(1200)):
        va, access = draw.choice(pages), draw.choice("rwx")
        context = find_context(found.machine, mode=draw.randrange(2))
        before = [
            (step.address, step.entry)
            for step in walk_of(found.machine, context, va, ACCESSES[access])[0].steps
        ]
        for address, entry in before:
            for field in draw.choices(fields, k=draw.randrange(3)):
                entry = field.put(entry, 1 - field.get(entry))
            k.store(m, address, form.entry_bytes, s64(entry))
        verdict = why(found.machine, context, va, ACCESSES[access])
        for edit in verdict.cause.edits if verdict.cause else []:
            k.store(m, edit.step.address, form.entry_bytes, s64(edit.new))
        if verdict.cause is not None and verdict.cause.edits:
            proposed += 1
            assert verdict.outcome.fault is not None
            fault = why(found.machine, context, va, ACCESSES[access]).outcome.fault
            assert fault is None or (fault.number == FAULT_AD and verdict.outcome.fault.number != FAULT_AD)
        for address, entry in before:
            k.store(m, address, form.entry_bytes, s64(entry))
    assert proposed
