"""The same tables, registers and access given to vmdbg and to QEMU's AArch64 processor.

The same syndrome and FAR, or the same byte, and the same entries afterwards.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from vmdbg.formats import NAMES, find
from vmdbg.state.tables import CONTROL_FAULT, CONTROL_STEPS, CPU_MODE, PATH, PATH_ENTRY

ADDRESS_SIZE, TRANSLATION, PERMISSION, EXTERNAL = 0x00, 0x04, 0x0C, 0x14  # status codes, without their level
ABOVE = {0x29: ADDRESS_SIZE, 0x2B: TRANSLATION, 0x13: EXTERNAL}  # of level -1
ACCESSED = 1 << 10  # AF
BRANCH_TARGET = 0x0D  # class of exceptions
PROGRAM = "qemu-system-aarch64"
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"needs {PROGRAM}: scripts/emulators"),
]
MODES = [name for name in NAMES if find(name).root_register == "ttbr0_el1"]


@pytest.fixture(scope="module")
def cpu(model: Callable[[str], ModuleType]) -> Iterator[Any]:
    processor = model("gdb_server").Processor(*model("qemu_arm64").OPTIONS)
    yield processor
    processor.close()


def differs(leaf: int, code: int, access: str, rules: Any) -> bool:
    """Does QEMU (7.2) do otherwise than the manual after an entry that ends in a fault?

    It takes blocks at levels that have none (D8.3.1).  With DBM a page counts as writable only for a write,
    so that EL1 executes it though EL0 may write it (D8.5.2).  What lies outside memory here may be its code.
    Of addresses of 52 bits it sees the bits below the others only while TCR_EL1.IPS is 6 (D8.3.1).
    """
    status = ABOVE.get(code & 0x3F, code & 0x3C)
    if status == EXTERNAL or (leaf & 3 == 1 and status == TRANSLATION):
        return True
    if rules.wide and rules.ips < 6 and status == ADDRESS_SIZE:
        return True
    managed = leaf >> 51 & 1 and leaf >> 7 & 1 and rules.ha and rules.hd
    return bool(managed and access == "x" and status == PERMISSION)


def far(va: int, access: str, rules: Any) -> int:
    """The address that a fault reports: all of it, but for a branch, which leaves out a tag (D8.9.1)."""
    if access == "x" and (rules.tbi1 if va >> 55 & 1 else rules.tbi0):
        va = (va & (1 << 56) - 1 ^ 1 << 55) - (1 << 55)
    return va & (1 << 64) - 1


def play(memory: Any, cases: Any, engine: Any, rules: Any, name: str, seed: int) -> str:
    """One access; what came of it, in a word."""
    rng, form = random.Random(seed), find(name)
    va = rng.choice(cases.addresses(form.va_bits - 1)) & ~0xFFF | rng.randrange(128) << 4
    access, user = rng.choice("rwx"), rng.random() < 0.5
    booted, roots = cases.prepare(name, rng, va, user, rules, upper=True)
    k, m, size, kind = booted.k, booted.m, len(booted.m.ram1), "rwx".index(access)
    at = roots[1] - cases.BASE + engine.entries_for_code(form.page_bits, rules.wide)[1]
    m.ram1[at : at + 8] = (engine.CODE + 0x100000 | 3).to_bytes(8, "little")
    memory.fill(m)
    pa = k.translate(m, 0, va, kind)
    code = k.code_of(m, 0, m.control[CONTROL_FAULT], kind, m.cpu[CPU_MODE], m.control[CONTROL_STEPS] - 1)
    place = pa - cases.BASE
    leaf = m.path[(m.control[CONTROL_STEPS] - 1) * PATH + PATH_ENTRY]
    if pa < 0 and differs(leaf, code, access, rules):
        return "QEMU differs"
    if pa >= 0 and not (0 <= place < size and (access != "x" or place >= memory.size)):
        return "elsewhere"
    found = engine.access(memory.cpu, roots, va, access, user, rules)
    if found.code >> 26 == BRANCH_TARGET:
        memory.differs(m)
        return "a guarded page"  # GP, bit 50: the code of accesses branches without a landing
    facts = name, seed, access, hex(va), user, rules, hex(pa), hex(code), hex(found.code)
    if pa < 0:
        assert (found.code, found.address) == (code, far(va, access, rules)), (facts, hex(found.address))
        made = memory.differs(m)  # AF may have been set although the access failed
        assert all(two[0] == two[1] | ACCESSED for two in made.values()), (made, facts)
        return f"{code & 0x3C:#x}"
    assert found.code == -1, facts
    if access == "r":
        assert found.value == int.from_bytes(m.ram1[place : place + 8], "little"), facts
    if access == "x":
        assert found.value == place >> 4 & 0xFFFF, facts
    if access == "w":
        m.ram1[place : place + 8] = engine.WORD.to_bytes(8, "little")
        assert memory.cpu.read(pa, 8) == bytes(m.ram1[place : place + 8]), facts
        memory.take_back(pa)
        if place < memory.size:
            memory.differs(m)
            return "a table"
    assert not memory.differs(m), facts
    return "translated"


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("count", [100, pytest.param(3000, marks=pytest.mark.slow)])
def test_one_access(model: Callable[[str], ModuleType], cpu: Any, name: str, count: int) -> None:
    cases, engine, manual = model("arm64_cases"), model("qemu_arm64"), model("arm64")
    page_bits = find(name).page_bits
    engine.begin(cpu, page_bits, find(name).va_bits > 49)
    size, end = cases.TABLES << page_bits, cases.FRAMES << page_bits
    memory = model("gdb_server").Tables(cpu, cases.BASE, size, engine.pattern(cases.BASE, size, end))
    found = [play(memory, cases, engine, manual.Rules(), name, seed) for seed in range(count)]
    assert found.count("translated") > count // 20
    assert len(set(found)) > 3
