"""Machines to look at."""

from __future__ import annotations

import pytest

from vmdbg.inspect.target import Simulated, open_machine


@pytest.fixture
def demo() -> Simulated:
    """The default machine: a page of every kind, the TLB warm."""
    return open_machine()


@pytest.fixture
def tutorial() -> Simulated:
    """The machine with 16-bit addresses, its three accesses made."""
    target = open_machine("tutorial16")
    target.machine.run(3)
    return target
