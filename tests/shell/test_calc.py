"""calc: the textbook's numbers, models that count, the machines' own formats, and mistakes."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable
from fractions import Fraction
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from vmdbg.formats import NAMES, find
from vmdbg.inspect.calc import access_time, levels, reach, tables
from vmdbg.inspect.translation_cost import TranslationCost
from vmdbg.kernel.scheduler import OP_EXIT
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.views.calc import decimal_text


@pytest.fixture(scope="session")
def counted(model: Callable[[str], ModuleType]) -> Any:
    return model("calc")


@pytest.mark.long
@hypothesis.given(st.integers(1, 64), st.integers(3, 16), st.integers(1, 64))
def test_levels_are_those_that_cover_all_addresses(
    counted: Any, bits: int, page_bits: int, entry: int
) -> None:
    page = 1 << page_bits
    hypothesis.assume(bits > page_bits and page // entry >= 2)
    found = levels(bits, page, entry)
    assert found.split == counted.level_bits(bits, page, entry)
    assert sum(found.split) + found.offset == bits


@pytest.mark.long
@hypothesis.given(st.integers(1, 5), st.integers(2, 6), st.sampled_from([1, 2, 4]), st.data())
def test_tables_are_those_that_pages_need(
    counted: Any, more: int, page_bits: int, entry: int, data: st.DataObject
) -> None:
    page = 1 << page_bits
    hypothesis.assume(page // entry >= 2)
    bits = page_bits + 2 * more
    mapped = data.draw(st.integers(1, 1 << bits))
    found = tables(bits, page, entry, mapped, None)
    count, widths = -(-mapped // page), counted.level_bits(bits, page, entry)
    assert [row.together for row in found.levels] == counted.prefixes(list(range(count)), widths)
    assert [row.apart for row in found.levels] == counted.prefixes(counted.apart(count, sum(widths)), widths)
    every = list(range(1 << (bits - page_bits)))
    assert [row.all for row in found.levels] == counted.prefixes(every, widths)
    assert found.flat.size == len(every) * entry


RATIOS = st.fractions(0, 1, max_denominator=60)
TIMES = st.fractions(0, 500, max_denominator=100)


@pytest.mark.long
@hypothesis.given(TIMES, st.integers(0, 5), st.none() | RATIOS, TIMES, RATIOS, st.integers(0, 10**7))
def test_the_access_time_is_the_mean_of_accesses(
    counted: Any,
    memory: Fraction,
    walk: int,
    ratio: Fraction | None,
    tlb: Fraction,
    faults: Fraction,
    ms: int,
) -> None:
    hypothesis.assume(memory > 0)
    service = Fraction(ms)
    found = access_time(memory, walk, ratio, tlb, faults, service, None)
    assert found.effective == counted.mean_time(memory, walk, ratio, tlb, faults, service)
    goal = found.effective
    if goal >= found.access and service > found.access:
        needed = access_time(memory, walk, ratio, tlb, None, service, goal).needed
        assert needed == faults
    if ratio is not None and found.hit < found.miss:
        assert access_time(memory, walk, ratio, tlb, None, None, found.access).needed == ratio


@pytest.mark.long
@hypothesis.given(st.fractions(0, 10**7))
def test_numbers_are_exact_or_close(number: Fraction) -> None:
    text = decimal_text(number)
    assert "e" not in text
    assert abs(Fraction(text) - number) <= number / 10**5
    if len(text) < 6:
        assert Fraction(text) == number or number.denominator > 10


@pytest.mark.parametrize("name", ["x86_64", "x86_32", "sv39", "sv48"])
def test_the_formats_are_cut_as_the_formula_says(name: str) -> None:
    assert name in NAMES
    form = find(name)
    found = levels(form.va_bits, form.page_size, form.entry_bytes)
    assert found.split == [level.bits for level in form.levels]


def test_a_machine_takes_what_the_formula_says() -> None:
    """One TLB level, four levels of tables, all pages there from the start: counts of a run, then the sum."""
    config = load_config("trace").with_({"tlb.l1": "2x2", "tlb.l2": "off"})
    machine = Machine(config)
    rows = array("q")
    for number in range(500):
        rows.extend((1 << 8, 0x400000 + (number * number % 11 << 12), 0, 0))
    rows.extend((OP_EXIT, 0, 0, 0))
    region = RegionSpec("heap", 0x400000, 11 << 12, 15, populate=True)
    machine.load(Program("p", "", [], [ProcessSpec("p", None, -1, [region], rows)]))
    machine.run(500)
    cost = TranslationCost(machine)
    assert 50 < cost.walks < 400
    ratio = 1 - Fraction(cost.walks, cost.accesses)
    found = access_time(Fraction(cost.memory), 4, ratio, Fraction(cost.l1), None, None, None)
    assert float(found.access) == pytest.approx(cost.per_access + cost.memory)


def test_the_textbooks_numbers(shell: Any) -> None:
    """Silberschatz, Operating System Concepts: 8.5 and 9.2; B3 and B4 of page tables' sizes; 64 x 4 KiB."""

    def said(line: str) -> Any:
        return json.loads(shell.run(line))

    assert said("calc eat/json -hit 80% -tlb 20ns -memory 100ns")["effective"] == 140
    assert said("calc eat/json -hit 98% -tlb 20ns -memory 100ns")["effective"] == 122
    assert said("calc eat/json -memory 200ns -levels 0 -faults 1/1000 -service 8ms")["effective"] == 8199.8
    allowed = said("calc eat/json -memory 200ns -levels 0 -service 8ms -goal 220ns")["needed"]
    assert allowed == pytest.approx(0.0000025, rel=1e-4)
    assert said("calc table/json 32 4K 4")["flat_size"] == 4 << 20
    assert said("calc table/json 32 4K 4")["together_size"] == 8 << 10
    assert said("calc table/json 48 4K 8")["flat_size"] == 512 << 30
    assert said("calc table/json 64 4K 8")["flat_size"] == 32 << 50
    assert said("calc table/json 32 4K 4 -ram 512M")["inverted_entries"] == 1 << 17
    assert said("calc reach/json 64 4K 32 2M")["reach"] == (64 << 12) + (32 << 21)
    assert [said(f"calc levels/json {bits} 4K 8")["levels"] for bits in (39, 48, 57, 64)] == [3, 4, 5, 6]
    assert reach(16, 4, 4096).size == 64 * 4096


def test_the_sums_are_shown(shell: Any) -> None:
    assert shell.run("calc levels 64 4K 8").splitlines() == [
        "offset  log2(4096) = 12 bits",
        "table   4096 / 8 = 512 entries = 2^9: 9 bits a level",
        "levels  (64 - 12) / 9 = 5.78, rounded up: 6",
        "split   7 + 9 + 9 + 9 + 9 + 9 + 12 = 64 bits",
        "root    128 of 512 entries in use",
    ]
    assert shell.run("calc eat -hit 98% -tlb 1 -memory 30 -levels 4 -goal 35").splitlines() == [
        "hit     1 + 30 = 31",
        "miss    1 + 4 * 30 + 30 = 151",
        "access  0.98 * 31 + 0.02 * 151 = 33.4",
        "times   33.4 / 30 = 1.11333 memory accesses (rounded)",
        "goal    (151 - 35) / (151 - 31) = 0.966667 (rounded): least hit ratio",
    ]
    assert shell.run("calc reach 16x4 4K 32 2M").splitlines() == [
        "16 * 4 = 64 entries * 4 KiB = 256 KiB",
        "32 entries * 2 MiB = 64 MiB",
        "256 KiB + 64 MiB = 65792 KiB, if no page is in two of them",
    ]
    assert shell.run("calc table 32 4K 4 -mapped 12M").splitlines()[-3:] == [
        "2              3      1024        1024",
        "tables         4      1025        1025",
        "size      16 KiB  4100 KiB    4100 KiB",
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("calc levels 48 4K", "Argument required (bytes of a page-table entry)."),
        ("calc levels 48 5K 8", "A page of 5120 bytes is no power of two."),
        ("calc levels 12 4K 8", "Addresses of 12 bits have one page of 4096 bytes: there is nothing to"),
        ("calc levels 65 4K 8", "An address of 65 bits: expected 1 to 64."),
        ("calc levels 32 64 48", "A page of 64 bytes has no room for two entries of 48 bytes."),
        ("calc levels 48 4K x", 'No symbol "x" in current context.'),
        ("calc reach 64", "Argument required (the size of a page behind each number of entries)."),
        ("calc reach 4x 4K", '"4x": expected a number of entries, or SETSxWAYS such as 16x4.'),
        ("calc reach 0 4K", "A TLB has at least one entry."),
        ("calc reach 4 0", "A page of 0 bytes is no power of two."),
        ("calc eat", "Argument required (-memory TIME)."),
        ("calc eat -memory 0", "A memory access takes some time: expected more than 0."),
        ("calc eat -memory -5", '"-5": expected a time such as'),
        ("calc eat -memory 5x", '"5x": expected a time such as'),
        ("calc eat -memory 1 -hit 2", '"2": expected a ratio from 0 to 1, such as 0.98, 98% or 49/50.'),
        ("calc eat -memory 1 -hit 1/0", '"1/0": expected a ratio'),
        ("calc eat -memory 1ns -hit 1 -tlb 2", "Times with a unit and without: 1ns, 2."),
        ("calc eat -memory 1 -tlb 2", "-tlb: expected a hit ratio too (-hit RATIO)."),
        ("calc eat -memory 1 -faults 1%", "-faults: expected what a fault takes, too (-service TIME)."),
        ("calc eat -memory 1 -service 9", "-service: expected a rate of faults, too (-faults RATIO),"),
        ("calc eat -memory 9 -hit 1 -goal 8", "No hit ratio gives 8: a hit alone takes 9."),
        ("calc eat -memory 9 -goal 8", "Without a TLB and without faults the access time is what it is."),
        ("calc eat -memory 9 -levels 0 -service 99 -goal 8", "No fault rate gives 8: an access alone"),
        ("calc eat -memory 9 -levels 65", "65 levels: expected 0 to 64."),
        ("calc table 32 4K 4 -mapped 0", "0 bytes mapped: expected 1 to 2^32."),
        ("calc table 32 4K 4 -ram 5K", "Memory of 5120 bytes is no multiple of a page."),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(shell: Any, line: str, said: str) -> None:
    told = shell.errors(line)
    assert told.startswith(said)
    assert told.count("\n") == 1
