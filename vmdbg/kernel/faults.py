"""Page faults: what the kernel does when the MMU cannot translate (Linux: mm/memory.c)."""

# Long: every way to serve a fault, in the order in which they are tried.
from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.formats.contract import (
    ACCESS_WRITE,
    ENTRY_EMPTY,
    ENTRY_LEAF,
    ENTRY_SWAPPED,
    FAULT_AD,
    FAULT_KEY,
    FAULT_NON_CANONICAL,
    FAULT_NONE,
    FAULT_NOT_PRESENT,
    FAULT_PROTECTION,
    FAULT_REFILL,
    LEVELS,
    PAGE_BITS,
    RIGHT_W,
    ROOT_MASK,
    SOFTWARE_WALK,
    classify,
    leaf_frame,
    swapped_slot,
    touched,
)
from vmdbg.hardware.memory import copy_words, load_entry, store_entry, zero_frame
from vmdbg.hardware.mmu import code_of, page_fault, tlb_fill
from vmdbg.hardware.tlb import WALK_CACHES, size_shift, tlb_drop
from vmdbg.hardware.walk import tell_steps, walk, walk_fault
from vmdbg.kernel.address_space import (
    entry_address,
    keep_ad,
    map_frame,
    new_leaf,
    region_allows,
    region_find,
    stack_above,
)
from vmdbg.kernel.exits import REASON_LARGE, REASON_MEMORY, REASON_REFUSED, REASON_SIGNAL
from vmdbg.kernel.frames import (
    FRAME_IS_USER,
    LARGE_LEAVES,
    POOL_COUNT,
    frame_address,
    frame_at,
    free_row,
    pool_take,
    rmap_remove,
    wake_if_low,
)
from vmdbg.kernel.large_faults import PROMOTE, is_damaged, large_in, promotes
from vmdbg.kernel.page_cache import WHY_ZERO, cache_row, fill_cached, map_cached, tell_cached
from vmdbg.kernel.policies import policy_load
from vmdbg.kernel.reclaim import make_room, reclaim
from vmdbg.kernel.shootdown import shoot_down
from vmdbg.kernel.swap import PAYLOAD, copy_in
from vmdbg.state.events import (
    ENTRY_WRITE,
    FAULT_ACCESS,
    FAULT_COW,
    FAULT_MAJOR,
    FAULT_MINOR,
    FRAME_ALLOC,
    KERNEL_FAULT,
    LIMIT_CHECK,
    REFUSED,
    SIGNAL,
    STACK_GROW,
    SWAP_IN,
    TABLE_READ,
    TRAP,
    emit,
)
from vmdbg.state.tables import (
    CACHE,
    CACHE_FRAME,
    CONTROL_FAULT,
    CONTROL_RIGHTS,
    CONTROL_STEPS,
    CONTROL_VALUE,
    CPU,
    CPU_ADDRESS,
    CPU_ASID,
    CPU_CODE,
    CPU_MODE,
    CPU_PID,
    CPU_ROOT,
    FRAME,
    FRAME_DEPTH,
    FRAME_MAPS,
    FRAME_SLOT,
    FRAME_STATE,
    KERNEL_CPU,
    KERNEL_FREE,
    KERNEL_MIN,
    KERNEL_OVER_LIMIT,
    KERNEL_RESIDENT,
    KERNEL_USER_POOL,
    PATH,
    PATH_ADDRESS,
    PATH_ENTRY,
    PATH_RIGHTS,
    PROCESS,
    PROCESS_CAUSE,
    PROCESS_LIMIT,
    PROCESS_MAJOR,
    PROCESS_MINOR,
    PROCESS_ROOT,
    PROCESS_RSS,
    PROCESS_STATUS,
    PROCESS_SWAPPED,
    REGION,
    REGION_KIND,
    REGION_OBJECT,
    REGION_SHARE,
    REGION_SIZE,
    REGION_START,
    SLOT,
)

# Signals, and the codes of SIGSEGV (POSIX, signal.h; numbers of Linux on x86).
SIGBUS, SIGKILL, SIGSEGV = 7, 9, 11
MAPERR, ACCERR, PKUERR = 1, 2, 4
OVER_KILL, OVER_FAIL, OVER_RECLAIM = 0, 1, 2  # what happens at a process's limit
MAX_FAULTS = 8  # that are served for one access to one page; one more is a bus error
OVER_LIMIT = ("kill", "fail", "reclaim")
MOST_FRAMES = (1 << 31) - 1  # the largest limit, and the largest adjustment of an out-of-memory score
CAUSE_LIMIT, CAUSE_MEMORY, CAUSE_POLICY = 1, 2, 3  # of a SIGKILL


@writes(cold=True)
def signal(m, pid, number, code, va):
    """Note the signal that is to kill a process; returns REASON_SIGNAL, for which the run loop kills it.

    If it is the kernel's own access that cannot be served, nobody is killed for it: REASON_REFUSED.
    """
    if m.cpu[m.kernel[KERNEL_CPU] * CPU + CPU_MODE] and number != SIGKILL:
        emit(m, KERNEL_FAULT, va, number, code)
        return REASON_REFUSED
    m.process[pid * PROCESS + PROCESS_STATUS] = 128 + number
    emit(m, SIGNAL, number, code, va)
    return REASON_SIGNAL


@writes
def take_user_frame(m):
    """A frame for a user page, after reclaim if too few are free; -1 if no page can leave."""
    pool = m.kernel[KERNEL_USER_POOL]
    while m.kernel[pool + POOL_COUNT] <= m.kernel[KERNEL_MIN] and (
        m.kernel[pool + POOL_COUNT] == 0 or m.kernel[pool + POOL_COUNT] < m.kernel[KERNEL_RESIDENT]
    ):
        if reclaim(m, 1):
            break
    frame = pool_take(m, pool)
    wake_if_low(m, pool)
    return frame


@writes
def within_limit(m, pid, count):
    """The memory-limit check: True if the process may have `count` more frames."""
    limit = m.process[pid * PROCESS + PROCESS_LIMIT]
    if limit == 0:
        return True
    held = m.process[pid * PROCESS + PROCESS_RSS]
    fits = held + count <= limit
    emit(m, LIMIT_CHECK, held, limit, 1 if fits else 0)
    return fits


@writes(cold=True)
def make_own_room(m, pid, count):
    """Evict pages of a process at its limit until it may have `count` frames more; False if it may not.

    Only with `kernel.over_limit` reclaim.
    """
    most = m.process[pid * PROCESS + PROCESS_LIMIT] - count
    if m.kernel[KERNEL_OVER_LIMIT] != OVER_RECLAIM or most < 0:
        return False
    while m.process[pid * PROCESS + PROCESS_RSS] > most:
        if make_room(m, pid):
            return False
    return True


@writes(cold=True)
def over_limit(m, pid, va, count):
    """Do what `kernel.over_limit` says when a process needs `count` frames above its limit.

    Returns 0 if the process gave up pages of its own; else the reason to give up the access or kill the
    process.
    """
    p = pid * PROCESS
    if make_own_room(m, pid, count):
        return 0
    if m.kernel[KERNEL_OVER_LIMIT] == OVER_FAIL:
        emit(m, REFUSED, va, m.process[p + PROCESS_RSS], m.process[p + PROCESS_LIMIT])
        return REASON_REFUSED
    m.process[p + PROCESS_CAUSE] = CAUSE_LIMIT
    return signal(m, pid, SIGKILL, 0, va)


@writes(cold=True)
def make_leaf_entry(m, pid, va):
    """`entry_address` of the last level.

    Reclaims if there is no frame for a table; -1 if that does not help.
    """
    address = entry_address(m, pid, va, LEVELS - 1)
    while address == -1 and m.kernel[KERNEL_USER_POOL] == KERNEL_FREE:
        if reclaim(m, 1):
            return -1
        address = entry_address(m, pid, va, LEVELS - 1)
    return address


@writes
def fill_frame(m, pid, page, frame, slot):
    """Fill a frame with the content of a private page: what its slot holds, or zeros if it has no slot."""
    pfn = frame_address(m, frame) >> PAGE_BITS
    if slot:
        m.frame[frame * FRAME + FRAME_SLOT] = slot
        copy_in(m, frame, slot)
        m.process[pid * PROCESS + PROCESS_SWAPPED] -= 1
        emit(m, SWAP_IN, slot, pfn, page)
    else:
        if PAYLOAD:
            zero_frame(m, frame)
        emit(m, FRAME_ALLOC, pfn, page, 0)


@writes
def page_in(m, pid, region, va, access):
    """Give the page of `va` a frame: a zeroed one, one with the page's content, or one that is shared.

    CONTROL_STEPS and `path` have to be those of a walk to `va`.  Returns 0 or a reason.
    """
    r = region * REGION
    page = (va >> PAGE_BITS) << PAGE_BITS
    count = 1 << ((size_shift(m.region[r + REGION_SIZE]) - PAGE_BITS) & 63)
    if not within_limit(m, pid, count):
        reason = over_limit(m, pid, va, count)
        if reason:
            return reason
    if m.region[r + REGION_SIZE] or (PROMOTE and promotes(m, pid, region, va)):
        if LARGE_LEAVES and is_damaged(m, region, va):
            return signal(m, pid, SIGBUS, 0, va)
        return large_in(m, pid, region, va)
    if m.control[CONTROL_STEPS] == LEVELS:
        address = m.path[(LEVELS - 1) * PATH + PATH_ADDRESS]
    else:
        address = make_leaf_entry(m, pid, va)
        if address == -1:
            return REASON_MEMORY
    slot = 0
    if address >= 0:
        entry = load_entry(m, address)
        kind = classify(entry, LEVELS - 1)
        if kind == ENTRY_SWAPPED:
            slot = swapped_slot(entry)
        elif kind != ENTRY_EMPTY:
            address = -1
    if address < 0 or slot * SLOT >= len(m.slot):
        return signal(m, pid, SIGBUS, 0, va)
    row = 0
    if m.region[r + REGION_OBJECT] and (slot == 0 or m.region[r + REGION_SHARE]):
        row = cache_row(m, region, page)
        if row == 0:
            return signal(m, pid, SIGBUS, 0, va)
        if m.cache[row * CACHE + CACHE_FRAME] and (access != ACCESS_WRITE or m.region[r + REGION_SHARE]):
            return map_cached(m, pid, region, va, address, slot, row, access)
    frame = take_user_frame(m)
    if frame < 0:
        return REASON_MEMORY
    m.frame[frame * FRAME + FRAME_DEPTH] = 0
    served = FAULT_MINOR
    if row:
        served = fill_cached(m, pid, region, page, frame, slot, row, access)
    else:
        fill_frame(m, pid, page, frame, slot)
    map_frame(m, pid, page, frame, address, new_leaf(m, region, frame, access))
    policy_load(m, frame)
    m.kernel[KERNEL_RESIDENT] += 1
    if row:
        tell_cached(m, pid, region, va, frame, row, served)
    elif slot:
        m.process[pid * PROCESS + PROCESS_MAJOR] += 1
        emit(m, FAULT_MAJOR, va, m.region[r + REGION_KIND], slot)
    else:
        m.process[pid * PROCESS + PROCESS_MINOR] += 1
        emit(m, FAULT_MINOR, va, m.region[r + REGION_KIND], WHY_ZERO)
    return 0


@reads(cold=True)
def leaf_decides(m):
    """Do the entries above the leaf of `path` allow a write?"""
    depth = m.control[CONTROL_STEPS] - 1
    return depth == 0 or m.path[(depth - 1) * PATH + PATH_RIGHTS] & RIGHT_W != 0


@writes(cold=True)
def copy_on_write(m, pid, region, va, access):
    """Serve a write to a page that its region allows and its entry forbids.

    The process gets a copy of the page, or, if no other process maps the frame, only the right to write.  The
    leaf is the last row of `path`.  Returns 0 or a reason.
    """
    depth = m.control[CONTROL_STEPS] - 1
    if depth != LEVELS - 1:
        if LEVELS - 1 - depth != m.region[region * REGION + REGION_SIZE]:
            return signal(m, pid, SIGBUS, 0, va)
        m.control[CONTROL_VALUE] = va
        return REASON_LARGE
    address = m.path[depth * PATH + PATH_ADDRESS]
    entry = m.path[depth * PATH + PATH_ENTRY]
    page = (va >> PAGE_BITS) << PAGE_BITS
    frame = frame_at(m, leaf_frame(entry, depth))
    if frame < 0 or m.frame[frame * FRAME + FRAME_STATE] != FRAME_IS_USER:
        return signal(m, pid, SIGBUS, 0, va)
    pfn = frame_address(m, frame) >> PAGE_BITS
    own = m.frame[frame * FRAME + FRAME_MAPS] == 1
    if m.frame[frame * FRAME + FRAME_SLOT] < 0:
        own = m.region[region * REGION + REGION_SHARE] != 0
    if own:
        leaf = keep_ad(new_leaf(m, region, frame, access), entry)
        store_entry(m, address, leaf)
        emit(m, ENTRY_WRITE, address, entry, leaf)
        shoot_down(m, pid, page)
        m.process[pid * PROCESS + PROCESS_MINOR] += 1
        emit(m, FAULT_COW, va, pfn, pfn)
        return 0
    fresh = take_user_frame(m)
    if fresh < 0:
        return REASON_MEMORY
    if load_entry(m, address) != entry:
        # Making room has evicted the page itself: the new frame goes back and the access starts again.
        free_row(m, m.kernel[KERNEL_USER_POOL], fresh)
        return 0
    if PAYLOAD:
        m.dirty[fresh] = 1
        copy_words(m.ram8, fresh << (PAGE_BITS - 3), m.ram8, frame << (PAGE_BITS - 3), 1 << (PAGE_BITS - 3))
    rmap_remove(m, frame, address)
    m.process[pid * PROCESS + PROCESS_RSS] -= 1
    m.frame[fresh * FRAME + FRAME_DEPTH] = 0
    map_frame(m, pid, page, fresh, address, new_leaf(m, region, fresh, access))
    shoot_down(m, pid, page)
    policy_load(m, fresh)
    m.kernel[KERNEL_RESIDENT] += 1
    m.process[pid * PROCESS + PROCESS_MINOR] += 1
    emit(m, FAULT_COW, va, pfn, frame_address(m, fresh) >> PAGE_BITS)
    return 0


@writes(cold=True)
def grow_stack(m, region, va):
    """Let a stack region start at the page of `va`."""
    row = region * REGION
    old = m.region[row + REGION_START]
    m.region[row + REGION_START] = (va >> PAGE_BITS) << PAGE_BITS
    emit(m, STACK_GROW, old, m.region[row + REGION_START], m.region[row + REGION_KIND])


@writes(cold=True)
def set_ad(m, pid, va, access):
    """Set A, and D for a write, in the leaf at the end of `path`, on machines where the kernel does that."""
    row = (m.control[CONTROL_STEPS] - 1) * PATH
    old = m.path[row + PATH_ENTRY]
    new = touched(old, access == ACCESS_WRITE)
    store_entry(m, m.path[row + PATH_ADDRESS], new)
    emit(m, ENTRY_WRITE, m.path[row + PATH_ADDRESS], old, new)
    shoot_down(m, pid, va)
    emit(m, FAULT_ACCESS, va, new, 1 if access == ACCESS_WRITE else 0)


@writes
def refill(m, cpu, va, access):
    """The kernel's TLB handler on a present entry: set A (and D), and fill the TLB."""
    row = (m.control[CONTROL_STEPS] - 1) * PATH
    old = m.path[row + PATH_ENTRY]
    new = touched(old, access == ACCESS_WRITE)
    if new != old:
        store_entry(m, m.path[row + PATH_ADDRESS], new)
        m.path[row + PATH_ENTRY] = new
        emit(m, ENTRY_WRITE, m.path[row + PATH_ADDRESS], old, new)
    tlb_fill(m, cpu, va, access, 0)


@reads
def walks_again(fault):
    """Does the kernel read the tables itself after this fault, as a cache may have told the hardware?"""
    if fault == FAULT_REFILL or fault == FAULT_PROTECTION or fault == FAULT_KEY:
        return True
    return WALK_CACHES != 0 and fault == FAULT_NOT_PRESENT


@writes
def trap(m, cpu, va, access):
    """Let a CPU enter the kernel with the fault in CONTROL_FAULT."""
    c = cpu * CPU
    fault = m.control[CONTROL_FAULT]
    m.cpu[c + CPU_ADDRESS] = va
    m.cpu[c + CPU_CODE] = code_of(m, cpu, fault, access, m.cpu[c + CPU_MODE], m.control[CONTROL_STEPS] - 1)
    emit(m, TRAP, fault, m.cpu[c + CPU_CODE], va)


@writes(apart=True)
def handle_fault(m, cpu, va, access):
    """Serve the fault in CONTROL_FAULT.  0: repeat the access.  Else a reason for the run loop."""
    c = cpu * CPU
    fault = m.control[CONTROL_FAULT]
    pid = m.cpu[c + CPU_PID]
    trap(m, cpu, va, access)
    if fault == FAULT_NON_CANONICAL:
        return signal(m, pid, SIGSEGV, MAPERR, va)
    if walks_again(fault):
        kind = walk(m, m.cpu[c + CPU_ROOT], va)
        if fault == FAULT_REFILL:
            tell_steps(m, TABLE_READ)
        fault = walk_fault(kind)
        if kind == ENTRY_LEAF:
            fault = page_fault(m, cpu, access)
            if fault == FAULT_NONE:
                # Present and allowed: the TLB needs a refill, or a cache holds an older entry.
                if SOFTWARE_WALK:
                    refill(m, cpu, va, access)
                else:
                    tlb_drop(m, cpu, va, m.cpu[c + CPU_ASID])
                return 0
        m.cpu[c + CPU_CODE] = code_of(
            m, cpu, fault, access, m.cpu[c + CPU_MODE], m.control[CONTROL_STEPS] - 1
        )
    if fault == FAULT_AD:
        set_ad(m, pid, va, access)
        return 0
    if (m.cpu[c + CPU_ROOT] ^ m.process[pid * PROCESS + PROCESS_ROOT]) & ROOT_MASK:
        return signal(m, pid, SIGBUS, 0, va)  # somebody changed the root register
    region = region_find(m, pid, va)
    if region == 0:
        region = stack_above(m, pid, va)
        if region == 0:
            return signal(m, pid, SIGSEGV, MAPERR, va)
        grow_stack(m, region, va)
    if not region_allows(m, region, access):
        return signal(m, pid, SIGSEGV, ACCERR, va)
    if fault == FAULT_KEY:
        return signal(m, pid, SIGSEGV, PKUERR, va)
    if fault == FAULT_PROTECTION:
        if access != ACCESS_WRITE or m.control[CONTROL_RIGHTS] & RIGHT_W or not leaf_decides(m):
            return signal(m, pid, SIGSEGV, ACCERR, va)
        reason = copy_on_write(m, pid, region, va, access)
    elif fault == FAULT_NOT_PRESENT:
        reason = page_in(m, pid, region, va, access)
    else:
        return signal(m, pid, SIGBUS, 0, va)
    if reason == 0 and SOFTWARE_WALK:
        walk(m, m.cpu[c + CPU_ROOT], va)
        tlb_fill(m, cpu, va, access, 0)
    return reason
