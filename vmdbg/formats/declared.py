"""Formats that are declared by their fields: one set of functions, the fields as constants.

Every field that decides something is one bit.  An entry of zeros maps nothing.  Leaves are marked by one
bit (x86), by any right (RISC-V), or by being at the last level.
"""

from __future__ import annotations

from vmdbg.engine import reads
from vmdbg.formats.contract import (
    ACCESS_FETCH,
    ACCESS_WRITE,
    ENTRY_EMPTY,
    ENTRY_LEAF,
    ENTRY_RESERVED,
    ENTRY_SWAPPED,
    ENTRY_TABLE,
    FAULT_NOT_PRESENT,
    FAULT_RESERVED,
    LEVELS,
    PAGE_BITS,
    RIGHT_R,
    RIGHT_U,
    RIGHT_W,
    RIGHT_X,
    SHIFTS,
)
from vmdbg.formats.record import Field, Format, Level, Register, never_silent
from vmdbg.units import s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Bound for each format.  A mask has the one bit of a field, 0 if the format has no such field.
VALID = 0
R_MASK, W_MASK, X_MASK, U_MASK = 0, 0, 0, 0
FLIPPED = 0  # those among the rights' bits that take the right away
A_MASK, D_MASK, G_MASK = 0, 0, 0
HUGE = 0  # marks a leaf above the last level
HUGE_DEPTHS = 0  # bit d: such a leaf may be at depth d
HUGE_FREE = 0  # low frame bits of such a leaf that mean something else
LEAF_BY_RIGHTS = 0  # 1: an entry with any of R, W, X is a leaf, one without is a table
HIERARCHICAL = 0  # 1: the rights of tables count too
TABLE_A = 0  # 1: the walker sets A in tables
TABLE_BITS = 0  # set in table entries that the kernel makes, besides valid
FRAME_LOW, FRAME_MASK = 0, 0  # of the frame number in an entry
SLOT_MARK, SLOT_LOW, SLOT_MASK = 0, 0, 0  # of an absent entry that keeps a slot
RESERVED = 0  # bits that must be clear in a valid entry
RESERVED_TABLE = 0  # and in one that is a table
CODE_STYLE = 0  # 0: x86's error code; 1: RISC-V's cause


@reads
def granted(entry, mask, right):
    """`right` if the entry grants it; one without a bit is granted to all."""
    if mask and (entry ^ FLIPPED) & mask == 0:
        return 0
    return right


@reads(fills=True)
def classify(entry, depth):
    if entry & VALID == 0:
        if entry & SLOT_MARK:
            return ENTRY_SWAPPED
        return ENTRY_EMPTY
    if entry & RESERVED:
        return ENTRY_RESERVED
    if LEAF_BY_RIGHTS:
        return classify_by_rights(entry, depth)
    if depth == LEVELS - 1:
        return ENTRY_LEAF
    if entry & HUGE:
        if (HUGE_DEPTHS >> (depth & 63)) & 1 and not misaligned(entry, depth):
            return ENTRY_LEAF
        return ENTRY_RESERVED
    if entry & RESERVED_TABLE:
        return ENTRY_RESERVED
    return ENTRY_TABLE


@reads
def classify_by_rights(entry, depth):
    """RISC-V Privileged, 12.3.2 (figure and table of the encodings of X W R)."""
    if entry & (R_MASK | W_MASK | X_MASK):
        if entry & W_MASK and entry & R_MASK == 0:
            return ENTRY_RESERVED
        if (HUGE_DEPTHS >> (depth & 63)) & 1 == 0 or misaligned(entry, depth):
            return ENTRY_RESERVED
        return ENTRY_LEAF
    if depth == LEVELS - 1 or entry & RESERVED_TABLE:
        return ENTRY_RESERVED
    return ENTRY_TABLE


@reads
def misaligned(entry, depth):
    """Does a leaf above the last level have frame bits below its page size?"""
    low = ((SHIFTS >> (depth << 3)) & 255) - PAGE_BITS
    return ((entry >> FRAME_LOW) & FRAME_MASK) & ((1 << low) - 1) & ~HUGE_FREE != 0


@reads(fills=True)
def combine(rights, entry, kind):
    if kind > ENTRY_LEAF:
        return 0
    if kind == ENTRY_TABLE and not HIERARCHICAL:
        return rights
    keep = granted(entry, R_MASK, RIGHT_R) | granted(entry, W_MASK, RIGHT_W)
    keep |= granted(entry, X_MASK, RIGHT_X) | granted(entry, U_MASK, RIGHT_U)
    return rights & keep


@reads(fills=True)
def next_table(entry):
    return ((entry >> FRAME_LOW) & FRAME_MASK) << PAGE_BITS


@reads(fills=True)
def leaf_frame(entry, depth):
    low = ((SHIFTS >> (depth << 3)) & 255) - PAGE_BITS
    return ((((entry >> FRAME_LOW) & FRAME_MASK) >> low) << low) << PAGE_BITS


@reads(fills=True)
def touched(entry, dirty):
    if dirty:
        return entry | A_MASK | D_MASK
    return entry | A_MASK


@reads(fills=True)
def touched_table(entry):
    if TABLE_A:
        return entry | A_MASK
    return entry


@reads(fills=True)
def is_accessed(entry):
    if entry & A_MASK:
        return 1
    return 0


@reads(fills=True)
def is_dirty(entry):
    """A format without D takes all pages for dirty."""
    if D_MASK and entry & D_MASK == 0:
        return 0
    return 1


@reads(fills=True)
def is_global(entry):
    if entry & G_MASK:
        return 1
    return 0


@reads(fills=True)
def aged(entry):
    return entry & ~A_MASK


@reads(fills=True)
def cleaned(entry):
    return entry & ~D_MASK


@reads(fills=True)
def protected(entry):
    if FLIPPED & W_MASK:
        return entry | W_MASK
    return entry & ~W_MASK


@reads(fills=True)
def globalized(entry):
    return entry | G_MASK


@reads(fills=True)
def make_leaf(address, rights, depth):
    if rights & (RIGHT_R | RIGHT_W | RIGHT_X) == 0:
        if LEAF_BY_RIGHTS:
            rights = RIGHT_R  # nothing allowed: a page that is the kernel's
        elif R_MASK == 0 or W_MASK == 0 or X_MASK == 0:
            rights = 0  # the same, where some right is everybody's
    elif LEAF_BY_RIGHTS and (rights & RIGHT_W or X_MASK == 0):
        rights |= RIGHT_R  # W without R is reserved, nothing at all a table
    entry = ((address >> PAGE_BITS) << FRAME_LOW) | VALID
    if rights & RIGHT_R:
        entry |= R_MASK
    if rights & RIGHT_W:
        entry |= W_MASK
    if rights & RIGHT_X:
        entry |= X_MASK
    if rights & RIGHT_U:
        entry |= U_MASK
    if depth != LEVELS - 1:
        entry |= HUGE
    return entry ^ FLIPPED


@reads(fills=True)
def make_table(address):
    return ((address >> PAGE_BITS) << FRAME_LOW) | VALID | TABLE_BITS


@reads(fills=True)
def make_swapped(slot):
    return ((slot & SLOT_MASK) << SLOT_LOW) | SLOT_MARK


@reads(fills=True)
def swapped_slot(entry):
    return (entry >> SLOT_LOW) & SLOT_MASK


@reads(fills=True)
def fault_code(fault, access, mode):
    """x86: P, W/R, U/S, RSVD, I/D (SDM 3A, 4.7).  RISC-V: 12 fetch, 13 load, 15 store page fault."""
    if CODE_STYLE == 1:
        if access == ACCESS_FETCH:
            return 12
        if access == ACCESS_WRITE:
            return 15
        return 13
    code = 0
    if fault != FAULT_NOT_PRESENT:
        code = 1
    if access == ACCESS_WRITE:
        code |= 2
    if mode == 0:
        code |= 4
    if fault == FAULT_RESERVED:
        code |= 8
    if access == ACCESS_FETCH:
        code |= 16
    return code


FUNCTIONS = (
    classify, combine, next_table, leaf_frame, touched, touched_table, is_accessed, is_dirty, is_global,
    aged, cleaned, protected, globalized, make_leaf, make_table, make_swapped, swapped_slot, fault_code,
)  # fmt: skip


def declare(  # Long: a record's fields are arguments, one a line
    name: str,
    manual: str,
    levels: tuple[Level, ...],
    va_bits: int,
    entry_bytes: int,
    fields: tuple[Field, ...],
    roles: dict[str, str],
    allowed: Callable[[list[int], int], tuple[int, int, int]],
    *,
    inverted: Iterable[str] = (),
    leaf_by_rights: bool = False,
    huge_free: int = 0,
    hierarchical: bool = False,
    table_accessed: bool = False,
    table_rights: bool = False,
    reserved: int = 0,
    reserved_table: int = 0,
    code_style: int = 0,
    registers: tuple[Register, ...] = (),
    root_register: str = "root",
    root_fields: tuple[Register, ...] = (),
    fault_register: str = "address",
    sign_extended: bool = False,
    software_walk: bool = False,
    kernel_sets_ad: bool = False,
    kernel_base: int | None = None,
    code_bits: tuple[tuple[int, str], ...] = (),
    code_name: str = "error code",
    causes: dict[int, str] | None = None,
    rules: dict[str, tuple[str, str]] | None = None,
    asid_bits: int = 16,
    silent: Callable[[list[int]], int] = never_silent,
) -> Format:
    """A format from its fields.

    `roles` says which field plays which role: the one-bit ones `valid readable writable executable user
    accessed dirty global huge slot_mark`, and `frame` and `slot`, which have widths.  `inverted` names
    rights whose bit takes the right away (`NX`).
    """
    by_name = {field.name: field for field in fields}

    def mask(role: str) -> int:
        return s64(1 << by_name[roles[role]].low) if role in roles else 0

    rights = {"R": "readable", "W": "writable", "X": "executable", "U": "user"}
    flipped = sum(mask(role) for role in inverted)
    granting = sum(mask(role) for role in rights.values()) & ~flipped
    frame = by_name[roles["frame"]]
    slot = by_name[roles.get("slot", "slot")] if "slot_mark" in roles else None
    constants = {
        "VALID": mask("valid"),
        "FLIPPED": flipped,
        "A_MASK": mask("accessed"),
        "D_MASK": mask("dirty"),
        "G_MASK": mask("global"),
        "HUGE": mask("huge"),
        "HUGE_DEPTHS": sum(1 << depth for depth, level in enumerate(levels) if level.leaf),
        "HUGE_FREE": huge_free,
        "LEAF_BY_RIGHTS": int(leaf_by_rights),
        "HIERARCHICAL": int(hierarchical),
        "TABLE_A": int(table_accessed),
        "TABLE_BITS": granting if table_rights else 0,
        "FRAME_LOW": frame.low,
        "FRAME_MASK": (1 << frame.width) - 1,
        "SLOT_MARK": mask("slot_mark"),
        "SLOT_LOW": slot.low if slot else 0,
        "SLOT_MASK": (1 << slot.width) - 1 if slot else 0,
        "RESERVED": reserved,
        "RESERVED_TABLE": reserved_table,
        "CODE_STYLE": code_style,
    } | {f"{letter}_MASK": mask(role) for letter, role in rights.items()}
    return Format(
        name=name,
        manual=manual,
        va_bits=va_bits,
        levels=levels,
        entry_bytes=entry_bytes,
        fields=fields,
        functions=FUNCTIONS,
        allowed=allowed,
        registers=registers,
        root_register=root_register,
        root_fields=root_fields,
        fault_register=fault_register,
        sign_extended=sign_extended,
        software_walk=software_walk,
        kernel_sets_ad=kernel_sets_ad,
        kernel_base=kernel_base,
        asid_bits=asid_bits,
        code_bits=code_bits,
        code_name=code_name,
        causes=causes,
        rules=rules,
        constants=constants,
        silent=silent,
    )
