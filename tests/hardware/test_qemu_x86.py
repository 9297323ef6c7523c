"""The same tables, registers and access given to vmdbg and to QEMU's x86 processor.

The same vector, error code and CR2, or the same byte, and the same entries afterwards.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from vmdbg.formats import NAMES, find
from vmdbg.formats.contract import FAULT_KINDS
from vmdbg.state.tables import CONTROL_FAULT, CONTROL_STEPS, CPU_MODE

PROGRAM = "qemu-system-x86_64"
MODES = [name for name in NAMES if find(name).root_register == "cr3"]
GENERAL_PROTECTION, PAGE_FAULT, PRESENT, ACCESSED = 13, 14, 1, 1 << 5
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"needs {PROGRAM}: scripts/emulators"),
]


@pytest.fixture(scope="module", params=MODES)
def cpu(request: pytest.FixtureRequest, model: Callable[[str], ModuleType]) -> Iterator[tuple[str, Any]]:
    """A format, and a processor in its paging mode."""
    name, engine, rules = request.param, model("qemu_x86"), model("x86").Rules(request.param)
    cr0, cr4, efer = engine.control(rules)
    efer &= 0x900  # a processor sets LMA itself
    wide = name.startswith("x86_64")
    sector = model("qemu").boot_sector(cr0, engine.ROOT, cr4, efer, long=wide)
    processor = model("gdb_server").Processor(*engine.OPTIONS)
    engine.begin(processor, name, rules, sector)
    yield name, processor
    processor.close()


def play(cpu: tuple[str, Any], memory: Any, models: Callable[[str], Any], seed: int) -> str:
    """One access; what came of it, in a word."""
    (name, processor), rng = cpu, random.Random(seed)
    cases, engine, rules, form = (
        models("x86_cases"),
        models("qemu_x86"),
        models("x86").Rules(name),
        find(name),
    )
    va = rng.choice(cases.addresses(form)) & ~0xFFF | rng.randrange(128) << 4
    access, user, width = rng.choice("rwx"), rng.random() < 0.5, form.entry_bytes
    booted, root = cases.prepare(name, rng, va, user, rules, engine.PHYSICAL_BITS)
    k, m, size, kind = booted.k, booted.m, len(booted.m.ram1), "rwx".index(access)
    at = root - cases.BASE + engine.entries_for_code(name)[1]
    entry = engine.CODE + 0x1000 | (1 if name == "x86_pae" else 0x27)
    m.ram1[at : at + width] = entry.to_bytes(width, "little")
    memory.fill(m)
    pa = k.translate(m, 0, va, kind)
    fault = FAULT_KINDS[m.control[CONTROL_FAULT]] if pa < 0 else ""
    place = pa - cases.BASE
    if fault == "bus" or (not fault and not (0 <= place < size and (access != "x" or place >= memory.size))):
        return "elsewhere"
    code = k.code_of(m, 0, m.control[CONTROL_FAULT], kind, m.cpu[CPU_MODE], m.control[CONTROL_STEPS] - 1)
    found = engine.access(processor, root, va, access, user, rules)
    facts = fault, hex(code), found, name, seed, access, hex(va), user, rules, hex(pa)
    if fault == "non-canonical":
        assert (found.vector, found.code) == (GENERAL_PROTECTION, 0), facts
        return fault
    if fault:
        if fault == "reserved":
            code &= ~PRESENT  # QEMU (7.2) leaves P clear; SDM 3A, 4.7: with RSVD it is set
        expected = (PAGE_FAULT, code, va & (1 << 8 * (8 if form.sign_extended else 4)) - 1)
        assert (found.vector, found.code, found.address) == expected, facts
        made = memory.differs(m)  # A may have been set above the entry that faults
        mask = ACCESSED if width == 8 else ACCESSED | ACCESSED << 32
        assert all(two[0] & ~mask == two[1] & ~mask for two in made.values()), (made, facts)
        return fault
    assert found.vector == -1, facts
    data = 8 if form.sign_extended else 4
    if access == "r":
        assert found.value == int.from_bytes(m.ram1[place : place + data], "little"), facts
    if access == "x":
        assert found.value == pa, facts
    if access == "w":
        m.ram1[place : place + data] = engine.WORD.to_bytes(8, "little")[:data]
        assert processor.read(pa, data) == bytes(m.ram1[place : place + data]), facts
        memory.take_back(pa)
        if place < memory.size:
            memory.differs(m)
            return "a table"
    made = memory.differs(m)
    if name == "x86_pae":  # QEMU sets A in PDPTEs too; bit 5 is reserved there (SDM 3A, table 4-8)
        pdpt = range(root - cases.BASE >> 3, (root - cases.BASE >> 3) + 4)
        made = {at: two for at, two in made.items() if at not in pdpt or two[0] != two[1] | ACCESSED}
    assert not made, (made, facts)
    return "translated"


@pytest.mark.parametrize("count", [100, pytest.param(3000, marks=pytest.mark.slow)])
def test_one_access(model: Callable[[str], ModuleType], cpu: tuple[str, Any], count: int) -> None:
    cases, engine = model("x86_cases"), model("qemu_x86")
    size = cases.TABLES << 12
    code = engine.pattern(cases.BASE, size, cases.RAM)
    memory = model("gdb_server").Tables(cpu[1], cases.BASE, size, code)
    found = [play(cpu, memory, model, seed) for seed in range(count)]
    assert found.count("translated") > count // 10
    assert len(set(found)) > 3
