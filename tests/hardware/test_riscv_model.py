"""One access on raw tables of RISC-V, under all its registers, against the steps of the manual."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import ModuleType

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg.formats import NAMES, find
from vmdbg.formats.contract import FAULT_KINDS
from vmdbg.hardware.tlb import WORD_GLOBAL
from vmdbg.state.tables import CONTROL_FAULT, CPU_MODE, TLB, TLB_KEY, TLB_WORD

MODES = [name for name in NAMES if find(name).root_register == "satp"]


@pytest.mark.long
@pytest.mark.parametrize("name", MODES)
def test_one_access(model: Callable[[str], ModuleType], name: str) -> None:
    manual, cases, form = model("riscv"), model("riscv_cases"), find(name)
    levels = len(form.levels)

    @hypothesis.settings(max_examples=drawn(300), deadline=None)
    @hypothesis.given(
        st.integers(0, 1 << 30),
        st.sampled_from(cases.addresses(form.va_bits - 1)),
        st.sampled_from("rwx"),
        st.booleans(),
        st.integers(0, 31),
    )
    def scenario(seed: int, va: int, access: str, user: bool, drawn: int) -> None:
        rules = manual.Rules(levels, *(bool(drawn >> bit & 1) for bit in range(5)))
        if levels == 2:
            rules = rules._replace(svnapot=False, svpbmt=False)
        booted, root = cases.prepare(name, random.Random(seed), va, user, rules)
        k, m = booted.k, booted.m
        before, kind = bytes(m.ram1), "rwx".index(access)
        pa = k.translate(m, 0, va, kind)
        fault = m.control[CONTROL_FAULT]
        outcome = "translated" if pa >= 0 else FAULT_KINDS[fault]
        if not manual.canonical(va, levels):
            assert (outcome, bytes(m.ram1)) == ("non-canonical", before)
            return
        found = manual.translate(before, cases.BASE, root, va, access, user, rules)
        assert outcome == found.outcome
        if outcome != "translated":
            assert bytes(m.ram1) == before
            assert k.code_of(m, 0, fault, kind, m.cpu[CPU_MODE], 0) == found.cause
            return
        assert pa == found.pa
        expected = bytearray(before)
        address, entry = found.writes
        at, width = address - cases.BASE, form.entry_bytes
        expected[at : at + width] = entry.to_bytes(width, "little")
        assert bytes(m.ram1) == bytes(expected)
        words = {m.tlb[row + TLB_WORD] for row in range(0, 4 * TLB, TLB) if m.tlb[row + TLB_KEY] >= 0}
        kept = [word & WORD_GLOBAL > 0 for word in words]  # none of the largest pages of Sv57
        assert kept == [found.is_global] or (levels, kept) == (5, [])
        assert k.translate(m, 0, va, kind) == pa

    scenario()
