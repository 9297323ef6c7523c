"""What the walk of an address reads beside what software reads of the same entries, through an alias of them.

Kernels reach their tables by virtual addresses: through a direct map of physical memory, which begins at some
address (Linux: `page_offset_base`, Limine: the HHDM), or through an entry of the root table that points to
the root table itself (a recursive slot: osdev.org, "Page Tables").  If such an address leads elsewhere, or a
TLB entry of it is stale, the kernel reads and changes other words than the CPU walks by.
"""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.inspect.context import KERNEL
from vmdbg.inspect.translate import translate
from vmdbg.inspect.walk import READ
from vmdbg.units import WORD_MASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmdbg.formats.record import Format
    from vmdbg.inspect.context import Context
    from vmdbg.inspect.walk import Outcome, Step, Walk
    from vmdbg.machine.machine import Machine


class Seen:
    """An entry and its alias: `va`, where software reads it; `outcome`, where that leads for the kernel;
    `entry`, the word there, unsigned, or None if nothing is read."""

    __slots__ = ("entry", "outcome", "step", "va")

    def __init__(self, step: Step, va: int, outcome: Outcome, entry: int | None) -> None:
        self.step, self.va, self.outcome, self.entry = step, va, outcome, entry

    @property
    def place_agrees(self) -> bool:
        """Does the alias lead to the entry that the CPU reads?"""
        return self.outcome.pa == self.step.address

    @property
    def agrees(self) -> bool:
        """Does software read, there, the same word?"""
        return self.place_agrees and self.entry == self.step.entry


def seen_by_software(
    machine: Machine, context: Context, walk: Walk, alias: Callable[[Step], int]
) -> Iterator[Seen]:
    """Each entry of a walk that is in memory, with what the kernel reads at its alias, a virtual address."""
    kernel, width = context.with_mode(KERNEL), machine.format.entry_bytes
    for step in walk.steps:
        if step.outside:
            return
        va = alias(step)
        outcome, entry = translate(machine, kernel, va, READ), None
        if outcome.pa is not None and machine.k.ram_offset(machine.m, outcome.pa, width) >= 0:
            entry = machine.k.load_entry(machine.m, outcome.pa) & (1 << 8 * width) - 1
        yield Seen(step, va, outcome, entry)


def by_direct_map(base: int) -> Callable[[Step], int]:
    """Aliases in a map of all physical memory that begins at `base`."""
    return lambda step: base + step.address & WORD_MASK


def by_slot(form: Format, va: int, slot: int) -> Callable[[Step], int]:
    """Aliases of the entries on the way of an address, by a root entry that points to the root table.

    UserError if the tables of the format cannot be their own pages, or there is no such entry.
    """
    bits = {level.bits for level in form.levels}
    (each,) = bits if len(bits) == 1 else (0,)
    if form.bounded or form.segments or form.entry_bytes << each != form.page_size:
        raise UserError(f"A root entry of {form.name} cannot make all tables pages: they differ in size.")
    if not 0 <= slot < 1 << each:
        raise UserError(f"No entry {slot}: a root table has 0..{(1 << each) - 1}.")
    depths = len(form.levels)

    def alias(step: Step) -> int:
        place = 0
        for depth in range(depths):  # the slot as often as levels are skipped, then the way to the table
            behind = depth - (depths - step.depth)
            place = place << each | (slot if behind < 0 else form.index(va, behind))
        address = (place << form.page_bits) + step.index * form.entry_bytes
        return form.signed(address) & WORD_MASK

    return alias
