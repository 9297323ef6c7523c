"""Least recently used, exact: a row that is used becomes way 0, the last way is the victim."""

from __future__ import annotations

from vmdbg.engine import writes
from vmdbg.hardware.replacement.facts import Facts
from vmdbg.hardware.replacement.order import tlb_close_gap, tlb_move_down
from vmdbg.hardware.tlb import KEY_SIZE, tlb_place, tlb_pushed_out, tlb_set, tlb_write
from vmdbg.state.tables import ARRAY_PRESENT, CONTROL_SET, TLB_KEY, TLB_WORD

FACTS = Facts("the entry whose last use is longest ago; `tlb` shows a set in this order", ordered=True)


@writes(fills=True)
def tlb_touch(m, array, cpu, row):
    start = m.control[CONTROL_SET]
    key = m.tlb[row + TLB_KEY]
    word = m.tlb[row + TLB_WORD]
    tlb_move_down(m, start, row)
    tlb_write(m, start, key, word)


@writes(fills=True)
def tlb_insert(m, array, cpu, key, word):
    start = tlb_set(m, array, cpu, key)
    row = tlb_place(m, array, start, key)
    gone = -1
    if m.tlb[row + TLB_KEY] >= 0 and m.tlb[row + TLB_KEY] != key:
        gone = tlb_pushed_out(m, array, row)
    tlb_move_down(m, start, row)
    tlb_write(m, start, key, word)
    m.array[array + ARRAY_PRESENT] |= 1 << (key & KEY_SIZE)
    return gone


@writes(fills=True)
def tlb_take_out(m, array, cpu, row):
    tlb_close_gap(m, array, cpu, row)
