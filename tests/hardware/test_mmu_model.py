"""One access on raw tables, against the manual's rules said once more: outcome, rights, A and D."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import hypothesis
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg.formats.contract import FAULT_KINDS
from vmdbg.hardware.tlb import WORD_GLOBAL
from vmdbg.machine import boot
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.state.tables import CONTROL_FAULT, CPU_CONTROL0, CPU_MODE, CPU_ROOT, TLB, TLB_KEY, TLB_WORD
from vmdbg.units import s64

BASE, RAM = 0x80000000, 1 << 16
ADDRESSES = (
    0, 0x1000, 0x201000, 0x40201008, 0x8040201FFF, 0x7FFFFFFFFFFF, -1, -0x800000000000, 0x800000000000,
    -0x800000000001, 1 << 62,
)  # fmt: skip


@cache
def machine() -> Machine:
    values = {
        "machine.ram": RAM,
        "machine.ram_base": BASE,
        "machine.swap.size": 0,
        "kernel.first_frame": 0,
        "tlb.l1": "2x2",
        "tlb.l2": "off",
    }
    return Machine(MachineConfig(values))


def plant(rng: random.Random, memory: Any, va: int) -> None:
    """Tables in the first eight frames: what a walk of `va` meets is mostly present."""
    for frame in range(8):
        for shift in (39, 30, 21, 12):
            index = (va & (1 << 48) - 1) >> shift & 511
            target = BASE + rng.randrange(16) * 4096 if rng.random() < 0.9 else rng.getrandbits(40) << 12
            entry = target & 0x000F_FFFF_FFFF_F000 | rng.choice((7, 7, 7, 5, 3, 1, 6))
            entry |= rng.getrandbits(1) << 5 | rng.getrandbits(1) << 6 | rng.getrandbits(1) << 8
            if rng.random() < 0.15:
                entry = entry & ~0x3FFFE000 | 0x80
            if rng.random() < 0.1:
                entry |= 1 << 63
            if rng.random() < 0.1:
                entry ^= 1 << rng.randrange(64)
            memory[frame * 512 + index] = s64(entry)


@hypothesis.settings(max_examples=drawn(400), deadline=None)
@hypothesis.given(
    st.integers(0, 1 << 30),
    st.sampled_from(ADDRESSES),
    st.sampled_from("rwx"),
    st.booleans(),
    st.integers(0, 31),
)
def test_one_access(
    model: Callable[[str], ModuleType], seed: int, va: int, access: str, user: bool, rules: int
) -> None:
    oracle, booted = model("oracle"), machine()
    k, m, rng = booted.k, booted.m, random.Random(seed)
    plant(rng, m.ram8, va)
    wp, smep, smap, nxe, pge = (bool(rules >> bit & 1) for bit in range(5))
    m.cpu[CPU_CONTROL0], m.cpu[CPU_CONTROL0 + 1] = wp << 16, smep << 20 | smap << 21 | pge << 7
    m.cpu[CPU_CONTROL0 + 2] = nxe << 11
    m.cpu[CPU_MODE] = 0 if user else 1
    boot.set_allowed(m, 0, booted.format)
    m.cpu[CPU_ROOT] = BASE + rng.randrange(8) * 4096
    k.tlb_flush(m, 0, -1, 0)
    before = bytes(m.ram1)
    pa = k.translate(m, 0, va, "rwx".index(access))
    if not oracle.canonical(va):
        assert (pa, FAULT_KINDS[m.control[CONTROL_FAULT]]) == (-1, "non-canonical")
        assert bytes(m.ram1) == before
        return
    walk = oracle.walk(before, BASE, m.cpu[CPU_ROOT], va, nxe)
    outcome = walk.outcome
    if outcome == "translated" and not oracle.may(walk.rights, access, user, wp, smep, smap):
        outcome = "protection"
    if outcome != "translated":
        assert (pa, FAULT_KINDS[m.control[CONTROL_FAULT]]) == (-1, outcome)
        assert bytes(m.ram1) == before
        return
    assert pa == walk.pa
    expected = bytearray(before)
    for place, step in enumerate(walk.steps):
        at = step - BASE
        expected[at] |= 0x20 | (0x40 if access == "w" and place == len(walk.steps) - 1 else 0)
    assert bytes(m.ram1) == bytes(expected)
    leaf = oracle.word(bytes(m.ram1), BASE, walk.steps[-1])
    held = [row for row in range(0, len(m.tlb), TLB) if m.tlb[row + TLB_KEY] >= 0]
    assert [m.tlb[row + TLB_WORD] & WORD_GLOBAL > 0 for row in held] == [bool(leaf & 0x100) and pge]
    again = k.translate(m, 0, va, "rwx".index(access))
    assert again == pa
    assert bytes(m.ram1) == bytes(expected)
