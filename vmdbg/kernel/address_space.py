"""Address spaces: the regions of a process, and its tables as the kernel reads and writes them."""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.formats.contract import (
    ACCESS_FETCH,
    ACCESS_WRITE,
    ENTRY_BYTES,
    ENTRY_EMPTY,
    ENTRY_TABLE,
    KERNEL_SETS_AD,
    LEVELS,
    PAGE_BITS,
    RIGHT_R,
    RIGHT_W,
    RIGHT_X,
    ROOT_LOADED,
    ROOT_MASK,
    SOFTWARE_WALK,
    aged,
    classify,
    is_accessed,
    is_dirty,
    make_leaf,
    make_table,
    next_table,
    protected,
    touched,
)
from vmdbg.hardware.memory import load_entry, store_entry
from vmdbg.hardware.walk import reload_roots, table_index
from vmdbg.kernel.frames import FRAME_IS_USER, frame_address, rmap_add, table_take
from vmdbg.state.events import ENTRY_WRITE, emit
from vmdbg.state.tables import (
    CPU,
    CPU_KERNEL_AD,
    FRAME,
    FRAME_PID,
    FRAME_SLOT,
    FRAME_STATE,
    KERNEL_CPU,
    PROCESS,
    PROCESS_REGION,
    PROCESS_ROOT,
    PROCESS_RSS,
    REGION,
    REGION_END,
    REGION_LIMIT,
    REGION_NEXT,
    REGION_RIGHTS,
    REGION_SHARE,
    REGION_START,
)


@reads
def region_find(m, pid, va):
    """Row number of the region of a process that holds `va`; 0 if none does."""
    region = m.process[pid * PROCESS + PROCESS_REGION]
    while region:
        row = region * REGION
        if va < m.region[row + REGION_END]:
            if va >= m.region[row + REGION_START]:
                return region
            return 0
        region = m.region[row + REGION_NEXT]
    return 0


@reads
def region_allows(m, region, access):
    """Do the region's rights include this access?"""
    rights = m.region[region * REGION + REGION_RIGHTS]
    if access == ACCESS_WRITE:
        return rights & RIGHT_W != 0
    if access == ACCESS_FETCH:
        return rights & RIGHT_X != 0
    return rights & RIGHT_R != 0


@reads(cold=True)
def stack_above(m, pid, va):
    """The region that would have to grow down to hold `va`; 0 if none may.

    A page stays free below it, unless what lies there allows no access (Linux: stack_guard_gap).
    """
    region = m.process[pid * PROCESS + PROCESS_REGION]
    lowest = 0
    while region:
        row = region * REGION
        if va < m.region[row + REGION_START]:
            if va >= m.region[row + REGION_LIMIT] and (lowest == 0 or va >= lowest):
                return region
            return 0
        lowest = m.region[row + REGION_END]
        if m.region[row + REGION_RIGHTS] & (RIGHT_R | RIGHT_W | RIGHT_X):
            lowest += 1 << PAGE_BITS
        region = m.region[row + REGION_NEXT]
    return 0


@writes
def entry_address(m, pid, va, last):
    """Physical address of the entry for `va` at depth `last`.  Tables that are missing on the way are made.

    Returns -1 if there is no frame for a table, -2 if an entry on the way does not point to a table.
    """
    table = m.process[pid * PROCESS + PROCESS_ROOT] & ROOT_MASK
    depth = 0
    while True:
        address = table + table_index(va, depth) * ENTRY_BYTES
        if depth == last:
            return address
        entry = load_entry(m, address)
        kind = classify(entry, depth)
        depth += 1
        if kind == ENTRY_EMPTY:
            table = table_take(m, pid, depth, address)
            if table < 0:
                return -1
            new = make_table(table, depth - 1)
            store_entry(m, address, new)
            if ROOT_LOADED and depth == 1:
                reload_roots(m)
            emit(m, ENTRY_WRITE, address, entry, new)
        elif kind == ENTRY_TABLE:
            table = next_table(entry, depth - 1)
        else:
            return -2


@reads
def new_leaf(m, region, frame, access):
    """A leaf that maps a frame with the rights of the region.

    A (and D for a write) is set if the kernel does that on this machine.  If the frame holds a page of an
    object and the region has private copies, the leaf is protected against writes.
    """
    leaf = make_leaf(frame_address(m, frame), m.region[region * REGION + REGION_RIGHTS], LEVELS - 1)
    if m.frame[frame * FRAME + FRAME_SLOT] < 0 and m.region[region * REGION + REGION_SHARE] == 0:
        leaf = protected(leaf)
    if SOFTWARE_WALK or (KERNEL_SETS_AD and m.cpu[m.kernel[KERNEL_CPU] * CPU + CPU_KERNEL_AD]):
        leaf = touched(leaf, access == ACCESS_WRITE)
    return leaf


@reads(cold=True)
def keep_ad(leaf, entry):
    """The leaf, with A and D also set where `entry`, an older entry for the same page, has them.

    Only the code that writes a page back may clear D (Linux: pte_modify).
    """
    accessed = is_accessed(leaf) | is_accessed(entry)
    dirty = is_dirty(leaf) | is_dirty(entry)
    if accessed or dirty:
        leaf = touched(leaf, dirty)
    if accessed == 0:
        leaf = aged(leaf)
    return leaf


@writes
def map_frame(m, pid, va, frame, address, leaf):
    """Write the leaf that maps a frame at `va`, and note it in the reverse map."""
    old = load_entry(m, address)
    store_entry(m, address, leaf)
    emit(m, ENTRY_WRITE, address, old, leaf)
    row = frame * FRAME
    m.frame[row + FRAME_STATE] = FRAME_IS_USER
    m.frame[row + FRAME_PID] = pid
    rmap_add(m, frame, address, pid, va)
    m.process[pid * PROCESS + PROCESS_RSS] += 1
