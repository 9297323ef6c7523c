"""`policy table FROM..TO`: what is drawn of a run is what is drawn of its reference string."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmdbg.debugger.stops.stops import Stops
from vmdbg.debugger.time.forward import forward
from vmdbg.debugger.time.references import MOST, Page, stretch
from vmdbg.debugger.time.timeline import Timeline
from vmdbg.errors import UserError
from vmdbg.inspect.notation import Notation
from vmdbg.inspect.policy import START, small_machine, steps
from vmdbg.inspect.target import boot_named
from vmdbg.kernel.policies import POLICIES
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.programs.vmp import parse_vmp
from vmdbg.views.policy import stretch_table

STRING = (7, 0, 1, 2, 0, 3, 0, 4, 2, 3, 0, 3, 2, 1, 2, 0, 1, 7, 0, 1)


@settings(max_examples=20, deadline=None)
@given(
    policy=st.sampled_from(sorted(POLICIES)),
    frames=st.integers(1, 5),
    pages=st.lists(st.integers(0, 7), min_size=2, max_size=25),
    data=st.data(),
)
def test_a_stretch_is_the_part_of_the_table(
    policy: str, frames: int, pages: list[int], data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, len(pages) - 1))
    last = data.draw(st.integers(first + 1, len(pages)))
    expected = list(steps(policy, frames, pages))[first:last]
    timeline = Timeline(small_machine(policy, frames, pages), Stops())
    forward(timeline, len(pages))
    before = timeline.machine.digest()
    pfns, found = stretch(timeline, first, last)
    assert timeline.machine.digest() == before
    names = sorted(set(pages))
    own = {name: Page(1, (START >> 12) + place) for place, name in enumerate(names)} | {None: None}
    assert len(pfns) == frames
    assert [step.page for step in found] == [own[step.page] for step in expected]
    assert [step.fault for step in found] == [step.fault for step in expected]
    assert [step.frames for step in found] == [[own[page] for page in step.frames] for step in expected]
    assert [step.accessed for step in found] == [step.accessed for step in expected]
    assert [step.victim and step.victim[0] for step in found] == [own[step.victim] for step in expected]
    assert [step.hand if step.hand is None else pfns.index(step.hand) for step in found] == [
        step.hand for step in expected
    ]
    assert [step.time for step in found] == list(range(first, last))


def test_as_it_is_drawn() -> None:
    timeline = Timeline(small_machine("clock", 3, STRING), Stops())
    forward(timeline, len(STRING))
    found = stretch(timeline, 3, 6)
    lines = list(stretch_table("clock", found, Notation(timeline.machine.format), True, True).lines())
    pfns = [f"{pfn:#x}" for pfn in found.pfns]
    assert lines == [
        f"page{' ' * (len(pfns[0]) + 3)}0x402  0x400  0x403",
        f"frame {pfns[0]} 0x402* 0x402* 0x402*",
        f"frame {pfns[1]} 0x400  0x400* 0x400",
        f"frame {pfns[2]} 0x401  0x401  0x403*",
        f"hand{' ' * (len(pfns[0]) + 3)}{pfns[1]:6} {pfns[1]:6} {pfns[0]}",
        f"fault{' ' * (len(pfns[0]) + 2)}F             F",
        f"out{' ' * (len(pfns[0]) + 4)}0x405         0x401",
        f"hit{' ' * (len(pfns[0]) + 11)}H",
        f"time{' ' * (len(pfns[0]) + 3)}3      4      5",
        "2 faults in 3 references (66.7 %).",
    ]


@pytest.mark.long
def test_a_large_machine_has_the_frames_that_are_concerned() -> None:
    timeline = Timeline(boot_named("pressure").machine, Stops())
    forward(timeline, 500)
    pfns, found = stretch(timeline, 470, 490)
    assert [step.time for step in found] == [time for time in range(470, 490) if time != 475]
    assert [len(step.victim or ()) for step in found if step.time in (474, 476)] == [
        0,
        17,
    ]  # background reclaim
    assert 0 < len(pfns) <= MOST
    assert all(len(step.frames) == len(pfns) for step in found)
    assert all(any(step.frames[place] for step in found) for place in range(len(pfns)))
    for step in found:
        assert step.page in step.frames
    with pytest.raises(UserError, match=f"frames: at most {MOST} are drawn"):
        stretch(timeline, 100, 500)
    with pytest.raises(UserError, match="The record goes from 0:0"):
        stretch(timeline, 490, 9000)


def test_accesses_behind_the_first_frame_of_a_large_page_are_references() -> None:
    program = b"process p\nregion heap 0x40000000 4M rw page=2M\n" + b"".join(
        b"write %#x, 1\n" % at for at in (0x40000000, 0x40001000, 0x40203000, 0x400FF000, 0x40200000)
    )
    machine = Machine(MachineConfig({"machine.ram": 64 << 20}))
    machine.load(parse_vmp(program, "p.vmp", va_bits=48, page_size=4096))
    timeline = Timeline(machine, Stops())
    forward(timeline, 5)
    pfns, found = stretch(timeline, 0, 5)
    low, high = Page(1, 0x40000), Page(1, 0x40200)
    assert [step.page for step in found] == [low, low, high, low, high]
    assert [step.fault for step in found] == [True, False, True, False, False]
    assert len(pfns) == 2
