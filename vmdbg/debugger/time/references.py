"""What the policy did with the references of a stretch of a run: the pages in the frames, step by step."""

from __future__ import annotations

from collections import namedtuple

from vmdbg.debugger.time.forward import next_crossing
from vmdbg.debugger.time.questions import record
from vmdbg.errors import UserError
from vmdbg.inspect.counts import ACCESSES, PAGE_FAULTS
from vmdbg.inspect.policy import Step
from vmdbg.kernel.frames import FRAME_IS_TAIL
from vmdbg.kernel.policies import facts_of
from vmdbg.state.events import AGE, EVENTS, EVICT
from vmdbg.state.tables import (
    FRAME,
    FRAME_RMAP,
    FRAME_STATE,
    KERNEL_HAND,
    KERNEL_USER_END,
    KERNEL_USER_FIRST,
    RMAP,
    RMAP_PID,
    RMAP_VA,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.debugger.time.timeline import Timeline
    from vmdbg.machine.machine import Machine

#: A page of a process: its pid, and the number of the page.
Page = namedtuple("Page", "pid vpn")
#: The page-frame numbers of the frames that are drawn, and what happened at each reference; the page of a
#: step is a Page, its victims are a tuple of them, its hand is a page-frame number.
Stretch = namedtuple("Stretch", "pfns steps")

FEW = 16  # frames that pages may have, all of which are drawn
MOST = 64  # frames that are drawn


def stretch(timeline: Timeline, first: int, last: int) -> Stretch:
    """The references of the operations from `first` up to `last`, and the frames of pages that they access,
    bring in or throw out; all of them if there are few.

    Each page that an operation accesses is one reference, however many of its bytes.  Of acting commands only
    what they leave is seen.  UserError if the record does not reach so far, or there are too many frames.
    """
    machine = timeline.machine
    k, bits = machine.k, machine.format.page_bits
    begin, end = machine.m.kernel[KERNEL_USER_FIRST], machine.m.kernel[KERNEL_USER_END]
    logged = record(timeline, first, last)
    concerned = {pa >> bits for *_, rows in logged for row in rows for pa in addresses(row, bits)}
    spoken_of = {k.frame_at(machine.m, pfn << bits) for pfn in concerned}
    few = end - begin <= FEW
    if few:
        spoken_of = set(range(begin, end))
    firsts = {frame // size * size for size in page_frames(machine) for frame in spoken_of}
    frames = sorted((spoken_of | firsts) & set(range(begin, end)))
    steps: list[Step] = []
    victims: list[Page] = []
    with timeline.runner.interrupts as interrupts, timeline.excursion():
        timeline.travel(min(first, timeline.end))
        while (time := machine.operations) < last and not interrupts.came:
            action = timeline.branch.action_at(time)
            if action is not None:
                machine.restore(action.after)
            elif next_crossing(machine).pid:
                before = held(machine, frames)
                steps += steps_of(machine, frames, before, timeline.execute(), time, victims)
            else:
                break
    places = [
        place
        for place, frame in enumerate(frames)
        if few
        or any(
            step.frames[place] and (frame in spoken_of or step.frames[place] == step.page) for step in steps
        )
    ]
    if len(places) > MOST:
        raise UserError(f"{len(places)} frames: at most {MOST} are drawn.", "Ask for fewer operations.")
    if not few:
        steps = [
            step._replace(
                frames=[step.frames[place] for place in places],
                accessed=[step.accessed[place] for place in places],
            )
            for step in steps
        ]
    return Stretch([k.frame_address(machine.m, frames[place]) >> bits for place in places], steps)


def addresses(row: LoggedEvent, bits: int) -> Iterable[int]:
    """The physical addresses of frames that an event speaks of; of one whose page was but passed by, none."""
    arguments = EVENTS[row.kind].arguments if row.kind != AGE else ()
    for name, value in zip(arguments, (row.a, row.b, row.c), strict=False):
        if name == "pa":
            yield value
        elif name == "pfn":
            yield value << bits


def held(machine: Machine, frames: Sequence[int]) -> dict[int, tuple[Page, bool]]:
    """The page in each frame that has one, and whether an accessed bit of it is set."""
    m, k, form = machine.m, machine.k, machine.format
    found = {}
    for frame in frames:
        first = m.frame[frame * FRAME + FRAME_RMAP]
        if first:
            vpn = (m.rmap[first * RMAP + RMAP_VA] & (1 << form.va_bits) - 1) >> form.page_bits
            found[frame] = Page(m.rmap[first * RMAP + RMAP_PID], vpn), bool(k.frame_accessed(m, frame))
    return found


def page_frames(machine: Machine) -> list[int]:
    """How many frames pages may have that are larger than base pages."""
    form = machine.format
    return [1 << level.shift - form.page_bits for level in form.levels[:-1] if level.leaf]


def page_frame(machine: Machine, pa: int) -> int:
    """The first frame of the page, of whatever size, that has a physical address."""
    m = machine.m
    frame: int = machine.k.frame_at(m, pa)
    while frame > 0 and m.frame[frame * FRAME + FRAME_STATE] == FRAME_IS_TAIL:
        frame -= 1
    return frame


def steps_of(
    machine: Machine,
    frames: Sequence[int],
    before: dict[int, tuple[Page, bool]],
    logged: Sequence[LoggedEvent],
    time: int,
    victims: list[Page],
) -> list[Any]:
    """A step for each page that an operation accessed, in order; the frames as it has left them.

    `victims` left since the last step, in operations of the kernel's; those of this one are added, and with
    each step they are told.
    """
    m, k, bits = machine.m, machine.k, machine.format.page_bits
    after = held(machine, frames)
    facts = facts_of(machine.config["kernel.policy"])
    shown = facts is not None and facts.hand
    hand = k.frame_address(m, m.kernel[KERNEL_HAND]) >> bits if shown else None
    pages = [after[frame][0] if frame in after else None for frame in frames]
    bits_set = [frame in after and after[frame][1] for frame in frames]
    found: list[Any] = []
    fault = False
    for row in logged:
        name = EVENTS[row.kind].name
        if name in PAGE_FAULTS:
            fault = True
        elif row.kind == EVICT:
            frame = k.frame_at(m, row.a << bits)
            victims += [before[frame][0]] if frame in before else []
        elif name in ACCESSES:
            frame = page_frame(machine, row.a)
            if frame in after and not (found and found[-1].page == after[frame][0]):
                found.append(
                    Step(after[frame][0], fault, tuple(victims) or None, pages, bits_set, hand, time)
                )
                fault = False
                victims.clear()
    return found
