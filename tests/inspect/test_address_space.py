"""Address spaces: regions with what is in memory, runs of frames, trees of tables and their cost."""

from __future__ import annotations

import pytest

from vmdbg.errors import UserError
from vmdbg.inspect.address_space import kernel_runs, map_notes, measured, named_runs
from vmdbg.inspect.context import find_context
from vmdbg.inspect.overhead import flat, page_sizes
from vmdbg.inspect.page_tables import aliases, all_mappers, entry_runs, overhead_data, table_costs
from vmdbg.inspect.processes import processes
from vmdbg.inspect.pte import fields, find_level, title
from vmdbg.inspect.split import split
from vmdbg.inspect.target import Target

K, M = 1 << 10, 1 << 20


def test_regions_with_what_is_in_memory_and_in_swap(demo: Target) -> None:
    found = [
        (region.kind, region.resident, region.swapped)
        for region in measured(demo.machine, 1, find_context(demo.machine).root)
    ]
    assert found == [
        ("text", 12 * K, 0),
        ("data", 4 * K, 0),
        ("heap", 4 * K, 4 * K),
        ("file", 4 * K, 0),
        ("shared", 4 * K, 0),
        ("anon", 2 * M, 0),
        ("guard", 0, 0),
        ("stack", 4 * K, 0),
    ]


def test_what_regions_map_is_told(demo: Target) -> None:
    context = find_context(demo.machine)
    assert [
        region.backing
        for region in measured(demo.machine, 1, find_context(demo.machine).root)
        if region.backing != "zero"
    ] == [
        "file demo.txt",
        "shared common",
    ]
    assert list(map_notes(demo.machine, context.root, 1))[:2] == [
        "0x548000: file demo.txt",
        "0x54a000: shared common",
    ]


def test_resident_sums_to_what_the_kernel_counts(demo: Target) -> None:
    (row,) = processes(demo.machine)
    regions = list(measured(demo.machine, 1, find_context(demo.machine).root))
    assert row["rss"] == sum(region.resident for region in regions)
    assert row["swapped"] == sum(region.swapped for region in regions)


def test_runs_join_frames_in_a_row(demo: Target) -> None:
    runs = [
        (run.start, run.end, run.pa, kind)
        for run, kind in named_runs(demo.machine, find_context(demo.machine).root, 1)
    ]
    assert (0x400000, 0x403000, 0x107000, "text") in runs
    (kernel,) = kernel_runs(demo.machine, find_context(demo.machine).root)
    assert kernel.end - kernel.start == 64 * M
    assert kernel.page_size == 2 * M


def test_tables_that_the_overhead_counts_are_those_that_the_kernel_counts(demo: Target) -> None:
    (row,) = processes(demo.machine)
    costs = table_costs(demo.machine, find_context(demo.machine).root, own=True)
    data = overhead_data(demo.machine, 1, costs)
    assert data["size"] == row["tables"] == 9 * 4 * K
    assert [(cost.tables, cost.used, cost.entries) for cost in costs] == [
        (1, 4, 512),
        (3, 3, 1536),
        (3, 3, 1536),
        (2, 9, 1024),
    ]
    assert data["flat"] == 512 << 30


def test_a_table_that_points_to_itself_ends(demo: Target) -> None:
    root = find_context(demo.machine).root
    demo.machine.k.store(demo.machine.m, root + 8 * 300, 8, root | 0x27)
    assert list(entry_runs(demo.machine, find_context(demo.machine).root))
    costs = table_costs(demo.machine, find_context(demo.machine).root, own=True)
    assert [cost.tables for cost in costs] == [1, 4, 7, 9]


def test_reverse_map_and_tables_agree(demo: Target) -> None:
    (row,) = all_mappers(demo.machine, 0x108)
    assert (row["pid"], row["va"], row["entry_address"]) == (1, 0x401000, 0x106008)
    found = [(alias["pid"], alias["va"]) for alias in aliases(demo.machine, 0x108234)]
    assert found == [(1, 0x401234), (1, 0xFFFF888000108234)]
    with pytest.raises(UserError, match=r"^No frame 0x4000: outside memory\.$"):
        all_mappers(demo.machine, 0x4000)


def test_split(demo: Target, tutorial: Target) -> None:
    assert split(tutorial.machine.format, 0x0110).data() == {
        "va": 272,
        "indexes": [{"level": "PT", "bits": 8, "value": 1}],
        "offset": 16,
        "page_size": 256,
        "vpn": 1,
    }
    large = split(demo.machine.format, 0x7F0000012345, 2 * M)
    assert [value for _, _, value in large.indexes] == [254, 0, 0]
    assert large.offset == 0x12345
    with pytest.raises(UserError, match=r"has no pages of 8 KiB\.$"):
        split(demo.machine.format, 0, 8 * K)


@pytest.mark.parametrize(
    ("bits", "page", "entry", "size"),
    [(32, 4 * K, 4, 4 * M), (64, 4 * K, 8, 32 << 50), (48, 4 * K, 8, 512 << 30)],
)
def test_flat_tables(bits: int, page: int, entry: int, size: int) -> None:
    assert flat(bits, page, entry).size == size


@pytest.mark.parametrize(
    ("bits", "page", "entry"), [(32, 3000, 4), (10, 4 * K, 4), (80, 4 * K, 4), (32, 4 * K, 0)]
)
def test_flat_tables_that_there_cannot_be(bits: int, page: int, entry: int) -> None:
    with pytest.raises(UserError):
        flat(bits, page, entry)


def test_page_sizes_are_those_of_the_format_and_sixteen_times_more_or_less(tutorial: Target) -> None:
    unit, rows = page_sizes(tutorial.machine.format)
    assert unit == "B"
    assert [row.page for row in rows] == [16, 256, 4096]
    assert rows[0].share == pytest.approx(2 / 18)
    assert all(row.page * row.entries == 1 << 16 for row in rows)


def test_an_entry_field_by_field(demo: Target) -> None:
    rows = {
        row["field"]: row for row in fields(demo.machine, 0x80000000002000E7, find_level(demo.machine, "pmd"))
    }
    assert rows["PS"]["value"] == 1
    assert rows["PFN"]["bits"] == "51:12"
    assert rows["NX"]["value"] == 1
    assert "pfn 0x200" in title(demo.machine, demo.notation, 0x80000000002000E7, 2)
    with pytest.raises(UserError, match=r'^No level "PTE9"\.$'):
        find_level(demo.machine, "PTE9")
