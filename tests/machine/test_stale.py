"""The kernel that forgets one invalidation, and the first use of what it left in the TLB."""

from __future__ import annotations

import pytest

from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.programs.vmp import parse_vmp

PROGRAM = b"""
process one
mmap 0x406000, 4K, rw
mmap 0x500000, 4K, rw
loop 3
  write 0x406000, 7
  write 0x500000, 8
end
munmap 0x406000, 4K
read 0x406000
read 0x406000
munmap 0x500000, 4K
exit
"""


def machine(forget: int, **settings: object) -> Machine:
    values = {"machine.forget": forget, **{key.replace("_", "."): value for key, value in settings.items()}}
    made = Machine(MachineConfig(values))
    made.load(parse_vmp(PROGRAM, "forgetful.vmp", va_bits=48, page_size=4096))
    return made


def counts(made: Machine, compiled: bool = False) -> dict[str, int]:
    made.run(100, compiled)
    return made.counts()


def test_a_kernel_that_forgets_nothing_has_no_stale_entry():
    found = counts(machine(0))
    assert "tlb-stale" not in found
    assert found["signal"] == 1  # the page is gone


def test_the_first_use_of_what_was_forgotten_is_an_event_once():
    found = counts(machine(1))
    assert found["tlb-stale"] == 1
    assert "signal" not in found  # the TLB still translates


def test_only_the_invalidation_of_that_number_is_forgotten():
    found = counts(machine(2))
    assert "tlb-stale" not in found
    assert found["signal"] == 1


def test_an_entry_that_is_right_again_is_not_stale():
    """A suspect entry that agrees with the tables, by the time that it is used, is none."""
    made = machine(0)
    made.run(6)
    made.k.tlb_suspect(made.m, 0, -1, 0)
    assert "tlb-stale" not in counts(made)


@pytest.mark.long
@pytest.mark.parametrize("forget", [1, 2])
def test_both_engines_agree(both, ready, forget):
    one, other = machine(forget), ready(machine(forget))
    assert counts(one) == counts(other, compiled=True)
    assert one.digest() == other.digest()
