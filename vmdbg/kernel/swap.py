"""The swap area: slots, and the copies to and from them (Linux: mm/swapfile.c)."""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.formats.contract import PAGE_BITS
from vmdbg.hardware.memory import copy_words
from vmdbg.state.tables import (
    KERNEL_SLOT_COUNT,
    KERNEL_SLOT_FREE,
    SLOT,
    SLOT_NEXT,
    SLOT_PID,
    SLOT_REFS,
    SLOT_VA,
)

PAYLOAD = 0  # 1: frames and slots carry bytes; bound at build


@reads
def has_payload():
    """Do frames and slots carry bytes?"""
    return PAYLOAD != 0


@writes
def slot_take(m, pid, va):
    """A free slot with one reference, for the page `va` of a process; 0 if the area is full."""
    slot = m.kernel[KERNEL_SLOT_FREE]
    if slot:
        row = slot * SLOT
        m.kernel[KERNEL_SLOT_FREE] = m.slot[row + SLOT_NEXT]
        m.kernel[KERNEL_SLOT_COUNT] -= 1
        m.slot[row + SLOT_NEXT] = 0
        m.slot[row + SLOT_REFS] = 1
        m.slot[row + SLOT_PID] = pid
        m.slot[row + SLOT_VA] = va
    return slot


@writes
def slot_retain(m, slot):
    """Count one more reference to a slot.  Nothing happens if the number is not one of a slot in use."""
    row = slot * SLOT
    if row > 0 and row < len(m.slot) and m.slot[row + SLOT_REFS] > 0:
        m.slot[row + SLOT_REFS] += 1


@writes
def slot_release(m, slot):
    """Count one reference to a slot less; the last one frees it.

    Nothing happens if there is no such slot.
    """
    row = slot * SLOT
    if row <= 0 or row >= len(m.slot) or m.slot[row + SLOT_REFS] == 0:
        return
    m.slot[row + SLOT_REFS] -= 1
    if m.slot[row + SLOT_REFS] == 0:
        m.slot[row + SLOT_PID] = 0
        m.slot[row + SLOT_VA] = 0
        m.slot[row + SLOT_NEXT] = m.kernel[KERNEL_SLOT_FREE]
        m.kernel[KERNEL_SLOT_FREE] = slot
        m.kernel[KERNEL_SLOT_COUNT] += 1


@writes
def copy_out(m, frame, slot):
    """Write the content of a frame to a slot."""
    if PAYLOAD:
        m.swapdirty[slot] = 1
        copy_words(m.swap8, slot << (PAGE_BITS - 3), m.ram8, frame << (PAGE_BITS - 3), 1 << (PAGE_BITS - 3))


@writes
def copy_in(m, frame, slot):
    """Read the content of a slot into a frame."""
    if PAYLOAD:
        m.dirty[frame] = 1
        copy_words(m.ram8, frame << (PAGE_BITS - 3), m.swap8, slot << (PAGE_BITS - 3), 1 << (PAGE_BITS - 3))
