"""Page-walk caches: they let a walk skip its first steps (Intel SDM 3A, 4.10.3).

Each keeps the table entries of one depth: for a range of addresses of a space, the table that translates it
and the rights so far.  A walk starts at the deepest table that a cache has for its address.  Only walks that
ended in a page fill the caches, so the A bits of the entries above a cached table are set.

A row that may disagree with the tables is suspect, as rows of the TLB are: the next walk that begins there
compares them.  If they disagree, one event says so, and every translation that is cached by such a walk is
suspect as well.
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.formats.contract import ENTRY_TABLE, LEVELS, PAGE_BITS, RIGHTS, next_table
from vmdbg.hardware.tlb import (
    KEEPS_WAYS,
    KEY_ASID,
    KEY_TAG,
    WALK_CACHES,
    WORD_DIRTY,
    WORD_PFN,
    WORD_SUSPECT,
    tlb_find,
    tlb_insert,
    tlb_tag,
    tlb_touch,
)
from vmdbg.hardware.walk import recheck, walk, walk_began, walk_from
from vmdbg.state.events import TLB_STALE, WALK_CACHE_HIT, emit
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
    PATH_KIND,
    PATH_RIGHTS,
    TLB_KEY,
    TLB_WORD,
)

WORD_TOLD = (
    WORD_DIRTY  # of a row of a page-walk cache: it disagrees with the tables, and the event was emitted
)
STALE_TABLE = 1 << 60  # in the third argument of tlb-stale: the entry is one of a page-walk cache


@reads
def walk_cached(m, cpu, root, asid, va):
    """`walk` as a CPU with page-walk caches does it in a space; also sets CONTROL_FIRST, CONTROL_CACHED."""
    array = len(m.array) - ARRAY
    while array >= len(m.array) - WALK_CACHES * ARRAY:
        row = tlb_find(m, array, cpu, va, asid)
        if row >= 0:
            word = m.tlb[row + TLB_WORD]
            depth = m.array[array + ARRAY_DEPTH] + 1
            m.control[CONTROL_FIRST] = depth
            m.control[CONTROL_CACHED] = array
            return walk_from(m, (word >> WORD_PFN) << PAGE_BITS, depth, word & RIGHTS, va)
        array -= ARRAY
    m.control[CONTROL_FIRST] = 0
    m.control[CONTROL_CACHED] = -1
    return walk(m, root, va)


@reads(cold=True)
def table_agrees(m, cpu, va, depth, word):
    """Does the walk of `va` lead, at a depth, to the same table as a word of a page-walk cache?"""
    kind = walk(m, m.cpu[cpu * CPU + CPU_ROOT], va)
    recheck(m, cpu, walk_began(m), kind)
    row = depth * PATH
    if m.control[CONTROL_STEPS] <= depth or m.path[row + PATH_KIND] != ENTRY_TABLE:
        return False
    same = next_table(m.path[row + PATH_ENTRY], depth) >> PAGE_BITS == word >> WORD_PFN
    return same and m.path[row + PATH_RIGHTS] == word & RIGHTS


@writes(cold=True)
def walk_cache_use(m, cpu, va):
    """Emit the events for the page-walk cache that gave the last walk its first table, if one did.

    The event that its entry is stale occurs only the first time.  Returns WORD_SUSPECT if the entry is stale,
    else 0: the words that this walk puts into caches have that bit.
    """
    array = m.control[CONTROL_CACHED]
    if array < 0:
        return 0
    c = cpu * CPU
    row = tlb_find(m, array, cpu, va, m.cpu[c + CPU_ASID])
    key = m.tlb[row + TLB_KEY]
    word = m.tlb[row + TLB_WORD]
    depth = m.array[array + ARRAY_DEPTH]
    doubt = 0
    if word & (WORD_SUSPECT | WORD_TOLD) and not table_agrees(m, cpu, va, depth, word):
        doubt = WORD_SUSPECT
    if word & WORD_SUSPECT:
        m.tlb[row + TLB_WORD] = (word & ~(WORD_SUSPECT | WORD_TOLD)) | (WORD_TOLD if doubt else 0)
    if row != m.control[CONTROL_SET] or KEEPS_WAYS:
        tlb_touch(m, array, cpu, row)
    emit(m, WALK_CACHE_HIT, va, depth, (word >> WORD_PFN) << PAGE_BITS)
    if doubt and word & WORD_SUSPECT:
        emit(m, TLB_STALE, va, key, STALE_TABLE | (word & ~(WORD_SUSPECT | WORD_TOLD)))
    if word & (WORD_SUSPECT | WORD_TOLD):
        walk_cached(m, cpu, m.cpu[c + CPU_ROOT], m.cpu[c + CPU_ASID], va)  # `path` is this walk's again
    return doubt


@writes(cold=True)
def walk_cache_fill(m, cpu, va, doubt):
    """Keep the table entries that the last walk read; `doubt` as `walk_cache_use` returned it."""
    array = len(m.array) - WALK_CACHES * ARRAY
    while array < len(m.array):
        depth = m.array[array + ARRAY_DEPTH]
        if m.control[CONTROL_FIRST] <= depth and depth < m.control[CONTROL_STEPS] - 1:
            size = LEVELS - 1 - depth
            key = (tlb_tag(va, size) << KEY_TAG) | (m.cpu[cpu * CPU + CPU_ASID] << KEY_ASID) | size
            row = depth * PATH
            frame = next_table(m.path[row + PATH_ENTRY], depth) >> PAGE_BITS
            tlb_insert(m, array, cpu, key, (frame << WORD_PFN) | m.path[row + PATH_RIGHTS] | doubt)
        array += ARRAY
