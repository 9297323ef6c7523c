"""Loading programs: what is refused changes nothing."""

from __future__ import annotations

from array import array

import pytest

from vmdbg.errors import UserError
from vmdbg.kernel.scheduler import OP_EXIT
from vmdbg.machine.check import check
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec


def program(*regions: RegionSpec) -> Program:
    return Program("p", "", [], [ProcessSpec("p", None, -1, list(regions), array("q", [OP_EXIT, 0, 0, 0]))])


def machine(**values: object) -> Machine:
    small = {"machine.ram": 1 << 20, "kernel.first_frame": 4, "machine.swap.size": 1 << 16}
    return Machine(MachineConfig(small | {name.replace("__", "."): value for name, value in values.items()}))


@pytest.mark.parametrize("start", [-0x1000, -0x800000000000, 0x7FFFFFFFF000 - 0x1000 * 2 + 0x3000])
def test_the_kernels_half_is_not_for_regions(start: int) -> None:
    booted = machine()
    before = booted.digest()
    with pytest.raises(UserError):
        booted.load(program(RegionSpec("anon", start, 0x1000, 11)))
    assert booted.digest() == before
    assert check(booted) == []


def test_as_many_regions_as_a_program_has() -> None:
    booted = machine()
    booted.load(program(*[RegionSpec("anon", n << 13, 0x1000, 11) for n in range(200)]))
    assert check(booted) == []
    assert booted.run(10) is not None
    assert check(booted) == []
