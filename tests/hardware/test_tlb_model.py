"""TLB arrays against lists: every replacement policy, page sizes of arrays, inclusion, split levels."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from tests.models.tlbs import POLICIES as MODELLED
from vmdbg.errors import UserError
from vmdbg.hardware.replacement import REPLACEMENTS, facts_of
from vmdbg.hardware.replacement.facts import MOST_WAYS
from vmdbg.hardware.tlb import KEY_SIZE, KEY_TAG, WORD_DIRTY
from vmdbg.machine.check.survey import Survey
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.state.tables import ARRAY, ARRAY_LEVEL, TLB, TLB_KEY, TLB_WORD

SMALL, LARGE = 0x400000, 0x40000000  # addresses of base pages and of large ones
SHIFTS = {0: 12, 1: 21}
PAGES = [(SMALL // (1 << 12) + number, 0) for number in range(24)] + [
    (LARGE // (1 << 21) + number, 1) for number in range(3)
]
SIZES = {"all": (0, 1), "4K": (0,), "2M": (1,), "4K 2M": (0, 1)}


@st.composite
def shapes(draw: st.DrawFn) -> dict[str, tuple[int, int, str]]:
    """Arrays by name: sets, ways, the setting of their page sizes."""
    names = draw(
        st.sampled_from((("l1",), ("l1", "l2"), ("l1i", "l1d"), ("l1i", "l1d", "l2"), ("l2",), ("l1d", "l2")))
    )
    return {
        name: (
            draw(st.sampled_from((1, 2, 4))),
            draw(st.sampled_from((1, 2, 3, 4, 5, 8))),
            draw(st.sampled_from(sorted(SIZES))),
        )
        for name in names
    }


def boot(arrays: dict[str, tuple[int, int, str]], policy: str, inclusive: bool, seed: int) -> Machine:
    values: dict[str, Any] = {
        "machine.ram": 16 << 20,
        "machine.payload": False,
        "machine.swap.size": 0,
        "machine.seed": seed,
        "tlb.l1": "off",
        "tlb.l2": "off",
        "tlb.replacement": policy,
        "tlb.inclusive": inclusive,
    }
    for name, (sets, ways, sizes) in arrays.items():
        values[f"tlb.{name}"] = f"{sets}x{ways}"
        values[f"tlb.{name}_pages"] = sizes
    machine = Machine(MachineConfig(values))
    regions = [
        RegionSpec("heap", SMALL, 24 << 12, 15, 0, True),
        RegionSpec("anon", LARGE, 3 << 21, 15, 1 << 21, True),
    ]
    machine.load(
        Program("model", "", [], [ProcessSpec("model", None, -1, regions, array("q", [16, 0, 0, 0]))])
    )
    return machine


def held(machine: Machine) -> list[set[tuple[int, int, int]]]:
    """What each array holds: page, size index, dirty."""
    found: list[set[tuple[int, int, int]]] = [set() for _ in range(0, len(machine.m.array), ARRAY)]
    for _, place, row, key, word in Survey(machine).cached():
        found[place // ARRAY].add((key >> KEY_TAG, key & KEY_SIZE, int(word & WORD_DIRTY > 0)))
        assert machine.m.tlb[row + TLB_KEY] == key
        assert machine.m.tlb[row + TLB_WORD] == word
    return found


steps = st.lists(
    st.one_of(
        st.tuples(st.just("drop"), st.integers(0, len(PAGES) - 1)),
        *[st.tuples(st.sampled_from("rrwx"), st.integers(0, len(PAGES) - 1))] * 4,
    ),
    min_size=20,
    max_size=120,
)


@pytest.mark.long
@hypothesis.settings(max_examples=drawn(120), deadline=None)
@hypothesis.given(shapes(), st.sampled_from(MODELLED), st.booleans(), st.integers(1, 99), steps)
def test_arrays_do_what_the_lists_do(
    model: Callable[[str], ModuleType],
    arrays: dict[str, tuple[int, int, str]],
    policy: str,
    inclusive: bool,
    seed: int,
    todo: list[tuple[str, int]],
) -> None:
    tlbs = model("tlbs")
    machine = boot(arrays, policy, inclusive, seed)
    shapes = {name: tlbs.Shape(sets, ways, SIZES[sizes]) for name, (sets, ways, sizes) in arrays.items()}
    lists = tlbs.Model(shapes, policy, inclusive, seed)
    before = machine.counts()
    for how, number in todo:
        page, size = PAGES[number]
        va = page << SHIFTS[size] | 0x123
        if how == "drop":
            machine.k.tlb_drop(machine.m, 0, va, 1)
            lists.drop(page, size)
        else:
            assert machine.k.translate(machine.m, 0, va, "rwx".index(how)) >= 0
            lists.access(page, size, how)
    counts = machine.counts()
    assert {name: counts.get(name, 0) - before.get(name, 0) for name in lists.counts} == lists.counts
    assert held(machine) == [held_by.content() for held_by in lists.arrays.values()]
    assert list(Survey(machine).misplaced()) == []
    if lists.inclusive and "l2" in lists.arrays:
        kept = {row[:2] for row in lists.arrays["l2"].content()}
        held_sizes = lists.arrays["l2"].shape.sizes
        for name, other in lists.arrays.items():
            assert name == "l2" or {r[:2] for r in other.content() if r[1] in held_sizes} <= kept


@pytest.mark.parametrize("policy", REPLACEMENTS)
def test_a_policy_keeps_what_its_facts_say(policy: str) -> None:
    """Whatever the policy: what was used last is there, sets are full before one leaves, ways are kept."""
    facts = facts_of(policy)
    ways = min(4, facts.most_ways)
    machine = boot({"l1": (2, ways, "4K")}, policy, False, 3)
    k, m = machine.k, machine.m
    seen: list[int] = []
    places: dict[int, int] = {}
    for number in (0, 1, 2, 0, 3, 5, 7, 1, 9, 11, 13, 0, 2, 4, 4, 6, 8, 10, 1, 9, 12, 14, 16, 3):
        page = PAGES[number][0]
        assert k.translate(m, 0, page << SHIFTS[0], 0) >= 0
        seen.append(page)
        rows = {key >> KEY_TAG: row for _, _, row, key, _ in Survey(machine).cached()}
        assert page in rows
        for start in (0, 1):
            of_set = {other for other in seen if other % 2 == start}
            assert len([other for other in rows if other % 2 == start]) == min(len(of_set), ways)
        if facts.keeps_ways:
            assert all(rows[other] == places[other] for other in rows if other in places)
        if facts.ordered and page not in places:
            assert k.tlb_set(m, 0, 0, m.tlb[rows[page] + TLB_KEY]) == rows[page]
        places = rows
        assert list(Survey(machine).misplaced()) == []
    if facts.most_ways < MOST_WAYS:
        with pytest.raises(UserError, match="knows at most"):
            boot({"l1": (1, facts.most_ways + 1, "4K")}, policy, False, 3)


def test_levels_are_in_the_order_of_the_table() -> None:
    machine = boot({"l1i": (1, 2, "all"), "l1d": (1, 2, "all"), "l2": (2, 2, "4K")}, "lru", False, 1)
    assert [machine.m.array[row + ARRAY_LEVEL] for row in range(0, len(machine.m.array), ARRAY)] == [1, 1, 2]
    assert len(machine.m.tlb) == (2 + 2 + 4) * TLB
