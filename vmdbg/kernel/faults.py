"""Page faults: what the kernel does when the MMU cannot translate (Linux: mm/memory.c)."""

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
    FAULT_NON_CANONICAL,
    FAULT_NOT_PRESENT,
    FAULT_PROTECTION,
    FAULT_REFILL,
    LEVELS,
    PAGE_BITS,
    RIGHT_R,
    RIGHT_W,
    RIGHT_X,
    ROOT_MASK,
    SHIFTS,
    SOFTWARE_WALK,
    classify,
    fault_code,
    make_leaf,
    make_table,
    marked,
    next_table,
    swapped_slot,
)
from vmdbg.hardware.memory import load, store, zero_frame
from vmdbg.hardware.mmu import allowed, tlb_fill
from vmdbg.hardware.paging import tell_steps, walk, walk_fault
from vmdbg.hardware.tlb import tlb_drop
from vmdbg.hot import reads, writes
from vmdbg.kernel.frames import FRAME_IS_USER, frame_address, pool_take, rmap_add, table_take
from vmdbg.kernel.policies import policy_load
from vmdbg.kernel.reasons import REASON_MEMORY, REASON_SIGNAL
from vmdbg.kernel.reclaim import reclaim
from vmdbg.kernel.swap import PAYLOAD, copy_in
from vmdbg.state.events import (
    ENTRY_WRITE,
    FAULT_MAJOR,
    FAULT_MINOR,
    FRAME_ALLOC,
    LIMIT_CHECK,
    SIGNAL,
    SWAP_IN,
    TABLE_READ,
    TRAP,
    emit,
)
from vmdbg.state.tables import (
    CONTROL_FAULT,
    CONTROL_RIGHTS,
    CONTROL_STEPS,
    CPU,
    CPU_ADDRESS,
    CPU_ASID,
    CPU_CODE,
    CPU_MODE,
    CPU_PID,
    CPU_ROOT,
    FRAME,
    FRAME_DEPTH,
    FRAME_PID,
    FRAME_SLOT,
    FRAME_STATE,
    KERNEL_RESIDENT,
    KERNEL_USER_POOL,
    PATH,
    PATH_ADDRESS,
    PATH_ENTRY,
    PROCESS,
    PROCESS_LIMIT,
    PROCESS_MAJOR,
    PROCESS_MINOR,
    PROCESS_REGION,
    PROCESS_ROOT,
    PROCESS_RSS,
    PROCESS_STATUS,
    PROCESS_SWAPPED,
    REGION,
    REGION_END,
    REGION_NEXT,
    REGION_RIGHTS,
    REGION_START,
    SLOT,
)

# Signals, and the codes of SIGSEGV (POSIX, signal.h; numbers of Linux on x86).
SIGBUS, SIGKILL, SIGSEGV = 7, 9, 11
MAPERR, ACCERR = 1, 2
REASON_ZERO = 0  # of fault-minor: a zeroed page


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


@writes(cold=True)
def signal(m, pid, number, code, va):
    """Condemn a process: the run loop kills it after this."""
    m.process[pid * PROCESS + PROCESS_STATUS] = 128 + number
    emit(m, SIGNAL, number, code, va)
    return REASON_SIGNAL


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


@writes
def take_user_frame(m):
    """A frame for a user page, after reclaim if none is free; -1 if memory and swap are full."""
    frame = pool_take(m, m.kernel[KERNEL_USER_POOL])
    while frame < 0:
        if reclaim(m):
            return -1
        frame = pool_take(m, m.kernel[KERNEL_USER_POOL])
    return frame


@writes
def within_limit(m, pid):
    """The memory-limit check: True if the process may have one more frame."""
    limit = m.process[pid * PROCESS + PROCESS_LIMIT]
    if limit == 0:
        return True
    held = m.process[pid * PROCESS + PROCESS_RSS]
    emit(m, LIMIT_CHECK, held, limit, 1 if held < limit else 0)
    return held < limit


@writes
def page_in(m, pid, region, va, access):
    """Give the page of `va` a frame: zeroed, or with its content from swap.  0 or a reason."""
    page = (va >> PAGE_BITS) << PAGE_BITS
    if not within_limit(m, pid):
        return signal(m, pid, SIGKILL, 0, va)
    if m.control[CONTROL_STEPS] == LEVELS:
        address = m.path[(LEVELS - 1) * PATH + PATH_ADDRESS]
    else:
        address = leaf_entry(m, pid, va)
        while address == -1:
            if reclaim(m):
                return REASON_MEMORY
            address = leaf_entry(m, pid, va)
    slot = 0
    if address >= 0:
        entry = load(m, address, ENTRY_BYTES)
        if classify(entry, LEVELS - 1) == ENTRY_SWAPPED:
            slot = swapped_slot(entry)
    if address < 0 or slot * SLOT >= len(m.slot):
        return signal(m, pid, SIGBUS, 0, va)
    frame = take_user_frame(m)
    if frame < 0:
        return REASON_MEMORY
    base = frame_address(m, frame)
    row = pid * PROCESS
    m.frame[frame * FRAME + FRAME_SLOT] = slot
    m.frame[frame * FRAME + FRAME_DEPTH] = 0
    if slot:
        copy_in(m, frame, slot)
        m.process[row + PROCESS_SWAPPED] -= 1
        emit(m, SWAP_IN, slot, base >> PAGE_BITS, page)
    else:
        if PAYLOAD:
            zero_frame(m, frame)
        emit(m, FRAME_ALLOC, base >> PAGE_BITS, page, 0)
    leaf = make_leaf(base, m.region[region * REGION + REGION_RIGHTS], LEVELS - 1)
    if SOFTWARE_WALK:
        leaf = marked(leaf, access == ACCESS_WRITE)
    map_frame(m, pid, page, frame, address, leaf)
    policy_load(m, frame)
    m.kernel[KERNEL_RESIDENT] += 1
    if slot:
        m.process[row + PROCESS_MAJOR] += 1
        emit(m, FAULT_MAJOR, va, region, slot)
    else:
        m.process[row + PROCESS_MINOR] += 1
        emit(m, FAULT_MINOR, va, region, REASON_ZERO)
    return 0


@writes
def refill(m, cpu, va, access):
    """The kernel's TLB handler on a present entry: set A (and D), and fill the TLB."""
    row = (m.control[CONTROL_STEPS] - 1) * PATH
    old = m.path[row + PATH_ENTRY]
    new = marked(old, access == ACCESS_WRITE)
    if new != old:
        store(m, m.path[row + PATH_ADDRESS], ENTRY_BYTES, new)
        m.path[row + PATH_ENTRY] = new
        emit(m, ENTRY_WRITE, m.path[row + PATH_ADDRESS], old, new)
    tlb_fill(m, cpu, va, access)


@writes
def handle_fault(m, cpu, va, access):
    """Serve the fault in CONTROL_FAULT.  0: repeat the access.  Else a reason for the run loop."""
    c = cpu * CPU
    fault = m.control[CONTROL_FAULT]
    pid = m.cpu[c + CPU_PID]
    m.cpu[c + CPU_ADDRESS] = va
    m.cpu[c + CPU_CODE] = fault_code(fault, access, m.cpu[c + CPU_MODE])
    emit(m, TRAP, fault, m.cpu[c + CPU_CODE], va)
    if fault == FAULT_NON_CANONICAL:
        return signal(m, pid, SIGSEGV, MAPERR, va)
    if fault == FAULT_REFILL or fault == FAULT_PROTECTION:
        kind = walk(m, m.cpu[c + CPU_ROOT], va)
        if fault == FAULT_REFILL:
            tell_steps(m, TABLE_READ)
        fault = walk_fault(kind)
        if kind == ENTRY_LEAF:
            if allowed(m, cpu, m.control[CONTROL_RIGHTS], access):
                # Present and allowed: a refill, or a cached entry with fewer rights than the table's.
                if SOFTWARE_WALK:
                    refill(m, cpu, va, access)
                else:
                    tlb_drop(m, cpu, va, m.cpu[c + CPU_ASID])
                return 0
            fault = FAULT_PROTECTION
        m.cpu[c + CPU_CODE] = fault_code(fault, access, m.cpu[c + CPU_MODE])
    region = region_find(m, pid, va)
    if region == 0:
        return signal(m, pid, SIGSEGV, MAPERR, va)
    if fault == FAULT_PROTECTION or not region_allows(m, region, access):
        return signal(m, pid, SIGSEGV, ACCERR, va)
    if fault != FAULT_NOT_PRESENT:
        return signal(m, pid, SIGBUS, 0, va)
    reason = page_in(m, pid, region, va, access)
    if reason == 0 and SOFTWARE_WALK:
        walk(m, m.cpu[c + CPU_ROOT], va)
        tlb_fill(m, cpu, va, access)
    return reason
