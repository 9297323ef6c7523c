"""The arrays of the TLB by name, and the rows of them that translate an address."""

from __future__ import annotations

from vmdbg.formats.contract import ACCESS_FETCH
from vmdbg.hardware.page_tables import seen_by
from vmdbg.state.tables import ARRAY, ARRAY_DATA, ARRAY_FETCHES, ARRAY_LEVEL
from vmdbg.units import s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.inspect.context import Context
    from vmdbg.machine.machine import Machine


def array_names(machine: Machine) -> list[str]:
    """A name for each TLB array: `L1`, or `L1i` and `L1d` where the level is split."""
    m = machine.m
    names = []
    for row in range(0, len(m.array) - ARRAY + 1, ARRAY):  # page-walk caches, of level 0, come last
        fetches, data = m.array[row + ARRAY_FETCHES], m.array[row + ARRAY_DATA]
        if m.array[row + ARRAY_LEVEL]:
            names.append(
                f"L{m.array[row + ARRAY_LEVEL]}" + ("" if fetches and data else "i" if fetches else "d")
            )
    return names


def first_arrays(machine: Machine, access: int) -> list[int]:
    """The first-level arrays (rows of the table), the one that serves an access before the other."""
    bindings = machine.bindings
    both = (bindings["FIRST_DATA"], bindings["FIRST_FETCH"])
    ordered = both[::-1] if access == ACCESS_FETCH else both
    return [array for array in dict.fromkeys(ordered) if array >= 0]


def cached_rows(machine: Machine, context: Context, va: int, access: int) -> list[tuple[int, str, str]]:
    """The TLB rows that translate an address, each with the names of its array and level.

    Those of the first level, the one that serves the access first; if there are none, that of the second.
    """
    if context.asid is None or not seen_by(machine.k, context.cpu, machine.k.canonical, s64(va)):
        return []
    k, m = machine.k, machine.m
    names = array_names(machine)
    found: list[tuple[int, str, str]] = []
    for array in (*first_arrays(machine, access), machine.bindings["SECOND"]):
        row = k.tlb_find(m, array, context.cpu, s64(va), context.asid) if array >= 0 else -1
        if row >= 0 and not (found and array == machine.bindings["SECOND"]):
            found.append((row, names[array // ARRAY], f"L{m.array[array + ARRAY_LEVEL]}"))
    return found
