"""Random page tables and registers of AArch64 in a machine: what tests of one access start from."""

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

BASE, TABLES, FRAMES = 0x44000000, 8, 16
FIELDS = ("t0sz", "t1sz", "epd0", "epd1", "tbi0", "tbi1", "ha", "hd", "hpd0", "hpd1", "ips")


@cache
def machine(name: str) -> Machine:
    values = {
        "machine.format": name,
        "machine.ram": FRAMES << find(name).page_bits,
        "machine.ram_base": BASE,
        "machine.swap.size": 0,
        "kernel.first_frame": 0,
        "tlb.l1": "2x2",
        "tlb.l2": "off",
    }
    return Machine(MachineConfig(values))


def plant(rng: random.Random, form: Format, m: Any, va: int) -> None:
    """Tables in the first frames: what a walk of `va` meets is mostly valid, some of it odd."""
    levels, wild = len(form.levels), rng.choice((0.02, 0.3, 1))
    for frame in range(TABLES):
        for depth in (*range(levels), frame % levels):  # what a table is meant for is written last
            level, last = form.levels[depth], depth == levels - 1
            meant = range(TABLES, FRAMES) if last else range((depth + 1) % levels, TABLES, levels)
            target = BASE + (
                rng.choice(meant if rng.random() > 0.1 * wild else range(FRAMES)) << form.page_bits
            )
            if rng.random() < 0.1 * wild:
                target = rng.getrandbits(48 - form.page_bits) << form.page_bits
            entry = target | 3
            if not last and rng.random() < (0.1 if level.leaf else 0.1 * wild):
                entry = target >> level.shift << level.shift | 1
            if last or entry & 3 == 1:
                entry |= 1 << 10 if rng.random() > 0.3 * wild else 0
                entry |= rng.choice((1, 1, 0, 3, 2)) << 6 | rng.getrandbits(1) << 11
                entry |= rng.getrandbits(1) << 51 | rng.getrandbits(1) << 52
                if rng.random() < 0.6:
                    entry |= rng.getrandbits(2) << 53
            elif rng.random() < 0.3 * wild:
                entry |= rng.getrandbits(5) << 59
            if rng.random() < 0.1 * wild:
                entry ^= 1 << rng.randrange(64)
            if form.va_bits > 49 and rng.random() < 0.05 * wild:
                entry |= rng.getrandbits(4) << 12 if form.page_bits == 16 else rng.getrandbits(2) << 8
            m.ram8[(frame << form.page_bits - 3) + form.index(va, depth)] = s64(entry)


def addresses(bits: int = 48) -> tuple[int, ...]:
    """Addresses to try, in both halves, of so many bits, and outside."""
    low = (0, 0x1000, 0x40201000, 0x123456000, (1 << bits) - 0x1000)
    return (*low, *(address - (1 << bits) for address in low), 1 << bits, -(1 << bits) - 0x1000, 1 << 62)


def draw_rules(rng: random.Random, form: Format, rules: Any, upper: bool) -> list[int]:
    """Control registers at random, and the same in the model's `rules`; `upper`: that half is all there."""
    control = [0] * len(CONTROLS)
    rules.page_bits, rules.wide = form.page_bits, form.va_bits > 49
    least = 12 if rules.wide else 16
    rules.t0sz = rules.t1sz = least
    rules.wxn, rules.pan = rng.random() < 0.3, rng.random() < 0.3
    if rng.random() < 0.5:
        rules.t0sz, rules.t1sz = rng.randrange(least, 40), rng.randrange(least, 40)
        rules.tbi0, rules.tbi1 = rng.random() < 0.5, rng.random() < 0.5
        rules.epd0, rules.epd1 = rng.random() < 0.1, rng.random() < 0.1
    rules.ha, rules.hd = rng.random() < 0.8, rng.random() < 0.7
    rules.hpd0, rules.hpd1 = rng.random() < 0.3, rng.random() < 0.3
    rules.ips = rng.choice((5, 5, 5, 2, 1)) + (rules.wide and rng.random() < 0.9)
    if upper:
        rules.t1sz, rules.epd1 = least, False
    for name in FIELDS:
        found = find_field(form, f"tcr_el1.{name}")
        assert found is not None
        control[found.word] |= int(getattr(rules, name)) << found.low
    control[1], control[2] = rules.wxn << 19, rules.pan << 22
    return control


def prepare(
    name: str, rng: random.Random, va: int, user: bool, rules: Any, upper: bool = False
) -> tuple[Machine, tuple[int, int]]:
    """A machine with random tables and registers (also in `rules`), and the addresses of both root tables."""
    booted, form = machine(name), find(name)
    m = booted.m
    m.ram8[:] = memoryview(bytes(len(m.ram1))).cast("q")
    plant(rng, form, m, va)
    control = draw_rules(rng, form, rules, upper)
    sizes, least = (rules.t0sz, rules.t1sz), 12 if rules.wide else 16
    meant, any_table = range(0, TABLES, len(form.levels)), range(TABLES)
    numbers = [rng.choice(meant if size == min(sizes) == least else any_table) for size in sizes]
    roots = BASE + (numbers[0] << form.page_bits), BASE + (numbers[1] << form.page_bits)
    control[6] = roots[1]
    for column, value in zip(CONTROLS, control, strict=True):
        m.cpu[column] = value
    m.cpu[CPU_MODE], m.cpu[CPU_ROOT] = 0 if user else 1, roots[0]
    boot.set_allowed(m, 0, form)
    booted.k.tlb_flush(m, 0, -1, 0)
    return booted, roots
