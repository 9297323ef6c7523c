"""Functions for sets that are kept in order: way 0 is the newest row, empty rows come last."""

from __future__ import annotations

from vmdbg.engine import writes
from vmdbg.hardware.tlb import tlb_set, tlb_write
from vmdbg.state.tables import ARRAY_SPAN, TLB, TLB_KEY, TLB_WORD


@writes
def tlb_move_down(m, start, row):
    """Move the rows of a set from way 0 on down by one, over `row`."""
    while row > start:
        m.tlb[row + TLB_KEY] = m.tlb[row - TLB + TLB_KEY]
        m.tlb[row + TLB_WORD] = m.tlb[row - TLB + TLB_WORD]
        row -= TLB


@writes
def tlb_close_gap(m, array, cpu, row):
    """Take a row out of its set; those behind it move up."""
    last = tlb_set(m, array, cpu, m.tlb[row + TLB_KEY]) + m.array[array + ARRAY_SPAN] - TLB
    while row < last and m.tlb[row + TLB + TLB_KEY] >= 0:
        m.tlb[row + TLB_KEY] = m.tlb[row + TLB + TLB_KEY]
        m.tlb[row + TLB_WORD] = m.tlb[row + TLB + TLB_WORD]
        row += TLB
    tlb_write(m, row, -1, 0)
