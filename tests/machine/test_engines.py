"""Random programs on random machines end equal in both engines, and consistent."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import hypothesis
import pytest
from hypothesis import strategies as st

from vmdbg.machine.check import check
from vmdbg.machine.machine import Machine

FAST = ("default", "software")
SLOW = (
    "trace", "lazy", "two-cpus", "caches", "uncached", "hardware", "software-two-cpus", "sv39", "svade",
    "x86_32",
)  # fmt: skip
OPERATIONS = 1500  # bound of one run


def run_in_slices(machine: Machine, slice_size: int, compiled: bool) -> None:
    """Run until everybody has ended, or for OPERATIONS."""
    while machine.operations < OPERATIONS:
        before = machine.operations
        machine.run(min(before + slice_size, OPERATIONS), compiled)
        if machine.operations == before:
            break


def compare(case: object, ready: Callable[[Machine], Machine], slice_size: int) -> None:
    interpreted, compiled = case.boot(), ready(case.boot())  # type: ignore[attr-defined]
    assert interpreted.digest() == compiled.digest()
    run_in_slices(interpreted, slice_size, False)
    run_in_slices(compiled, OPERATIONS, True)
    assert compiled.operations == interpreted.operations
    assert compiled.counts() == interpreted.counts()
    assert compiled.digest() == interpreted.digest()
    assert check(interpreted) == []
    assert check(compiled) == []


@pytest.mark.engine
@pytest.mark.parametrize("build", [*FAST, *[pytest.param(name, marks=pytest.mark.slow) for name in SLOW]])
def test_both_engines_end_equal(
    build: str, model: Callable[[str], ModuleType], ready: Callable[[Machine], Machine], both: None
) -> None:
    machines = model("machines")

    @hypothesis.settings(max_examples=60, deadline=None)
    @hypothesis.given(machines.cases(machines.BUILDS[build]), st.sampled_from((1, 7, 1000)))
    def scenario(case: object, slice_size: int) -> None:
        compare(case, ready, slice_size)

    scenario()


@pytest.mark.long
def test_every_operation_leaves_the_machine_consistent(model: Callable[[str], ModuleType]) -> None:
    machines = model("machines")

    @hypothesis.settings(max_examples=60, deadline=None)
    @hypothesis.given(
        st.sampled_from(sorted(machines.BUILDS)).flatmap(lambda b: machines.cases(machines.BUILDS[b]))
    )
    def scenario(case: object) -> None:
        machine = case.boot()  # type: ignore[attr-defined]
        assert check(machine) == []
        for number in range(200):
            machine.run(number + 1)
            assert check(machine) == [], f"after operation {number}"

    scenario()
