"""Page-walk caches: looking commands go where the CPU goes; what a stale entry fills is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg.debugger import accesses
from vmdbg.inspect.context import find_context
from vmdbg.inspect.tlb import look_up, probe_data
from vmdbg.inspect.translate import translate
from vmdbg.inspect.walk import walk_tables
from vmdbg.inspect.why import why
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.programs.vmp import parse_vmp
from vmdbg.views.tlb import probe_lines

PROGRAM = b"""
process p
region data 0x400000 12K rw
write 0x400000, 1
write 0x401000, 2
write 0x402000, 3
"""
READ, WRITE = 0, 1
CACHES = "PDPT:2 PD:4"
FREE = 0x200000  # where the tests make tables and pages of their own


def booted(**settings: Any) -> Machine:
    values = {name.replace("_", ".", 1): value for name, value in settings.items()}
    made = Machine(MachineConfig({"tlb.walk_cache": CACHES, "machine.ram": 1 << 23, **values}))
    made.load(parse_vmp(PROGRAM, "p.vmp", va_bits=48, page_size=4096))
    made.run(3)
    return made


def poke(made: Machine, address: int, value: int) -> None:
    """Write an entry behind the kernel's back."""
    made.k.store(made.m, address, 8, value)
    made.k.tlb_suspect(made.m, 0, -1, 0)


def turned(made: Machine) -> int:
    """Let the PD entry of 0x400000 lead to another table, whose entry 1 maps FREE + 4K.

    Returns where the page at 0x401000 was.  The TLB forgets it; the page-walk caches know the old table.
    """
    walk = walk_tables(made, find_context(made).root, 0x401000)
    accesses.flush_page(made, 0x401000)
    accesses.flush_page(made, 0x402000)
    accesses.access(made, 0x402000, READ)  # fills the page-walk caches again
    poke(made, FREE + 8, (FREE + 0x1000) | 0x67)
    poke(made, walk.steps[2].address, FREE | 0x27)
    return made.k.leaf_frame(walk.last.entry, 3)


def test_translate_goes_where_the_cpu_goes() -> None:
    made = booted()
    old = turned(made)
    found = translate(made, find_context(made), 0x401000, READ)
    assert (found.pa, found.via, found.walk_cache) == (old, "walk", "PD")
    assert found.stale == f"PD[2] leads to the table at {FREE:#x}"
    assert found.data()["stale"] is True
    assert accesses.access(made, 0x401000, READ).value == 2  # the old page's
    accesses.flush(made, None)
    found = translate(made, find_context(made), 0x401000, READ)
    assert (found.pa, found.stale, found.walk_cache) == (FREE + 0x1000, "", "")


def test_why_says_what_the_cache_makes_of_it() -> None:
    made = booted()
    old = turned(made)
    verdict = why(made, find_context(made), 0x401000, READ)
    assert verdict.outcome.pa == FREE + 0x1000  # by the tables
    assert verdict.tlb is not None
    assert (verdict.tlb.pa, verdict.tlb.cached) == (old, False)


def test_a_look_up_that_misses_goes_on_in_the_walk_caches() -> None:
    from vmdbg.inspect.notation import Notation

    made = booted()
    turned(made)
    probes = look_up(made, find_context(made), 0x401000, READ)
    assert [(probe.array, probe.way) for probe in probes if not probe.level] == [("PD cache", 0)]
    assert probe_data(0x401000, probes)["via"] is None
    assert list(probe_lines(Notation(made.format), probes))[-1].startswith("PD cache: vpn 0x2 (2 MiB ranges)")
    missed = look_up(made, find_context(made), 1 << 40, READ)
    assert [probe.array for probe in missed if not probe.level] == ["PD cache", "PDPT cache"]
    assert all(probe.level for probe in look_up(made, find_context(made), 0x402000, READ))


def stale(made: Machine) -> int:
    return made.counts().get("tlb-stale", 0)


def test_the_first_walk_through_a_stale_entry_is_told_and_so_is_what_it_filled() -> None:
    made = booted()
    turned(made)
    accesses.access(made, 0x401000, READ)
    assert stale(made) == 1  # the entry of the page-walk cache
    accesses.access(made, 0x401000, READ)
    assert stale(made) == 2  # the translation that was filled through it
    accesses.access(made, 0x401000, READ)
    assert stale(made) == 2
    accesses.access(made, 0x400000, READ)  # cached in the TLB before: stale, too
    assert stale(made) == 3
    assert len([found for found in check(made) if found.rule == "stale"]) > 2


def test_what_a_stale_entry_of_a_walk_cache_fills_in_another_is_suspect_too() -> None:
    """PDPT[0] is turned to a copy of the PD whose entry for 0x600000 leads elsewhere; the PDPT cache keeps
    the old PD, so that the walk of 0x600000 fills the PD cache with what the tables do not say any more."""
    made = booted()
    k, m = made.k, made.m
    pdpt, pd = walk_tables(made, find_context(made).root, 0x400000).steps[1:3]
    k.store(m, pd.address + 8, 8, pd.entry)  # 0x600000 is translated as 0x400000 is
    for entry in range(512):
        k.store(m, FREE + 8 * entry, 8, k.load(m, pd.table + 8 * entry, 8))
    k.store(m, FREE + 8 * 3, 8, (FREE + 0x1000) | 0x67)
    accesses.flush(made, None)
    accesses.access(made, 0x400000, READ)  # fills the PDPT cache
    poke(made, pdpt.address, FREE | 0x67)
    k.translate(m, 0, 0x600000, READ)
    assert stale(made) == 1  # PDPT[0], and it fills the PD cache
    k.translate(m, 0, 0x601000, READ)
    assert stale(made) == 2  # that entry of the PD cache
    k.translate(m, 0, 0x601000, READ)
    assert stale(made) == 3  # the translation that it filled


def test_an_entry_that_leads_where_it_should_is_not_told() -> None:
    made = booted()
    accesses.flush_page(made, 0x401000)
    accesses.access(made, 0x402000, WRITE, 1, 1)
    accesses.access(made, 0x400000, READ)
    made.k.tlb_suspect(made.m, 0, -1, 0)
    for va in (0x401000, 0x401000, 0x400000):
        accesses.access(made, va, READ)
    assert stale(made) == 0
    assert check(made) == []


def test_what_the_kernel_forgot_to_invalidate_in_a_walk_cache_is_told() -> None:
    """The kernel forgets its first invalidation; then the PD entry is cleared."""
    made = booted(machine_forget=1)
    accesses.flush_page(made, 0x401000)
    accesses.flush_page(made, 0x402000)
    accesses.access(made, 0x402000, READ)
    context = find_context(made)
    step = walk_tables(made, context.root, 0x401000).steps[2]
    made.k.store(made.m, step.address, 8, 0)
    made.k.shoot_down(made.m, 1, 0x401000)
    accesses.access(made, 0x401000, READ)
    assert stale(made) == 1


@hypothesis.settings(max_examples=drawn(60), deadline=None)
@hypothesis.given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(0, 2)), max_size=25))
def test_translate_foretells_every_access(steps: list[tuple[int, int, int]]) -> None:
    """Whatever was poked, flushed and cached before: the access goes where `translate` says."""
    made = booted()
    entry = walk_tables(made, find_context(made).root, 0x400000).steps[2]
    tables = (entry.entry, FREE | 0x27, (FREE + 0x1000) | 0x23)
    for page in range(3):
        made.k.store(made.m, FREE + 8 * page, 8, (FREE + (8 + page) * 0x1000) | 0x67)
        made.k.store(made.m, FREE + 0x1000 + 8 * page, 8, (FREE + (12 + page) * 0x1000) | 0x67)
    for kind, page, which in steps:
        va = 0x400000 + page * 0x1000
        if kind == 0:
            poke(made, entry.address, tables[which])
        elif kind == 1:
            accesses.flush_page(made, va)
        elif kind == 2:
            made.k.tlb_drop(made.m, 0, va, 7)  # of another space
        else:
            context = find_context(made)
            foretold = translate(made, context, va, READ)
            told = stale(made)
            pa = made.k.translate(made.m, 0, va, READ)
            assert (foretold.pa if foretold.fault is None else -1) == pa
            assert foretold.stale or stale(made) == told


@pytest.mark.parametrize("name", ["satp.ppn", "efer.nxe"])
def test_a_register_that_flushes_nothing_leaves_suspects(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the TLB holds may be stale after the write: the next use looks."""
    from vmdbg.inspect.target import boot_named
    from vmdbg.machine import registers

    made = boot_named("sv39" if name == "satp.ppn" else "default").machine
    accesses.access(made, 0x404000, READ)
    before = stale(made)
    value = registers.read(made, 0, name)
    assert value is not None
    registers.write(made, 0, name, 0 if name == "efer.nxe" else value + 1)
    made.k.translate(made.m, 0, 0x404000, READ)
    assert stale(made) == before + 1


def test_flush_says_that_it_emptied_the_walk_caches(run_vmdbg: Callable[..., Any]) -> None:
    setting, catch = f"set tlb.walk_cache {CACHES}", "catch tlb-stale"
    commands = [setting, "read 0x40b000", "poke 0x105010 0x0", "tlb flush 0x1000", "undo", catch, "tlb flush"]
    done = run_vmdbg("-batch", *(word for line in commands for word in ("-ex", line)))
    assert "Changed: 2 page-walk cache entries dropped." in done.stdout
    assert "2 page-walk cache entries dropped." in done.stdout.splitlines()[-1]
