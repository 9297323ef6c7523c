"""Random page tables of RISC-V in a machine: what tests of one access start from."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

from vmdbg.formats import find
from vmdbg.formats.record import Format
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.machine.registers import find_field, write
from vmdbg.state.tables import CPU_ASID, CPU_MODE
from vmdbg.units import s64

BASE, RAM = 0x80000000, 1 << 16


def addresses(top: int) -> tuple[int, ...]:
    """Addresses of whose bits 63:`top` are equal, at the edges too, and some others."""
    if top < 32:
        return (0, 0x1000, 0x40201008, 0xFFFFFFFF, 0xC0401000)
    edges = ((1 << top) - 1, -1, -(1 << top), 1 << top, -(1 << top) - 1, 1 << 62)
    return (0, 0x1000, 0x201000, 0x40201008, *edges)


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
        "tlb.walk_cache": " ".join(f"{level.name}:2" for level in find(name).levels[-4:-1]),
    }
    return Machine(MachineConfig(values))


def plant(rng: random.Random, form: Format, m: Any, va: int, napot: bool, pbmt: bool) -> None:
    """Tables in the first eight frames: what a walk of `va` meets is mostly present."""
    wide, levels = form.entry_bytes == 8, len(form.levels)
    words, wild = m.ram8 if wide else m.ram4, rng.choice((0.1, 1))
    for frame in range(8):
        for depth in (*range(levels), frame % levels):  # what a table is meant for is written last
            level, below = form.levels[depth], range((depth + 1) % levels, 8, levels)
            target = BASE + rng.choice(below if depth < levels - 1 else range(16)) * 4096
            if rng.random() < 0.1 * wild:
                target = rng.getrandbits(44 if wide else 22) << 12
            flags = 1 | (rng.getrandbits(1) << 5)
            if depth == levels - 1 or rng.random() < 0.3 / levels:
                flags = 1 | rng.choice((1, 3, 4, 5, 7, 3, 7, 5, 2, 6)) << 1 | rng.getrandbits(4) << 4
                if rng.random() < 0.5 or wild < 1:
                    target = target >> level.shift << level.shift
            entry = target >> 12 << 10 | flags
            if wide and rng.random() < (0.2 if napot else 0.02) and depth == levels - 1:
                entry = entry & ~(15 << 10) | 8 << 10 | 1 << 63
            if wide and rng.random() < (0.2 if pbmt else 0.02):
                entry |= rng.choice((1, 2, 2, 3)) << 61
            if rng.random() < 0.1 * wild:
                entry ^= 1 << rng.randrange(8 * form.entry_bytes)
            words[frame * (4096 // form.entry_bytes) + form.index(va, depth)] = s64(entry) if wide else entry


def prepare(name: str, rng: random.Random, va: int, user: bool, rules: Any) -> tuple[Machine, int]:
    """A machine with random tables and the registers that `rules` say, and the address of the root table."""
    booted, form = machine(name), find(name)
    m = booted.m
    m.ram8[:] = memoryview(bytes(RAM)).cast("q")
    plant(rng, form, m, va, rules.svnapot, rules.svpbmt)
    m.cpu[CPU_MODE], m.cpu[CPU_ASID] = 0 if user else 1, 1
    root = BASE + rng.randrange(0, 8, len(form.levels)) * 4096
    mode, asid, page = (field.low for field in form.root_fields)
    write(booted, 0, "satp", form.root_fields[0].initial << mode | 1 << asid | root >> 12 << page)
    switches = {"sstatus.sum": rules.sum_, "sstatus.mxr": rules.mxr, "menvcfg.adue": rules.adue}
    switches |= {"isa.svnapot": rules.svnapot, "menvcfg.pbmte": rules.svpbmt}
    for register, value in switches.items():
        if find_field(form, register) is not None:
            write(booted, 0, register, int(value))
    booted.k.tlb_flush(m, 0, -1, 0)
    return booted, root
