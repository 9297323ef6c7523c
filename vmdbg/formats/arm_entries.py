"""What the hot code asks of entries of AArch64: Arm Architecture Reference Manual (DDI 0487), chapter D8.

The kernel marks pages as Linux does (arch/arm64/include/asm/pgtable.h): a page that may be written has DBM,
and is clean while AP[2] is set; bit 55 says that a page that may not be written is dirty.
"""

from __future__ import annotations

from vmdbg.engine import reads
from vmdbg.formats.contract import (
    ACCESS_FETCH,
    ACCESS_WRITE,
    ENTRY_EMPTY,
    ENTRY_LEAF,
    ENTRY_SWAPPED,
    ENTRY_TABLE,
    FAULT_AD,
    FAULT_BUS,
    FAULT_NON_CANONICAL,
    FAULT_PROTECTION,
    FAULT_RESERVED,
    LEVELS,
    PAGE_BITS,
    RIGHT_OTHER,
    RIGHT_R,
    RIGHT_U,
    RIGHT_W,
    RIGHT_X,
    SHIFTS,
)
from vmdbg.formats.declared import FRAME_LOW, FRAME_MASK, HUGE_DEPTHS, SLOT_MARK

VALID, PAGE = 1, 2  # bit 1: a table, or at the last level a page; clear: a block
AP1, AP2 = 1 << 6, 1 << 7  # EL0 may access; nobody may write
SHAREABLE_LOW, SHAREABLE, AF, NG = 8, 3 << 8, 1 << 10, 1 << 11
DBM, PXN, UXN, DIRTY = 1 << 51, 1 << 53, 1 << 54, 1 << 55
PXN_TABLE, UXN_TABLE, AP_TABLE_EL0, AP_TABLE_WRITE = 1 << 59, 1 << 60, 1 << 61, 1 << 62
TABLE_BITS = 31 << 59  # of a table: NSTable, APTable, UXNTable, PXNTable
# Bound: the top bits of an address, where an entry has them, and where they are in the address.
HIGH_LOW, HIGH_MASK, HIGH_SHIFT = 0, 0, 0
FIRST_LEVEL = 0  # number of the level of the root table; bound for each format
TCR, SCTLR, PSTATE, TTBR1 = 0, 1, 2, 6  # words of control registers
HA, HD, HPD0, HPD1 = 1 << 39, 1 << 40, 1 << 41, 1 << 42
WXN, PAN = 1 << 19, 1 << 22
ABOVE_0_TRANSLATION, ABOVE_0_SIZE, ABOVE_0_EXTERNAL = 0b101011, 0b101001, 0b010011  # status codes of level -1
DATA_ABORT, INSTRUCTION_ABORT, SAME_LEVEL, LONG = 0x24, 0x20, 1, 1 << 25
SIZES = (32, 36, 40, 42, 44, 48, 52)  # bits of an output address, by TCR_EL1.IPS


@reads(fills=True)
def classify(entry, depth):
    """D8.3.1: what the manual reserves is an invalid descriptor."""
    if entry & VALID == 0:
        if entry & SLOT_MARK:
            return ENTRY_SWAPPED
        return ENTRY_EMPTY
    if depth == LEVELS - 1:
        if entry & PAGE:
            return ENTRY_LEAF
        return ENTRY_EMPTY
    if entry & PAGE:
        return ENTRY_TABLE
    if (HUGE_DEPTHS >> (depth & 63)) & 1:
        return ENTRY_LEAF
    return ENTRY_EMPTY


@reads
def high_part(entry):
    """What the bits of an address above the others are in an entry of 52-bit addresses."""
    return ((entry >> HIGH_LOW) & HIGH_MASK) << HIGH_SHIFT


@reads
def placed(address):
    """An address as an entry has it."""
    if HIGH_MASK:
        high = (address >> HIGH_SHIFT) & HIGH_MASK
        return (address & ((1 << HIGH_SHIFT) - 1)) | (high << HIGH_LOW)
    return address


@reads(fills=True)
def next_table(entry, depth):
    address = ((entry >> FRAME_LOW) & FRAME_MASK) << PAGE_BITS
    if HIGH_MASK:
        address |= high_part(entry)
    return address


@reads(fills=True)
def leaf_frame(entry, depth):
    low = (SHIFTS >> (depth << 3)) & 255
    address = ((entry >> FRAME_LOW) & FRAME_MASK) << PAGE_BITS
    if HIGH_MASK:
        address |= high_part(entry)
    return (address >> low) << low


@reads(fills=True)
def combine(rights, entry, kind, depth):
    """D8.4.  So far X is EL0's right and RIGHT_OTHER says that EL1 has none; of a page, X is the right of the
    level that the page belongs to, RIGHT_OTHER says that the other one has none."""
    if kind > ENTRY_LEAF:
        return 0
    if kind == ENTRY_TABLE:
        if entry & AP_TABLE_WRITE:
            rights &= ~RIGHT_W
        if entry & AP_TABLE_EL0:
            rights &= ~RIGHT_U
        if entry & UXN_TABLE:
            rights &= ~RIGHT_X
        if entry & PXN_TABLE:
            rights |= RIGHT_OTHER
        return rights
    if entry & AP2 and entry & DBM == 0:
        rights &= ~RIGHT_W
    if entry & AP1 == 0:
        rights &= ~RIGHT_U
    never = 0  # EL0 executes it never: 1; EL1: 2
    if rights & RIGHT_X == 0 or entry & UXN:
        never = 1
    if rights & RIGHT_OTHER or entry & PXN:
        never |= 2
    own = 2
    if rights & RIGHT_U:
        own = 1
    rights &= ~(RIGHT_X | RIGHT_OTHER)
    if never & own == 0:
        rights |= RIGHT_X
    if never & ~own:
        rights |= RIGHT_OTHER
    return rights


@reads(fills=True)
def touched(entry, dirty):
    """What hardware does (D8.5.4: AF, and AP[2] of a page with DBM), or the kernel in its place."""
    if dirty:
        if entry & DBM:
            entry &= ~AP2
        elif entry & AP2:
            entry |= DIRTY
    return entry | AF


@reads(fills=True)
def touched_table(entry, depth):
    return entry


@reads(fills=True)
def is_dirty(entry):
    if entry & AP2 == 0 or entry & DIRTY:
        return 1
    return 0


@reads(fills=True)
def is_global(entry):
    if entry & NG:
        return 0
    return 1


@reads(fills=True)
def cleaned(entry):
    if entry & AP2 == 0:
        entry |= AP2 | DBM
    return entry & ~DIRTY


@reads(fills=True)
def protected(entry):
    if entry & AP2 == 0:
        entry |= DIRTY
    return (entry | AP2) & ~DBM


@reads(fills=True)
def globalized(entry):
    return entry & ~NG


@reads(fills=True)
def make_leaf(address, rights, depth):
    entry = placed(address) | VALID | NG | AP2 | UXN | PXN
    if HIGH_MASK == 0 or HIGH_LOW > SHAREABLE_LOW:
        entry |= SHAREABLE  # without, it comes from TCR_EL1.SH0 and SH1 (D8.6.2)
    if depth == LEVELS - 1:
        entry |= PAGE
    if rights & (RIGHT_R | RIGHT_W | RIGHT_X) == 0:
        return entry  # nothing allowed: a page that is the kernel's
    if rights & RIGHT_W:
        entry |= DBM
    if rights & RIGHT_U:
        entry |= AP1
        if rights & RIGHT_X:
            entry &= ~UXN
    elif rights & RIGHT_X:
        entry &= ~PXN
    return entry


@reads(fills=True)
def make_table(address, depth):
    return placed(address) | VALID | PAGE


@reads(fills=True)
def fault_code(fault, access, mode, depth):
    """ESR_EL1 (D24.2.40): the class, and of its syndrome the status code with the level, and WnR."""
    level = depth + FIRST_LEVEL
    status = 0b000100 | level  # translation fault
    if fault == FAULT_NON_CANONICAL:
        status = 0b000100
    elif fault == FAULT_AD:
        status = 0b001000 | level
    elif fault == FAULT_PROTECTION:
        status = 0b001100 | level
    elif fault == FAULT_RESERVED:
        status = level  # address size fault
    elif fault == FAULT_BUS:
        status = 0b010100 | level  # external abort on a translation table walk
    if FIRST_LEVEL < 0 and level < 0 and fault != FAULT_NON_CANONICAL:
        status = ABOVE_0_TRANSLATION
        if fault == FAULT_RESERVED:
            status = ABOVE_0_SIZE
        elif fault == FAULT_BUS:
            status = ABOVE_0_EXTERNAL
    kind = DATA_ABORT
    if access == ACCESS_FETCH:
        kind = INSTRUCTION_ABORT
    if mode:
        kind |= SAME_LEVEL
    if access == ACCESS_WRITE:
        status |= 1 << 6
    return (kind << 26) | LONG | status


FUNCTIONS = (
    classify, next_table, leaf_frame, combine, touched, touched_table, is_dirty, is_global, cleaned,
    protected, globalized, make_leaf, make_table, fault_code,
)  # fmt: skip
