"""Patterns of addresses: which address the next access of a pattern has.

A pattern has a number of places, which are addresses at equal distances.  The place of an access is a
function of the number of the access.  That number counts all accesses of the pattern, in all rounds of the
loops around it; modulo 2^31 it is

    PROCESS_CURSOR + offset - the sum over these loops of (rounds left * weight)

So a pattern has no state of its own that `fork` or time travel would have to copy.

An access by a pattern takes three rows of the table `op` (state/op_rows.py):

    the access        OP_MORE: pattern | loops around it << PATTERN_DEPTH | bits << PATTERN_BITS
    the range         OP_COUNT, OP_STEP, OP_PLACES (at most 2^30), OP_SEED: seed | offset << PATTERN_OFFSET
    the loops         OP_WEIGHTS: weights of 31 bits, innermost loop first, two in a word
"""

from __future__ import annotations

from vmdbg.engine import reads
from vmdbg.state.op_rows import OP_PLACES, OP_SEED, OP_WEIGHTS
from vmdbg.state.tables import OP, OP_MORE, PROCESS_CURSOR, PROCESS_DEPTH, PROCESS_LOOP0

PATTERN_RANDOM, PATTERN_ZIPF, PATTERN_CHASE, PATTERN_STRIDE = 1, 2, 3, 4
PATTERN_DEPTH, PATTERN_BITS = 8, 16  # shifts in OP_MORE
PATTERN_OFFSET = 32  # shift in OP_SEED
LOW31 = 0x7FFFFFFF
MAX_PLACES = 1 << 30
FIRST_FACTOR, SECOND_FACTOR, STEP31 = 0x045D9F3B, 0x2C1B3C6D, 0x1E3779B1


@reads
def mix(x):
    """A permutation of the numbers of 31 bits: each bit of the result depends on all bits of `x`."""
    x = ((x ^ (x >> 16)) * FIRST_FACTOR) & LOW31
    x = ((x ^ (x >> 15)) * SECOND_FACTOR) & LOW31
    return x ^ (x >> 16)


@reads
def access_number(m, p, row):
    """Number of the next access of the pattern at `row`; `p` is the offset of its process."""
    depth = m.process[p + PROCESS_DEPTH]
    around = (m.op[row * OP + OP_MORE] >> PATTERN_DEPTH) & 255
    number = m.process[p + PROCESS_CURSOR] + (m.op[row * OP + OP_SEED] >> PATTERN_OFFSET)
    loop = 0
    while loop < around:
        weight = (m.op[row * OP + OP_WEIGHTS + (loop >> 1)] >> ((loop << 5) & 63)) & LOW31
        left = m.process[p + PROCESS_LOOP0 + depth - 1 - loop] & LOW31
        number -= (left * weight) & LOW31
        loop += 1
    return number & LOW31


@reads
def zipf_place(x, places, bits):
    """A random place: the probability of a place is exactly proportional to 1 / (place + 1).

    `x` is a random number of 31 bits, `bits` the length of `places` in binary.  The rank of a place is the
    place + 1.  The function draws a group of ranks [2^g, 2^(g+1)), all with the same probability, then a rank
    of the group.  It accepts the rank with probability 2^g / rank, else it draws again.
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
    """The place to which a permutation of all places takes place `x`.

    The permutation is one of all numbers of `bits` bits.  It is repeated until the result is a place.
    """
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
    more = m.op[row * OP + OP_MORE]
    pattern = more & 255
    bits = (more >> PATTERN_BITS) & 63
    places = m.op[row * OP + OP_PLACES]
    seed = m.op[row * OP + OP_SEED] & LOW31
    number = access_number(m, p, row)
    if pattern == PATTERN_STRIDE:
        return number % places
    if pattern == PATTERN_CHASE:
        return chase_place(number % places, places, bits, seed)
    x = mix((mix(number) + seed) & LOW31)
    if pattern == PATTERN_ZIPF:
        return zipf_place(x, places, bits)
    return (x * places) >> 31
