"""The page cache: pages of objects in memory, for all who map them (Linux: mm/filemap.c, mm/shmem.c).

An object is a file or shared memory.  Each page of it has a row of the table `cache`, which says where the
page is: in a frame (whose column `slot` is minus the row), in a slot, in the copy of its file, or nowhere
yet.  A page stays in memory, mapped or not, until it is reclaimed or no region maps its object any more.  An
entry may still hold the slot of such a page; the kernel does not use that, only the row.
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.formats.contract import ACCESS_WRITE, PAGE_BITS
from vmdbg.hardware.memory import copy_words, zero_frame
from vmdbg.kernel.address_space import map_frame, new_leaf
from vmdbg.kernel.frames import frame_address
from vmdbg.kernel.swap import PAYLOAD, copy_in, copy_out, slot_release
from vmdbg.state.events import (
    FAULT_COW,
    FAULT_FILE,
    FAULT_MAJOR,
    FAULT_MINOR,
    FILE_READ,
    FILE_WRITE,
    FRAME_ALLOC,
    SWAP_IN,
    SWAP_OUT,
    emit,
)
from vmdbg.state.tables import (
    CACHE,
    CACHE_CONTENT,
    CACHE_FRAME,
    CACHE_NUMBER,
    CACHE_SLOT,
    FRAME,
    FRAME_SLOT,
    PROCESS,
    PROCESS_MAJOR,
    PROCESS_MINOR,
    PROCESS_SWAPPED,
    REGION,
    REGION_CACHED,
    REGION_KIND,
    REGION_LAST,
    REGION_SHARE,
    REGION_START,
)

WHY_ZERO, WHY_SHARED = 0, 1  # of fault-minor: a zeroed page; a page that is in memory for others


@reads
def cache_row(m, region, page):
    """Row of the page cache for a page of a region that maps an object; 0 beyond the object's end."""
    r = region * REGION
    row = m.region[r + REGION_CACHED] + ((page - m.region[r + REGION_START]) >> PAGE_BITS)
    if row < m.region[r + REGION_LAST]:
        return row
    return 0


@writes(cold=True)
def map_cached(m, pid, region, va, address, slot, row, access):
    """Map a page of an object that is in memory.

    The entry at `address` held `slot` (0: none).  Returns 0.
    """
    if slot:
        slot_release(m, slot)
        m.process[pid * PROCESS + PROCESS_SWAPPED] -= 1
    frame = m.cache[row * CACHE + CACHE_FRAME] - 1
    map_frame(m, pid, (va >> PAGE_BITS) << PAGE_BITS, frame, address, new_leaf(m, region, frame, access))
    m.process[pid * PROCESS + PROCESS_MINOR] += 1
    emit(m, FAULT_MINOR, va, m.region[region * REGION + REGION_KIND], WHY_SHARED)
    return 0


@writes(cold=True)
def fill_cached(m, pid, region, page, frame, slot, row, access):
    """Fill a frame with a page of an object, or with a private copy for a write.

    Returns the kind of fault.
    """
    c = row * CACHE
    words = 1 << (PAGE_BITS - 3)
    if slot:
        slot_release(m, slot)
        m.process[pid * PROCESS + PROCESS_SWAPPED] -= 1
    if m.region[region * REGION + REGION_SHARE] == 0 and access == ACCESS_WRITE:
        if m.cache[c + CACHE_FRAME]:
            if PAYLOAD:
                m.dirty[frame] = 1
                held = m.cache[c + CACHE_FRAME] - 1
                copy_words(m.ram8, frame * words, m.ram8, held * words, words)
            return FAULT_COW
    else:
        m.cache[c + CACHE_FRAME] = frame + 1
        m.frame[frame * FRAME + FRAME_SLOT] = -row
    pfn = frame_address(m, frame) >> PAGE_BITS
    if m.cache[c + CACHE_SLOT]:
        copy_in(m, frame, m.cache[c + CACHE_SLOT])
        emit(m, SWAP_IN, m.cache[c + CACHE_SLOT], pfn, page)
        return FAULT_MAJOR
    if m.cache[c + CACHE_CONTENT]:
        if PAYLOAD:
            m.dirty[frame] = 1
            kept = m.cache[c + CACHE_CONTENT] - 1
            copy_words(m.ram8, frame * words, m.file8, kept * words, words)
        emit(m, FILE_READ, m.cache[c + CACHE_NUMBER], pfn, page)
        return FAULT_FILE
    if PAYLOAD:
        zero_frame(m, frame)
    emit(m, FRAME_ALLOC, pfn, page, 0)
    return FAULT_MINOR


@writes(cold=True)
def tell_cached(m, pid, region, va, frame, row, kind):
    """Count a fault that `fill_cached` has served, and emit its event."""
    c = row * CACHE
    what = m.region[region * REGION + REGION_KIND]
    if kind == FAULT_MAJOR:
        m.process[pid * PROCESS + PROCESS_MAJOR] += 1
        emit(m, kind, va, what, m.cache[c + CACHE_SLOT])
    elif kind == FAULT_FILE:
        m.process[pid * PROCESS + PROCESS_MAJOR] += 1
        emit(m, kind, va, what, m.cache[c + CACHE_NUMBER])
    elif kind == FAULT_MINOR:
        m.process[pid * PROCESS + PROCESS_MINOR] += 1
        emit(m, kind, va, what, WHY_ZERO)
    else:
        m.process[pid * PROCESS + PROCESS_MINOR] += 1
        held = frame_address(m, m.cache[c + CACHE_FRAME] - 1) >> PAGE_BITS
        emit(m, kind, va, held, frame_address(m, frame) >> PAGE_BITS)


@writes(cold=True)
def write_back(m, row, frame, va):
    """Write a page of an object back to the copy of its file, or to its slot if it has one."""
    c = row * CACHE
    pfn = frame_address(m, frame) >> PAGE_BITS
    if m.cache[c + CACHE_CONTENT]:
        if PAYLOAD:
            kept = m.cache[c + CACHE_CONTENT] - 1
            words = 1 << (PAGE_BITS - 3)
            m.filedirty[kept] = 1
            copy_words(m.file8, kept * words, m.ram8, frame * words, words)
        emit(m, FILE_WRITE, m.cache[c + CACHE_NUMBER], pfn, va)
    elif m.cache[c + CACHE_SLOT]:
        copy_out(m, frame, m.cache[c + CACHE_SLOT])
        emit(m, SWAP_OUT, m.cache[c + CACHE_SLOT], pfn, va)
