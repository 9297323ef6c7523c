"""Where a machine's physical memory is, and which of it may hold anything but zeros."""

from __future__ import annotations

from vmdbg.dumps.machine import DumpMachine
from vmdbg.state.tables import BANK, BANK_BASE, BANK_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmdbg.machine.machine import Machine


def banks_by_address(machine: Machine) -> list[tuple[int, int]]:
    """Physical address and size of each bank, by address."""
    m = machine.m
    return sorted((m.bank[row + BANK_BASE], m.bank[row + BANK_SIZE]) for row in range(0, len(m.bank), BANK))


def extents(machine: Machine, base: int, size: int) -> Iterator[tuple[int, int]]:
    """Physical address and length of the stretches of a bank, in ascending order, outside which it is zero.

    Of a simulated machine what was never written is left out, of a dump the holes of a sparse file.
    """
    if isinstance(machine, DumpMachine):
        yield from machine.image.extents(base, size)
        return
    offset = machine.k.ram_offset(machine.m, base, size)
    for start, end in joined(machine.k.recorder.written(offset, offset + size)):
        yield base + start - offset, end - start


def joined(pieces: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Pieces, as (start, end) in ascending order, of which none begins where another ends."""
    held: tuple[int, int] | None = None
    for start, end in pieces:
        if held is not None and held[1] == start:
            held = held[0], end
            continue
        if held is not None:
            yield held
        held = start, end
    if held is not None:
        yield held
