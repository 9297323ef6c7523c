"""x86 paging: Intel SDM 3A, chapter 4 (table 4-14 and following: the formats of the entries)."""

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
    RIGHT_R,
    RIGHT_U,
    RIGHT_W,
    RIGHT_X,
)
from vmdbg.formats.record import FLUSH_ALL, FLUSH_SPACE, Field, Format, Level, Register

P, RW, US, A, D, PS, G, NX = 1, 1 << 1, 1 << 2, 1 << 5, 1 << 6, 1 << 7, 1 << 8, -1 << 63
FRAME_MASK = ((1 << 52) - 1) & ~0xFFF
SLOT_MARK = 1 << 9  # of an absent entry: the kernel keeps a slot in bits 51:12
LARGE_RESERVED = 0x1FE000  # bits 20:13 of a 2 MiB leaf (SDM table 4-18)
GIANT_RESERVED = 0x3FFFE000  # bits 29:13 of a 1 GiB leaf (table 4-16)
FETCHED = 1 << 4  # I/D in an error code
AT_ROOT, AT_PDPT, AT_PD, AT_PT = 0, 1, 2, 3


@reads(fills=True)
def classify(entry, depth):
    """SDM 3A, 4.5.4; PS is reserved in the root and means PAT in a last-level entry."""
    if entry & P == 0:
        if entry & SLOT_MARK:
            return ENTRY_SWAPPED
        return ENTRY_EMPTY
    if depth == AT_PT:
        return ENTRY_LEAF
    if entry & PS == 0:
        return ENTRY_TABLE
    if depth == AT_PD:
        if entry & LARGE_RESERVED:
            return ENTRY_RESERVED
        return ENTRY_LEAF
    if depth == AT_PDPT:
        if entry & GIANT_RESERVED:
            return ENTRY_RESERVED
        return ENTRY_LEAF
    return ENTRY_RESERVED


@reads(fills=True)
def combine(rights, entry, kind):
    """SDM 3A, 4.6.1: U/S and R/W must be set, XD clear, in every entry that the walk uses."""
    if kind > ENTRY_LEAF:
        return 0
    keep = RIGHT_R | (entry & RW) | ((entry & US) << 1)
    if entry >= 0:
        keep |= RIGHT_X
    return rights & keep


@reads(fills=True)
def next_table(entry):
    """Bits 51:12."""
    return entry & FRAME_MASK


@reads(fills=True)
def leaf_frame(entry, depth):
    """Bits 51:12, 51:21 or 51:30; bit 12 of a large leaf is PAT."""
    if depth == AT_PT:
        return entry & FRAME_MASK
    if depth == AT_PD:
        return entry & FRAME_MASK & ~0x1FFFFF
    return entry & FRAME_MASK & ~0x3FFFFFFF


@reads(fills=True)
def touched(entry, dirty):
    """SDM 3A, 4.8."""
    if dirty:
        return entry | A | D
    return entry | A


@reads(fills=True)
def touched_table(entry):
    """SDM 3A, 4.8: A is set in every entry that a translation uses."""
    return entry | A


@reads(fills=True)
def is_accessed(entry):
    return (entry & A) >> 5


@reads(fills=True)
def is_dirty(entry):
    return (entry & D) >> 6


@reads(fills=True)
def is_global(entry):
    return (entry & G) >> 8


@reads(fills=True)
def aged(entry):
    return entry & ~A


@reads(fills=True)
def cleaned(entry):
    return entry & ~D


@reads(fills=True)
def protected(entry):
    return entry & ~RW


@reads(fills=True)
def globalized(entry):
    return entry | G


@reads(fills=True)
def make_leaf(address, rights, depth):
    entry = address | P | (rights & RIGHT_W)
    if rights & (RIGHT_R | RIGHT_W | RIGHT_X):  # without any of them the page is the kernel's
        entry |= (rights & RIGHT_U) >> 1
    if depth != AT_PT:
        entry |= PS
    if rights & RIGHT_X == 0:
        entry |= NX
    return entry


@reads(fills=True)
def make_table(address):
    """Writable, user, executable: the leaf decides."""
    return address | P | RW | US


@reads(fills=True)
def make_swapped(slot):
    return slot << 12 | SLOT_MARK


@reads(fills=True)
def swapped_slot(entry):
    return (entry & FRAME_MASK) >> 12


@reads(fills=True)
def fault_code(fault, access, mode):
    """SDM 3A, 4.7: P, W/R, U/S, RSVD, I/D."""
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
        code |= FETCHED
    return code


WP, SMEP, SMAP, NXE = 1 << 16, 1 << 20, 1 << 21, 1 << 11


def allowed(control: list[int], mode: int) -> tuple[int, int, int]:
    """Which rights nibbles a read, a write, a fetch of `mode` is allowed on: three 16-bit sets.

    SDM 3A, 4.6.1, with CR0.WP, CR4.SMEP, CR4.SMAP (EFLAGS.AC clear), IA32_EFER.NXE.
    """
    cr0, cr4, efer = control[:3]
    sets = [0, 0, 0]
    for rights in range(16):
        user_page, executable = bool(rights & RIGHT_U), rights & RIGHT_X or not efer & NXE
        if mode == 0:
            r, w, x = user_page, user_page and rights & RIGHT_W, user_page and executable
        else:
            touch = not (user_page and cr4 & SMAP)
            r, w = touch, touch and (rights & RIGHT_W or not cr0 & WP)
            x = executable and not (user_page and cr4 & SMEP)
        for place, ok in enumerate((r and rights & RIGHT_R, w and rights & RIGHT_R, x and rights & RIGHT_R)):
            sets[place] |= bool(ok) << rights
    return sets[0], sets[1], sets[2]


def silent(control: list[int]) -> int:
    """SDM 3A, 4.7: I/D is 0 unless CR4.SMEP = 1, or CR4.PAE = 1 (entries of 8 bytes) and
    IA32_EFER.NXE = 1."""
    _, cr4, efer = control[:3]
    return 0 if cr4 & SMEP or efer & NXE else FETCHED


FUNCTIONS = (
    classify, combine, next_table, leaf_frame, touched, touched_table, is_accessed, is_dirty, is_global,
    aged, cleaned, protected, globalized, make_leaf, make_table, make_swapped, swapped_slot, fault_code,
)  # fmt: skip

CODE_BITS = ((1, "P"), (2, "W"), (4, "U"), (8, "RSVD"), (FETCHED, "I"))

X86_64 = Format(
    name="x86_64",
    manual="Intel SDM 3A, 4.5",
    va_bits=48,
    levels=(
        Level("PML4", "pgd", 39, 9, leaf=False),
        Level("PDPT", "pud", 30, 9, leaf=True),
        Level("PD", "pmd", 21, 9, leaf=True),
        Level("PT", "pte", 12, 9, leaf=True),
    ),
    entry_bytes=8,
    fields=(
        Field("P", 0, help="present"),
        Field("RW", 1, help="writable"),
        Field("US", 2, help="user may access"),
        Field("PWT", 3, help="write-through"),
        Field("PCD", 4, help="cache disabled"),
        Field("A", 5, help="accessed"),
        Field("D", 6, where="lh", help="dirty"),
        Field("PS", 7, where="h", help="page size: this entry maps a page"),
        Field("PAT", 7, where="l", help="page attribute table"),
        Field("G", 8, where="lh", help="global"),
        Field("PFN", 12, 40, help="frame"),
        Field("NX", 63, help="no execute (XD)"),
        Field("slot", 12, 40, where="s", help="swap slot"),
    ),
    functions=FUNCTIONS,
    allowed=allowed,
    registers=(
        Register("cr0.wp", 0, 16, 1, 1, "supervisor writes need RW"),
        Register("cr4.pge", 1, 7, 1, 1, "pages may be global", ignores="G", flush=FLUSH_ALL),
        Register("cr4.smep", 1, 20, 1, 1, "the kernel does not execute user pages", flush=FLUSH_SPACE),
        Register("cr4.smap", 1, 21, 1, 0, "the kernel does not touch user pages"),
        Register("efer.nxe", 2, 11, 1, 1, "NX is a right; without, it is reserved", "NX"),
    ),
    root_register="cr3",
    fault_register="cr2",
    sign_extended=True,
    asid_bits=12,
    root_asid_bits=12,  # SDM 3A, 4.5.2 and table 4-13; SDM 2B, MOV to CR3
    root_keeps=1 << 63,
    kernel_base=-0x778000000000,  # 0xffff888000000000, as Linux (Documentation/arch/x86/x86_64/mm.rst)
    code_bits=CODE_BITS,
    silent=silent,
    rules={
        "w": ("RW", "writes need RW = 1 in every entry (Intel SDM 3A, 4.6.1)"),
        "x": ("NX", "fetches need NX = 0 in every entry (Intel SDM 3A, 4.6.1)"),
        "u": ("US", "user accesses need US = 1 in every entry (Intel SDM 3A, 4.6.1)"),
        "k": ("US", "with SMEP or SMAP the kernel needs US = 0 in some entry (Intel SDM 3A, 4.6.1)"),
        "p": ("P", "every entry of a translation needs P = 1 (Intel SDM 3A, 4.5.4)"),
        "z": ("", "reserved bits must be 0, such as low frame bits of a large page (Intel SDM 3A, 4.7)"),
        "c": ("#GP", "bits 63:47 of an address must be equal (Intel SDM 1, 3.3.7.1)"),
    },
)
