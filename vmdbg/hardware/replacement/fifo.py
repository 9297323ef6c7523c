"""First in, first out: the translation that came first leaves first, however often it is used.

One that is written again (its D bit was set) keeps its turn.
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.hardware.replacement.facts import Facts
from vmdbg.hardware.replacement.order import tlb_close_gap, tlb_move_down
from vmdbg.hardware.tlb import KEY_SIZE, tlb_place, tlb_pushed_out, tlb_set, tlb_write
from vmdbg.state.tables import ARRAY_PRESENT, TLB_KEY

FACTS = Facts("the entry that came first, however often it was used", ordered=True)


@reads(fills=True)
def tlb_touch(m, array, cpu, row):
    pass


@writes(fills=True)
def tlb_insert(m, array, cpu, key, word):
    start = tlb_set(m, array, cpu, key)
    row = tlb_place(m, array, start, key)
    gone = -1
    if m.tlb[row + TLB_KEY] != key:
        if m.tlb[row + TLB_KEY] >= 0:
            gone = tlb_pushed_out(m, array, row)
        tlb_move_down(m, start, row)
        row = start
        m.array[array + ARRAY_PRESENT] |= 1 << (key & KEY_SIZE)
    tlb_write(m, row, key, word)
    return gone


@writes(fills=True)
def tlb_take_out(m, array, cpu, row):
    tlb_close_gap(m, array, cpu, row)
