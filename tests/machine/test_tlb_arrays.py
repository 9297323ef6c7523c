"""The arrays of a machine: what settings say of them, and what resizing one does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg.errors import InputError, UserError
from vmdbg.inspect.target import boot_named
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.file import load_machine, save_machine
from vmdbg.machine.machine import Machine
from vmdbg.machine.tlb_arrays import misplaced_arrays, resize_array
from vmdbg.state.tables import ARRAY, ARRAY_BASE, ARRAY_SIZES, ARRAY_SPAN

SMALL = {"machine.ram": 4 << 20, "machine.swap.size": 0}
TUTORIAL = {"machine.format": "tutorial16", "machine.ram": 1 << 16, "kernel.first_frame": 0}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"tlb.l2_pages": "3M"},
            r'^tlb\.l2_pages: "3M" lists no page sizes of x86_64; expected some of 4K 2M 1G, or all\.$',
        ),
        ({"tlb.l1_pages": ""}, r'^tlb\.l1_pages: "" lists no page sizes '),
        ({"tlb.l1i": "4x4"}, r"^tlb\.l1 serves fetches and data; it excludes tlb\.l1i and tlb\.l1d\.$"),
        (
            {"tlb.walk_cache": "PT:4"},
            r'^tlb\.walk_cache: "PT:4" is no page-walk cache; expected LEVEL:ENTRIES, LEVEL one of PML4',
        ),
        ({"tlb.walk_cache": "PD:4 PD:4"}, r'"PD:4" is no page-walk cache'),
        ({"tlb.walk_cache": "PD:0"}, r'"PD:0" is no page-walk cache'),
        ({"tlb.replacement": "plru", "tlb.l2": "1x65"}, r"^tlb\.l2: plru knows at most 64 ways, not 65\.$"),
        (
            {**TUTORIAL, "tlb.l1": "off", "tlb.l1d": "1x4", "tlb.l2": "off"},
            r"^tutorial16 has no walker: it needs no TLB at all, or one for fetches and one for data",
        ),
        ({**TUTORIAL, "tlb.walk_cache": "PT:1"}, "expected nothing, because tutorial16 has no walker"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Machine(MachineConfig({**SMALL, **values}))


def test_page_sizes_of_an_array() -> None:
    machine = Machine(MachineConfig({**SMALL, "tlb.l1_pages": "4K 1G", "tlb.l2_pages": "2M"}))
    assert machine.m.array[ARRAY_SIZES::ARRAY].tolist() == [0b101, 0b010]


def test_one_form_of_the_first_level_replaces_the_other() -> None:
    unified = MachineConfig(SMALL)
    split = unified.with_({"tlb.l1i": "2x2", "tlb.l1d": "4x2"})
    assert [split[f"tlb.{name}"] for name in ("l1", "l1i", "l1d")] == ["off", "2x2", "4x2"]
    again = split.with_({"tlb.l1": "8x2"})
    assert [again[f"tlb.{name}"] for name in ("l1", "l1i", "l1d")] == ["8x2", "off", "off"]
    assert split.with_({"tlb.l1d": "off"})["tlb.l1i"] == "2x2"


sizes = st.tuples(st.sampled_from((1, 2, 8)), st.integers(1, 5))


@pytest.mark.long
@hypothesis.settings(max_examples=drawn(40), deadline=None)
@hypothesis.given(st.data())
def test_a_resized_machine_is_like_one_made_so(
    model: Callable[[str], ModuleType], data: st.DataObject
) -> None:
    """Resized before anything is loaded, it does all that follows as the other does."""
    machines = model("machines")
    build = machines.BUILDS[data.draw(st.sampled_from(("default", "caches", "hardware", "two-cpus")))]
    case = data.draw(machines.cases(build, 2))
    name = data.draw(st.sampled_from(build.arrays))
    sets, ways = data.draw(sizes)
    other = machines.Case(case.config.with_({name: f"{sets}x{ways}"}), case.program, case.turned)
    machine = Machine(case.config)
    place = build.arrays.index(name)
    resize_array(machine, place, sets, ways)
    assert machine.digest() == Machine(other.config).digest()
    made = other.boot()
    resized = case.boot()
    resize_array(resized, place, sets, ways)
    for each in (made, resized):
        each.run(300)
    assert resized.counts() == made.counts()
    assert resized.digest() == made.digest()
    assert check(resized) == []


@pytest.mark.long
@hypothesis.settings(max_examples=drawn(60), deadline=None)
@hypothesis.given(st.data())
def test_resizing_keeps_the_other_arrays(model: Callable[[str], ModuleType], data: st.DataObject) -> None:
    machines = model("machines")
    build = machines.BUILDS[data.draw(st.sampled_from(("default", "caches", "svade", "two-cpus")))]
    case = data.draw(machines.cases(build, 2))
    machine = case.boot()
    machine.run(data.draw(st.integers(0, 60)))
    before, digest = machine.snapshot(), machine.digest()
    place = data.draw(st.integers(0, len(build.arrays) - 1))

    def content(array: int) -> list[int]:
        base, span = machine.m.array[array * ARRAY + ARRAY_BASE], machine.m.array[array * ARRAY + ARRAY_SPAN]
        sets = machine.m.array[array * ARRAY + 2] + 1
        return machine.m.tlb[base : base + sets * span].tolist()  # type: ignore[no-any-return]

    others = [n for n in range(len(machine.m.array) // ARRAY) if n != place]
    if build.inclusive and place == len(build.arrays) - 1:
        others = [n for n in others if n > place]  # the level above goes, too
    kept = [content(n) for n in others]
    resize_array(machine, place, *data.draw(sizes))
    assert [content(n) for n in others] == kept
    assert not misplaced_arrays(machine)
    assert check(machine) == []
    machine.run(machine.operations + 50)
    assert check(machine) == []
    machine.restore(before)
    assert machine.digest() == digest


def test_a_resized_machine_is_saved_whole(tmp_path: Path) -> None:
    machine = boot_named().machine
    resize_array(machine, 1, 2, 3)
    file = str(tmp_path / "machine")
    save_machine(machine, file)
    assert load_machine(file).digest() == machine.digest()
    machine.m.array[ARRAY + ARRAY_SPAN] = 1 << 20  # rows far behind the table
    save_machine(machine, file)
    with pytest.raises(InputError, match="array: the TLB of another machine"):
        load_machine(file)
