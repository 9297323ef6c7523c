"""Where an access goes now: by the TLB, else by the tables, from where a page-walk cache begins."""

from __future__ import annotations

from vmdbg.formats.contract import (
    ALL_RIGHTS,
    BARE_ROOT,
    ENTRY_EMPTY,
    FAULT_AD,
    FAULT_BOUNDS,
    FAULT_NON_CANONICAL,
)
from vmdbg.hardware.page_tables import seen_by
from vmdbg.hardware.tlb import KEY_SIZE, WORD_KEY
from vmdbg.inspect import base_and_bounds
from vmdbg.inspect.context import controls
from vmdbg.inspect.notation import kind_word, rights_text
from vmdbg.inspect.rules import decide
from vmdbg.inspect.segments import Segment, outside
from vmdbg.inspect.stale import disagreement, table_disagreement
from vmdbg.inspect.tlb_rows import cached_rows
from vmdbg.inspect.walk import (
    READ,
    Fault,
    Outcome,
    Walk,
    key_of,
    lacking,
    page_of,
    refusal,
    region_kind,
    rows_read,
    walk_tables,
    why_absent,
)
from vmdbg.state.tables import (
    CONTROL_CACHED,
    CONTROL_FIRST,
    TLB_KEY,
    TLB_WORD,
)
from vmdbg.units import WORD_MASK, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.inspect.context import Context
    from vmdbg.machine.machine import Machine


def translate(machine: Machine, context: Context, va: int, access: int) -> Outcome:
    """Where an access goes now: by the TLB, else by the tables, from where a page-walk cache begins.

    All of a split first level is asked: an entry that is there is used, and is stale if any is.  A CPU that
    does not translate (Bare) goes to the address itself.
    """
    if machine.bindings["BARE"] and context.root == BARE_ROOT:
        same = Outcome(va, context.pid, access, context.mode)
        same.pa, same.page_size, same.rights = same.va, machine.format.page_size, ALL_RIGHTS
        return same
    walk = walk_tables(machine, context.root, va, context.cpu)
    fresh = outcome_of(machine, context, walk, access)
    rows = cached_rows(machine, context, va, access)
    if fresh.fault is not None and fresh.fault.number == FAULT_BOUNDS:
        return fresh  # limits are asked before the TLB
    if not rows:
        through, stale = walk_cached(machine, context, walk)
        if stale:
            fresh = outcome_of(machine, context, through, access)
        fresh.walk_cache, fresh.stale = through.begun, stale
        return fresh
    k, m = machine.k, machine.m
    row, name, level = rows[0]
    key, word = m.tlb[row + TLB_KEY], m.tlb[row + TLB_WORD]
    found = Outcome(va, context.pid, access, context.mode)
    found.region, found.via, found.cached = fresh.region, level, True
    found.by_machine = context.by_machine
    found.rights = word & machine.bindings["RIGHTS"]
    shifts = machine.format.page_shifts
    found.page_size = 1 << shifts[min(key & KEY_SIZE, len(shifts) - 1)]
    for other, _, _ in rows:
        other_key, other_word = m.tlb[other + TLB_KEY], m.tlb[other + TLB_WORD]
        found.stale = found.stale or disagreement(machine, walk, other_key, other_word, va, context.cpu)[1]
    number = refusal(machine, context, access, found.rights, word >> WORD_KEY & machine.bindings["KEY_MASK"])
    if number:
        depth = len(machine.format.levels) - 1 - (key & KEY_SIZE)
        code = k.code_of(machine.m, context.cpu, number, access, context.mode, depth)
        found.fault = fresh.fault
        if fresh.fault is None or fresh.fault.number != number or found.stale:
            found.fault = Fault(number, f"{name} holds {rights_text(found.rights)}", code)
        return found
    found.pa = k.word_address(word, key & KEY_SIZE, s64(va))
    return found


def walk(machine: Machine, context: Context, va: int, access: int = READ) -> tuple[Walk, Outcome]:
    """The walk of an address by the tables, and where it leads if all rights are ignored."""
    found = walk_tables(machine, context.root, va, context.cpu)
    return found, outcome_of(machine, context, found, access, check=False)


def outcome_of(machine: Machine, context: Context, walk: Walk, access: int, check: bool = True) -> Outcome:
    """The outcome of an access whose walk is known.  Without `check` rights are ignored."""
    k = machine.k
    if machine.format.bounded:
        return base_and_bounds.outcome(machine, context, walk, access, check)
    found = Outcome(walk.va, context.pid, access, context.mode)
    found.region, found.by_machine = region_kind(machine, context.pid, walk.va), context.by_machine
    if not seen_by(k, context.cpu, k.canonical, s64(walk.va)):
        found.fault = not_canonical(machine, found, context.cpu)
        return found
    step = walk.last
    if not walk.maps:
        number = k.walk_fault(walk.kind)
        reason, slot = why_absent(machine, step, context.cpu)
        code = k.code_of(machine.m, context.cpu, number, access, context.mode, step.depth)
        found.fault = Fault(number, reason, code, step.level, step.index, slot)
        found.fault.blank = step.kind != ENTRY_EMPTY or not step.entry
        return found
    found.rights = step.rights
    page, found.page_size = page_of(machine, walk)
    if check and (
        refusal(machine, context, access, step.rights, key_of(machine, step.entry))
        or lacking(machine, controls(machine, context.cpu), access, step.entry)
    ):
        found.fault = refused(machine, context, walk, access)
        return found
    found.pa = page + (walk.va & (found.page_size - 1))
    return found


def not_canonical(machine: Machine, found: Outcome, cpu: int) -> Fault:
    """The fault of an address that the format does not have."""
    form, k = machine.format, machine.k
    if form.segments:
        code = k.code_of(machine.m, cpu, FAULT_BOUNDS, found.access, found.mode, 0)
        return Fault(FAULT_BOUNDS, outside(machine, found.va, cpu), code)
    top = form.va_bits - 1 if form.sign_extended else form.va_bits
    reason = f"bits 63:{top} are not all {'equal' if form.sign_extended else '0'}"
    name = form.rules.get("c", ("", ""))[0]
    code = k.code_of(machine.m, cpu, FAULT_NON_CANONICAL, found.access, found.mode, 0)
    return Fault(FAULT_NON_CANONICAL, f"{reason} ({name})" if name else reason, code)


def refused(machine: Machine, context: Context, walk: Walk, access: int) -> Fault:
    """The fault of an access to a page that a walk found: which entry decides, by which field."""
    last = walk.last
    missing = lacking(machine, controls(machine, context.cpu), access, last.entry)
    number = refusal(machine, context, access, last.rights, key_of(machine, last.entry))
    if missing is not None and (machine.format.ad_first or not number):
        code = machine.k.code_of(machine.m, context.cpu, FAULT_AD, access, context.mode, last.depth)
        return Fault(FAULT_AD, f"{last.name} has {missing.name} = 0", code, last.level, last.index)
    code = machine.k.code_of(machine.m, context.cpu, number, access, context.mode, last.depth)
    if machine.format.segments:
        segment = Segment(machine, walk.va >> machine.format.segment_shift, walk.root, context.cpu)
        if not segment.rights >> access & 1:
            reason = f"segment {segment.number} is {rights_text(segment.rights)}"
            return Fault(number, reason, code)
    cause = decide(machine, context, walk, access)
    if cause is None or cause.step is None:
        return Fault(number, f"{last.name} does not allow it", code, last.level, last.index)
    step = cause.step
    return Fault(number, f"{step.name} has {cause.field} = {cause.value}", code, step.level, step.index)


def walk_data(machine: Machine, found: Walk, outcome: Outcome) -> dict[str, Any]:
    """A walk as JSON shows it."""
    data = outcome.data()
    for key in ("access", "mode", "via", "walk_cache", "stale"):
        del data[key]
    steps = [
        {
            "level": step.level,
            "index": step.index,
            "entry_address": step.address,
            "entry": step.entry,
            "kind": kind_word(step.kind, step.entry),
            "linux": machine.format.levels[step.depth].linux,
            "flags": step.flags,
            "rights": rights_text(step.rights),
        }
        for step in found.steps
    ]
    head = {"va": found.va, "format": machine.format.name, "root": found.root & WORD_MASK}
    if machine.format.bounded:
        head |= base_and_bounds.head_data(machine, found.root, found.cpu)
    return {**head, "steps": steps, **data}


def walk_cached(machine: Machine, context: Context, fresh: Walk) -> tuple[Walk, str]:
    """The walk of the context's CPU, which begins at an entry of its page-walk caches if one fits.

    `fresh` is the walk by the tables.  Also returns how the entry disagrees with the tables, in words; empty
    if not.
    """
    k, m, form = machine.k, machine.m, machine.format
    va, cpu = s64(fresh.va), context.cpu
    if not machine.bindings["WALK_CACHES"] or context.asid is None or not seen_by(k, cpu, k.canonical, va):
        return fresh, ""
    kind = seen_by(k, cpu, k.walk_cached, cpu, context.root, context.asid, va)
    array, first = m.control[CONTROL_CACHED], m.control[CONTROL_FIRST]
    if array < 0:
        return fresh, ""
    kind = k.recheck(m, cpu, first, kind)
    walk = Walk(
        form, fresh.va, fresh.root, kind, rows_read(machine, first), first, form.levels[first - 1].name
    )
    word = m.tlb[k.tlb_find(m, array, cpu, va, context.asid) + TLB_WORD]
    return walk, table_disagreement(machine, fresh, first - 1, word)[1]
