"""One access on raw tables of RISC-V, under all its registers, against the steps of the manual."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from vmdbg.formats import NAMES, find
from vmdbg.formats.contract import FAULT_KINDS
from vmdbg.formats.record import Format
from vmdbg.hardware.tlb import WORD_GLOBAL
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.machine.registers import write
from vmdbg.state.tables import CONTROL_FAULT, CPU_ASID, CPU_MODE, TLB, TLB_KEY, TLB_WORD
from vmdbg.units import s64

BASE, RAM = 0x80000000, 1 << 16
MODES = [name for name in NAMES if find(name).root_register == "satp"]


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


def plant(rng: random.Random, form: Format, m: Any, va: int) -> None:
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
            if depth == levels - 1 or rng.random() < 0.2:
                flags = 1 | rng.choice((1, 3, 4, 5, 7, 3, 7, 5, 2, 6)) << 1 | rng.getrandbits(4) << 4
                if rng.random() < 0.5 or wild < 1:
                    target = target >> level.shift << level.shift
            entry = target >> 12 << 10 | flags
            if wide and rng.random() < 0.2 and depth == levels - 1:
                entry = entry & ~(15 << 10) | 8 << 10 | 1 << 63
            if rng.random() < 0.1 * wild:
                entry ^= 1 << rng.randrange(8 * form.entry_bytes)
            words[frame * (4096 // form.entry_bytes) + form.index(va, depth)] = s64(entry) if wide else entry


@pytest.mark.long
@pytest.mark.parametrize("name", MODES)
def test_one_access(model: Callable[[str], ModuleType], name: str) -> None:
    manual, form = model("riscv"), find(name)
    levels = len(form.levels)

    @hypothesis.settings(max_examples=300, deadline=None)
    @hypothesis.given(
        st.integers(0, 1 << 30),
        st.sampled_from(addresses(form.va_bits - 1)),
        st.sampled_from("rwx"),
        st.booleans(),
        st.integers(0, 15),
    )
    def scenario(seed: int, va: int, access: str, user: bool, drawn: int) -> None:
        booted = machine(name)
        k, m, rng = booted.k, booted.m, random.Random(seed)
        plant(rng, form, m, va)
        m.cpu[CPU_MODE] = 0 if user else 1
        m.cpu[CPU_ASID] = 1
        root = BASE + rng.randrange(0, 8, levels) * 4096
        mode, asid, page = (field.low for field in form.root_fields)
        write(booted, 0, "satp", form.root_fields[0].initial << mode | 1 << asid | root >> 12 << page)
        rules = manual.Rules(levels, *(bool(drawn >> bit & 1) for bit in range(4)))
        if levels == 2:
            rules = rules._replace(svnapot=False)
        else:
            write(booted, 0, "isa.svnapot", rules.svnapot)
        for register, value in (("sum", rules.sum_), ("mxr", rules.mxr)):
            write(booted, 0, f"sstatus.{register}", value)
        write(booted, 0, "menvcfg.adue", rules.adue)
        k.tlb_flush(m, 0, -1, 0)
        before, kind = bytes(m.ram1), "rwx".index(access)
        pa = k.translate(m, 0, va, kind)
        fault = m.control[CONTROL_FAULT]
        outcome = "translated" if pa >= 0 else FAULT_KINDS[fault]
        if not manual.canonical(va, levels):
            assert (outcome, bytes(m.ram1)) == ("non-canonical", before)
            return
        found = manual.translate(before, BASE, root, va, access, user, rules)
        assert outcome == found.outcome
        if outcome != "translated":
            assert bytes(m.ram1) == before
            assert k.code_of(m, 0, fault, kind, m.cpu[CPU_MODE], 0) == found.cause
            return
        assert pa == found.pa
        expected = bytearray(before)
        address, entry = found.writes
        at, width = address - BASE, form.entry_bytes
        expected[at : at + width] = entry.to_bytes(width, "little")
        assert bytes(m.ram1) == bytes(expected)
        words = {m.tlb[row + TLB_WORD] for row in range(0, 4 * TLB, TLB) if m.tlb[row + TLB_KEY] >= 0}
        kept = [word & WORD_GLOBAL > 0 for word in words]  # none of the largest pages of Sv57
        assert kept == [found.is_global] or (levels, kept) == (5, [])
        assert k.translate(m, 0, va, kind) == pa

    scenario()
