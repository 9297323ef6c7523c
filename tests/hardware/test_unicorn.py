"""The same tables, registers and access given to vmdbg and to the processors of the Unicorn engine.

Unicorn tells no error codes.  Compared are: a page fault or none, the byte that was reached, and memory after
an access that succeeded, with A and D of every entry.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from vmdbg.formats import NAMES, find
from vmdbg.formats.contract import FAULT_KINDS
from vmdbg.state.tables import CONTROL_FAULT

pytest.importorskip("unicorn", reason="needs the package unicorn, in the extra [test]")
MODES = [name for name in NAMES if find(name).root_register == "cr3"]


def play(cases: Any, engine: Any, rules: Any, name: str, seed: int) -> str:
    """One access; what came of it, in a word."""
    rng = random.Random(seed)
    va = rng.choice(cases.addresses(find(name))) & ~0xFFF | rng.randrange(128) << 4  # code goes on behind it
    access, user = rng.choice("rwx"), rng.random() < 0.5
    booted, root = cases.prepare(name, rng, va, user, rules, engine.PHYSICAL_BITS)
    k, m, size = booted.k, booted.m, len(booted.m.ram1)
    first = cases.TABLES * 4096
    m.ram1[first:] = engine.pattern(cases.BASE, first, size)
    _, place, _ = engine.entries_for_code(name)
    width = booted.format.entry_bytes
    at = root - cases.BASE + place
    flags = 1 if name == "x86_pae" else 7
    m.ram1[at : at + width] = (engine.CODE + 0x1000 | flags).to_bytes(width, "little")
    before = bytes(m.ram1)
    pa = k.translate(m, 0, va, "rwx".index(access))
    kind = "" if pa >= 0 else FAULT_KINDS[m.control[CONTROL_FAULT]]
    if kind in ("bus", "non-canonical") or (not kind and not cases.BASE <= pa < cases.BASE + size):
        return "elsewhere"
    if not kind and access == "x" and pa - cases.BASE < first:
        return "no code"
    outcome = engine.access(before, cases.BASE, root, va & (1 << 64) - 1, access, user, rules)
    facts = name, seed, access, hex(va), user, rules, kind, outcome.vector, hex(outcome.address)
    if kind:
        assert outcome.vector == engine.PAGE_FAULT, facts
        return kind
    assert (outcome.vector == engine.PAGE_FAULT, outcome.strange) == (False, False), facts
    data = 8 if name.startswith("x86_64") else 4
    seen = bytes(m.ram1[pa - cases.BASE : pa - cases.BASE + data])  # an entry has its new A
    if access == "w":
        m.ram1[pa - cases.BASE : pa - cases.BASE + data] = engine.WORD.to_bytes(8, "little")[:data]
    if access == "r":
        assert outcome.value == int.from_bytes(seen, "little"), facts
    if access == "x":
        assert outcome.value == pa, facts
    difference = [at for at in range(0, size, 8) if outcome.memory[at : at + 8] != m.ram1[at : at + 8]]
    made = {
        place: (outcome.memory[place : place + 8].hex(), bytes(m.ram1[place : place + 8]).hex())
        for place in difference
    }
    assert not {place for place in made if not from_code(place, at)}, (facts, made)
    return "translated"


def from_code(place: int, at: int) -> bool:
    """Is it the root's entry for the processor's own code, in which that sets A?"""
    return place <= at < place + 8


@pytest.mark.long
@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("count", [125, pytest.param(5000, marks=pytest.mark.slow)])
def test_one_access(model: Callable[[str], ModuleType], name: str, count: int) -> None:
    cases, engine, manual = model("x86_cases"), model("unicorn_x86"), model("x86")
    found = [play(cases, engine, manual.Rules(name), name, seed) for seed in range(count)]
    assert found.count("translated") > count // 10
    assert len(set(found)) > 3


def play_riscv(cases: Any, engine: Any, manual: Any, name: str, seed: int) -> str:
    """One access by RISC-V; what came of it, in a word."""
    rng, form = random.Random(seed), find(name)
    va = rng.choice(cases.addresses(form.va_bits - 1)) & ~0xFFF | rng.randrange(128) << 4
    access, user = rng.choice("rwx"), rng.random() < 0.5
    rules = manual.Rules(len(form.levels), rng.random() < 0.5, rng.random() < 0.5)
    booted, root = cases.prepare(name, rng, va, user, rules)
    k, m, size, width = booted.k, booted.m, len(booted.m.ram1), form.entry_bytes
    first, place = 8 * 4096, root - cases.BASE + engine.entries_for_code(rules.levels)[1]
    m.ram1[first:] = engine.pattern(cases.BASE, first, size)
    m.ram1[place : place + width] = engine.pointer(engine.CODE + 0x1000).to_bytes(width, "little")
    before, how = bytes(m.ram1), "rwx".index(access)
    pa = k.translate(m, 0, va, how)
    fault = m.control[CONTROL_FAULT]
    kind = "" if pa >= 0 else FAULT_KINDS[fault]
    if kind in ("bus", "reserved") or (not kind and not cases.BASE <= pa < cases.BASE + size):
        return "elsewhere"  # it knows no reserved bits
    if not kind and access == "x" and pa - cases.BASE < first:
        return "no code"
    outcome = engine.access(before, cases.BASE, root, va, access, user, rules)
    facts = name, seed, access, hex(va), user, rules, kind, outcome.cause
    if kind:
        assert outcome.cause == k.code_of(m, 0, fault, how, int(not user), 0), facts
        return kind
    assert (outcome.cause, outcome.strange) == (-1, False), facts
    data = 4 if width == 4 else 8
    at = pa - cases.BASE
    if access == "r":
        seen = int.from_bytes(m.ram1[at : at + data], "little")  # an entry has its new A
        assert outcome.value & (1 << 8 * data) - 1 == seen, facts
    if access == "w":
        m.ram1[at : at + data] = engine.WORD.to_bytes(8, "little")[:data]
    if access == "x":
        assert outcome.value == at >> 4 << 12, facts
    assert outcome.memory == bytes(m.ram1), facts
    return "translated"


@pytest.mark.long
@pytest.mark.parametrize("name", ["sv32", "sv39", "sv48", "sv57"])
@pytest.mark.parametrize("count", [125, pytest.param(5000, marks=pytest.mark.slow)])
def test_one_access_by_riscv(model: Callable[[str], ModuleType], name: str, count: int) -> None:
    cases, engine, manual = model("riscv_cases"), model("unicorn_riscv"), model("riscv")
    found = [play_riscv(cases, engine, manual, name, seed) for seed in range(count)]
    assert found.count("translated") > count // 20
    assert len(set(found)) > 3
