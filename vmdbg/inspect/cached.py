"""Where an access goes by what TLB and page-walk caches hold, and how that disagrees with the tables."""

from __future__ import annotations

from vmdbg.formats.contract import ENTRY_RESERVED, ENTRY_TABLE, FAULT_PROTECTION
from vmdbg.hardware.tlb import KEY_SIZE, WORD_DIRTY, WORD_GLOBAL, WORD_PFN, WORD_RIGHTS
from vmdbg.inspect.notation import rights_text
from vmdbg.inspect.tlb_rows import cached_rows
from vmdbg.inspect.translate import (
    Fault,
    Outcome,
    Walk,
    allows,
    outcome_of,
    page_of,
    steps_read,
    walk_tables,
    why_absent,
)
from vmdbg.state.tables import (
    CONTROL_CACHED,
    CONTROL_FIRST,
    CPU,
    CPU_IGNORED,
    CPU_RESERVED,
    TLB_KEY,
    TLB_WORD,
)
from vmdbg.units import s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.inspect.context import Place
    from vmdbg.machine.machine import Machine


def translate(machine: Machine, place: Place, va: int, access: int) -> Outcome:
    """Where an access goes now: by the TLB, else by the tables, from where a page-walk cache begins.

    All of a split first level is asked: an entry that is there is used, and is stale if any is.
    """
    walk = walk_tables(machine, place.root, va, place.cpu)
    fresh = outcome_of(machine, place, walk, access)
    rows = cached_rows(machine, place, va, access)
    if not rows:
        through, stale = walk_cached(machine, place, walk)
        if stale:
            fresh = outcome_of(machine, place, through, access)
        fresh.walk_cache, fresh.stale = through.begun, stale
        return fresh
    k, m = machine.k, machine.m
    row, name, level = rows[0]
    key, word = m.tlb[row + TLB_KEY], m.tlb[row + TLB_WORD]
    found = Outcome(va, place.pid, access, place.mode)
    found.region, found.via, found.cached = fresh.region, level, True
    found.rights = word & WORD_RIGHTS
    shifts = machine.format.page_shifts
    found.page_size = 1 << shifts[min(key & KEY_SIZE, len(shifts) - 1)]
    for other, _, _ in rows:
        other_key, other_word = m.tlb[other + TLB_KEY], m.tlb[other + TLB_WORD]
        found.stale = found.stale or disagreement(machine, walk, other_key, other_word, va, place.cpu)[1]
    if not allows(machine, place, access, found.rights):
        code = k.code_of(machine.m, place.cpu, FAULT_PROTECTION, access, place.mode)
        found.fault = fresh.fault
        if fresh.fault is None or fresh.fault.number != FAULT_PROTECTION or found.stale:
            found.fault = Fault(FAULT_PROTECTION, f"{name} holds {rights_text(found.rights)}", code)
        return found
    found.pa = k.word_address(word, key & KEY_SIZE, s64(va))
    return found


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
    if walk.last.rights != word & WORD_RIGHTS or bool(k.is_global(entry)) != bool(word & WORD_GLOBAL):
        return "stale-right", f"{walk.last.name} is {rights_text(walk.last.rights)}"
    if word & WORD_DIRTY and not k.is_dirty(entry):
        return "stale-dirty", f"{walk.last.name} is clean"
    return "", ""


def walk_cached(machine: Machine, place: Place, fresh: Walk) -> tuple[Walk, str]:
    """The walk of the place's CPU, which begins at what its page-walk caches hold, and not at the root.

    `fresh` is that by the tables.  Also how what is held disagrees with them, in words; empty if it does not.
    """
    k, m, form = machine.k, machine.m, machine.format
    va, cpu = s64(fresh.va), place.cpu
    if not machine.bindings["WALK_CACHES"] or place.asid is None or not k.canonical(va):
        return fresh, ""
    kind = k.walk_cached(m, cpu, place.root, place.asid, va)
    array, first = m.control[CONTROL_CACHED], m.control[CONTROL_FIRST]
    if array < 0:
        return fresh, ""
    kind = k.recheck(m, first, m.cpu[cpu * CPU + CPU_RESERVED], kind)
    walk = Walk(fresh.va, fresh.root, kind, steps_read(machine, first), form.levels[first - 1].name)
    word = m.tlb[k.tlb_find(m, array, cpu, va, place.asid) + TLB_WORD]
    return walk, table_disagreement(machine, fresh, first - 1, word)[1]


def table_disagreement(machine: Machine, walk: Walk, depth: int, word: int) -> tuple[str, str]:
    """How a word of a page-walk cache, of entries at a depth, disagrees with a walk: as `disagreement`."""
    step = walk.steps[min(depth, len(walk.steps) - 1)]
    if step.depth < depth or step.kind != ENTRY_TABLE:
        return "dead-page", f"{step.name} leads to no table"
    table = machine.k.next_table(s64(step.entry))
    if table >> machine.format.page_bits != word >> WORD_PFN:
        return "stale-frame", f"{step.name} leads to the table at {table:#x}"
    if step.rights != word & WORD_RIGHTS:
        return "stale-right", f"{step.name} is {rights_text(step.rights)}"
    return "", ""
