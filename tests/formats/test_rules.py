"""For every control bit one access that it changes: the rows of the table of rules in docs/formats.md."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from vmdbg.formats import NAMES, find
from vmdbg.formats.contract import BARE_ROOT, FAULT_KINDS
from vmdbg.inspect.context import find_context, in_machine_mode
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.machine.registers import write
from vmdbg.state.tables import CONTROL_FAULT, CONTROLS, CPU_MODE, CPU_ROOT
from vmdbg.units import s64

BASE, RAM = 0x40000000, 1 << 20
PAGE = BASE + 0x80000
NX, PS, G = 1 << 63, 0x80, 0x100

# Format; register and its two values; access by u(ser), k(ernel) or m(achine mode); the leaf's bits, or all
# entries from the root down; what comes of the access with each value.
ROWS = [
    ("x86_64", "cr0.wp", 0, 1, "kw", 0x1, "page", "protection"),
    ("x86_32", "cr4.pse", 0, 1, "ur", [BASE + 0x1000 | 7 | PS, PAGE | 7], "page", "elsewhere"),
    ("x86_64", "cr4.smep", 0, 1, "kx", 0x7, "page", "protection"),
    ("x86_64", "cr4.smap", 0, 1, "kr", 0x7, "page", "protection"),
    ("x86_64", "efer.nxe", 0, 1, "ur", NX | 0x7, "reserved", "page"),
    ("x86_64", "cr4.pke", 0, 1, "ur", 1 << 59 | 0x7, "page", "protection-key"),
    ("x86_64", "pkru", 0, 0xC, "ur", 1 << 59 | 0x7, "page", "protection-key"),
    ("x86_64", "maxphyaddr", 40, 52, "ur", [1 << 45 | 7], "reserved", "elsewhere"),
    ("x86_64", "eflags.ac", 0, 1, "kr", 0x7, "protection", "page"),
    ("sv39", "sstatus.sum", 0, 1, "kr", 0x13, "protection", "page"),
    ("sv39", "sstatus.mxr", 0, 1, "ur", 0x19, "protection", "page"),
    ("sv39", "menvcfg.adue", 0, 1, "uw", 0x17, "access-flag", "page"),
    ("sv39", "isa.svnapot", 0, 1, "ur", 1 << 63 | 8 << 10 | 0x1F, "reserved", "elsewhere"),
    ("sv39", "menvcfg.pbmte", 0, 1, "ur", 1 << 61 | 0x13, "reserved", "page"),
    ("sv39", "mstatus.mprv", 0, 1, "mr", 0x13, "elsewhere", "page"),
    ("sv39", "mstatus.mpp", 0, 1, "mr", 0x13, "page", "protection"),
    ("sv39", "satp.mode", 0, 8, "ur", 0x13, "elsewhere", "page"),
    ("arm64", "tcr_el1.t0sz", 16, 30, "ur", 0x743, "page", "elsewhere"),
    ("arm64", "tcr_el1.epd0", 0, 1, "ur", 0x743, "page", "non-canonical"),
    ("arm64", "tcr_el1.t1sz", 16, 30, "Kr", 0x703, "page", "non-canonical"),
    ("arm64", "tcr_el1.epd1", 0, 1, "Kr", 0x703, "page", "non-canonical"),
    ("arm64", "tcr_el1.tbi0", 0, 1, "tr", 0x743, "non-canonical", "page"),
    ("arm64", "tcr_el1.tbi1", 0, 1, "Tr", 0x703, "non-canonical", "page"),
    ("arm64", "tcr_el1.ha", 0, 1, "ur", 0x343, "access-flag", "page"),
    ("arm64", "tcr_el1.hd", 0, 1, "uw", 1 << 51 | 0x7C3, "protection", "page"),
    ("arm64", "tcr_el1.hpd0", 0, 1, "uw", [1 << 62 | 3, 3, 3, PAGE | 0x743], "protection", "page"),
    ("arm64", "tcr_el1.hpd1", 0, 1, "Kw", [1 << 62 | 3, 3, 3, PAGE | 0x703], "protection", "page"),
    ("arm64", "tcr_el1.ips", 0, 5, "ur", [1 << 40 | 3], "reserved", "elsewhere"),
    ("arm64", "sctlr_el1.wxn", 0, 1, "ux", 0x743, "page", "protection"),
    ("arm64", "pstate.pan", 0, 1, "kr", 0x743, "page", "protection"),
    ("arm64", "ttbr1_el1", 0, BASE, "Kr", 0x703, "elsewhere", "page"),
]
NEEDS = {
    "pkru": ("cr4.pke", 1),
    "cr4.pke": ("pkru", 0xC),
    "eflags.ac": ("cr4.smap", 1),
    "mstatus.mpp": ("mstatus.mprv", 1),
}
VA = 0x1234
FLUSHES = {"cr4.pge"}  # shown by tests/machine/test_registers.py: what it decides is which entries are global


@cache
def machine(name: str) -> Machine:
    values = {"machine.format": name, "machine.ram": RAM, "machine.ram_base": BASE, "machine.swap.size": 0}
    return Machine(MachineConfig({**values, "kernel.first_frame": 200, "tlb.l1": "2x2", "tlb.l2": "off"}))


def pointer(name: str, address: int) -> int:
    """An entry that leads to a table and withholds nothing."""
    return address >> 12 << 10 | 1 if name.startswith("sv") else address | (3 if name == "arm64" else 7)


def plant(name: str, wanted: int | list[int]) -> None:
    """Tables from BASE on, one a frame; `wanted`: bits of the leaf, or all entries that are not as usual."""
    booted, form = machine(name), find(name)
    width, last = form.entry_bytes, len(form.levels) - 1
    booted.m.ram8[: 8 * 512] = memoryview(bytes(8 * 4096)).cast("q")
    leaf = (PAGE >> 12 << 10 if name.startswith("sv") else PAGE) | (wanted if isinstance(wanted, int) else 0)
    entries = [pointer(name, BASE + 0x1000 * (depth + 1)) for depth in range(last)] + [leaf]
    for depth, entry in enumerate(wanted if isinstance(wanted, list) else []):
        entries[depth] = entry | (BASE + 0x1000 * (depth + 1) if entry < 1 << 12 or entry >> 62 == 1 else 0)
    for depth, entry in enumerate(entries):
        at = BASE + 0x1000 * depth + form.index(VA, depth) * width
        booted.k.store(booted.m, at, width, s64(entry))


def outcome(name: str, how: str) -> str:
    """`page` if the access reaches its page, a kind of fault, or `elsewhere`."""
    booted = machine(name)
    k, m = booted.k, booted.m
    m.cpu[CPU_MODE] = int(how[0] in "kKT")
    write(booted, 0, booted.format.registers[0].name, booted_value(booted))
    if how[0] == "m":
        context = in_machine_mode(booted, find_context(booted, root=BASE), "rwx".index(how[1]))
        if context.root == BARE_ROOT:
            return "elsewhere"
        m.cpu[CPU_MODE] = context.mode
        write(booted, 0, booted.format.registers[0].name, booted_value(booted))
    va = {"K": VA - (1 << 48), "t": VA | 0x5A << 56, "T": s64(VA | 0x5AFF << 48)}.get(how[0], VA)
    k.tlb_flush(m, 0, -1, 0)
    pa = k.translate(m, 0, va, "rwx".index(how[1]))
    if pa < 0:
        kind = FAULT_KINDS[m.control[CONTROL_FAULT]]
        return "elsewhere" if kind in ("not-present", "bus") else kind
    return "page" if pa == PAGE | VA & 0xFFF else "elsewhere"


def booted_value(booted: Machine) -> int:
    """The value of the first register, written again so that the mode counts."""
    first = booted.format.registers[0]
    return int(booted.m.cpu[CONTROLS[first.word]]) >> first.low & first.mask


@pytest.mark.parametrize(("name", "register", "low", "high", "how", "wanted", "at_low", "at_high"), ROWS)
def test_an_access_that_a_register_changes(
    name: str,
    register: str,
    low: int,
    high: int,
    how: str,
    wanted: int | list[int],
    at_low: str,
    at_high: str,
) -> None:
    booted = machine(name)
    before = booted.snapshot()
    booted.m.cpu[CPU_ROOT] = BASE
    if name == "arm64":
        write(booted, 0, "ttbr1_el1", BASE)
    if register in NEEDS:
        write(booted, 0, *NEEDS[register])
    found = []
    for value in (low, high):
        plant(name, wanted)
        write(booted, 0, register, value)
        if register == "satp.mode":
            booted.m.cpu[CPU_ROOT] = BASE if value else -1
        found.append(outcome(name, how))
    booted.restore(before)
    assert found == [at_low, at_high]


def test_each_register_has_a_row_here_and_in_the_docs() -> None:
    pages = Path(__file__).resolve().parents[2] / "docs"
    told = (pages / "hardware.md").read_text(encoding="utf-8")
    rows = {register for _, register, *_ in ROWS} | FLUSHES
    for name in NAMES:
        form = find(name)
        for register in () if form.bounded else form.registers:
            assert register.fixed or register.name in rows, register.name
            assert f"`${register.name}`" in told, register.name
