"""Nothing in simulated memory or registers, however wrong, crashes an engine, hangs it, or tells it apart."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg.engine.native import Code
from vmdbg.kernel.frames import FRAME_IS_TABLE
from vmdbg.machine import boot
from vmdbg.machine.check.invariants import check
from vmdbg.machine.machine import Machine
from vmdbg.state.tables import (
    BANK_BASE,
    CPU,
    CPU_CONTROL0,
    CPU_FETCH,
    CPU_MODE,
    CPU_READ,
    CPU_ROOT,
    FRAME,
    FRAME_STATE,
    PROCESS,
    PROCESS_ROOT,
)
from vmdbg.units import s64

OPERATIONS = 200
SLOW = ("two-cpus", "sv39", "x86_32", "caches")
DAMAGES = ("memory", "tables", "entries", "loops", "roots", "registers")


def damage(machine: Machine, kind: str, seed: int) -> None:
    """Write garbage; equal seeds write equal garbage."""
    rng = random.Random(seed)
    m, form = machine.m, machine.format
    frames, page = len(m.frame) // FRAME, form.page_size
    tables = [f for f in range(frames) if m.frame[f * FRAME + FRAME_STATE] == FRAME_IS_TABLE]
    if kind in ("memory", "tables"):
        for frame in range(frames) if kind == "memory" else tables:
            m.ram1[frame * page : (frame + 1) * page] = rng.randbytes(page)
            m.dirty[frame] = 1
    elif kind in ("entries", "loops"):
        words = {8: m.ram8, 4: m.ram4, 2: m.ram2, 1: m.ram1}[form.entry_bytes]
        targets = tables if kind == "loops" else range(frames)
        for frame in tables:
            start = frame * page // form.entry_bytes
            for at in range(start, start + page // form.entry_bytes):
                if rng.random() < 0.7:
                    address = m.bank[BANK_BASE] + rng.choice(targets) * page
                    choices = (
                        machine.k.make_leaf(address, rng.randrange(16), rng.randrange(len(form.levels))),
                        machine.k.make_table(address, 0),
                        machine.k.make_swapped(rng.randrange(40)),
                        machine.k.make_swapped(rng.randrange(1 << 20)),
                    )
                    value = (
                        choices[0 if rng.random() < 0.3 else 1] if kind == "loops" else rng.choice(choices)
                    )
                    value |= 1 << rng.randrange(12) if rng.random() < 0.2 else 0
                    words[at] = (
                        s64(value) if form.entry_bytes == 8 else value & (1 << 8 * form.entry_bytes) - 1
                    )
            m.dirty[frame] = 1
    elif kind == "roots":
        roots = (
            0,
            -1,
            rng.getrandbits(63),
            rng.randrange(frames) * page + m.bank[BANK_BASE],
            rng.getrandbits(14),
        )
        for cpu in range(len(m.cpu) // CPU):
            m.cpu[cpu * CPU + CPU_ROOT] = rng.choice(roots)
        if rng.random() < 0.7:
            m.process[PROCESS + PROCESS_ROOT] = rng.choice(roots)
    else:
        for cpu in range(len(m.cpu) // CPU):
            for word in range(4):
                m.cpu[cpu * CPU + CPU_CONTROL0 + word] = s64(rng.getrandbits(64))
            m.cpu[cpu * CPU + CPU_MODE] = rng.randrange(2)
            boot.set_allowed(m, cpu, form)
            if rng.random() < 0.3:
                for right in range(CPU_READ, CPU_FETCH + 1):
                    m.cpu[cpu * CPU + right] = rng.getrandbits(16)


def outcome(machine: Machine, kinds: list[str], before: int, seed: int, compiled: bool) -> Any:
    machine.run(before, compiled)
    for kind in kinds:
        damage(machine, kind, seed)
    machine.run(before + OPERATIONS, compiled)
    check(machine)
    return machine.operations, machine.counts(), machine.digest()


def damaged(machines: ModuleType, build: str) -> Any:
    kinds = st.lists(st.sampled_from(DAMAGES), min_size=1, max_size=2, unique=True)
    return st.tuples(
        machines.cases(machines.BUILDS[build]), kinds, st.integers(0, 60), st.integers(0, 1 << 30)
    )


@pytest.mark.long
def test_garbage_does_not_crash_the_interpreted_engine(model: Callable[[str], ModuleType]) -> None:
    machines = model("machines")

    @hypothesis.settings(max_examples=drawn(50), deadline=None)
    @hypothesis.given(st.sampled_from(sorted(machines.BUILDS)).flatmap(lambda name: damaged(machines, name)))
    def scenario(drawn: tuple[Any, list[str], int, int]) -> None:
        case, kinds, before, seed = drawn
        assert outcome(case.boot(), kinds, before, seed, False)[0] <= before + OPERATIONS

    scenario()


@pytest.mark.long
@pytest.mark.engine
@pytest.mark.parametrize("checked", ["0", "1"])
@pytest.mark.parametrize(
    "build", ["default", "software", *[pytest.param(name, marks=pytest.mark.slow) for name in SLOW]]
)
def test_garbage_ends_equal_in_each_tier(
    build: str, checked: str, model: Callable[[str], ModuleType], both: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In code with checks as well, which finds no index that is out of range."""
    monkeypatch.setenv("VMDBG_CHECKED", checked)
    machines = model("machines")
    codes: list[Code] = []

    @hypothesis.settings(max_examples=drawn(25), deadline=None)
    @hypothesis.given(damaged(machines, build))
    def scenario(drawn: tuple[Any, list[str], int, int]) -> None:
        case, kinds, before, seed = drawn
        expected = outcome(case.boot(), kinds, before, seed, False)
        if not codes:
            made = case.boot().build()
            codes.extend([made.quick(), made.full()])
        for code in codes:
            machine = case.boot()
            machine.compiled = code
            assert outcome(machine, kinds, before, seed, True) == expected, code.tier

    scenario()
