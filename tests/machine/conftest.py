"""Engines for the tests of machines: compiled code is made once for each set of bindings."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest

from vmdbg.machine.machine import Machine


@pytest.fixture(scope="session")
def ready() -> Callable[[Machine], Machine]:
    """Give a machine its compiled engine: `ready(machine)`; one build serves all with equal bindings."""
    builds: dict[object, object] = {}

    def prepare(machine: Machine) -> Machine:
        bound = {name: getattr(it, "__qualname__", it) for name, it in machine.bindings.items()}
        modules = {name: getattr(it, "__module__", "") for name, it in machine.bindings.items()}
        key = (tuple(sorted(bound.items(), key=str)), tuple(sorted(modules.items())))
        if key in builds:
            machine.compiled = builds[key]  # type: ignore[assignment]
        else:
            builds[key] = machine.compile()
        return machine

    return prepare


@pytest.fixture
def both(request: pytest.FixtureRequest) -> None:
    """For tests that compare the engines: skip where only one takes part."""
    chosen = request.config.getoption("--engine")
    if chosen == "interpreted" or importlib.util.find_spec("numba") is None:
        pytest.skip("compares the interpreted with the compiled engine")
