"""One entry as a word: what it is at a level, and its fields."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.formats.contract import ENTRY_BUS, ENTRY_LEAF, ENTRY_SWAPPED, ENTRY_TABLE
from vmdbg.inspect.notation import Notation, kind_word
from vmdbg.inspect.walk import where
from vmdbg.units import WORD_MASK, format_size, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.machine.machine import Machine


def find_level(machine: Machine, name: str) -> int:
    """The depth of a level by the manual's or Linux's name.  UserError if the format has no such level."""
    for depth, level in enumerate(machine.format.levels):
        if name.lower() in (level.name.lower(), level.linux.lower()):
            return depth
    names = ", ".join(level.name for level in machine.format.levels)
    raise UserError(f'No level "{name}".', f"{machine.format.name} has {names}.")


def described(machine: Machine, entry: int, level: str) -> tuple[str, list[dict[str, Any]]]:
    """An entry in a line, and its fields; `level` "" is the last.  UserError if it is too wide."""
    form = machine.format
    depth = find_level(machine, level) if level else len(form.levels) - 1
    entry &= WORD_MASK
    if entry >> 8 * form.entry_bytes:
        raise UserError(f"Entry {entry:#x} does not fit in {form.entry_bytes} bytes.")
    return title(machine, Notation(form), entry, depth), fields(machine, entry, depth)


def classified(machine: Machine, entry: int, depth: int) -> int:
    """What an entry is; one that is all ones is judged like any other."""
    kind = int(machine.k.classify(s64(entry), depth))
    return kind if kind != ENTRY_BUS else ENTRY_LEAF


def title(machine: Machine, show: Notation, entry: int, depth: int) -> str:
    """`0x... at PD: leaf, 2 MiB, pfn 0x200`."""
    form, k = machine.format, machine.k
    kind = classified(machine, entry, depth)
    line = f"{show.entry(entry)} at {form.levels[depth].name}: {kind_word(kind, entry)}"
    if kind == ENTRY_TABLE and depth + 1 < len(form.levels):
        return f"{line}, {form.levels[depth + 1].name} at {show.pa(k.next_table(s64(entry), depth))}"
    if kind in (ENTRY_LEAF, ENTRY_TABLE):
        pfn = show.pfn(k.leaf_frame(s64(entry), depth) >> form.page_bits)
        return f"{line}, {format_size(1 << form.levels[depth].shift)}, pfn {pfn}"
    if kind == ENTRY_SWAPPED:
        return f"{line}, slot {k.swapped_slot(s64(entry))}"
    return line


def fields(machine: Machine, entry: int, depth: int) -> list[dict[str, Any]]:
    """A row for each field that such an entry has, lowest bit first, and for what no field covers."""
    form = machine.format
    kind = classified(machine, entry, depth)
    letter = where(form, depth, kind)
    rows, covered = [], 0
    for field in sorted(form.standing(letter, depth), key=lambda field: field.low):
        covered |= field.put(0, (1 << field.width) - 1)
        rows.append(
            {
                "field": field.name,
                "bits": bits(field.low, field.width),
                "value": field.get(entry),
                "help": field.help,
            }
        )
    rest = entry & WORD_MASK & ~covered & ((1 << 8 * form.entry_bytes) - 1)
    if rest:
        rows.append({"field": "other", "bits": "-", "value": rest, "help": "bits that no field has"})
    return rows


def bits(low: int, width: int) -> str:
    """`63`, `51:12`."""
    return str(low) if width == 1 else f"{low + width - 1}:{low}"
