"""Pseudo-LRU by a tree: a bit for each inner node says which half of its ways was not used last.

A use of a way sets the bits on the path to it so that they lead to the other halves; the victim is the way to
which the bits lead.  An empty way, the lowest one, is filled first.  The tree of a number of ways that is no
power of two is that of the next one: where a bit leads to a half without ways, the other half is taken.
(Handy, The Cache Memory Book, 2nd edition, 2.2.4.)

The bits of a set are one word, node 1 (the root) in bit 0, in the tables behind the arrays' rows.
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.hardware.replacement.facts import Facts
from vmdbg.hardware.tlb import KEY_SIZE, array_base, tlb_place, tlb_pushed_out, tlb_set, tlb_write
from vmdbg.state.tables import ARRAY_PRESENT, ARRAY_SPAN, ARRAY_TREES, CONTROL_SET, TLB, TLB_KEY

FACTS = Facts(
    "the one that a tree of bits leads to: each use turns the bits above its way away from it. The tree is "
    "that of the next power of two ways; where a bit leads to a half that has no way, the other one is taken",
    keeps_ways=True,
    set_words=1,
    most_ways=64,  # their tree has 63 bits
)


@reads
def tree_word(m, array, cpu, start):
    """Where the tree of the set at `start` is kept: an offset into the table `tlb`."""
    base = array_base(m, array, cpu)
    return base + m.array[array + ARRAY_TREES] + (start - base) // m.array[array + ARRAY_SPAN]


@reads
def tree_half(m, array):
    """Half of the leaves of an array's trees; 1 at least."""
    half = 1
    while half * 2 * TLB < m.array[array + ARRAY_SPAN]:
        half *= 2
    return half


@reads
def tree_victim(m, array, tree):
    """The way that a tree's bits lead to."""
    half = tree_half(m, array)
    node = 1
    way = 0
    while half:
        right = (tree >> ((node - 1) & 63)) & 1
        if right and (way + half) * TLB < m.array[array + ARRAY_SPAN]:
            way += half
            node = 2 * node + 1
        else:
            node = 2 * node
        half >>= 1
    return way


@writes
def tree_use(m, array, cpu, start, row):
    """Set the bits on the path to a row so that they lead to the other halves."""
    at = tree_word(m, array, cpu, start)
    tree = m.tlb[at]
    way = (row - start) // TLB
    half = tree_half(m, array)
    node = 1
    while half:
        bit = 1 << ((node - 1) & 63)
        if way >= half:
            tree &= ~bit
            way -= half
            node = 2 * node + 1
        else:
            tree |= bit
            node = 2 * node
        half >>= 1
    m.tlb[at] = tree


@writes(fills=True)
def tlb_touch(m, array, cpu, row):
    tree_use(m, array, cpu, m.control[CONTROL_SET], row)


@writes(fills=True)
def tlb_insert(m, array, cpu, key, word):
    start = tlb_set(m, array, cpu, key)
    row = start
    while row < start + m.array[array + ARRAY_SPAN] and m.tlb[row + TLB_KEY] != key:
        row += TLB
    gone = -1
    if row == start + m.array[array + ARRAY_SPAN]:
        row = tlb_place(m, array, start, key)
        if m.tlb[row + TLB_KEY] >= 0:
            row = start + tree_victim(m, array, m.tlb[tree_word(m, array, cpu, start)]) * TLB
            gone = tlb_pushed_out(m, array, row)
    tlb_write(m, row, key, word)
    tree_use(m, array, cpu, start, row)
    m.array[array + ARRAY_PRESENT] |= 1 << (key & KEY_SIZE)
    return gone


@writes(fills=True)
def tlb_take_out(m, array, cpu, row):
    tlb_write(m, row, -1, 0)
