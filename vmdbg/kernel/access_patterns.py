"""Patterns of addresses: at which of its places the next access of a pattern is.  Nothing is stored.

The place is computed from the number of the access, which is counted over the rounds of the loops around
it: cursor + offset - the sum, over those loops, of rounds left * weight, modulo 2^31.  So it needs no state
of its own, and `fork` and time travel have none to keep.

A patterned access is three rows:

    the access        word 3: pattern | loops around it << 8 | bits << 16
    of the range      accesses, step, number of places (at most 2^30), seed | offset << 32
    of the loops      weights of 31 bits, innermost loop first, two in a word
"""

from __future__ import annotations

from vmdbg.engine import reads
from vmdbg.state.tables import OP, OP_MORE, OP_VALUE, PROCESS_CURSOR, PROCESS_DEPTH, PROCESS_LOOP0

PATTERN_RANDOM, PATTERN_ZIPF, PATTERN_CHASE, PATTERN_STRIDE = 1, 2, 3, 4
PATTERN_DEPTH, PATTERN_BITS = 8, 16  # shifts in word 3 of the access
PATTERN_OFFSET = 32  # shift in word 3 of the range
LOW31 = 0x7FFFFFFF
MAX_PLACES = 1 << 30
FIRST_FACTOR, SECOND_FACTOR, STEP31 = 0x045D9F3B, 0x2C1B3C6D, 0x1E3779B1


@reads
def mix(x):
    """A permutation of the numbers of 31 bits in which each bit depends on all."""
    x = ((x ^ (x >> 16)) * FIRST_FACTOR) & LOW31
    x = ((x ^ (x >> 15)) * SECOND_FACTOR) & LOW31
    return x ^ (x >> 16)


@reads
def access_number(m, p, row):
    """Number of the next access of the pattern at `row`; `p` is the offset of its process."""
    depth = m.process[p + PROCESS_DEPTH]
    around = (m.op[row * OP + OP_MORE] >> PATTERN_DEPTH) & 255
    number = m.process[p + PROCESS_CURSOR] + (m.op[(row + 1) * OP + OP_MORE] >> PATTERN_OFFSET)
    loop = 0
    while loop < around:
        weight = (m.op[(row + 2) * OP + (loop >> 1)] >> ((loop << 5) & 63)) & LOW31
        left = m.process[p + PROCESS_LOOP0 + depth - 1 - loop] & LOW31
        number -= (left * weight) & LOW31
        loop += 1
    return number & LOW31


@reads
def zipf_place(x, places, bits):
    """A place with a probability proportional to 1 / (place + 1), exactly; `bits` has `places` in binary.

    A group of ranks [2^g, 2^(g+1)) is drawn, all groups alike, then one of its ranks, which is taken with
    probability 2^g / rank.
    """
    turn = x
    while True:
        turn += STEP31
        group = (mix(turn & LOW31) * bits) >> 31
        turn += STEP31
        rank = (1 << (group & 63)) + (mix(turn & LOW31) >> ((31 - group) & 63))
        turn += STEP31
        if rank <= places and (mix(turn & LOW31) * rank) >> 31 < 1 << (group & 63):
            return rank - 1


@reads
def chase_place(x, places, bits, seed):
    """Where a permutation of all places puts place `x`: one of `bits` bits, repeated until it hits one."""
    mask = (1 << (bits & 63)) - 1
    half = (bits + 1) >> 1
    first = mix(seed)
    second = mix(first ^ STEP31)
    third = mix(second ^ STEP31)
    while True:
        x = (x * FIRST_FACTOR + first) & mask
        x ^= x >> (half & 63)
        x = (x * SECOND_FACTOR + second) & mask
        x ^= x >> (half & 63)
        x = (x * STEP31 + third) & mask
        x ^= x >> (half & 63)
        if x < places:
            return x


@reads(cold=True)
def pattern_place(m, p, row):
    """The place, from 0, of the next access of the pattern at `row`; `p` is the offset of its process."""
    at = (row + 1) * OP
    more = m.op[row * OP + OP_MORE]
    pattern = more & 255
    bits = (more >> PATTERN_BITS) & 63
    places = m.op[at + OP_VALUE]
    seed = m.op[at + OP_MORE] & LOW31
    number = access_number(m, p, row)
    if pattern == PATTERN_STRIDE:
        return number % places
    if pattern == PATTERN_CHASE:
        return chase_place(number % places, places, bits, seed)
    x = mix((mix(number) + seed) & LOW31)
    if pattern == PATTERN_ZIPF:
        return zipf_place(x, places, bits)
    return (x * places) >> 31
