"""The memory management unit: TLB first, else the walk (or, software-filled, a trap); then rights, A, D."""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.formats.contract import (
    ACCESS_FETCH,
    ACCESS_WRITE,
    AD_FIRST,
    BARE,
    BARE_ROOT,
    BUS_CAUSES,
    CAUSES,
    CODE_FETCH,
    CODE_KEY,
    CODE_PRESENT,
    CODE_RESERVED,
    CODE_USER,
    CODE_WRITE,
    FAULT_AD,
    FAULT_BUS,
    FAULT_KEY,
    FAULT_NON_CANONICAL,
    FAULT_NONE,
    FAULT_NOT_PRESENT,
    FAULT_OUTSIDE,
    FAULT_PROTECTION,
    FAULT_REFILL,
    FAULT_RESERVED,
    KERNEL_SETS_AD,
    KEY_LOW,
    KEY_MASK,
    LEVELS,
    PAGE_BITS,
    RIGHT_U,
    RIGHTS,
    SOFTWARE_WALK,
    SPLIT,
    TOP_BITS,
    TOP_SHIFT,
    is_accessed,
    is_dirty,
    is_global,
)
from vmdbg.hardware.tlb import (
    FIRST_DATA,
    FIRST_FETCH,
    INCLUSIVE,
    KEEPS_WAYS,
    KEY_ASID,
    KEY_SIZE,
    KEY_TAG,
    SECOND,
    WALK_CACHES,
    WORD_ALLOWED,
    WORD_DIRTY,
    WORD_GLOBAL,
    WORD_KEY,
    WORD_KEYED,
    WORD_PFN,
    WORD_SUSPECT,
    first_array,
    size_shift,
    tlb_drop_above,
    tlb_find,
    tlb_holds,
    tlb_insert,
    tlb_search,
    tlb_tag,
    tlb_touch,
    tlb_trust,
    word_address,
)
from vmdbg.hardware.walk import (
    first_step,
    ignored_bits,
    leaf_address,
    reached,
    recheck,
    reserves,
    set_path_ad,
    tell_steps,
    untagged,
    walk,
    walk_began,
    walk_fault,
)
from vmdbg.hardware.walk_cache import walk_cache_fill, walk_cache_use, walk_cached
from vmdbg.state.events import (
    STRADDLE_FETCH,
    STRADDLE_READ,
    STRADDLE_WRITE,
    TLB_FILL,
    TLB_HIT,
    TLB_L2_HIT,
    TLB_MISS,
    TLB_STALE,
    WALK_STEP,
    emit,
)
from vmdbg.state.tables import (
    CONTROL_FAULT,
    CONTROL_RIGHTS,
    CONTROL_SET,
    CONTROL_STEPS,
    CPU,
    CPU_ASID,
    CPU_KERNEL_AD,
    CPU_KEYS_READ,
    CPU_READ,
    CPU_ROOT,
    CPU_SILENT,
    CPU_TAGS,
    PATH,
    PATH_ENTRY,
    PATH_INDEX,
    TLB_KEY,
    TLB_WORD,
)

HIT_SIZE = 56  # shift: where the third argument of tlb-hit holds the page-size index, above the word
FILL_ACCESS = 60  # shift: where the third argument of tlb-fill holds the access, above the word


@reads
def allowed(m, cpu, rights, access):
    """May the CPU, in its mode and with its control registers, make this access with these rights?"""
    return (m.cpu[cpu * CPU + CPU_READ + access] >> rights) & 1


@reads
def fault_code(fault, access, mode, depth):
    """The cause or the error code of a fault, before registers have their say (`code_of`).

    `depth`: of the entry at which the walk ended.  RISC-V Privileged, table "scause values after trap"; Intel
    SDM 3A, 4.7.
    """
    if CAUSES:
        if fault == FAULT_BUS and BUS_CAUSES:
            return (BUS_CAUSES >> ((access << 3) & 63)) & 255
        return (CAUSES >> ((access << 3) & 63)) & 255
    code = 0
    if fault != FAULT_NOT_PRESENT:
        code = CODE_PRESENT
    if access == ACCESS_WRITE:
        code |= CODE_WRITE
    if mode == 0:
        code |= CODE_USER
    if fault == FAULT_RESERVED:
        code |= CODE_RESERVED
    if access == ACCESS_FETCH:
        code |= CODE_FETCH
    if fault == FAULT_KEY:
        code |= CODE_KEY
    return code


@reads
def code_of(m, cpu, fault, access, mode, depth):
    """The error code or cause that a CPU reports for a fault in a mode, as its registers modify it.

    `depth`: of the entry at which the walk ended, or that the TLB holds.
    """
    return fault_code(fault, access, mode, depth) & ~m.cpu[cpu * CPU + CPU_SILENT]


@reads
def key_forbids(m, cpu, rights, key, access):
    """Does a protection key forbid a CPU an access to a page with these rights?  (SDM 3A, 4.6.2.)"""
    if access == ACCESS_FETCH or rights & RIGHT_U == 0:
        return 0
    return (m.cpu[cpu * CPU + CPU_KEYS_READ + access] >> (key & 15)) & 1


@reads
def path_key(m):
    """The protection key of the leaf at the end of `path`."""
    return (m.path[(m.control[CONTROL_STEPS] - 1) * PATH + PATH_ENTRY] >> KEY_LOW) & KEY_MASK


@reads
def page_fault(m, cpu, access):
    """The fault of an access by a CPU to the page at the end of `path`; FAULT_NONE if it may be made."""
    rights = m.control[CONTROL_RIGHTS]
    if KEY_MASK and key_forbids(m, cpu, rights, path_key(m), access):
        return FAULT_KEY
    if not allowed(m, cpu, rights, access):
        return FAULT_PROTECTION
    return FAULT_NONE


@reads(cold=True)
def word_fault(m, cpu, word, access):
    """The fault of an access by a CPU through a word of the TLB; FAULT_NONE if it may be made."""
    if KEY_MASK and key_forbids(m, cpu, word & RIGHTS, (word >> WORD_KEY) & KEY_MASK, access):
        return FAULT_KEY
    if not allowed(m, cpu, word & RIGHTS, access):
        return FAULT_PROTECTION
    return FAULT_NONE


@reads
def path_word(m, cpu, va):
    """The TLB word that a CPU makes of the leaf at the end of `path`, to which `va` led."""
    depth = m.control[CONTROL_STEPS] - 1
    entry = m.path[depth * PATH + PATH_ENTRY] & ~ignored_bits(m, cpu, va)
    address = leaf_address(entry, depth, m.path[depth * PATH + PATH_INDEX])
    word = ((address >> PAGE_BITS) << WORD_PFN) | m.control[CONTROL_RIGHTS]
    if is_dirty(entry):
        word |= WORD_DIRTY
    if is_global(entry):
        word |= WORD_GLOBAL
    if KEY_MASK:
        word |= WORD_KEYED | (path_key(m) << WORD_KEY)
    return word


@reads
def path_address(m, va):
    """The physical address of `va` by the leaf at the end of `path`."""
    depth = m.control[CONTROL_STEPS] - 1
    start = leaf_address(m.path[depth * PATH + PATH_ENTRY], depth, m.path[depth * PATH + PATH_INDEX])
    return start + (va & ((1 << (size_shift(LEVELS - 1 - depth) & 63)) - 1))


@writes
def tlb_fill(m, cpu, va, access, doubt):
    """Put the translation at the end of `path` into the arrays that serve `access`; returns its word.

    `doubt`: WORD_SUSPECT if the walk began at an entry of a page-walk cache that is stale, else 0.
    """
    word = path_word(m, cpu, va) | doubt
    size = LEVELS - m.control[CONTROL_STEPS]
    key = (tlb_tag(va, size) << KEY_TAG) | size
    if word & WORD_GLOBAL == 0:
        key |= m.cpu[cpu * CPU + CPU_ASID] << KEY_ASID
    array = first_array(access)
    if array >= 0 and tlb_holds(m, array, size):
        tlb_insert(m, array, cpu, key, word)
    if SECOND >= 0 and tlb_holds(m, SECOND, size):
        gone = tlb_insert(m, SECOND, cpu, key, word)
        if INCLUSIVE and gone >= 0:
            tlb_drop_above(m, cpu, gone)
    if FIRST_DATA >= 0 or FIRST_FETCH >= 0 or SECOND >= 0:
        emit(m, TLB_FILL, va, key, word | (access << FILL_ACCESS))
    return word


@reads
def lacks_ad(m, cpu, access):
    """Does the leaf at the end of `path` lack A, or D for a write, which this CPU does not set?"""
    entry = m.path[(m.control[CONTROL_STEPS] - 1) * PATH + PATH_ENTRY]
    missing = 0
    if is_accessed(entry) == 0:
        missing = 1
    if access == ACCESS_WRITE and is_dirty(entry) == 0:
        missing |= 2
    return missing & m.cpu[cpu * CPU + CPU_KERNEL_AD] != 0


@writes(apart=True)
def walk_and_fill(m, cpu, va, access):
    """Walk the tables after a TLB miss and fill the TLB.

    Returns the physical address, or -1 with CONTROL_FAULT set.
    """
    doubt = 0
    if WALK_CACHES:
        kind = walk_cached(m, cpu, m.cpu[cpu * CPU + CPU_ROOT], m.cpu[cpu * CPU + CPU_ASID], va)
        doubt = walk_cache_use(m, cpu, va)
    else:
        kind = walk(m, m.cpu[cpu * CPU + CPU_ROOT], va)
    if reserves(m, cpu):
        kind = recheck(m, cpu, first_step(m), kind)
    fault = walk_fault(kind)
    if AD_FIRST and fault == FAULT_NONE and lacks_ad(m, cpu, access):
        fault = FAULT_AD  # Arm ARM, D8.16: before permissions
    if fault == FAULT_NONE:
        fault = page_fault(m, cpu, access)
    if KERNEL_SETS_AD and fault == FAULT_NONE and lacks_ad(m, cpu, access):
        fault = FAULT_AD
    if fault:
        tell_steps(m, WALK_STEP)
        m.control[CONTROL_FAULT] = fault
        return -1
    set_path_ad(m, access == ACCESS_WRITE)
    if WALK_CACHES:
        walk_cache_fill(m, cpu, va, doubt)
    word = tlb_fill(m, cpu, va, access, doubt)
    return word_address(word, LEVELS - m.control[CONTROL_STEPS], va)


@reads(cold=True)
def agrees(m, cpu, va, key, word):
    """Do the tables translate `va` as a word of the TLB does?"""
    kind = walk(m, m.cpu[cpu * CPU + CPU_ROOT], va)
    if walk_fault(recheck(m, cpu, walk_began(m), kind)):
        return False
    size = LEVELS - m.control[CONTROL_STEPS]
    fresh = path_word(m, cpu, va)
    same = word_address(fresh, size, va) == word_address(word, key & KEY_SIZE, va)
    return (
        same
        and (fresh ^ word) & (RIGHTS | WORD_GLOBAL | (KEY_MASK << WORD_KEY)) == 0
        and fresh & word & WORD_DIRTY == word & WORD_DIRTY
    )


@writes(cold=True)
def confirm(m, cpu, va, key, word):
    """Compare a suspect TLB entry with the tables at its first use; emit `tlb-stale` if they disagree.

    Returns its word, which is no longer suspect.
    """
    asid = m.cpu[cpu * CPU + CPU_ASID]
    tlb_trust(m, cpu, va, asid)
    trusted = word & ~WORD_SUSPECT
    if not agrees(m, cpu, va, key, trusted):
        emit(m, TLB_STALE, va, key, trusted)
    return trusted


@writes
def translate(m, cpu, va, access):
    """Translate the address of one access by a CPU: the physical address, or -1 with CONTROL_FAULT set."""
    if BARE and m.cpu[cpu * CPU + CPU_ROOT] == BARE_ROOT:
        return va
    c = cpu * CPU
    if SPLIT:
        if m.cpu[c + CPU_TAGS]:
            va = untagged(m, cpu, va)
        if not reached(m, cpu, va):
            m.control[CONTROL_FAULT] = FAULT_OUTSIDE
            return -1
    else:
        high = va >> TOP_SHIFT
        if high != 0 and high != TOP_BITS:
            m.control[CONTROL_FAULT] = FAULT_NON_CANONICAL
            return -1
    asid = m.cpu[c + CPU_ASID]
    array = FIRST_DATA
    if access == ACCESS_FETCH:
        array = FIRST_FETCH
    row = -1
    if array >= 0:
        row = tlb_find(m, array, cpu, va, asid)
    if row >= 0:
        key = m.tlb[row + TLB_KEY]
        word = m.tlb[row + TLB_WORD]
        if row != m.control[CONTROL_SET] or KEEPS_WAYS:
            tlb_touch(m, array, cpu, row)
        emit(m, TLB_HIT, va, row, word | ((key & KEY_SIZE) << HIT_SIZE))
    else:
        if SECOND >= 0:
            row = tlb_search(m, SECOND, cpu, va, asid, KEEPS_WAYS)
        if row < 0:
            emit(m, TLB_MISS, va, asid, access)
            if SOFTWARE_WALK:
                m.control[CONTROL_FAULT] = FAULT_REFILL
                return -1
            return walk_and_fill(m, cpu, va, access)
        key = m.tlb[row + TLB_KEY]
        word = m.tlb[row + TLB_WORD]
        if row != m.control[CONTROL_SET] or KEEPS_WAYS:
            tlb_touch(m, SECOND, cpu, row)
        emit(m, TLB_L2_HIT, va, row, word | ((key & KEY_SIZE) << HIT_SIZE))
        if array >= 0 and tlb_holds(m, array, key & KEY_SIZE):
            tlb_insert(m, array, cpu, key, word)
    if (m.cpu[c + CPU_READ + access] >> (word & WORD_ALLOWED)) & 1 == 0:
        if word & WORD_SUSPECT:
            word = confirm(m, cpu, va, key, word)
        fault = word_fault(m, cpu, word, access)
        if fault:
            m.control[CONTROL_FAULT] = fault
            m.control[CONTROL_STEPS] = LEVELS - (key & KEY_SIZE)
            return -1
    if access == ACCESS_WRITE and word & WORD_DIRTY == 0:
        # The cached entry is clean: D must be set in the table first (SDM 3A, 4.8).
        if SOFTWARE_WALK:
            m.control[CONTROL_FAULT] = FAULT_REFILL
            return -1
        return walk_and_fill(m, cpu, va, access)
    return word_address(word, key & KEY_SIZE, va)


@writes(cold=True)
def tell_straddle(m, va, how):
    """Emit that an access goes on in the next page."""
    if how == ACCESS_FETCH:
        emit(m, STRADDLE_FETCH, va, 0, 0)
    elif how == ACCESS_WRITE:
        emit(m, STRADDLE_WRITE, va, 0, 0)
    else:
        emit(m, STRADDLE_READ, va, 0, 0)
