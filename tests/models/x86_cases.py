"""Random page tables and control registers of x86 in a machine: what tests of one access start from."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

from vmdbg.formats import find
from vmdbg.formats.record import Format
from vmdbg.machine import boot
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.machine.registers import find_field
from vmdbg.state.tables import CONTROLS, CPU_MODE, CPU_ROOT
from vmdbg.units import s64

BASE, RAM, TABLES = 0x80000000, 1 << 16, 8  # frames from TABLES on are no tables
SWITCHES = {
    "cr0.wp": "wp", "cr4.pse": "pse", "cr4.smep": "smep", "cr4.smap": "smap", "eflags.ac": "ac",
    "efer.nxe": "nxe", "cr4.pke": "pke", "pkru": "pkru", "maxphyaddr": "maxphyaddr",
}  # fmt: skip


@cache
def machine(name: str) -> Machine:
    values = {
        "machine.format": name,
        "machine.ram": RAM,
        "machine.ram_base": BASE,
        "machine.swap.size": 0,
        "kernel.first_frame": 0,
        "tlb.l1": "2x2",
        "tlb.l2": "off",
    }
    return Machine(MachineConfig(values))


def plant(rng: random.Random, form: Format, memory: Any, va: int) -> None:
    """Tables in the first frames: what a walk of `va` meets is mostly present, some of it odd."""
    wide, wild = form.entry_bytes == 8, rng.choice((0.02, 0.3, 1))
    levels = len(form.levels)
    for frame in range(TABLES):
        order = [*range(levels), frame % levels]  # what a table is meant for is written last
        for depth in order:
            level, last = form.levels[depth], depth == levels - 1
            meant = range(TABLES, 16) if last else range((depth + 1) % levels, TABLES, levels)
            target = rng.choice(meant if rng.random() > 0.1 * wild else range(16))
            entry = BASE + target * 4096 if rng.random() > 0.1 * wild else rng.getrandbits(40) << 12
            entry |= 7 if rng.random() > wild else rng.choice((7, 7, 7, 5, 3, 1, 6))
            entry |= rng.getrandbits(1) << 5 | rng.getrandbits(1) << 6 | rng.getrandbits(1) << 8
            leaf = level.leaf or rng.random() < 0.2 * wild
            if rng.random() < 0.2 and not last and leaf:
                entry = entry >> level.shift << level.shift | entry & 0xFFF | 0x80
                if rng.random() < 0.5 * wild:
                    entry |= 1 << rng.randrange(12, min(level.shift, 31))
            if wide and rng.random() < 0.5 * wild and level.leaf:
                entry |= rng.getrandbits(1) << 63
            if form.keys is not None and rng.random() < 0.5:
                entry |= rng.getrandbits(4) << 59
            if rng.random() < 0.1 * wild:
                entry ^= 1 << rng.randrange(8 * form.entry_bytes)
            if wide:
                memory.ram8[frame * 512 + form.index(va, depth)] = s64(entry)
            else:
                memory.ram4[frame * 1024 + form.index(va, depth)] = entry & 0xFFFFFFFF


def addresses(form: Format) -> tuple[int, ...]:
    """Addresses to try: at edges of tables and of both halves, and outside."""
    if not form.sign_extended:
        return (0, 0x1000, 0x80401008, 0xFFFFFFF0, 0xC0201000)
    top = form.va_bits - 1
    return (0, 0x201000, 0x40201008, (1 << top) - 16, -16, -(1 << top), 1 << top, -(1 << top) - 16, 1 << 62)


def draw_rules(rng: random.Random, form: Format, rules: Any, physical: int = 0) -> list[int]:
    """Control registers at random, and the same in the model's `rules`; `physical`: MAXPHYADDR, 0 for any."""
    control = [0] * len(CONTROLS)
    for name, word in SWITCHES.items():
        register = find_field(form, name)
        if register is None:
            continue
        value = rng.getrandbits(register.width)
        if name == "maxphyaddr":
            usual = physical or register.most
            value = usual if physical or rng.random() < 0.8 else rng.randrange(36, register.most)
        control[register.word] |= value << register.low
        setattr(rules, word, bool(value) if register.width == 1 else value)
    if find_field(form, "efer.nxe") is None:
        rules.nxe = False
    return control


def prepare(
    name: str, rng: random.Random, va: int, user: bool, rules: Any, physical: int = 0
) -> tuple[Machine, int]:
    """A machine with random tables and registers (also in `rules`), and the address of the root table."""
    booted, form = machine(name), find(name)
    m = booted.m
    m.ram8[:] = memoryview(bytes(RAM)).cast("q")
    plant(rng, form, m, va)
    for column, value in zip(CONTROLS, draw_rules(rng, form, rules, physical), strict=True):
        m.cpu[column] = value
    m.cpu[CPU_MODE] = 0 if user else 1
    boot.set_allowed(m, 0, form)
    m.cpu[CPU_ROOT] = root = BASE + rng.randrange(0, TABLES, len(form.levels)) * 4096
    booted.k.tlb_flush(m, 0, -1, 0)
    return booted, root
