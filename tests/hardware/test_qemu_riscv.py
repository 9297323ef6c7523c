"""The same tables, registers and access given to vmdbg and to QEMU's RISC-V processors.

The same cause and address, or the same byte, and the same entries afterwards.
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
from vmdbg.inspect.context import find_context, in_machine_mode
from vmdbg.machine.registers import read, write
from vmdbg.state.tables import CONTROL_FAULT, CONTROL_STEPS, CPU_MODE, PATH, PATH_ENTRY

PROGRAM = "qemu-system-riscv64"
MODES = [name for name in NAMES if find(name).root_register == "satp" and not find(name).kernel_sets_ad]
UNCHECKED = (1 << 63) - (1 << 54)  # bits 60:54, which are reserved, and PBMT
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"needs {PROGRAM}: scripts/emulators"),
]


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "extensions"])
def extensions(request: pytest.FixtureRequest) -> bool:
    """Has the processor Svnapot and Svpbmt?"""
    return bool(request.param)


@pytest.fixture(scope="module", params=MODES)
def cpu(
    request: pytest.FixtureRequest, model: Callable[[str], ModuleType], extensions: bool
) -> Iterator[tuple[str, Any]]:
    """A format, and a processor that has it."""
    levels = len(find(request.param).levels)
    if levels == 2 and extensions:
        pytest.skip("Sv32 has neither extension")
    engine = model("qemu_riscv")
    processor = model("gdb_server").Processor(*engine.options(levels, extensions))
    engine.begin(processor, levels)
    yield request.param, processor
    processor.close()


def more_than_qemu(m: Any, fault: str, extensions: bool) -> bool:
    """Does QEMU (7.2) take what the manual refuses, or refuse in another way?

    With Svnapot or Svpbmt it looks at no reserved bits, nor at PBMT = 3 or at menvcfg.PBMTE (12.4.1, 12.8,
    3.1.18).  An entry outside memory is a page fault to it (12.3.2, step 2: an access fault).
    """
    entry = m.path[(m.control[CONTROL_STEPS] - 1) * PATH + PATH_ENTRY]
    return fault == "bus" or (fault == "reserved" and extensions and bool(entry & UNCHECKED))


def play(cpu: tuple[str, Any], memory: Any, models: Callable[[str], Any], extensions: bool, seed: int) -> str:
    """One access; what came of it, in a word."""
    (name, processor), rng = cpu, random.Random(seed)
    cases, engine, manual, form = models("riscv_cases"), models("qemu_riscv"), models("riscv"), find(cpu[0])
    width, levels = form.entry_bytes, len(form.levels)
    va = rng.choice(cases.addresses(form.va_bits - 1)) & ~0xFFF | rng.randrange(128) << 4
    access, user = rng.choice("rwx"), rng.random() < 0.5
    sum_, mxr, pbmt = (rng.random() < 0.5 for _ in range(3))
    rules = manual.Rules(levels, sum_, mxr, svnapot=extensions, svpbmt=extensions and pbmt)
    by_machine = access != "x" and rng.random() < 0.5
    booted, root = cases.prepare(name, rng, va, user, rules)
    if by_machine:
        write(booted, 0, "mstatus", 1 << 17 | (not user) << 11)
        assert in_machine_mode(booted, find_context(booted), "rwx".index(access)).mode == (not user)
    k, m, size, kind = booted.k, booted.m, len(booted.m.ram1), "rwx".index(access)
    at = root - cases.BASE + engine.entries_for_code(levels)[1]
    m.ram1[at : at + width] = engine.pointer(engine.CODE + 0x1000).to_bytes(width, "little")
    memory.fill(m)
    pa = k.translate(m, 0, va, kind)
    fault = FAULT_KINDS[m.control[CONTROL_FAULT]] if pa < 0 else ""
    place = pa - cases.BASE
    if more_than_qemu(m, fault, extensions):
        return "QEMU differs"
    if not fault and not (0 <= place < size and (access != "x" or place >= memory.size)):
        return "elsewhere"
    code = k.code_of(m, 0, m.control[CONTROL_FAULT], kind, m.cpu[CPU_MODE], m.control[CONTROL_STEPS] - 1)
    found = engine.access(processor, read(booted, 0, "satp"), va, access, user, rules, by_machine)
    facts = name, seed, access, hex(va), user, rules, by_machine, hex(pa), fault, found
    if fault:
        assert (found.cause, found.address) == (code, va & (1 << 8 * width) - 1), facts
        assert not memory.differs(m), facts
        return fault
    assert found.cause == -1, facts
    data = 8 if width == 8 else 4
    if access == "r":
        seen = int.from_bytes(m.ram1[place : place + data], "little")
        assert found.value & (1 << 8 * data) - 1 == seen, facts
    if access == "x":
        assert found.value == place >> 4 << 12, facts
    if access == "w":
        m.ram1[place : place + data] = engine.WORD.to_bytes(8, "little")[:data]
        assert processor.read(pa, data) == bytes(m.ram1[place : place + data]), facts
        memory.take_back(pa)
        if place < memory.size:
            memory.differs(m)
            return "a table"
    assert not memory.differs(m), facts
    return "translated by MPRV" if by_machine else "translated"


@pytest.mark.parametrize("count", [150, pytest.param(3000, marks=pytest.mark.slow)])
def test_one_access(
    model: Callable[[str], ModuleType], cpu: tuple[str, Any], extensions: bool, count: int
) -> None:
    cases, engine = model("riscv_cases"), model("qemu_riscv")
    code = engine.pattern(cases.BASE, 8 << 12, cases.RAM)
    memory = model("gdb_server").Tables(cpu[1], cases.BASE, 8 << 12, code)
    found = [play(cpu, memory, model, extensions, seed) for seed in range(count)]
    assert {"translated", "translated by MPRV", "protection", "reserved"} <= set(found)
