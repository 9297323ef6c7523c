"""The working set of a trace over time: the pages that its last accesses had, as many as a window holds.

W(t, w) are the pages accessed in (t - w, t] (Denning, The working set model for program behavior, CACM 11(5),
1968).  A list, from `older` to `newer`, has its pages in the order of their last accesses; `last` is the time
of the last access by page number.  `interval` has a row for each stretch of MEASURE_EVERY accesses.
"""

from __future__ import annotations

from vmdbg.engine import writes
from vmdbg.programs.traces.page_numbers import (
    MEASURE_AT,
    MEASURE_END,
    MEASURE_EVERY,
    MEASURE_GROWN,
    MEASURE_INTERVAL,
    MEASURE_LEFT,
    MEASURE_NEWEST,
    MEASURE_OLDEST,
    MEASURE_SHIFT,
    MEASURE_SIZE,
    MEASURE_TIME,
    MEASURE_WINDOW,
    number_again,
    number_page,
)
from vmdbg.state.tables import OP, OP_VA

(
    INTERVAL_COUNT,  # accesses
    INTERVAL_SUM,  # of the sizes of the working set after each of them
    INTERVAL_LEAST,
    INTERVAL_MOST,
    INTERVAL_MISSES,  # accesses to pages that were not in it
) = range(5)
INTERVAL = 5


@writes
def follow_working_set(m):
    """Follow the rows, up to the last one or to the first for whose page there is no room."""
    if m.measure[MEASURE_GROWN]:
        m.measure[MEASURE_GROWN] = 0
        number_again(m)
    at = m.measure[MEASURE_AT]
    end = m.measure[MEASURE_END]
    shift = m.measure[MEASURE_SHIFT]
    while at < end:
        page = m.op[at + OP_VA] >> (shift & 63)
        newest = m.measure[MEASURE_NEWEST]
        if newest == 0 or m.page[newest] != page:
            newest = number_page(m, page)
            if newest == 0:
                break
        use_page(m, newest)
        at += OP
    m.measure[MEASURE_AT] = at
    return 0


@writes
def use_page(m, number):
    """An access to the page of that number."""
    time = m.measure[MEASURE_TIME] + 1
    m.measure[MEASURE_TIME] = time
    gone = time - m.measure[MEASURE_WINDOW]
    missed = m.last[number] == 0 or m.last[number] < gone
    if missed:
        m.measure[MEASURE_SIZE] += 1
    if number != m.measure[MEASURE_NEWEST]:
        if not missed:
            take_out(m, number)
        put_last(m, number)
    m.last[number] = time
    oldest = m.measure[MEASURE_OLDEST]
    while m.last[oldest] <= gone:
        take_out(m, oldest)
        m.measure[MEASURE_SIZE] -= 1
        oldest = m.measure[MEASURE_OLDEST]
    note_size(m, m.measure[MEASURE_SIZE], missed)
    return 0


@writes
def take_out(m, number):
    """The page leaves the list."""
    older = m.older[number]
    newer = m.newer[number]
    if older:
        m.newer[older] = newer
    else:
        m.measure[MEASURE_OLDEST] = newer
    if newer:
        m.older[newer] = older
    else:
        m.measure[MEASURE_NEWEST] = older
    return 0


@writes
def put_last(m, number):
    """The page is the newest of the list."""
    newest = m.measure[MEASURE_NEWEST]
    m.older[number] = newest
    m.newer[number] = 0
    if newest:
        m.newer[newest] = number
    else:
        m.measure[MEASURE_OLDEST] = number
    m.measure[MEASURE_NEWEST] = number
    return 0


@writes
def note_size(m, size, missed):
    """Count the access in its interval, and go on to the next one at its end."""
    row = m.measure[MEASURE_INTERVAL]
    if m.interval[row] == 0 or size < m.interval[row + INTERVAL_LEAST]:
        m.interval[row + INTERVAL_LEAST] = size
    if m.interval[row + INTERVAL_MOST] < size:  # noqa: PLR1730 - hot code has no max
        m.interval[row + INTERVAL_MOST] = size
    m.interval[row + INTERVAL_SUM] += size
    m.interval[row + INTERVAL_MISSES] += missed
    m.interval[row] += 1
    m.measure[MEASURE_LEFT] -= 1
    if m.measure[MEASURE_LEFT] == 0:
        m.measure[MEASURE_LEFT] = m.measure[MEASURE_EVERY]
        m.measure[MEASURE_INTERVAL] = row + INTERVAL
    return 0
