"""Base and bounds: partitions are given, refused, copied and given back; both engines agree."""

from __future__ import annotations

import pytest

from vmdbg.errors import InputError, UserError
from vmdbg.formats import find
from vmdbg.inspect.target import boot
from vmdbg.kernel.calls import processes
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine
from vmdbg.state.tables import PROCESS, PROCESS_ROOT

SMALL = """
[format]
scheme = "base-and-bounds"
partition = "32K"
va_bits = 20

[machine]
ram = "256K"
swap.size = "0"

[tlb]
l1 = "off"
l2 = "off"

[kernel]
first_frame = 0
"""


@pytest.fixture
def small(tmp_path):
    """A machine with eight partitions of 32 KiB, and nobody in them."""
    (tmp_path / "small.toml").write_text(SMALL)
    return Machine(load_config(str(tmp_path / "small.toml")))


def base(machine: Machine, pid: int) -> int:
    return machine.m.process[pid * PROCESS + PROCESS_ROOT]


def test_the_ninth_process_is_refused_and_nothing_changes():
    machine = boot(load_config("partitions")).machine
    before = machine.digest()
    with pytest.raises(UserError, match=r"no free partition \(8 of 8 in use\)"):
        machine.spawn("ninth", 0)
    assert machine.digest() == before
    assert check(machine) == []


def test_partitions_lie_side_by_side(small):
    pids = [small.spawn(f"p{n}", 0) for n in range(8)]
    assert [base(small, pid) for pid in pids] == [n << 15 for n in range(8)]
    assert check(small) == []


def test_a_partition_is_zeroed_before_somebody_else_gets_it(small):
    first = small.spawn("first", 0)
    at = base(small, first)
    small.k.store(small.m, at + 0x7FF8, 8, 77)
    small.snapshot()
    small.k.store(small.m, at + 8, 8, 78)
    processes.end_process(small.k, small.format, first, 0)
    second = small.spawn("second", 0)
    assert base(small, second) == at
    assert not any(small.m.ram1[at : at + 0x8000])


def test_a_fork_copies_what_was_written(small):
    parent = small.spawn("parent", 0)
    small.k.store(small.m, base(small, parent) + 0x6000, 8, 1234)
    child, shared, cow = processes.fork(small.k, small.format, parent, True, 0)
    assert (shared, cow) == (0, 0)
    assert small.k.load(small.m, base(small, child) + 0x6000, 8) == 1234
    small.k.store(small.m, base(small, child) + 0x6000, 8, 1)
    assert small.k.load(small.m, base(small, parent) + 0x6000, 8) == 1234
    assert check(small) == []


@pytest.mark.parametrize(
    ("va", "outcome"), [(0, 0), (0x3FFFFFFF, 0x3FFFFFFF), (0x40000000, None), (-1, None)]
)
def test_an_address_is_below_the_bound_or_faults(va, outcome):
    machine = boot(load_config("partitions")).machine
    found = machine.k.translate(machine.m, 0, va, 0)
    expected = -1 if outcome is None else machine.m.cpu[1] + outcome
    assert found == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('partition = "48K"', "format.partition: expected a power of two"),
        ('partition = "2M"', "format.partition: expected a power of two"),
        ('partition = "0"', "format.partition: expected a power of two"),
        ("partition = 5", "format.partition: expected a string"),
        ('partition = "32K"\nlevels = [3]', "format.levels: not with scheme"),
    ],
)
def test_a_wrong_scheme_says_what_was_expected(tmp_path, line, expected):
    path = tmp_path / "wrong.toml"
    path.write_text(SMALL.replace('partition = "32K"', line))
    with pytest.raises(InputError, match=expected):
        find(str(path))


@pytest.mark.long
def test_both_engines_agree(both, ready):
    one, other = (boot(load_config("partitions")).machine for _ in range(2))
    one.run(5000)
    ready(other).run(5000, compiled=True)
    assert one.digest() == other.digest()
    assert one.counts() == other.counts()
