"""One access on raw tables in each mode of x86 paging, under all its registers, against the manual."""

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
from vmdbg.formats.contract import FAULT_KINDS
from vmdbg.state.tables import CONTROL_FAULT, CONTROL_STEPS, CPU_MODE

MODES = [name for name in NAMES if find(name).root_register == "cr3"]
SAID = {
    "#PF": {"not-present", "protection", "reserved", "protection-key"},
    "#GP": {"non-canonical"},
    "bus": {"bus"},
}


def play(cases: Any, manual: Any, name: str, seed: int, va: int, access: str, user: bool) -> None:
    """One access: outcome, code, address and memory after it are the model's."""
    rules, kind = manual.Rules(name), "rwx".index(access)
    booted, root = cases.prepare(name, random.Random(seed), va, user, rules)
    k, m = booted.k, booted.m
    before = bytes(m.ram1)
    expected = manual.access(before, cases.BASE, root, va & (1 << 64) - 1, access, user, rules)
    for _ in range(2):  # the second time by the TLB, where it holds the page
        pa = k.translate(m, 0, va, kind)
        if expected.fault:
            fault = m.control[CONTROL_FAULT]
            code = k.code_of(m, 0, fault, kind, m.cpu[CPU_MODE], m.control[CONTROL_STEPS] - 1)
            assert (pa, bytes(m.ram1)) == (-1, before)
            assert FAULT_KINDS[fault] in SAID[expected.fault]
            assert expected.fault != "#PF" or code == expected.code
            continue
        assert (pa, bytes(m.ram1)) == (expected.pa, cases_after(cases, booted, before, expected.writes))


def cases_after(cases: Any, booted: Any, before: bytes, writes: dict[int, int]) -> bytes:
    """Memory with some entries changed."""
    after, width = bytearray(before), booted.format.entry_bytes
    for address, entry in writes.items():
        after[address - cases.BASE : address - cases.BASE + width] = entry.to_bytes(width, "little")
    return bytes(after)


@pytest.mark.parametrize("name", MODES)
def test_one_access(model: Callable[[str], ModuleType], name: str) -> None:
    cases, manual = model("x86_cases"), model("x86")

    @hypothesis.settings(max_examples=drawn(250), deadline=None)
    @hypothesis.given(
        st.integers(0, 1 << 30),
        st.sampled_from(cases.addresses(find(name))),
        st.sampled_from("rwx"),
        st.booleans(),
    )
    def scenario(seed: int, va: int, access: str, user: bool) -> None:
        play(cases, manual, name, seed, va, access, user)

    scenario()
