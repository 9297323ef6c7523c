"""Translation lookaside buffers: set-associative arrays of one or two levels, and page-walk caches.

The replacement policy (`hardware.replacement`) decides into which row of its set a translation goes, and
which translation leaves the set for it.  Unless the policy keeps every row in its way, the empty rows of a
set come last, so that a search ends at the first empty row.  A row number here is an offset into the table
`tlb`.

Page-walk caches are the last rows of the table `array`, with level 0.  They are searched, filled and replaced
as the other arrays; a translation of theirs leads to a table instead of a page.
"""

from __future__ import annotations

from vmdbg.engine import hole, reads, writes
from vmdbg.formats.contract import ACCESS_FETCH, PAGE_BITS, SIZES, VPN_MASK
from vmdbg.state.events import TLB_DROP, TLB_EVICT, TLB_FLUSH, WALK_CACHE_FLUSH, emit
from vmdbg.state.tables import (
    ARRAY,
    ARRAY_BASE,
    ARRAY_LEVEL,
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
ZERO_SPACE = 0xFFFF  # stands in a key for the address-space number 0, as 0 stands for all spaces
# Rows of the table `array`, bound at build; -1 = no such array.
FIRST_FETCH, FIRST_DATA, SECOND = -1, -1, -1
CPUS = 1  # bound at build
WALK_CACHES = 0  # number of page-walk caches; bound at build
KEEPS_WAYS = 0  # 1: rows stay in their ways, empty ones too, and each hit is told; bound at build
INCLUSIVE = 0  # 1: what the second level loses, the first level loses too; bound at build
WORD_KEY, WORD_PFN = 8, 12  # shifts of the protection key, 4 bits, and of the frame
WORD_RIGHTS, WORD_SUSPECT, WORD_DIRTY, WORD_GLOBAL = 15, 32, 64, 128
WORD_KEYED = 16  # protection keys decide about the page; or RIGHT_OTHER, where the format has that
# What the sets of allowed rights are asked by: no access is allowed to a suspect entry at once, and to a
# keyed one only while no key forbids anything.
WORD_ALLOWED = WORD_RIGHTS | WORD_KEYED | WORD_SUSPECT


@hole
def tlb_touch(m: object, array: int, cpu: int, row: int) -> None:
    """Let the policy note that a look-up found `row`; CONTROL_SET says where its set begins."""


@hole
def tlb_insert(m: object, array: int, cpu: int, key: int, word: int) -> int:
    """Put a translation into its set, in the place of its own key or of the policy's victim.

    Returns the key of the victim; -1 if there was none.
    """


@hole
def tlb_take_out(m: object, array: int, cpu: int, row: int) -> None:
    """Make `row` empty."""


@reads
def size_shift(size):
    """Shift of page size index `size`."""
    return (SIZES >> (size << 3)) & 255


@reads
def tlb_tag(va, size):
    """The tag of the page of size index `size` that holds `va`: its number."""
    return ((va >> PAGE_BITS) & VPN_MASK) >> (size_shift(size) - PAGE_BITS)


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
    return tlb_search(m, array, cpu, va, asid, True)


@reads
def tlb_search(m, array, cpu, va, asid, whole):
    """`tlb_find`, which looks at the `whole` set or at the rows before the first empty one.

    The one is sooner done with the small and full sets of a first level, the other with those of a second.
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
            end = start + span
            while row < end:
                held = m.tlb[row + TLB_KEY]
                if held == key or held == everywhere:
                    m.control[CONTROL_SET] = start
                    return row
                if held < 0 and not whole:
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


@reads
def tlb_set(m, array, cpu, key):
    """Where the set of a key begins in one array."""
    return (
        array_base(m, array, cpu)
        + ((key >> KEY_TAG) & m.array[array + ARRAY_MASK]) * m.array[array + ARRAY_SPAN]
    )


@reads
def tlb_place(m, array, start, key):
    """The row of the set at `start` that holds `key`; else its first empty row; else its last."""
    last = start + m.array[array + ARRAY_SPAN] - TLB
    row = start
    while row < last and m.tlb[row + TLB_KEY] >= 0 and m.tlb[row + TLB_KEY] != key:
        row += TLB
    return row


@writes
def tlb_pushed_out(m, array, row):
    """Emit the event that the translation in `row` is replaced; returns its key."""
    key = m.tlb[row + TLB_KEY]
    if WALK_CACHES == 0 or m.array[array + ARRAY_LEVEL]:
        emit(m, TLB_EVICT, key, m.tlb[row + TLB_WORD], row)
    return key


@writes
def tlb_write(m, row, key, word):
    """Write a translation into a row."""
    m.tlb[row + TLB_KEY] = key
    m.tlb[row + TLB_WORD] = word


@reads
def tlb_holds(m, array, size):
    """May this array hold pages of a size?"""
    return (m.array[array + ARRAY_SIZES] >> size) & 1


@writes
def tlb_remove(m, array, cpu, row):
    """Invalidate a row."""
    emit(m, TLB_DROP, m.tlb[row + TLB_KEY], m.tlb[row + TLB_WORD], row)
    tlb_take_out(m, array, cpu, row)


@writes
def tlb_drop(m, cpu, va, asid):
    """Invalidate what a CPU's arrays hold for `va` in a space; returns how many rows went.

    Its page-walk caches lose all that they hold for the space (SDM 3A, 4.10.4.1: INVLPG).
    """
    gone = 0
    array = 0
    while array < len(m.array) - WALK_CACHES * ARRAY:
        span = m.array[array + ARRAY_SPAN]
        present = m.array[array + ARRAY_PRESENT]
        size = 0
        while present:
            if present & 1:
                everywhere = (tlb_tag(va, size) << KEY_TAG) | size
                key = everywhere | (asid << KEY_ASID)
                row = tlb_set(m, array, cpu, key)
                end = row + span
                while row < end:
                    held = m.tlb[row + TLB_KEY]
                    if held == key or held == everywhere:
                        tlb_remove(m, array, cpu, row)  # another row may take its place
                        gone += 1
                    elif held < 0 and not KEEPS_WAYS:
                        break
                    else:
                        row += TLB
            present >>= 1
            size += 1
        array += ARRAY
    if WALK_CACHES:
        walk_cache_flush(m, cpu, asid)
    return gone


@writes(cold=True)
def tlb_flush(m, cpu, asid, keep_global):
    """Invalidate a CPU's rows of one space (or of all: asid -1), global rows too unless kept.

    The same goes for its page-walk caches, which hold nothing global.
    """
    gone = 0
    array = 0
    while array < len(m.array) - WALK_CACHES * ARRAY:
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
    if WALK_CACHES:
        walk_cache_flush(m, cpu, asid)
    emit(m, TLB_FLUSH, asid, gone, cpu)
    return gone


@writes(cold=True)
def tlb_suspect(m, cpu, va, asid):
    """Make the translations of `va` (-1: of every page) in a space suspect in all arrays of a CPU.

    The next use of a suspect translation compares it with the tables.  All translations of the space in the
    page-walk caches become suspect too, as an invalidation of one page would drop them all.
    """
    array = 0
    while array < len(m.array) - WALK_CACHES * ARRAY:
        if va == -1:
            row = array_base(m, array, cpu)
            end = row + (m.array[array + ARRAY_MASK] + 1) * m.array[array + ARRAY_SPAN]
            while row < end:
                if m.tlb[row + TLB_KEY] >= 0:
                    m.tlb[row + TLB_WORD] |= WORD_SUSPECT
                row += TLB
        else:
            row = tlb_find(m, array, cpu, va, asid)
            if row >= 0:
                m.tlb[row + TLB_WORD] |= WORD_SUSPECT
        array += ARRAY
    while array < len(m.array):
        row = array_base(m, array, cpu)
        end = row + (m.array[array + ARRAY_MASK] + 1) * m.array[array + ARRAY_SPAN]
        while row < end:
            key = m.tlb[row + TLB_KEY]
            if key >= 0 and (va == -1 or (key >> KEY_ASID) & ASID_MASK == asid):
                m.tlb[row + TLB_WORD] |= WORD_SUSPECT
            row += TLB
        array += ARRAY


@writes(cold=True)
def tlb_trust(m, cpu, va, asid):
    """Make the translations of `va` in a space trusted again, in all arrays of a CPU."""
    array = 0
    while array < len(m.array) - WALK_CACHES * ARRAY:
        row = tlb_find(m, array, cpu, va, asid)
        if row >= 0:
            m.tlb[row + TLB_WORD] &= ~WORD_SUSPECT
        array += ARRAY


@writes(cold=True)
def tlb_drop_above(m, cpu, key):
    """Drop a translation from the first level because the second level, which is inclusive, has lost it."""
    array = 0
    while array < SECOND:
        start = tlb_set(m, array, cpu, key)
        row = start
        while row < start + m.array[array + ARRAY_SPAN]:
            if m.tlb[row + TLB_KEY] == key:
                tlb_remove(m, array, cpu, row)
                break
            row += TLB
        array += ARRAY


@writes(cold=True)
def walk_cache_flush(m, cpu, asid):
    """Invalidate what a CPU's page-walk caches hold for one space (-1: for all)."""
    gone = 0
    array = len(m.array) - WALK_CACHES * ARRAY
    while array < len(m.array):
        base = array_base(m, array, cpu)
        row = base + (m.array[array + ARRAY_MASK] + 1) * m.array[array + ARRAY_SPAN] - TLB
        while row >= base:
            key = m.tlb[row + TLB_KEY]
            if key >= 0 and (asid < 0 or (key >> KEY_ASID) & ASID_MASK == asid):
                tlb_take_out(m, array, cpu, row)
                gone += 1
            row -= TLB
        array += ARRAY
    if gone:
        emit(m, WALK_CACHE_FLUSH, asid, gone, cpu)
