"""Address spaces: the regions of a process, and its tables as the kernel reads and writes them."""

from __future__ import annotations

from vmdbg.formats.contract import (
    ACCESS_FETCH,
    ACCESS_WRITE,
    BITS,
    ENTRY_BYTES,
    ENTRY_EMPTY,
    ENTRY_LEAF,
    ENTRY_SWAPPED,
    ENTRY_TABLE,
    LEVELS,
    RIGHT_R,
    RIGHT_W,
    RIGHT_X,
    ROOT_MASK,
    SHIFTS,
    classify,
    make_table,
    next_table,
)
from vmdbg.hardware.memory import load, store
from vmdbg.hot import reads, writes
from vmdbg.kernel.frames import FRAME_IS_USER, rmap_add, table_take
from vmdbg.state.events import ENTRY_WRITE, emit
from vmdbg.state.tables import (
    FRAME,
    FRAME_PID,
    FRAME_STATE,
    PROCESS,
    PROCESS_REGION,
    PROCESS_ROOT,
    PROCESS_RSS,
    REGION,
    REGION_END,
    REGION_LIMIT,
    REGION_NEXT,
    REGION_OFFSET,
    REGION_PID,
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
    """The region that would have to grow down to hold `va`; 0 if none may."""
    region = m.process[pid * PROCESS + PROCESS_REGION]
    while region:
        row = region * REGION
        if va < m.region[row + REGION_START]:
            if va >= m.region[row + REGION_LIMIT]:
                return region
            return 0
        region = m.region[row + REGION_NEXT]
    return 0


@reads
def leaf_lookup(m, root, va):
    """Physical address of the last-level entry for `va`; -1 if the tables do not reach that far."""
    table = root & ROOT_MASK
    depth = 0
    while depth < LEVELS:
        at = depth << 3
        index = (va >> ((SHIFTS >> at) & 255)) & ((1 << ((BITS >> at) & 255)) - 1)
        address = table + index * ENTRY_BYTES
        if depth == LEVELS - 1:
            return address
        entry = load(m, address, ENTRY_BYTES)
        if classify(entry, depth) != ENTRY_TABLE:
            return -1
        table = next_table(entry)
        depth += 1
    return -1


@reads(cold=True)
def shared_entry(m, region, va):
    """The entry of another process for the same page of a shared object; -1 if none has it.

    A present one is preferred to one that holds a slot.
    """
    row = region * REGION
    found = -1
    other = REGION
    while other < len(m.region):
        if m.region[other + REGION_SHARE] == m.region[row + REGION_SHARE] and other != row:
            at = va - m.region[row + REGION_START] + m.region[row + REGION_OFFSET]
            at += m.region[other + REGION_START] - m.region[other + REGION_OFFSET]
            if m.region[other + REGION_START] <= at and at < m.region[other + REGION_END]:
                root = m.process[m.region[other + REGION_PID] * PROCESS + PROCESS_ROOT]
                address = leaf_lookup(m, root, at)
                if address >= 0:
                    kind = classify(load(m, address, ENTRY_BYTES), LEVELS - 1)
                    if kind == ENTRY_LEAF:
                        return address
                    if kind == ENTRY_SWAPPED:
                        found = address
        other += REGION
    return found


@writes
def leaf_entry(m, pid, va):
    """Physical address of the last-level entry for `va`, with tables made on the way.

    -1: no frame for a table.  -2: an entry on the way is no pointer to a table.
    """
    table = m.process[pid * PROCESS + PROCESS_ROOT] & ROOT_MASK
    depth = 0
    while True:
        at = depth << 3
        index = (va >> ((SHIFTS >> at) & 255)) & ((1 << ((BITS >> at) & 255)) - 1)
        address = table + index * ENTRY_BYTES
        if depth == LEVELS - 1:
            return address
        entry = load(m, address, ENTRY_BYTES)
        kind = classify(entry, depth)
        depth += 1
        if kind == ENTRY_EMPTY:
            table = table_take(m, pid, depth, address)
            if table < 0:
                return -1
            new = make_table(table)
            store(m, address, ENTRY_BYTES, new)
            emit(m, ENTRY_WRITE, address, entry, new)
        elif kind == ENTRY_TABLE:
            table = next_table(entry)
        else:
            return -2


@writes
def map_frame(m, pid, va, frame, address, leaf):
    """Write the leaf that maps a frame at `va`, and note it in the reverse map."""
    old = load(m, address, ENTRY_BYTES)
    store(m, address, ENTRY_BYTES, leaf)
    emit(m, ENTRY_WRITE, address, old, leaf)
    row = frame * FRAME
    m.frame[row + FRAME_STATE] = FRAME_IS_USER
    m.frame[row + FRAME_PID] = pid
    rmap_add(m, frame, address, pid, va)
    m.process[pid * PROCESS + PROCESS_RSS] += 1
