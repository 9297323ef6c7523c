"""Five traces of real programs at six sizes: the faults of libCacheSim, kept in a file and counted anew."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vmdbg.inspect.policy import trace_config
from vmdbg.machine.machine import Machine
from vmdbg.programs import read_program
from vmdbg.programs.program import Program

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
STORED = json.loads((DATA / "libcachesim.json").read_text())
SIZES, FAULTS = STORED["sizes"], STORED["faults"]
EQUAL = ("fifo", "lru", "clock", "opt")  # defined as vmdbg's
OTHER = ("arc", "lfu", "s3-fifo")


@pytest.fixture(scope="session")
def yardstick() -> Any:
    """scripts/yardstick.py."""
    spec = importlib.util.spec_from_file_location("yardstick", ROOT / "scripts" / "yardstick.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def program(name: str) -> Program:
    return read_program(str(DATA / f"{name}.lackey.xz"), va_bits=48, page_size=4096)


def faults(ready: Callable[[Machine], Machine], name: str, policy: str) -> list[int]:
    """vmdbg's faults with each number of frames, compiled."""
    found = []
    for frames in SIZES:
        machine = ready(Machine(trace_config(policy, frames)))
        machine.load(program(name))
        machine.run(1 << 40, True)
        counts = machine.counts()
        found.append(counts["fault-minor"] + counts.get("fault-major", 0))
    return found


@pytest.mark.long
@pytest.mark.parametrize("policy", ["clock", pytest.param("lru", marks=pytest.mark.slow)])
def test_a_program_s_faults_are_libcachesim_s(
    policy: str, ready: Callable[[Machine], Machine], both: None
) -> None:
    assert faults(ready, "awk", policy) == FAULTS["awk"][policy]


@pytest.mark.slow
@pytest.mark.parametrize("policy", EQUAL)
@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_libcachesim_s(
    name: str, policy: str, ready: Callable[[Machine], Machine], both: None
) -> None:
    assert faults(ready, name, policy) == FAULTS[name][policy]


@pytest.mark.slow
@pytest.mark.parametrize("policy", OTHER)
@pytest.mark.parametrize("name", ["cc1", "python", "awk"])
def test_where_definitions_differ_models_of_both_have_the_counts(
    name: str,
    policy: str,
    ready: Callable[[Machine], Machine],
    both: None,
    model: Callable[[str], ModuleType],
    yardstick: Any,
) -> None:
    """libCacheSim's by its definition; vmdbg's by the paper's, at two of the sizes."""
    pages = yardstick.pages_of(name)
    theirs: Any = model("libcachesim").MODELS[policy]
    assert [theirs(pages, frames) for frames in SIZES] == FAULTS[name][policy]
    ours: Any = model("replacement").MODELS[policy]
    references = [(page, False) for page in pages]
    found = faults(ready, name, policy)
    for frames in SIZES[1:3]:
        assert found[SIZES.index(frames)] == len(ours(references, frames))


@pytest.mark.slow
def test_the_counts_are_those_of_the_package(yardstick: Any) -> None:
    if not yardstick.installed():
        pytest.skip(yardstick.MISSING)
    found = yardstick.recomputed()
    assert found["faults"] == FAULTS


def test_the_file_has_what_the_tests_ask_for(yardstick: Any) -> None:
    assert list(FAULTS) == list(yardstick.TRACES)
    assert tuple(SIZES) == yardstick.SIZES
    assert all(set(by_policy) == {*EQUAL, *OTHER} == set(yardstick.CLASSES) for by_policy in FAULTS.values())
    assert all(len(counts) == 6 for by_policy in FAULTS.values() for counts in by_policy.values())
