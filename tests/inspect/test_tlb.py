"""The TLB as rows: every entry against a fresh walk, look-ups step by step."""

from __future__ import annotations

import pytest

from vmdbg.errors import UserError
from vmdbg.hardware.tlb import KEY_TAG, WORD_DIRTY, WORD_PFN
from vmdbg.inspect.context import find_context
from vmdbg.inspect.target import Target, boot
from vmdbg.inspect.tlb import cached_entries, look_up, probe_data
from vmdbg.inspect.translate import translate
from vmdbg.inspect.walk import ACCESSES
from vmdbg.machine.config import load_config
from vmdbg.state.tables import CPU_MODE, TLB, TLB_KEY, TLB_WORD


def row_of(target: Target, vpn: int) -> int:
    """The first row of the table `tlb` for a page."""
    m = target.machine.m
    return next(row for row in range(0, len(m.tlb), TLB) if m.tlb[row + TLB_KEY] >> KEY_TAG == vpn)


def checks(target: Target) -> dict[int, str]:
    return {found.vpn: found.check for found in cached_entries(target.machine, level=1)}


def test_a_warm_tlb_is_right(demo: Target) -> None:
    rows = list(cached_entries(demo.machine))
    assert {found.check for found in rows} == {"ok"}
    assert {found.array for found in rows} == {"L1i", "L1d", "L2"}
    large = next(found for found in rows if found.page_size > 1 << 12)
    assert (large.vpn, large.pfn, large.va) == (0x7F0000000, 0x200, 0x7F0000000000)


def test_every_way_to_be_wrong(demo: Target) -> None:
    m = demo.machine.m
    m.tlb[row_of(demo, 0x401) + TLB_WORD] ^= 1 << WORD_PFN  # another frame
    m.tlb[row_of(demo, 0x402) + TLB_WORD] ^= 2  # may be written
    m.tlb[row_of(demo, 0x400) + TLB_WORD] ^= WORD_DIRTY
    m.tlb[row_of(demo, 0x406) + TLB_KEY] ^= 5 << 2  # of address space 4
    found = checks(demo)
    assert found[0x401] == "stale-frame"
    assert found[0x402] == "stale-right"
    assert found[0x400] == "stale-dirty"
    assert found[0x406] == "wrong-asid"
    assert found[0x404] == "ok"


def test_look_up_stops_at_the_first_hit(demo: Target) -> None:
    context = find_context(demo.machine)
    for access in ("", "x"):  # any access, a fetch
        probes = look_up(demo.machine, context, 0x401234, ACCESSES.get(access))
        assert [(probe.array, probe.set, probe.tag, probe.way) for probe in probes] == [("L1i", 1, 0x40, 0)]
        assert probe_data(0x401234, probes)["via"] == "L1"
    read = look_up(demo.machine, context, 0x401234, ACCESSES["r"])
    assert [(probe.array, probe.way) for probe in read] == [("L1d", -1), ("L1d", -1), ("L2", 0)]
    assert probe_data(0x401234, read)["via"] == "L2"
    missed = look_up(demo.machine, find_context(demo.machine), 0x5000, ACCESSES["r"])
    assert probe_data(0x5000, missed)["via"] is None
    assert {(probe.array, probe.page_size) for probe in missed} == {
        (name, size) for name in ("L1d", "L2") for size in (1 << 12, 1 << 21)
    }


def test_a_fully_associative_tlb(tutorial: Target) -> None:
    (probe,) = look_up(tutorial.machine, find_context(tutorial.machine), 0x0110, ACCESSES["r"])
    assert (probe.sets, probe.ways, probe.page_number, probe.way) == (1, 8, 1, 0)


def test_filters_that_name_nothing_are_mistakes(demo: Target) -> None:
    with pytest.raises(UserError, match=r"^No TLB level 3: expected 1 or 2\.$"):
        cached_entries(demo.machine, level=3)
    with pytest.raises(UserError, match=r"^No address-space number 65536 \(0\.\.65534\)\.$"):
        find_context(demo.machine, asid=1 << 16)
    with pytest.raises(UserError, match=r"^No CPU -1: this machine has only CPU 0\.$"):
        cached_entries(demo.machine, cpu=-1)


def test_all_of_a_split_level_is_consulted(demo: Target) -> None:
    """What one array has right and the other wrong is used, and called stale."""
    m, k = demo.machine.m, demo.machine.k
    assert k.translate(m, 0, 0x401000, 0) >= 0  # L1d has it now, too
    (fetched,) = (
        row for row in cached_entries(demo.machine, level=1) if row.array == "L1i" and row.vpn == 0x401
    )
    base = k.array_base(m, 0, 0)
    m.tlb[base + (fetched.set * 4 + fetched.way) * TLB + TLB_WORD] ^= 1 << WORD_PFN
    read, fetch = (
        translate(demo.machine, find_context(demo.machine), 0x401000, ACCESSES["r"]),
        translate(demo.machine, find_context(demo.machine), 0x401000, ACCESSES["x"]),
    )
    assert (read.via, read.pa, bool(read.stale)) == ("L1", 0x108000, True)
    assert (fetch.via, fetch.pa, bool(fetch.stale)) == ("L1", 0x109000, True)


def test_page_walk_caches_against_the_tables() -> None:
    config = load_config("default").with_({"tlb.walk_cache": "PML4:1 PDPT:2 PD:2"})
    target = boot(config)
    m, k = target.machine.m, target.machine.k
    m.cpu[CPU_MODE] = 0
    for va in (0x40A000, 0x7FFFFFFFE000):
        k.tlb_drop(m, 0, va, 1)
    assert list(cached_entries(target.machine, walk=True)) == []
    k.access(m, 0, 1, 0x40A000, 1, 1, 0)
    k.access(m, 0, 1, 0x40B000, 1, 1, 0)
    assert target.machine.counts()["walk-cache-hit"] >= 1
    kept = [
        (row.array, row.vpn, row.page_size, row.pfn, row.check)
        for row in cached_entries(target.machine, walk=True)
    ]
    assert kept == [
        ("PML4", 0, 1 << 39, 0x104, "ok"),
        ("PDPT", 0, 1 << 30, 0x105, "ok"),
        ("PD", 0x400, 1 << 21, 0x106, "ok"),
    ]
    entry = k.load(m, 0x105010, 8)
    for new, said in ((entry & ~2, "stale-right"), (entry + 0x1000, "stale-frame"), (0, "dead-page")):
        k.store(m, 0x105010, 8, new)
        assert [row.check for row in cached_entries(target.machine, walk=True)] == ["ok", "ok", said]
    k.store(m, 0x105010, 8, entry)
    k.tlb_drop(m, 0, 0x500000, 1)  # any page of the space: INVLPG drops them all
    assert list(cached_entries(target.machine, walk=True)) == []
