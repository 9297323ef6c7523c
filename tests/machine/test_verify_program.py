"""Rows made by hand: what the run loop could not execute is refused when it is loaded."""

from __future__ import annotations

from array import array

import pytest

from vmdbg.errors import UserError
from vmdbg.kernel.access_patterns import PATTERN_BITS, PATTERN_DEPTH, PATTERN_RANDOM
from vmdbg.kernel.scheduler import OP_END, OP_EXIT, OP_LOOP, OP_PATTERNED, OP_RANGED
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec

EXIT = [OP_EXIT, 0, 0, 0]
READ = [0, 0x400000, 0, 0]
PATTERN = OP_RANGED | OP_PATTERNED
WEIGHTS = [0, 0, 0, 0]
TOP = (1 << 63) - 1


def load(rows: list[list[int]], references: list[int]) -> Machine:
    machine = Machine(MachineConfig({"machine.ram": 1 << 20, "kernel.first_frame": 4}))
    before = machine.digest()
    flat = array("q", [word for row in rows for word in row])
    spec = ProcessSpec("p", None, -1, [RegionSpec("data", 0x400000, 0x4000, 15)], flat, references=references)
    try:
        machine.load(Program("p", "", [], [spec]))
    except UserError:
        assert machine.digest() == before
        raise
    return machine


@pytest.mark.parametrize(
    ("rows", "references", "message"),
    [
        ([[OP_RANGED, TOP - 7, 0, 0], [3, 8, 0, 0], EXIT], [], "64-bit"),
        ([[OP_RANGED, -TOP, 0, 0], [2, -8, 0, 0], EXIT], [], "64-bit"),
        ([[OP_RANGED, 0, 0, 0], [1 << 40, 1 << 40, 0, 0], EXIT], [], "64-bit"),
        ([READ], [], "no exit"),
        ([[OP_RANGED, 0, 0, 0], EXIT], [], "no exit"),
        ([[PATTERN, 0, 0, PATTERN_RANDOM], [5, 8, 1, 0], EXIT], [], "no exit"),
        ([[PATTERN, TOP - 7, 0, PATTERN_RANDOM], [1, 8, 3, 0], WEIGHTS, EXIT], [], "64-bit"),
        ([[PATTERN, 0, 0, PATTERN_RANDOM], [5, 8, 0, 0], WEIGHTS, EXIT], [], "64-bit"),
        ([[PATTERN, 0, 0, PATTERN_RANDOM], [0, 8, 1, 0], WEIGHTS, EXIT], [], "64-bit"),
        ([[PATTERN, 0, 0, 0], [5, 8, 1, 0], WEIGHTS, EXIT], [], "a pattern that is none"),
        ([[PATTERN, 0, 0, 9], [5, 8, 1, 0], WEIGHTS, EXIT], [], "a pattern that is none"),
        ([[PATTERN, 0, 0, PATTERN_RANDOM], [5, 8, 9, 0], WEIGHTS, EXIT], [], "a pattern that is none"),
        ([[PATTERN, 0, 0, PATTERN_RANDOM | 40 << PATTERN_BITS], [5, 8, 9, 0], WEIGHTS, EXIT], [], "none"),
        ([[PATTERN, 0, 0, PATTERN_RANDOM | 31 << PATTERN_BITS], [5, 1, 1 << 31, 0], WEIGHTS, EXIT], [],
          "none"),
        ([[PATTERN, 0, 0, PATTERN_RANDOM | 1 << PATTERN_DEPTH], [5, 8, 1, 0], WEIGHTS, EXIT], [], "none"),
        ([[OP_LOOP, 2, 0, 0], READ, EXIT], [], "no end"),
        ([[OP_END, 0, 0, 0], EXIT], [0], "of no loop"),
        ([[OP_LOOP, 2, 0, 0], [OP_END, 1, 0, 0], EXIT], [1], "empty"),
        ([[OP_LOOP, 2, 0, 0], READ, [OP_END, 0, 0, 0], EXIT], [2], "of no loop"),
        ([[OP_LOOP, 2, 0, 0]] * 9 + [READ] + [[OP_END, 9 - n, 0, 0] for n in range(9)] + [EXIT],
         list(range(10, 19)), "more than 8 loops"),
    ],
)  # fmt: skip
def test_rows_that_cannot_run_are_refused(rows: list[list[int]], references: list[int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(rows, references)


def test_a_range_up_to_the_last_address_runs() -> None:
    machine = load([[OP_RANGED, TOP - 8, 0, 0], [2, 8, 0, 0], EXIT], [])
    machine.run(10)
    assert machine.counts()["signal"] == 1


def test_eight_loops_inside_one_another_run() -> None:
    loops = [[OP_LOOP, 2, 0, 0]] * 8
    ends = [[OP_END, 8 - n, 0, 0] for n in range(8)]
    machine = load([*loops, READ, *ends, EXIT], list(range(9, 17)))
    machine.run(1000)
    assert machine.operations == 257


def test_the_row_of_a_range_is_no_operation() -> None:
    """A range of eight accesses looks like the start of a loop."""
    sweep = [[OP_RANGED, 0x400000, 0, 0], [OP_LOOP, 8, 0, 0]]
    machine = load([[OP_LOOP, 2, 0, 0], *sweep, [OP_END, 1, 0, 0], EXIT], [3])
    machine.run(1000)
    assert machine.operations == 17
