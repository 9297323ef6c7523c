"""Machines to look at."""

from __future__ import annotations

import pytest

from vmdbg.inspect.target import Target, boot_named


@pytest.fixture
def demo() -> Target:
    """The default machine: a page of every kind, the TLB warm."""
    return boot_named()


@pytest.fixture
def tutorial() -> Target:
    """The machine with 16-bit addresses, its three accesses made."""
    target = boot_named("tutorial16")
    target.machine.run(3)
    return target
