"""Translation lookaside buffers: set-associative arrays of one or two levels.

Way 0 of a set is the most recently used row and empty rows come last, so a search ends at the first
empty row and the last way is the victim.  A row number here is an offset into the table `tlb`.
"""

from __future__ import annotations

from vmdbg.formats.contract import ACCESS_FETCH, PAGE_BITS, SIZES, VPN_MASK
from vmdbg.hot import reads, writes
from vmdbg.state.events import TLB_DROP, TLB_EVICT, TLB_FLUSH, emit
from vmdbg.state.tables import (
    ARRAY,
    ARRAY_BASE,
    ARRAY_MASK,
    ARRAY_PRESENT,
    ARRAY_SIZES,
    ARRAY_SPAN,
    ARRAY_STRIDE,
    CONTROL_SET,
    TLB,
    TLB_KEY,
    TLB_WORD,
)

KEY_TAG, KEY_ASID, KEY_SIZE = 18, 2, 3  # shifts of tag and ASID; mask of the size
ASID_MASK = 0xFFFF
# Rows of the table `array`, bound at build; -1 = no such array.
FIRST_FETCH, FIRST_DATA, SECOND = -1, -1, -1
CPUS = 1  # bound at build
WORD_PFN = 6  # shift
WORD_DIRTY, WORD_GLOBAL, WORD_RIGHTS = 16, 32, 15


@reads
def size_shift(size):
    """Shift of page size index `size`."""
    return (SIZES >> (size << 3)) & 255


@reads
def first_array(access):
    """Row of the first-level array that serves `access`; -1 if there is none."""
    if access == ACCESS_FETCH:
        return FIRST_FETCH
    return FIRST_DATA


@reads
def array_base(m, array, cpu):
    """Where the rows of an array of a CPU start."""
    if CPUS > 1:
        return m.array[array + ARRAY_BASE] + cpu * m.array[array + ARRAY_STRIDE]
    return m.array[array + ARRAY_BASE]


@reads
def tlb_find(m, array, cpu, va, asid):
    """The row of array `array` of a CPU that translates `va` in space `asid`; -1 if none does.

    CONTROL_SET then says where its set begins.
    """
    vpn = (va >> PAGE_BITS) & VPN_MASK
    base = m.array[array + ARRAY_BASE]
    if CPUS > 1:
        base += cpu * m.array[array + ARRAY_STRIDE]
    mask = m.array[array + ARRAY_MASK]
    span = m.array[array + ARRAY_SPAN]
    present = m.array[array + ARRAY_PRESENT]
    size = 0
    while present:
        if present & 1:
            tag = vpn
            if size:
                tag = vpn >> (size_shift(size) - PAGE_BITS)
            everywhere = (tag << KEY_TAG) | size
            key = everywhere | (asid << KEY_ASID)
            start = base + (tag & mask) * span
            row = start
            while row < start + span:
                held = m.tlb[row + TLB_KEY]
                if held == key or held == everywhere:
                    m.control[CONTROL_SET] = start
                    return row
                if held < 0:
                    break
                row += TLB
        present >>= 1
        size += 1
    return -1


@reads
def word_address(word, size, va):
    """The physical address of `va` by a cached word for a page of size index `size`."""
    if size:
        return ((word >> WORD_PFN) << PAGE_BITS) + (va & ((1 << size_shift(size)) - 1))
    return ((word >> WORD_PFN) << PAGE_BITS) + (va & ((1 << PAGE_BITS) - 1))


@writes
def tlb_touch(m, row):
    """Make `row`, which `tlb_find` just found, the most recently used of its set."""
    start = m.control[CONTROL_SET]
    key = m.tlb[row + TLB_KEY]
    word = m.tlb[row + TLB_WORD]
    while row > start:
        m.tlb[row + TLB_KEY] = m.tlb[row - TLB + TLB_KEY]
        m.tlb[row + TLB_WORD] = m.tlb[row - TLB + TLB_WORD]
        row -= TLB
    m.tlb[start + TLB_KEY] = key
    m.tlb[start + TLB_WORD] = word


@writes
def tlb_insert(m, array, cpu, key, word):
    """Put a translation into its set of one array, as the most recently used; replaces its own key."""
    span = m.array[array + ARRAY_SPAN]
    mask = m.array[array + ARRAY_MASK]
    start = array_base(m, array, cpu) + ((key >> KEY_TAG) & mask) * span
    last = start + span - TLB
    row = start
    while row < last and m.tlb[row + TLB_KEY] >= 0 and m.tlb[row + TLB_KEY] != key:
        row += TLB
    held = m.tlb[row + TLB_KEY]
    if held >= 0 and held != key:
        emit(m, TLB_EVICT, held, m.tlb[row + TLB_WORD], row)
    while row > start:
        m.tlb[row + TLB_KEY] = m.tlb[row - TLB + TLB_KEY]
        m.tlb[row + TLB_WORD] = m.tlb[row - TLB + TLB_WORD]
        row -= TLB
    m.tlb[start + TLB_KEY] = key
    m.tlb[start + TLB_WORD] = word
    m.array[array + ARRAY_PRESENT] |= 1 << (key & KEY_SIZE)


@reads
def tlb_holds(m, array, size):
    """May this array hold pages of a size?"""
    return (m.array[array + ARRAY_SIZES] >> size) & 1


@writes(cold=True)
def tlb_remove(m, array, cpu, row):
    """Take a row out of its set and close the gap."""
    emit(m, TLB_DROP, m.tlb[row + TLB_KEY], m.tlb[row + TLB_WORD], row)
    span = m.array[array + ARRAY_SPAN]
    tag = m.tlb[row + TLB_KEY] >> KEY_TAG
    last = array_base(m, array, cpu) + (tag & m.array[array + ARRAY_MASK]) * span + span - TLB
    while row < last:
        m.tlb[row + TLB_KEY] = m.tlb[row + TLB + TLB_KEY]
        m.tlb[row + TLB_WORD] = m.tlb[row + TLB + TLB_WORD]
        row += TLB
    m.tlb[last + TLB_KEY] = -1
    m.tlb[last + TLB_WORD] = 0


@writes
def tlb_drop(m, cpu, va, asid):
    """Invalidate what a CPU's arrays hold for `va` in a space; returns how many rows went."""
    gone = 0
    array = 0
    while array < len(m.array):
        row = tlb_find(m, array, cpu, va, asid)
        while row >= 0:
            tlb_remove(m, array, cpu, row)
            gone += 1
            row = tlb_find(m, array, cpu, va, asid)
        array += ARRAY
    return gone


@writes(cold=True)
def tlb_flush(m, cpu, asid, keep_global):
    """Invalidate a CPU's rows of one space (or of all: asid -1), global rows too unless kept."""
    gone = 0
    array = 0
    while array < len(m.array):
        base = array_base(m, array, cpu)
        row = base + (m.array[array + ARRAY_MASK] + 1) * m.array[array + ARRAY_SPAN] - TLB
        while row >= base:
            key = m.tlb[row + TLB_KEY]
            if key >= 0:
                space = (key >> KEY_ASID) & ASID_MASK
                if (space == asid or asid < 0 or space == 0) and not (keep_global and space == 0):
                    tlb_remove(m, array, cpu, row)
                    gone += 1
            row -= TLB
        array += ARRAY
    emit(m, TLB_FLUSH, asid, gone, cpu)
    return gone
