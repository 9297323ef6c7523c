"""Random: any row of a full set leaves, by a linear congruential generator (`hardware.lcg`).

Each array has its own, which all CPUs draw from.
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.hardware.lcg import INCREMENT, MULTIPLIER, lcg_next
from vmdbg.hardware.replacement.facts import Facts
from vmdbg.hardware.replacement.order import tlb_close_gap
from vmdbg.hardware.tlb import KEY_SIZE, tlb_place, tlb_pushed_out, tlb_set, tlb_write
from vmdbg.state.tables import ARRAY_PRESENT, ARRAY_RANDOM, ARRAY_SPAN, TLB, TLB_KEY

FACTS = Facts(
    f"any: an array's generator of 31 bits, x' = ({MULTIPLIER} x + {INCREMENT}) mod 2^31 from `machine.seed` "
    "on, gives way (x' / 256) mod ways"
)


@reads(fills=True)
def tlb_touch(m, array, cpu, row):
    pass


@writes(fills=True)
def tlb_insert(m, array, cpu, key, word):
    start = tlb_set(m, array, cpu, key)
    row = tlb_place(m, array, start, key)
    gone = -1
    if m.tlb[row + TLB_KEY] >= 0 and m.tlb[row + TLB_KEY] != key:
        state = lcg_next(m.array[array + ARRAY_RANDOM])
        m.array[array + ARRAY_RANDOM] = state
        row = start + ((state >> 8) % (m.array[array + ARRAY_SPAN] // TLB)) * TLB
        gone = tlb_pushed_out(m, array, row)
    tlb_write(m, row, key, word)
    m.array[array + ARRAY_PRESENT] |= 1 << (key & KEY_SIZE)
    return gone


@writes(fills=True)
def tlb_take_out(m, array, cpu, row):
    tlb_close_gap(m, array, cpu, row)
