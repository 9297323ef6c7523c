"""Going back and forward again ends in the same state; so does running in slices."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg.errors import UserError
from vmdbg.machine.check.invariants import check
from vmdbg.machine.machine import Machine


def any_case(machines: ModuleType) -> Any:
    return st.sampled_from(sorted(machines.BUILDS)).flatmap(
        lambda name: machines.cases(machines.BUILDS[name])
    )


def state(machine: Machine) -> tuple[str, dict[str, int]]:
    return machine.digest(), machine.counts()


@pytest.mark.long
def test_back_and_forward_again(model: Callable[[str], ModuleType]) -> None:
    machines = model("machines")

    @hypothesis.settings(max_examples=drawn(25), deadline=None)
    @hypothesis.given(any_case(machines), st.lists(st.integers(0, 60), min_size=2, max_size=5), st.randoms())
    def scenario(case: Any, steps: list[int], random: Any) -> None:
        machine = case.boot()
        at = [(0, machine.snapshot(), state(machine))]
        for step in steps:
            machine.run(machine.operations + step)
            at.append((machine.operations, machine.snapshot(), state(machine)))
        for _ in range(4):
            start, end = sorted((random.randrange(len(at)), random.randrange(len(at))))
            machine.restore(at[start][1])
            assert state(machine) == at[start][2]
            assert check(machine) == []
            machine.run(at[end][0])
            if machine.operations == at[end][0]:
                assert state(machine) == at[end][2]

    scenario()


@pytest.mark.long
def test_slices_play_no_role(model: Callable[[str], ModuleType]) -> None:
    machines = model("machines")

    @hypothesis.settings(max_examples=drawn(20), deadline=None)
    @hypothesis.given(any_case(machines), st.integers(1, 9))
    def scenario(case: Any, size: int) -> None:
        whole, sliced = case.boot(), case.boot()
        whole.run(300)
        while sliced.operations < whole.operations:
            sliced.run(min(sliced.operations + size, 300))
        assert state(sliced) == state(whole)

    scenario()


@pytest.mark.long
def test_an_acting_command_after_going_back_is_the_same(model: Callable[[str], ModuleType]) -> None:
    """What is done between operations depends on the state alone, not on what ran before."""
    machines = model("machines")

    @hypothesis.settings(max_examples=drawn(20), deadline=None)
    @hypothesis.given(any_case(machines), st.integers(0, 100), st.data())
    def scenario(case: Any, operations: int, data: Any) -> None:
        machine = case.boot()
        machine.run(operations)
        before = machine.snapshot()

        def act() -> tuple[str, dict[str, int]]:
            for spec in case.program.processes[:2]:
                for pid in (1, 2):
                    try:
                        machine.swap_out(pid, spec.regions[0].start)
                    except UserError:
                        continue
            with contextlib.suppress(UserError):
                machine.load(case.program)
            assert check(machine) == []
            return state(machine)

        first = act()
        machine.run(machine.operations + data.draw(st.integers(0, 40)))
        machine.restore(before)
        assert act() == first

    scenario()
