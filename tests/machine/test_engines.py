"""Random programs on random machines end equal: interpreted, in quick and in full code; and consistent.

Full code is what users have, without bounds checks, whatever the other tests run.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg.engine.native import Code
from vmdbg.kernel.scheduler import OP_EXIT, OP_WIDTH
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec

pytestmark = pytest.mark.long

FAST = ("default", "software")
SLOW = (
    "trace", "lazy", "two-cpus", "caches", "uncached", "hardware", "software-two-cpus", "sv39", "svade",
    "x86_32", "cached", "own-policy", "arm64", "pae", "untranslated",
)  # fmt: skip
OPERATIONS = 1500  # bound of one run
TOML = Path(__file__).resolve().parents[2] / "docs" / "examples" / "two-levels.toml"


@pytest.fixture(scope="module")
def quick() -> Callable[[Machine], Code]:
    """Quick code of a machine; machines of one build share it."""
    known: dict[str, Code] = {}

    def code(machine: Machine) -> Code:
        build = machine.build()
        if build.key not in known:
            known[build.key] = build.quick()
        return known[build.key]

    return code


@pytest.fixture(scope="module")
def full() -> Callable[[Machine], Code]:
    """Full code of a machine, as users have it; machines of one build share it."""
    known: dict[str, Code] = {}

    def code(machine: Machine) -> Code:
        build = machine.build(checked=False)
        if build.key not in known:
            known[build.key] = build.full()
        return known[build.key]

    return code


def run_in_slices(machine: Machine, slice_size: int, codes: list[Code | None]) -> None:
    """Run until everybody has ended, or for OPERATIONS; each slice has the next of these codes by turns.

    None is the interpreted engine.
    """
    turn = 0
    while machine.operations < OPERATIONS:
        before = machine.operations
        code = codes[turn % len(codes)]
        turn += 1
        if code is not None:
            machine.compiled = code
        machine.run(min(before + slice_size, OPERATIONS), code is not None)
        if machine.operations == before:
            break


def compare(boot: Callable[[], Machine], quick: Code, full: Code, slice_size: int) -> None:
    """Interpreted, quick and full code, and all of them by turns, end equal and consistent."""
    interpreted = boot()
    start = interpreted.digest()
    run_in_slices(interpreted, slice_size, [None])
    assert check(interpreted) == []
    ways: list[tuple[int, list[Code | None]]] = [
        (OPERATIONS, [full]),
        (OPERATIONS, [quick]),
        (slice_size, [quick, full, None]),
    ]
    for size, codes in ways:
        machine = boot()
        assert machine.digest() == start
        run_in_slices(machine, size, codes)
        assert machine.operations == interpreted.operations
        assert machine.counts() == interpreted.counts()
        assert machine.digest() == interpreted.digest()
        assert check(machine) == []


@pytest.mark.engine
@pytest.mark.parametrize("build", [*FAST, *[pytest.param(name, marks=pytest.mark.slow) for name in SLOW]])
def test_all_tiers_end_equal(
    build: str,
    model: Callable[[str], ModuleType],
    quick: Callable[[Machine], Code],
    full: Callable[[Machine], Code],
    both: None,
) -> None:
    machines = model("machines")

    @hypothesis.settings(max_examples=drawn(60), deadline=None)
    @hypothesis.given(machines.cases(machines.BUILDS[build]), st.sampled_from((1, 7, 1000)))
    def scenario(case: object, slice_size: int) -> None:
        first = case.boot()  # type: ignore[attr-defined]
        compare(case.boot, quick(first), full(first), slice_size)  # type: ignore[attr-defined]

    scenario()


@pytest.mark.engine
def test_a_format_of_ones_own_ends_equal(
    quick: Callable[[Machine], Code], full: Callable[[Machine], Code], both: None
) -> None:
    """Memory of 128 pages for two processes, by turns, and no swap: one is killed."""

    def boot() -> Machine:
        machine = Machine(load_config(str(TOML)).with_({"kernel.quantum": 3}))
        for seed in (1, 2):
            rng = random.Random(seed)
            rows = array("q")
            for _ in range(300):
                va = rng.randrange(0, 1 << 13)
                rows.extend((rng.choice((0, 1)) | 1 << OP_WIDTH, va, rng.randrange(256), 0))
            rows.extend((OP_EXIT, 0, 0, 0))
            spec = ProcessSpec(f"p{seed}", None, -1, [RegionSpec("heap", 0, 1 << 13, 15)], rows)
            machine.load(Program(f"p{seed}", "", [], [spec]))
        return machine

    first = boot()
    for slice_size in (1, 7, 1000):
        compare(boot, quick(first), full(first), slice_size)


@pytest.mark.parametrize("examples", [4, pytest.param(60, marks=pytest.mark.slow)])
def test_every_operation_leaves_the_machine_consistent(
    model: Callable[[str], ModuleType], examples: int
) -> None:
    machines = model("machines")

    @hypothesis.settings(max_examples=examples, deadline=None)
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
