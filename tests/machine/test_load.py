"""Loading programs: what is refused changes nothing."""

from __future__ import annotations

from array import array

import pytest

from vmdbg.errors import UserError
from vmdbg.formats import NAMES
from vmdbg.kernel.scheduler import OP_EXIT
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig, load_config, preset_names
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec

OFF = {"tlb.l1": "off", "tlb.l2": "off"}


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


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        (OFF | {"machine.format": "tutorial16", "machine.ram": 1 << 14, "tlb.l1d": "1x4"}, "no walker"),
        ({"machine.format": "tutorial16", "machine.ram_base": 0x80, "machine.ram": 1 << 14}, "no multiple"),
        ({"machine.format": "tutorial16", "machine.ram": 1 << 17}, "name 256 frames"),
        ({"machine.format": "x86_32", "machine.ram_base": 1 << 40}, "name 1048576 frames"),
        ({"kernel.first_frame": 256}, "too few"),
        ({"kernel.user_frames": 300}, "too few"),
    ],
)
def test_machines_that_cannot_be(values: dict[str, object], wrong: str) -> None:
    with pytest.raises(UserError, match=wrong):
        Machine(MachineConfig({"machine.ram": 1 << 20, "kernel.first_frame": 4} | values))


def test_a_second_level_alone_serves_a_software_filled_tlb() -> None:
    values = {"machine.format": "tutorial16", "tlb.l1": "off", "tlb.l2": "2x2", "machine.ram": 1 << 14}
    booted = Machine(MachineConfig(values | {"kernel.first_frame": 4}))
    rows = array("q", [1 | 1 << 8, 0x100, 7, 0, 0 | 1 << 8, 0x100, 0, 0, OP_EXIT, 0, 0, 0])
    booted.load(Program("p", "", [], [ProcessSpec("p", None, -1, [RegionSpec("heap", 0, 0x400, 11)], rows)]))
    booted.run(2)
    assert booted.counts()["read"] == booted.counts()["write"] == 1
    assert check(booted) == []


def test_every_format_has_a_machine_and_each_is_listed() -> None:
    assert {load_config(name)["machine.format"] for name in preset_names()} == set(NAMES)
    with pytest.raises(UserError) as raised:
        load_config("nosuch")
    assert raised.value.hint == f"Machines: {', '.join(preset_names())}."
