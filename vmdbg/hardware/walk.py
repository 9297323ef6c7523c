"""The walk: from the root to a leaf, in the order of the manuals, for every format.

`walk` only reads; it fills the scratch table `path`.  `set_path_ad` sets A and D along that path.
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.formats.contract import (
    ALL_RIGHTS,
    BITS,
    ENTRY_BOUND,
    ENTRY_BUS,
    ENTRY_BYTES,
    ENTRY_LEAF,
    ENTRY_RESERVED,
    ENTRY_TABLE,
    FAULT_BOUNDS,
    FAULT_BUS,
    FAULT_NOT_PRESENT,
    FAULT_RESERVED,
    LEVELS,
    MASKED,
    NAPOT,
    NAPOT_ENTRIES,
    PAGE_BITS,
    ROOT_ENTRIES,
    ROOT_LOADED,
    ROOT_MASK,
    SHIFTS,
    SPLIT,
    TOP_BITS,
    TOP_SHIFT,
    classify,
    combine,
    is_accessed,
    is_dirty,
    leaf_frame,
    next_table,
    touched,
    touched_table,
)
from vmdbg.hardware.memory import load_entry, ram_offset, store_entry
from vmdbg.state.events import WALK_STEP, emit
from vmdbg.state.tables import (
    CONTROL_FIRST,
    CONTROL_RIGHTS,
    CONTROL_STEPS,
    CPU,
    CPU_CONTROL6,
    CPU_ENTRY0,
    CPU_IGNORED,
    CPU_IGNORED_HIGH,
    CPU_LOADED,
    CPU_REACH_HIGH,
    CPU_REACH_LOW,
    CPU_RESERVED,
    CPU_RESERVED_LARGE,
    CPU_ROOT,
    CPU_TAGS,
    KERNEL_CPU,
    PATH,
    PATH_ADDRESS,
    PATH_ENTRY,
    PATH_INDEX,
    PATH_KIND,
    PATH_RIGHTS,
    PATH_TABLE,
)

WALK_CACHES = 0  # number of page-walk caches; bound at build
STEP_A, STEP_D = 1 << 40, 1 << 41  # in the first argument of walk-step: the walker set A, D


@reads
def canonical(m, va):
    """Is `va` an address that the CPU in use may have?

    Intel SDM 1, 3.3.7.1: upper bits copy the sign bit.  Arm ARM, D8.2.4: so do they, from the size on that
    TCR_EL1 says for each half.
    """
    if SPLIT:
        return reached(m, m.kernel[KERNEL_CPU], va)
    high = va >> TOP_SHIFT
    return high == 0 or high == TOP_BITS


@reads(cold=True)
def untagged(m, cpu, va):
    """`va` without the top byte, where a CPU ignores that (Arm ARM, D8.9.1: bit 55 tells the half)."""
    half = (va >> 55) & 1
    if (m.cpu[cpu * CPU + CPU_TAGS] >> (half & 1)) & 1 == 0:
        return va
    va &= (1 << 55) - 1
    if half:
        return va - (1 << 55)
    return va


@reads
def reached(m, cpu, va):
    """Does one of a CPU's root tables translate `va`?"""
    if m.cpu[cpu * CPU + CPU_TAGS]:
        va = untagged(m, cpu, va)
    if va < 0:
        bits = m.cpu[cpu * CPU + CPU_REACH_HIGH]
        return bits > 0 and (va >> (bits & 63)) == -1
    bits = m.cpu[cpu * CPU + CPU_REACH_LOW]
    return bits > 0 and (va >> (bits & 63)) == 0


@reads
def start_walk(m, cpu, root, va):
    """`walk` where each half has a root table, and the walk begins at the level that its size asks for."""
    c = cpu * CPU
    if m.cpu[c + CPU_TAGS]:
        va = untagged(m, cpu, va)
    bits = m.cpu[c + CPU_REACH_LOW]
    table = root & ROOT_MASK
    if va < 0:
        bits = m.cpu[c + CPU_REACH_HIGH]
        table = m.cpu[c + CPU_CONTROL6] & ROOT_MASK
    depth = 0
    while depth < LEVELS - 1 and ((SHIFTS >> ((depth << 3) & 63)) & 255) >= bits:
        depth += 1
    m.control[CONTROL_FIRST] = depth
    return walk_from(m, table, depth, ALL_RIGHTS, va)


@reads
def table_index(va, depth):
    """The index of `va` in the table at a depth."""
    at = depth << 3
    return (va >> ((SHIFTS >> at) & 255)) & ((1 << ((BITS >> at) & 255)) - 1)


@reads
def leaf_address(entry, depth, index):
    """Physical address of what the leaf at an index of a table at a depth maps itself.

    It is that of the page but for one of several entries (NAPOT) that map a page together.
    """
    address = leaf_frame(entry, depth)
    if NAPOT and entry & NAPOT:
        address += (index & (NAPOT_ENTRIES - 1)) << PAGE_BITS
    return address


@reads
def ignored_bits(m, cpu, va):
    """The bits of entries that the control registers of a CPU make its walker take for 0."""
    if MASKED and va < 0:
        return m.cpu[cpu * CPU + CPU_IGNORED_HIGH]
    return m.cpu[cpu * CPU + CPU_IGNORED]


@reads
def walk(m, root, va):
    """Read the tables for `va` as the CPU in use does; fills `path`, CONTROL_STEPS and CONTROL_RIGHTS.

    Returns the kind of the last entry: one of the ENTRY_ constants, ENTRY_TABLE never.
    """
    if SPLIT:
        return start_walk(m, m.kernel[KERNEL_CPU], root, va)
    return walk_from(m, root & ROOT_MASK, 0, ALL_RIGHTS, va)


@reads
def reached_index(m, va, depth, index):
    """`index` without the bits of addresses above those that the table's half has."""
    bits = m.cpu[m.kernel[KERNEL_CPU] * CPU + CPU_REACH_LOW]
    if va < 0:
        bits = m.cpu[m.kernel[KERNEL_CPU] * CPU + CPU_REACH_HIGH]
    over = bits - ((SHIFTS >> ((depth << 3) & 63)) & 255)
    if over < 0:
        return 0
    return index & ((1 << (over & 63)) - 1)


@reads
def root_entry(m, table, index, entry):
    """An entry of a root table: as the CPU in use has loaded it, if it has, else as it is in memory."""
    c = m.kernel[KERNEL_CPU] * CPU
    if m.cpu[c + CPU_LOADED] != table + 1:
        return entry
    return m.cpu[c + CPU_ENTRY0 + (index & (ROOT_ENTRIES - 1))]


@writes(cold=True)
def load_root(m, cpu):
    """Load the entries of a CPU's root table, as MOV to CR3 does (SDM 3A, 4.4.1); of none if it is idle."""
    c = cpu * CPU
    table = m.cpu[c + CPU_ROOT] & ROOT_MASK
    m.cpu[c + CPU_LOADED] = table + 1 if m.cpu[c + CPU_ROOT] else 0
    index = 0
    while index < ROOT_ENTRIES:
        entry = 0
        if m.cpu[c + CPU_LOADED]:
            entry = load_entry(m, table + index * ENTRY_BYTES)
        m.cpu[c + CPU_ENTRY0 + index] = entry
        index += 1


@writes(cold=True)
def reload_roots(m):
    """What the kernel does after it wrote an entry of a root table: every CPU loads its entries again."""
    c = 0
    while c < len(m.cpu):
        if m.cpu[c + CPU_LOADED]:
            load_root(m, c // CPU)
        c += CPU


@reads
def walk_from(m, table, depth, rights, va):
    """`walk` from a table at a depth on, with the rights so far."""
    kind = ENTRY_TABLE
    while depth < LEVELS:
        index = table_index(va, depth)
        if SPLIT:
            index = reached_index(m, va, depth, index)
        address = table + index * ENTRY_BYTES
        entry = load_entry(m, address)
        if ROOT_LOADED and depth == 0:
            entry = root_entry(m, table, index, entry)
        word = entry
        if MASKED:
            word = entry & ~ignored_bits(m, m.kernel[KERNEL_CPU], va)
        kind = classify(word, depth)
        if entry == -1 and ram_offset(m, address, ENTRY_BYTES) < 0:
            kind = ENTRY_BUS
        rights = combine(rights, word, kind, depth)
        row = depth * PATH
        m.path[row + PATH_TABLE] = table
        m.path[row + PATH_INDEX] = index
        m.path[row + PATH_ADDRESS] = address
        m.path[row + PATH_ENTRY] = entry
        m.path[row + PATH_KIND] = kind
        m.path[row + PATH_RIGHTS] = rights
        depth += 1
        if kind != ENTRY_TABLE:
            break
        table = next_table(entry, depth - 1)
    m.control[CONTROL_STEPS] = depth
    m.control[CONTROL_RIGHTS] = rights
    return kind


@reads
def reserves(m, cpu):
    """Do the control registers of a CPU reserve bits of entries?"""
    return m.cpu[cpu * CPU + CPU_RESERVED] | m.cpu[cpu * CPU + CPU_RESERVED_LARGE] != 0


@reads(cold=True)
def recheck(m, cpu, first, kind):
    """The kind of a walk that ended in `kind`, if a CPU reserves bits of its entries from row `first` on.

    `path` ends at the first present entry that has one of them.
    """
    row = first * PATH
    while row < m.control[CONTROL_STEPS] * PATH:
        reserved = m.cpu[cpu * CPU + CPU_RESERVED]
        if m.path[row + PATH_KIND] == ENTRY_LEAF and row < (LEVELS - 1) * PATH:
            reserved |= m.cpu[cpu * CPU + CPU_RESERVED_LARGE]
        if m.path[row + PATH_KIND] <= ENTRY_LEAF and m.path[row + PATH_ENTRY] & reserved:
            m.path[row + PATH_KIND] = ENTRY_RESERVED
            m.path[row + PATH_RIGHTS] = 0
            m.control[CONTROL_STEPS] = row // PATH + 1
            m.control[CONTROL_RIGHTS] = 0
            return ENTRY_RESERVED
        row += PATH
    return kind


@reads
def first_step(m):
    """The row of `path` at which the last walk of a CPU started: not 0 after a hit in a page-walk cache,
    and where TCR_EL1 says so."""
    if WALK_CACHES or SPLIT:
        return m.control[CONTROL_FIRST]
    return 0


@reads
def walk_began(m):
    """The row of `path` at which the last walk by `walk` itself started."""
    if SPLIT:
        return m.control[CONTROL_FIRST]
    return 0


@reads
def walk_fault(kind):
    """The fault of a walk that ended in an entry of that kind."""
    if kind == ENTRY_BUS:
        return FAULT_BUS
    if kind == ENTRY_TABLE or kind == ENTRY_LEAF:
        return 0
    if kind == ENTRY_RESERVED:
        return FAULT_RESERVED
    if kind == ENTRY_BOUND:
        return FAULT_BOUNDS
    return FAULT_NOT_PRESENT


@writes
def set_path_ad(m, dirty):
    """Set A along `path`, and D in its leaf if `dirty`; emit a walk-step for each row."""
    last = (m.control[CONTROL_STEPS] - 1) * PATH
    row = first_step(m) * PATH
    while row <= last:
        old = m.path[row + PATH_ENTRY]
        depth = row // PATH
        if row == last:
            new = touched(old, dirty)
        else:
            new = touched_table(old, depth)
        step = depth | (m.path[row + PATH_INDEX] << 8)
        if new != old:
            store_entry(m, m.path[row + PATH_ADDRESS], new)
            m.path[row + PATH_ENTRY] = new
            if row < last or is_accessed(old) == 0:
                step |= STEP_A
            if row == last and is_dirty(new) != is_dirty(old):
                step |= STEP_D
        emit(m, WALK_STEP, step, m.path[row + PATH_ADDRESS], new)
        row += PATH


@writes
def tell_steps(m, event):
    """Emit `event` (walk-step or table-read) for each row of `path`, as it was read."""
    row = first_step(m) * PATH
    while row < m.control[CONTROL_STEPS] * PATH:
        step = (row // PATH) | (m.path[row + PATH_INDEX] << 8)
        emit(m, event, step, m.path[row + PATH_ADDRESS], m.path[row + PATH_ENTRY])
        row += PATH
