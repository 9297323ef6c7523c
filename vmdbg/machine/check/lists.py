"""Linked lists in a machine's tables: each row is in one list, once; each list has the length of its counter.

A list that is a circle has no end; a frame that is twice in a free list would be given to two pages.  Nothing
here reads the page tables in memory: these may be garbage, which `check` reports.
"""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.machine.check.invariants import check_frame_lists, check_partitions, check_queue, check_regions
from vmdbg.machine.check.numbers import wild_numbers
from vmdbg.machine.check.objects import check_objects
from vmdbg.machine.check.policy_lists import check_policy_lists
from vmdbg.machine.check.processes import check_scheduler
from vmdbg.machine.check.survey import Survey, chain, column
from vmdbg.state.tables import (
    FRAME,
    FRAME_MAPS,
    FRAME_NEXT,
    FRAME_RMAP,
    KERNEL_FREE,
    KERNEL_OLDEST,
    KERNEL_READY_FIRST,
    KERNEL_REGION_FREE,
    KERNEL_RMAP_COUNT,
    KERNEL_RMAP_FREE,
    KERNEL_SLOT_COUNT,
    KERNEL_SLOT_FREE,
    KERNEL_USER_FREE,
    PROCESS,
    PROCESS_NEXT,
    PROCESS_REGION,
    REGION,
    REGION_NEXT,
    RMAP,
    RMAP_NEXT,
    SLOT,
    SLOT_NEXT,
    SLOT_REFS,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.machine.machine import Machine


class Kernel(Survey):
    """The tables of the kernel, without memory: no page table is read."""

    def __init__(self, machine: Machine) -> None:
        self.clear(machine)

    def differs(self, frame: int, kept: Any, page: int) -> bool:
        return False


def broken_lists(machine: Machine) -> Iterator[str]:
    """What is wrong with the lists: circles, lists that meet, wrong lengths, rows that should not be in one.

    All numbers are inside their ranges.
    """
    yield from circles(machine)
    kernel = Kernel(machine)
    for rule in (
        check_frame_lists,
        check_queue,
        check_policy_lists,
        check_scheduler,
        check_regions,
        check_objects,
        check_free_slots,
        Survey.misplaced,
    ):
        yield from rule(kernel)
    if machine.format.bounded:
        yield from check_partitions(kernel)


def circles(machine: Machine) -> Iterator[str]:
    """Lists that do not end, or that meet: each row is in one list, once."""
    m, kernel = machine.m, machine.m.kernel
    firsts, maps = column(m.frame, FRAME, FRAME_RMAP), column(m.frame, FRAME, FRAME_MAPS)
    rmaps = [pair for pair in zip(firsts, maps, strict=True) if pair != (0, 0)]
    regions = [(region, -1) for region in column(m.process, PROCESS, PROCESS_REGION)]
    for name, rows, width, link, last, heads in (
        (
            "frame", m.frame, FRAME, FRAME_NEXT, -1,
            [*((kernel[pool], kernel[pool + 1]) for pool in (KERNEL_FREE, KERNEL_USER_FREE)),
             (kernel[KERNEL_OLDEST], -1)],
        ),
        ("rmap", m.rmap, RMAP, RMAP_NEXT, 0, [*rmaps, (kernel[KERNEL_RMAP_FREE], kernel[KERNEL_RMAP_COUNT])]),
        ("region", m.region, REGION, REGION_NEXT, 0, [*regions, (kernel[KERNEL_REGION_FREE], -1)]),
        ("process", m.process, PROCESS, PROCESS_NEXT, 0, [(kernel[KERNEL_READY_FIRST], -1)]),
        ("slot", m.slot, SLOT, SLOT_NEXT, 0, [(kernel[KERNEL_SLOT_FREE], kernel[KERNEL_SLOT_COUNT])]),
    ):  # fmt: skip
        seen = bytearray(len(rows) // width)
        for first, wanted in heads:
            row, count = first, 0
            while row != last and not seen[row]:
                seen[row] = 1
                row, count = rows[row * width + link], count + 1
            if row != last:
                yield f"row {row} of {name} is in two lists, or twice in one"
            elif wanted not in (-1, count):
                yield f"the list of {name} from row {first} on has {count} rows, {wanted} are counted"


def check_free_slots(s: Survey) -> Iterator[str]:
    """A slot is free, and in the list of free ones, if nobody refers to it."""
    m = s.m
    free = set(chain(m.slot, SLOT, SLOT_NEXT, m.kernel[KERNEL_SLOT_FREE], 0)[0])
    for slot, references in enumerate(column(m.slot, SLOT, SLOT_REFS)):
        if slot and (references == 0) != (slot in free):
            yield f"slot {slot}: {references} references, {'' if slot in free else 'not '}free"


def refuse(machine: Machine) -> None:
    """UserError if a number in a machine's tables is one that its code cannot handle."""
    for reader in (wild_numbers, broken_lists):
        for message in reader(machine):
            raise UserError(f"the tables: {message}")
