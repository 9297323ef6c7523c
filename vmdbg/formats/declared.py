"""Formats that are declared by their fields: one set of functions, the fields as constants.

Every field that decides something is one bit, given by its number (-1: the format has none) and its
polarity.  Leaves are marked by one bit (x86), by any right (RISC-V), or by being at the last level.
"""

from __future__ import annotations

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
from vmdbg.formats.record import Field, Format, Level, Register
from vmdbg.hot import reads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Bound for each format; a bit of -1 does not exist.
VALID_BIT, VALID_VALUE = 0, 1
R_BIT, W_BIT, X_BIT, U_BIT = -1, -1, -1, -1
R_GRANT, W_GRANT, X_GRANT, U_GRANT = 1, 1, 1, 1  # the value of the bit that grants the right
A_BIT, D_BIT, G_BIT = -1, -1, -1
HUGE_BIT = -1  # marks a leaf above the last level
HUGE_DEPTHS = 0  # bit d: such a leaf may be at depth d
LEAF_BY_RIGHTS = 0  # 1: an entry with any of R, W, X is a leaf, one without is a table
HIERARCHICAL = 0  # 1: the rights of tables count too
TABLE_A = 0  # 1: the walker sets A in tables
TABLE_BITS = 0  # set in table entries that the kernel makes, besides valid
FRAME_LOW, FRAME_MASK = 0, 0  # of the frame number in an entry
SLOT_BIT, SLOT_LOW, SLOT_MASK = 0, 0, 0  # of an absent entry that keeps a slot
RESERVED = 0  # bits that must be clear in a valid entry
RESERVED_TABLE = 0  # and in one that is a table
CODE_STYLE = 0  # 0: x86's error code; 1: RISC-V's cause


@reads
def entry_bit(entry, bit):
    """Bit `bit` of an entry, 0 if the format has none."""
    if bit < 0:
        return 0
    return (entry >> (bit & 63)) & 1


@reads
def granted(entry, bit, grant, right):
    """`right` if the entry grants it."""
    if bit >= 0 and ((entry >> (bit & 63)) & 1) != grant:
        return 0
    return right


@reads
def with_right(entry, bit, grant, wanted):
    """The entry with a right granted or denied."""
    if bit < 0:
        return entry
    if (wanted != 0) == (grant != 0):
        return entry | (1 << (bit & 63))
    return entry & ~(1 << (bit & 63))


@reads(fills=True)
def classify(entry, depth):
    if entry_bit(entry, VALID_BIT) != VALID_VALUE:
        if SLOT_MASK and entry_bit(entry, SLOT_BIT):
            return ENTRY_SWAPPED
        return ENTRY_EMPTY
    if entry & RESERVED:
        return ENTRY_RESERVED
    if LEAF_BY_RIGHTS:
        return classify_by_rights(entry, depth)
    if depth == LEVELS - 1:
        return ENTRY_LEAF
    if HUGE_BIT >= 0 and entry_bit(entry, HUGE_BIT):
        if (HUGE_DEPTHS >> (depth & 63)) & 1 and not misaligned(entry, depth):
            return ENTRY_LEAF
        return ENTRY_RESERVED
    if entry & RESERVED_TABLE:
        return ENTRY_RESERVED
    return ENTRY_TABLE


@reads
def classify_by_rights(entry, depth):
    """RISC-V Privileged, 12.3.2 (figure and table of the encodings of X W R)."""
    r = entry_bit(entry, R_BIT)
    w = entry_bit(entry, W_BIT)
    if r | w | entry_bit(entry, X_BIT):
        if (w and not r) or misaligned(entry, depth):
            return ENTRY_RESERVED
        return ENTRY_LEAF
    if depth == LEVELS - 1 or entry & RESERVED_TABLE:
        return ENTRY_RESERVED
    return ENTRY_TABLE


@reads
def misaligned(entry, depth):
    """Does a leaf above the last level have frame bits below its page size?"""
    low = ((SHIFTS >> (depth << 3)) & 255) - PAGE_BITS
    return ((entry >> FRAME_LOW) & FRAME_MASK) & ((1 << low) - 1) != 0


@reads(fills=True)
def combine(rights, entry, kind):
    if kind > ENTRY_LEAF:
        return 0
    if kind == ENTRY_TABLE and not HIERARCHICAL:
        return rights
    keep = granted(entry, R_BIT, R_GRANT, RIGHT_R) | granted(entry, W_BIT, W_GRANT, RIGHT_W)
    keep |= granted(entry, X_BIT, X_GRANT, RIGHT_X) | granted(entry, U_BIT, U_GRANT, RIGHT_U)
    return rights & keep


@reads(fills=True)
def next_table(entry):
    return ((entry >> FRAME_LOW) & FRAME_MASK) << PAGE_BITS


@reads(fills=True)
def leaf_frame(entry, depth):
    low = ((SHIFTS >> (depth << 3)) & 255) - PAGE_BITS
    return ((((entry >> FRAME_LOW) & FRAME_MASK) >> low) << low) << PAGE_BITS


@reads(fills=True)
def marked(entry, dirty):
    if A_BIT >= 0:
        entry |= 1 << (A_BIT & 63)
    if dirty and D_BIT >= 0:
        entry |= 1 << (D_BIT & 63)
    return entry


@reads(fills=True)
def marked_table(entry):
    if TABLE_A and A_BIT >= 0:
        return entry | (1 << (A_BIT & 63))
    return entry


@reads(fills=True)
def is_accessed(entry):
    return entry_bit(entry, A_BIT)


@reads(fills=True)
def is_dirty(entry):
    if D_BIT < 0:
        return 1
    return entry_bit(entry, D_BIT)


@reads(fills=True)
def is_global(entry):
    return entry_bit(entry, G_BIT)


@reads(fills=True)
def aged(entry):
    if A_BIT < 0:
        return entry
    return entry & ~(1 << (A_BIT & 63))


@reads(fills=True)
def cleaned(entry):
    if D_BIT < 0:
        return entry
    return entry & ~(1 << (D_BIT & 63))


@reads(fills=True)
def protected(entry):
    return with_right(entry, W_BIT, W_GRANT, 0)


@reads(fills=True)
def globalized(entry):
    if G_BIT < 0:
        return entry
    return entry | (1 << (G_BIT & 63))


@reads(fills=True)
def make_leaf(address, rights, depth):
    if rights & (RIGHT_R | RIGHT_W | RIGHT_X) == 0:
        if LEAF_BY_RIGHTS:
            rights = RIGHT_R  # nothing allowed: a page that is the kernel's
        elif R_BIT < 0 or W_BIT < 0 or X_BIT < 0:
            rights = 0  # the same, where some right is everybody's
    elif LEAF_BY_RIGHTS and rights & RIGHT_W:
        rights |= RIGHT_R  # W without R is reserved
    entry = (address >> PAGE_BITS) << FRAME_LOW
    if VALID_VALUE:
        entry |= 1 << (VALID_BIT & 63)
    entry = with_right(entry, R_BIT, R_GRANT, rights & RIGHT_R)
    entry = with_right(entry, W_BIT, W_GRANT, rights & RIGHT_W)
    entry = with_right(entry, X_BIT, X_GRANT, rights & RIGHT_X)
    entry = with_right(entry, U_BIT, U_GRANT, rights & RIGHT_U)
    if HUGE_BIT >= 0 and depth != LEVELS - 1:
        entry |= 1 << (HUGE_BIT & 63)
    return entry


@reads(fills=True)
def make_table(address):
    entry = ((address >> PAGE_BITS) << FRAME_LOW) | TABLE_BITS
    if VALID_VALUE:
        entry |= 1 << (VALID_BIT & 63)
    return entry


@reads(fills=True)
def make_swapped(slot):
    entry = ((slot & SLOT_MASK) << SLOT_LOW) | (1 << (SLOT_BIT & 63))
    if VALID_VALUE == 0:
        entry |= 1 << (VALID_BIT & 63)
    return entry


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
    classify, combine, next_table, leaf_frame, marked, marked_table, is_accessed, is_dirty, is_global,
    aged, cleaned, protected, globalized, make_leaf, make_table, make_swapped, swapped_slot, fault_code,
)  # fmt: skip

ROLES = ("valid", "readable", "writable", "executable", "user", "accessed", "dirty", "global", "huge")


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
    hierarchical: bool = False,
    table_accessed: bool = False,
    table_rights: bool = False,
    reserved: int = 0,
    reserved_table: int = 0,
    code_style: int = 0,
    registers: tuple[Register, ...] = (),
    root_register: str = "root",
    fault_register: str = "address",
    sign_extended: bool = False,
    software_walk: bool = False,
    kernel_sets_ad: bool = False,
    kernel_base: int | None = None,
    code_bits: tuple[tuple[int, str], ...] = (),
    rules: dict[str, tuple[str, str]] | None = None,
) -> Format:
    """A format from its fields.

    `roles` says which field plays which of ROLES, and `frame` and `slot_mark`; `inverted` names roles
    whose bit takes the right away (`NX`) or means not valid.  The fields `PFN` and `slot` have widths.
    """
    by_name = {field.name: field for field in fields}

    def bit(role: str) -> int:
        return by_name[roles[role]].low if role in roles else -1

    frame = by_name[roles["frame"]]
    slot = by_name[roles.get("slot", "slot")] if "slot_mark" in roles else None
    inverse = set(inverted)
    constants = {
        "VALID_BIT": bit("valid"),
        "VALID_VALUE": int("valid" not in inverse),
        "HUGE_BIT": bit("huge"),
        "HUGE_DEPTHS": sum(1 << depth for depth, level in enumerate(levels[:-1]) if level.leaf),
        "LEAF_BY_RIGHTS": int(leaf_by_rights),
        "HIERARCHICAL": int(hierarchical),
        "TABLE_A": int(table_accessed),
        "FRAME_LOW": frame.low,
        "FRAME_MASK": (1 << frame.width) - 1,
        "SLOT_BIT": bit("slot_mark"),
        "SLOT_LOW": slot.low if slot else 0,
        "SLOT_MASK": (1 << slot.width) - 1 if slot else 0,
        "RESERVED": reserved,
        "RESERVED_TABLE": reserved_table,
        "CODE_STYLE": code_style,
    }
    rights = (("R", "readable"), ("W", "writable"), ("X", "executable"), ("U", "user"))
    table_bits = 0
    for letter, role in rights:
        constants[f"{letter}_BIT"], constants[f"{letter}_GRANT"] = bit(role), int(role not in inverse)
        if table_rights and bit(role) >= 0 and role not in inverse:
            table_bits |= 1 << bit(role)
    for letter, role in (("A", "accessed"), ("D", "dirty"), ("G", "global")):
        constants[f"{letter}_BIT"] = bit(role)
    constants["TABLE_BITS"] = table_bits
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
        fault_register=fault_register,
        sign_extended=sign_extended,
        software_walk=software_walk,
        kernel_sets_ad=kernel_sets_ad,
        kernel_base=kernel_base,
        code_bits=code_bits,
        rules=rules,
        constants=constants,
    )
