"""What entries mean, by the fields of a format: one set of functions, the fields as constants.

Every field that decides something is one bit.  An entry of zeros maps nothing.  Leaves are marked by one
bit (x86), by any right (RISC-V), or by being at the last level.
"""

from __future__ import annotations

from vmdbg.engine import reads
from vmdbg.formats.contract import (
    ENTRY_EMPTY,
    ENTRY_LEAF,
    ENTRY_RESERVED,
    ENTRY_SWAPPED,
    ENTRY_TABLE,
    LEVELS,
    NAPOT,
    NAPOT_ENTRIES,
    PAGE_BITS,
    RIGHT_R,
    RIGHT_U,
    RIGHT_W,
    RIGHT_X,
    SHIFTS,
)
from vmdbg.units import s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.formats.record import Format

NAPOT_BITS = NAPOT_ENTRIES.bit_length() - 1
# Bound for each format.  A mask has the one bit of a field, 0 if the format has no such field.
VALID = 0
R_MASK, W_MASK, X_MASK, U_MASK = 0, 0, 0, 0
ALL_MASK = 0  # all of them
FLIPPED = 0  # those among the rights' bits that take the right away
A_MASK, D_MASK, G_MASK = 0, 0, 0
HUGE = 0  # marks a leaf above the last level
HUGE_DEPTHS = 0  # bit d: such a leaf may be at depth d
PLAIN_DEPTHS = 0  # bit d: at depth d the bit HUGE means nothing
HUGE_FREE = 0  # low frame bits of such a leaf that mean something else
LEAF_BY_RIGHTS = 0  # 1: an entry with any of R, W, X is a leaf, one without is a table
HIERARCHICAL = 0  # 1: the rights of tables count too
TABLE_A = 0  # what the walker sets in tables: A, or nothing
NO_A = 0  # bit d: but not in those at depth d
TABLE_BITS = 0  # set in table entries that the kernel makes, besides valid
FRAME_LOW, FRAME_MASK = 0, 0  # of the frame number in an entry
SLOT_MARK, SLOT_LOW, SLOT_MASK = 0, 0, 0  # of an absent entry that keeps a slot
RESERVED = 0  # bits that must be clear in a valid entry
RESERVED_ROOT = 0  # and in one of the root table
RESERVED_TABLE = 0  # and in one that is a table
RESERVED_TOGETHER = 0  # bits that must not all be set in a valid entry
FREE_RIGHTS = 0  # nibble d: rights for which entries at depth d have no field
OWN_DEPTHS = (
    0  # bit d: entries at depth d, all tables, have fields of their own: a valid bit and a frame number
)
OWN_VALID, OWN_LOW, OWN_WIDTH = (
    0,
    0,
    0,
)  # byte d: place of their valid bit; of the frame number, and its width


@reads
def absent(depth):
    """The bits of rights that mean nothing at a depth."""
    free = FREE_RIGHTS >> ((depth << 2) & 63)
    bits = 0
    if free & RIGHT_R:
        bits |= R_MASK
    if free & RIGHT_W:
        bits |= W_MASK
    if free & RIGHT_X:
        bits |= X_MASK
    if free & RIGHT_U:
        bits |= U_MASK
    return bits


@reads
def is_own(depth):
    """Do entries at a depth have fields of their own?"""
    return OWN_DEPTHS != 0 and (OWN_DEPTHS >> (depth & 63)) & 1 != 0


@reads
def own_valid(depth):
    """The valid bit of such entries."""
    return 1 << ((OWN_VALID >> ((depth << 3) & 63)) & 63)


@reads(fills=True)
def classify(entry, depth):
    if is_own(depth):
        if entry & own_valid(depth):
            return ENTRY_TABLE
        return ENTRY_EMPTY
    if entry & VALID == 0:
        if entry & SLOT_MARK:
            return ENTRY_SWAPPED
        return ENTRY_EMPTY
    if entry & RESERVED:
        return ENTRY_RESERVED
    if RESERVED_TOGETHER and entry & RESERVED_TOGETHER == RESERVED_TOGETHER:
        return ENTRY_RESERVED
    if RESERVED_ROOT and depth == 0 and entry & RESERVED_ROOT:
        return ENTRY_RESERVED
    if LEAF_BY_RIGHTS:
        return classify_by_rights(entry, depth)
    if depth == LEVELS - 1:
        return ENTRY_LEAF
    if entry & HUGE and (PLAIN_DEPTHS >> (depth & 63)) & 1 == 0:
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
        if NAPOT and entry & NAPOT:  # Svnapot knows 64 KiB alone: ppn[0] ends in 1000 (12.7)
            if depth != LEVELS - 1 or (entry >> FRAME_LOW) & (NAPOT_ENTRIES - 1) != NAPOT_ENTRIES >> 1:
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
def combine(rights, entry, kind, depth):
    """A right without a bit is granted to all."""
    if kind > ENTRY_LEAF:
        return 0
    if kind == ENTRY_TABLE and (not HIERARCHICAL or is_own(depth)):
        return rights
    word = entry ^ FLIPPED
    if FREE_RIGHTS:
        word |= absent(depth)
    if word & ALL_MASK == ALL_MASK:
        return rights
    if R_MASK and word & R_MASK == 0:
        rights &= ~RIGHT_R
    if W_MASK and word & W_MASK == 0:
        rights &= ~RIGHT_W
    if X_MASK and word & X_MASK == 0:
        rights &= ~RIGHT_X
    if U_MASK and word & U_MASK == 0:
        rights &= ~RIGHT_U
    return rights


@reads(fills=True)
def next_table(entry, depth):
    if is_own(depth):
        low = OWN_LOW >> ((depth << 3) & 63)
        width = OWN_WIDTH >> ((depth << 3) & 63)
        number = (entry >> (low & 63)) & ((1 << (width & 63)) - 1)
        return number << PAGE_BITS
    return ((entry >> FRAME_LOW) & FRAME_MASK) << PAGE_BITS


@reads(fills=True)
def leaf_frame(entry, depth):
    low = ((SHIFTS >> (depth << 3)) & 255) - PAGE_BITS
    if NAPOT and entry & NAPOT:
        low = NAPOT_BITS
    return ((((entry >> FRAME_LOW) & FRAME_MASK) >> low) << low) << PAGE_BITS


@reads(fills=True)
def touched(entry, dirty):
    if dirty:
        return entry | A_MASK | D_MASK
    return entry | A_MASK


@reads(fills=True)
def touched_table(entry, depth):
    if NO_A and (NO_A >> (depth & 63)) & 1:
        return entry
    return entry | TABLE_A


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
def make_table(address, depth):
    """It grants all rights: the leaf decides."""
    if is_own(depth):
        return ((address >> PAGE_BITS) << ((OWN_LOW >> ((depth << 3) & 63)) & 63)) | own_valid(depth)
    bits = TABLE_BITS
    if FREE_RIGHTS:
        bits &= ~absent(depth)
    return ((address >> PAGE_BITS) << FRAME_LOW) | VALID | bits


@reads(fills=True)
def make_swapped(slot):
    return ((slot & SLOT_MASK) << SLOT_LOW) | SLOT_MARK


@reads(fills=True)
def swapped_slot(entry):
    return (entry >> SLOT_LOW) & SLOT_MASK


FUNCTIONS = (
    classify, combine, next_table, leaf_frame, touched, touched_table, is_accessed, is_dirty, is_global,
    aged, cleaned, protected, globalized, make_leaf, make_table, make_swapped, swapped_slot,
)  # fmt: skip


def own_fields(form: Format, names: list[str]) -> dict[str, int]:
    """What the levels that have fields of their own bind; `names` are those of all levels."""

    def of(role: str) -> dict[int, Any]:
        return {names.index(f.levels[0]): f for f in form.fields if f.role == f"table_{role}" and f.levels}

    valid, frame = of("valid"), of("frame")
    return {
        "OWN_DEPTHS": sum(1 << depth for depth in valid),
        "OWN_VALID": sum(field.low << 8 * depth for depth, field in valid.items()),
        "OWN_LOW": sum(field.low << 8 * depth for depth, field in frame.items()),
        "OWN_WIDTH": sum(field.width << 8 * depth for depth, field in frame.items()),
    }


def codes(form: Format) -> dict[str, int]:
    """How faults are reported."""
    bits = {name: bit for bit, name in form.code_bits}
    return {
        "CAUSES": sum(cause << 8 * access for access, cause in enumerate(form.causes)),
        "BUS_CAUSES": sum(cause << 8 * access for access, cause in enumerate(form.bus_causes)),
        "CODE_PRESENT": bits.get("P", 0),
        "CODE_WRITE": bits.get("W", 0),
        "CODE_USER": bits.get("U", 0),
        "CODE_RESERVED": bits.get("RSVD", 0),
        "CODE_FETCH": bits.get("I", 0),
        "CODE_KEY": bits.get("PK", 0),
    }


def constants(form: Format) -> dict[str, int]:
    """What a format's fields bind here and in `formats.contract`."""
    names = [level.name for level in form.levels]
    depths = range(len(names))
    rights = {RIGHT_R: "readable", RIGHT_W: "writable", RIGHT_X: "executable", RIGHT_U: "user"}

    def mask(role: str) -> int:
        field = form.role(role)
        return 0 if field is None else s64(1 << field.low)

    def free(depth: int) -> int:
        """The rights whose field does not stand at a depth; one that stands nowhere is no matter."""
        fields = {right: form.role(role) for right, role in rights.items()}
        return sum(right for right, field in fields.items() if field and not field.stands_at(names[depth]))

    granting = sum(mask(role) for role in rights.values())
    flipped = sum(mask(role) for role in form.inverted)
    frame, slot, accessed = form.role("frame"), form.role("slot"), form.role("accessed")
    key, high = form.role("key"), form.role("frame_high")
    own = own_fields(form, names)
    return {
        **own,
        "VALID": mask("valid"),
        "FLIPPED": flipped,
        "A_MASK": mask("accessed"),
        "D_MASK": mask("dirty"),
        "G_MASK": mask("global"),
        "HUGE": mask("huge"),
        "HUGE_DEPTHS": sum(1 << depth for depth in depths if form.levels[depth].leaf),
        "PLAIN_DEPTHS": sum(1 << depth for depth in depths if names[depth] in form.plain_levels),
        "HUGE_FREE": form.huge_free,
        "LEAF_BY_RIGHTS": int(form.leaf_by_rights),
        "HIERARCHICAL": int(form.hierarchical),
        "ALL_MASK": granting,
        "TABLE_A": mask("accessed") if form.table_accessed else 0,
        "NO_A": own["OWN_DEPTHS"]
        | sum(1 << depth for depth in depths if accessed and not accessed.stands_at(names[depth])),
        "TABLE_BITS": granting & ~flipped if form.hierarchical else 0,
        "FREE_RIGHTS": s64(sum(free(depth) << 4 * depth for depth in depths)),
        "FRAME_LOW": frame.low if frame else 0,
        "FRAME_MASK": (1 << frame.width) - 1 if frame else 0,
        "SLOT_MARK": mask("slot_mark"),
        "SLOT_LOW": slot.low if slot else 0,
        "SLOT_MASK": (1 << slot.width) - 1 if slot else 0,
        "RESERVED": s64(form.reserved),
        "RESERVED_ROOT": s64(form.reserved_root),
        "RESERVED_TABLE": s64(form.reserved_table),
        "RESERVED_TOGETHER": s64(form.reserved_together),
        **codes(form),
        "HIGH_LOW": high.low if high else 0,
        "HIGH_MASK": (1 << high.width) - 1 if high else 0,
        "HIGH_SHIFT": form.page_bits + frame.width if high and frame else 0,
        "NAPOT": mask("napot"),
        "KEY_LOW": key.low if key else 0,
        "KEY_MASK": (1 << key.width) - 1 if key else 0,
        **{f"{letter}_MASK": mask(role) for letter, role in zip("RWXU", rights.values(), strict=True)},
    }
