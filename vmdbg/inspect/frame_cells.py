"""Physical memory as cells: a letter for each frame."""

from __future__ import annotations

from vmdbg.kernel.frames import FRAME_STATES
from vmdbg.kernel.policies import facts_of
from vmdbg.state.tables import (
    FRAME,
    FRAME_RMAP,
    FRAME_STATE,
    KERNEL_HAND,
    RMAP,
    RMAP_ENTRY,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.machine.machine import Machine

#: A letter for each of FRAME_STATES: free, reserved, table, page, more of a large page.
BY_STATE = bytes.maketrans(bytes(range(len(FRAME_STATES))), b".rTu-")


def frame_cells(machine: Machine) -> str:
    """A letter for each frame, from the first one of memory on: those of BY_STATE, U for a page with A set, w
    and W for a page with D set.

    A and D are those of the first entry that maps the frame.
    """
    m, k = machine.m, machine.k
    letters = bytearray(bytes(m.frame[FRAME_STATE::FRAME].tolist()).translate(BY_STATE))
    frame = letters.find(b"u")
    while frame >= 0:
        row = m.frame[frame * FRAME + FRAME_RMAP] * RMAP
        if row:
            entry = k.load_entry(m, m.rmap[row + RMAP_ENTRY])
            written = "w" if k.is_dirty(entry) else "u"
            letters[frame] = ord(written.upper() if k.is_accessed(entry) else written)
        frame = letters.find(b"u", frame + 1)
    return letters.decode()


def hand_of(machine: Machine) -> int | None:
    """The frame at which the hand of the policy stands, counted from the first one of memory; None for a
    policy without a hand."""
    facts = facts_of(machine.config["kernel.policy"])
    return int(machine.m.kernel[KERNEL_HAND]) if facts is not None and facts.hand else None


def first_pfn(machine: Machine) -> int:
    """The number of the first frame of memory."""
    return int(machine.k.frame_address(machine.m, 0)) >> machine.format.page_bits
