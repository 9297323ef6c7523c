"""The pages of a trace, numbered from 1 in the order of their first access: hot code that measures share.

The tables are not those of a machine.  `op` has the rows of a chunk (`traces.scan`); `measure` is one row of
the MEASURE_ words; `number` is a hash table of page numbers in this order (0: free), open addressing; `page`
has the page of each number.  Nothing is ever taken out.
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.kernel.access_patterns import LOW31, mix
from vmdbg.state.tables import OP, OP_VA

(
    MEASURE_AT,  # word of `op` that the next row begins at
    MEASURE_END,  # one past the last row
    MEASURE_SHIFT,  # bits of a page's offset
    MEASURE_FIRST,  # only pages whose hash is not below that
    MEASURE_BELOW,  # and below that; LOW31 + 1: all
    MEASURE_MASK,  # words of `number`, less 1
    MEASURE_PAGES,  # pages that have a number
    MEASURE_ROOM,  # the most that may have one before the tables grow
    MEASURE_GROWN,  # 1: the tables have grown since
    MEASURE_TIME,  # of `stack_distance`: the last slot; of `working_set`: accesses
    MEASURE_TOP,  # of `stack_distance`: pages in `top`
    MEASURE_LIVE,  # of `stack_distance`: pages in `tree`
    MEASURE_WINDOW,  # of `working_set`: its window, in accesses
    MEASURE_SIZE,  # pages in the working set
    MEASURE_OLDEST,  # the number of the page in it whose last access is longest ago; 0: none
    MEASURE_NEWEST,  # the number of the page that was accessed last
    MEASURE_EVERY,  # accesses of an interval
    MEASURE_LEFT,  # accesses before the present interval ends
    MEASURE_INTERVAL,  # word of `interval` that the present one begins at
) = range(19)
MEASURE_WORDS = 24


@reads
def page_hash(page):
    """31 bits that depend on all bits of a page: different for pages of less than 31 bits."""
    return mix((page ^ (page >> 31)) & LOW31)


@reads
def find_page(m, page):
    """The place in `number` that has a page, or the free one where it belongs."""
    mask = m.measure[MEASURE_MASK]
    place = page_hash(page) & mask
    while m.number[place] and m.page[m.number[place]] != page:
        place = (place + 1) & mask
    return place


@writes
def number_page(m, page):
    """The number of a page, which it gets now if it has none; 0 if there is no room for one more."""
    place = find_page(m, page)
    number = m.number[place]
    if number:
        return number
    number = m.measure[MEASURE_PAGES] + 1
    if number > m.measure[MEASURE_ROOM]:
        return 0
    m.measure[MEASURE_PAGES] = number
    m.number[place] = number
    m.page[number] = page
    return number


@writes(cold=True)
def number_again(m):
    """Fill `number`, which is empty, from `page`: the table has grown."""
    number = 1
    while number <= m.measure[MEASURE_PAGES]:
        m.number[find_page(m, m.page[number])] = number
        number += 1
    return 0


@writes
def keep_sampled(m):
    """Move the rows of the pages that a sample has to the front; MEASURE_END is behind them."""
    at = 0
    kept = 0
    while at < m.measure[MEASURE_END]:
        va = m.op[at + OP_VA]
        if page_hash(va >> (m.measure[MEASURE_SHIFT] & 63)) < m.measure[MEASURE_BELOW]:
            m.op[kept + OP_VA] = va
            kept += OP
        at += OP
    m.measure[MEASURE_AT] = kept
    m.measure[MEASURE_END] = kept
    return 0
