"""Which pages may leave memory, and whether that takes a slot of the swap area."""

from __future__ import annotations

from vmdbg.engine import reads
from vmdbg.formats.contract import is_dirty
from vmdbg.hardware.memory import load_entry
from vmdbg.kernel.frames import FRAME_IS_USER
from vmdbg.state.tables import (
    CACHE,
    CACHE_CONTENT,
    CACHE_SLOT,
    FRAME,
    FRAME_DEPTH,
    FRAME_RMAP,
    FRAME_SLOT,
    FRAME_STATE,
    KERNEL_SLOT_COUNT,
    RMAP,
    RMAP_ENTRY,
    RMAP_NEXT,
    RMAP_PID,
    SLOT,
    SLOT_REFS,
)


@reads
def frame_dirty(m, frame):
    """Is D set in any entry that maps the frame?"""
    row = m.frame[frame * FRAME + FRAME_RMAP]
    while row:
        if is_dirty(load_entry(m, m.rmap[row * RMAP + RMAP_ENTRY])):
            return True
        row = m.rmap[row * RMAP + RMAP_NEXT]
    return False


@reads
def takes_slot(m, frame):
    """Does the page in a frame need a free slot to leave memory?

    It needs none if a slot or a file has the same content, or if its own slot can be written again because no
    other entry refers to it.
    """
    slot = m.frame[frame * FRAME + FRAME_SLOT]
    if slot < 0:
        row = -slot * CACHE
        return m.cache[row + CACHE_CONTENT] == 0 and m.cache[row + CACHE_SLOT] == 0
    if slot == 0:
        return True
    return m.slot[slot * SLOT + SLOT_REFS] != 1 and frame_dirty(m, frame)


@reads
def maps_frame(m, frame, pid):
    """Does a process map the frame?"""
    row = m.frame[frame * FRAME + FRAME_RMAP]
    while row and m.rmap[row * RMAP + RMAP_PID] != pid:
        row = m.rmap[row * RMAP + RMAP_NEXT]
    return row > 0


@reads
def may_leave(m, frame, pid):
    """Can the page in a frame leave memory, and does process `pid` map it (0: anybody)?"""
    row = frame * FRAME
    if m.frame[row + FRAME_STATE] != FRAME_IS_USER or m.frame[row + FRAME_DEPTH] != 0:
        return False
    if m.frame[row + FRAME_RMAP] == 0 and m.frame[row + FRAME_SLOT] >= 0:
        return False
    if pid and not maps_frame(m, frame, pid):
        return False
    return m.kernel[KERNEL_SLOT_COUNT] > 0 or not takes_slot(m, frame)
