"""Page-walk caches: tables that the walker need not look for (Intel SDM 3A, 4.10.3).

Each keeps the table entries of one depth: for a range of addresses of a space, the table that
translates it and the rights so far.  A walk starts below the deepest one that knows its address.  Only
walks that ended in a page fill them, so the A bits above a cached table are set.
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.formats.contract import LEVELS, PAGE_BITS, VPN_MASK, next_table
from vmdbg.hardware.paging import walk, walk_from
from vmdbg.hardware.tlb import (
    KEEPS_WAYS,
    KEY_ASID,
    KEY_TAG,
    WALK_CACHES,
    WORD_PFN,
    WORD_RIGHTS,
    size_shift,
    tlb_find,
    tlb_insert,
    tlb_touch,
)
from vmdbg.state.events import WALK_CACHE_HIT, emit
from vmdbg.state.tables import (
    ARRAY,
    ARRAY_DEPTH,
    CONTROL_CACHED,
    CONTROL_FIRST,
    CONTROL_SET,
    CONTROL_STEPS,
    CPU,
    CPU_ASID,
    CPU_ROOT,
    PATH,
    PATH_ENTRY,
    PATH_RIGHTS,
    TLB_WORD,
)


@reads
def walk_cached(m, cpu, va):
    """`walk`, as a CPU with page-walk caches does it; fills CONTROL_FIRST and CONTROL_CACHED, too."""
    array = len(m.array) - ARRAY
    while array >= len(m.array) - WALK_CACHES * ARRAY:
        row = tlb_find(m, array, cpu, va, m.cpu[cpu * CPU + CPU_ASID])
        if row >= 0:
            word = m.tlb[row + TLB_WORD]
            depth = m.array[array + ARRAY_DEPTH] + 1
            m.control[CONTROL_FIRST] = depth
            m.control[CONTROL_CACHED] = array
            return walk_from(m, (word >> WORD_PFN) << PAGE_BITS, depth, word & WORD_RIGHTS, va)
        array -= ARRAY
    m.control[CONTROL_FIRST] = 0
    m.control[CONTROL_CACHED] = -1
    return walk(m, m.cpu[cpu * CPU + CPU_ROOT], va)


@writes(cold=True)
def walk_cache_use(m, cpu, va):
    """Tell that a cache gave the last walk its first table, if one did."""
    array = m.control[CONTROL_CACHED]
    if array >= 0:
        row = tlb_find(m, array, cpu, va, m.cpu[cpu * CPU + CPU_ASID])
        table = (m.tlb[row + TLB_WORD] >> WORD_PFN) << PAGE_BITS
        if row != m.control[CONTROL_SET] or KEEPS_WAYS:
            tlb_touch(m, array, cpu, row)
        emit(m, WALK_CACHE_HIT, va, m.array[array + ARRAY_DEPTH], table)


@writes(cold=True)
def walk_cache_fill(m, cpu, va):
    """Keep the table entries that the last walk read."""
    array = len(m.array) - WALK_CACHES * ARRAY
    while array < len(m.array):
        depth = m.array[array + ARRAY_DEPTH]
        if m.control[CONTROL_FIRST] <= depth and depth < m.control[CONTROL_STEPS] - 1:
            size = LEVELS - 1 - depth
            tag = ((va >> PAGE_BITS) & VPN_MASK) >> (size_shift(size) - PAGE_BITS)
            key = (tag << KEY_TAG) | (m.cpu[cpu * CPU + CPU_ASID] << KEY_ASID) | size
            row = depth * PATH
            frame = next_table(m.path[row + PATH_ENTRY]) >> PAGE_BITS
            tlb_insert(m, array, cpu, key, (frame << WORD_PFN) | m.path[row + PATH_RIGHTS])
        array += ARRAY
