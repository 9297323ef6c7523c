"""Stack distances of a trace in one pass: the hot code of miss-ratio curves and reuse histograms.

The stack has the pages in the order of their last accesses; the distance of an access is the place of its
page in it, from 1.  LRU with n frames misses what has a distance above n, and each page's first access, for
all n at once (Mattson et al., Evaluation techniques for storage hierarchies, IBM Systems Journal 9(2), 1970).

The first pages of the stack are a list, `top`, which most accesses search in vain no more than a few places.
The pages below it have a slot each: the later its last access, the higher (`slot`, by page; `owner`, the
page's number by slot).  `tree` counts the slots in use as a Fenwick tree does, so that how many are above one
is a sum of a few words.  When all slots were given, the pages move to the lowest ones; there are twice as
many as pages, so that this costs an access no more than a few steps.  `distance` counts the accesses of each
distance.
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.kernel.access_patterns import LOW31
from vmdbg.programs.traces.page_numbers import (
    MEASURE_AT,
    MEASURE_BELOW,
    MEASURE_END,
    MEASURE_FIRST,
    MEASURE_GROWN,
    MEASURE_LIVE,
    MEASURE_MASK,
    MEASURE_SHIFT,
    MEASURE_TIME,
    MEASURE_TOP,
    number_again,
    number_page,
    page_hash,
)
from vmdbg.state.tables import OP, OP_VA

TOP = 16  # pages in the list
IN_TOP = 0  # slot of a page that is in the list


@writes
def count_distances(m):
    """Count the distances of the rows, up to the last one or to the first for whose page there is no room."""
    if m.measure[MEASURE_GROWN]:
        m.measure[MEASURE_GROWN] = 0
        number_again(m)
        lower_slots(m)
    at = m.measure[MEASURE_AT]
    end = m.measure[MEASURE_END]
    shift = m.measure[MEASURE_SHIFT]
    part = m.measure[MEASURE_FIRST] > 0 or m.measure[MEASURE_BELOW] <= LOW31
    while at < end:
        page = m.op[at + OP_VA] >> (shift & 63)
        if not part or is_in_part(m, page):
            place = 0
            count = m.measure[MEASURE_TOP]
            while place < count and m.top[place] != page:
                place += 1
            if place < count:
                m.distance[place + 1] += 1
                put_on_top(m, place, page)
            elif not take_from_below(m, page):
                break
        at += OP
    m.measure[MEASURE_AT] = at
    return 0


@reads
def is_in_part(m, page):
    """Is a page one of those that are looked at?"""
    found = page_hash(page)
    return m.measure[MEASURE_FIRST] <= found and found < m.measure[MEASURE_BELOW]


@writes
def put_on_top(m, place, page):
    """A page comes to the top of the list; those before `place` move down by one."""
    while place > 0:
        m.top[place] = m.top[place - 1]
        place -= 1
    m.top[0] = page
    return 0


@writes
def take_from_below(m, page):
    """The page of an access is not in the list: count its distance, and put it there.  0: no room for it."""
    number = number_page(m, page)
    if number == 0:
        return 0
    slot = m.slot[number]
    if slot != IN_TOP:
        above = m.measure[MEASURE_LIVE] - slots_up_to(m, slot)
        m.distance[TOP + above + 1] += 1
        m.owner[slot] = 0
        add_to_tree(m, slot, -1)
        m.measure[MEASURE_LIVE] -= 1
        m.slot[number] = IN_TOP
    count = m.measure[MEASURE_TOP]
    if count == TOP:
        count -= 1
        give_slot(m, number_page(m, m.top[count]))
    m.measure[MEASURE_TOP] = count + 1
    put_on_top(m, count, page)
    return 1


@writes
def give_slot(m, number):
    """The page of that number, the last of the list, is the first below it."""
    if m.measure[MEASURE_TIME] >= m.measure[MEASURE_MASK]:
        lower_slots(m)
    slot = m.measure[MEASURE_TIME] + 1
    m.measure[MEASURE_TIME] = slot
    m.slot[number] = slot
    m.owner[slot] = number
    m.measure[MEASURE_LIVE] += 1
    add_to_tree(m, slot, 1)
    return 0


@reads
def slots_up_to(m, slot):
    """How many slots from 1 to `slot` are in use."""
    found = 0
    while slot > 0:
        found += m.tree[slot]
        slot -= slot & -slot
    return found


@writes
def add_to_tree(m, slot, number):
    """Add to the count of a slot."""
    last = m.measure[MEASURE_MASK]
    while slot <= last:
        m.tree[slot] += number
        slot += slot & -slot
    return 0


@writes(cold=True)
def lower_slots(m):
    """The pages below the list get the lowest slots, in the same order, and the tree is made anew."""
    slot = 1
    last = 0
    while slot <= m.measure[MEASURE_TIME]:
        number = m.owner[slot]
        if number:
            last += 1
            m.owner[slot] = 0
            m.owner[last] = number
            m.slot[number] = last
        slot += 1
    m.measure[MEASURE_TIME] = last
    slot = 1
    while slot <= m.measure[MEASURE_MASK]:
        m.tree[slot] = 0
        slot += 1
    slot = 1
    while slot <= m.measure[MEASURE_MASK]:
        if slot <= last:
            m.tree[slot] += 1
        above = slot + (slot & -slot)
        if above <= m.measure[MEASURE_MASK]:
            m.tree[above] += m.tree[slot]
        slot += 1
    return 0
