"""How an entry of a TLB or of a page-walk cache disagrees with the tables."""

from __future__ import annotations

from vmdbg.formats.contract import ENTRY_RESERVED, ENTRY_TABLE
from vmdbg.hardware.tlb import KEY_SIZE, WORD_DIRTY, WORD_GLOBAL, WORD_KEY, WORD_PFN
from vmdbg.inspect.notation import rights_text
from vmdbg.inspect.walk import Walk, key_of, page_of, why_absent
from vmdbg.state.tables import (
    CPU,
    CPU_IGNORED,
)
from vmdbg.units import s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.machine.machine import Machine


def disagreement(machine: Machine, walk: Walk, key: int, word: int, va: int, cpu: int = 0) -> tuple[str, str]:
    """How a CPU's cached translation disagrees with a walk: a word and a sentence, or two empty texts."""
    k = machine.k
    if not walk.maps:
        reserved = walk.last.kind == ENTRY_RESERVED
        return "dead-page", (
            f"{walk.last.name} is reserved" if reserved else why_absent(machine, walk.last, cpu)[0]
        )
    page, size = page_of(machine, walk)
    start = s64(va) & -size
    offset = s64(va) - start
    if page + offset != k.word_address(word, key & KEY_SIZE, s64(va)):
        frame = (page + offset) >> machine.format.page_bits
        return "stale-frame", f"{walk.last.name} maps pfn {frame:#x}"
    entry = s64(walk.last.entry) & ~machine.m.cpu[cpu * CPU + CPU_IGNORED]
    kept = machine.bindings["RIGHTS"]
    if walk.last.rights != word & kept or bool(k.is_global(entry)) != bool(word & WORD_GLOBAL):
        return "stale-right", f"{walk.last.name} is {rights_text(walk.last.rights)}"
    if key_of(machine, walk.last.entry) != word >> WORD_KEY & machine.bindings["KEY_MASK"]:
        return "stale-right", f"{walk.last.name} has another key"
    if word & WORD_DIRTY and not k.is_dirty(entry):
        return "stale-dirty", f"{walk.last.name} is clean"
    return "", ""


def table_disagreement(machine: Machine, walk: Walk, depth: int, word: int) -> tuple[str, str]:
    """How a word of a page-walk cache, of entries at a depth, disagrees with a walk: as `disagreement`."""
    step = walk.steps[min(depth, len(walk.steps) - 1)]
    if step.depth < depth or step.kind != ENTRY_TABLE:
        return "dead-page", f"{step.name} leads to no table"
    table = machine.k.next_table(s64(step.entry), depth)
    if table >> machine.format.page_bits != word >> WORD_PFN:
        return "stale-frame", f"{step.name} leads to the table at {table:#x}"
    if step.rights != word & machine.bindings["RIGHTS"]:
        return "stale-right", f"{step.name} is {rights_text(step.rights)}"
    return "", ""
