"""One access on raw tables of Sv39 and its like, with hardware A/D and Svade, against the manual's steps."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg.formats import NAMES, find
from vmdbg.formats.contract import FAULT_KINDS
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
        "tlb.walk_cache": "L2:2 L1:2",
    }
    return Machine(MachineConfig(values))


def plant(rng: random.Random, memory: Any, va: int, shifts: list[int]) -> None:
    """Tables in the first eight frames: what a walk of `va` meets is mostly present."""
    for frame in range(8):
        for shift in shifts:
            target = BASE + rng.randrange(16) * 4096 if rng.random() < 0.9 else rng.getrandbits(44) << 12
            kind = rng.random()
            if kind < 0.5:
                flags = 1 | rng.getrandbits(1) << 5
            else:
                flags = 1 | rng.choice((1, 3, 4, 5, 7, 2, 6)) << 1 | rng.getrandbits(4) << 4
                if rng.random() < 0.5:
                    target &= -1 << shift
            entry = target >> 12 << 10 | flags
            if rng.random() < 0.1:
                entry ^= 1 << rng.randrange(64)
            memory[frame * 512 + (va >> shift & 511)] = s64(entry)


@pytest.mark.long
@pytest.mark.parametrize("name", MODES)
def test_one_access(model: Callable[[str], ModuleType], name: str) -> None:
    manual, form = model("sv39"), find(name)
    levels, mode = len(form.levels), {39: 8, 48: 9, 57: 10}[form.va_bits]

    @hypothesis.settings(max_examples=drawn(400), deadline=None)
    @hypothesis.given(
        st.integers(0, 1 << 30),
        st.sampled_from(addresses(form.va_bits - 1)),
        st.sampled_from("rwx"),
        st.booleans(),
        st.integers(0, 3),
    )
    def scenario(seed: int, va: int, access: str, user: bool, rules: int) -> None:
        booted = machine(name)
        k, m, rng = booted.k, booted.m, random.Random(seed)
        plant(rng, m.ram8, va, [level.shift for level in form.levels])
        m.cpu[CPU_MODE] = 0 if user else 1
        m.cpu[CPU_ASID] = 1
        satp = mode << 60 | 1 << 44 | (BASE >> 12) + rng.randrange(8)
        write(booted, 0, "satp", satp)
        write(booted, 0, "sstatus.sum", rules & 1)
        write(booted, 0, "sstatus.mxr", rules >> 1)
        k.tlb_flush(m, 0, -1, 0)
        before = bytes(m.ram1)
        pa = k.translate(m, 0, va, "rwx".index(access))
        outcome = "translated" if pa >= 0 else FAULT_KINDS[m.control[CONTROL_FAULT]]
        if not manual.canonical(va, levels):
            assert (outcome, bytes(m.ram1)) == ("non-canonical", before)
            return
        found = manual.translate(
            before,
            BASE,
            satp,
            va,
            access,
            user,
            bool(rules & 1),
            bool(rules >> 1),
            form.kernel_sets_ad,
            levels,
        )
        assert outcome == found.outcome
        if outcome != "translated":
            assert bytes(m.ram1) == before
            return
        assert pa == found.pa
        expected = bytearray(before)
        address, entry = found.writes
        expected[address - BASE : address - BASE + 8] = entry.to_bytes(8, "little")
        assert bytes(m.ram1) == bytes(expected)
        words = {m.tlb[row + TLB_WORD] for row in range(0, 4 * TLB, TLB) if m.tlb[row + TLB_KEY] >= 0}
        assert [word & WORD_GLOBAL > 0 for word in words] == [found.is_global]
        assert k.translate(m, 0, va, "rwx".index(access)) == pa

    scenario()
