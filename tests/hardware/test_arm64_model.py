"""One access on raw tables of AArch64 with each granule, under all its registers, against the manual."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg.formats import NAMES, find
from vmdbg.state.tables import CONTROL_FAULT, CONTROL_STEPS, CPU_MODE

MODES = [name for name in NAMES if find(name).root_register == "ttbr0_el1"]


def play(cases: Any, manual: Any, name: str, seed: int, va: int, access: str, user: bool) -> None:
    """One access: syndrome, address and memory after it are the model's."""
    rules, kind = manual.Rules(), "rwx".index(access)
    booted, roots = cases.prepare(name, random.Random(seed), va, user, rules)
    k, m = booted.k, booted.m
    before = bytes(m.ram1)
    expected = manual.access(before, cases.BASE, roots, va & (1 << 64) - 1, access, user, rules)
    for _ in range(2):  # the second time by the TLB, where it holds the page
        pa = k.translate(m, 0, va, kind)
        if expected.code >= 0:
            code = k.code_of(
                m, 0, m.control[CONTROL_FAULT], kind, m.cpu[CPU_MODE], m.control[CONTROL_STEPS] - 1
            )
            assert (pa, hex(code), bytes(m.ram1)) == (-1, hex(expected.code), before)
            continue
        after = bytearray(before)
        for address, entry in expected.writes.items():
            after[address - cases.BASE : address - cases.BASE + 8] = entry.to_bytes(8, "little")
        assert (pa, bytes(m.ram1)) == (expected.pa, bytes(after))


@pytest.mark.parametrize("name", MODES)
def test_one_access(model: Callable[[str], ModuleType], name: str) -> None:
    cases, manual = model("arm64_cases"), model("arm64")

    @hypothesis.settings(max_examples=drawn(250), deadline=None)
    @hypothesis.given(
        st.integers(0, 1 << 30),
        st.sampled_from(cases.addresses(find(name).va_bits - 1)),
        st.sampled_from("rwx"),
        st.booleans(),
    )
    def scenario(seed: int, va: int, access: str, user: bool) -> None:
        play(cases, manual, name, seed, va, access, user)

    scenario()
