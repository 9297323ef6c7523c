"""Machines of textbooks: `tutorial16`, 16-bit addresses cut 8/8, entries of two bytes.

An entry holds the frame in bits 15:8 and RISC-V's flag bits in 7:0 (Privileged Architecture, figure
"Sv32 page table entry"); an absent entry with bit 1 set keeps a swap slot in bits 15:8.
"""

from __future__ import annotations

from vmdbg.formats.contract import (
    ACCESS_FETCH,
    ACCESS_WRITE,
    ENTRY_EMPTY,
    ENTRY_LEAF,
    ENTRY_SWAPPED,
    FAULT_NOT_PRESENT,
    RIGHT_R,
    RIGHT_U,
    RIGHT_W,
    RIGHT_X,
)
from vmdbg.formats.declared import declare
from vmdbg.formats.record import Field, Format, Level
from vmdbg.hot import reads

V, R, W, X, U, G, A, D = 1, 2, 4, 8, 16, 32, 64, 128
FRAME_SHIFT = 8
SLOT_MARK = 2


@reads(fills=True)
def classify(entry, depth):
    """V clear: empty, or a slot where bit 1 is set."""
    if entry & V:
        return ENTRY_LEAF
    if entry & SLOT_MARK:
        return ENTRY_SWAPPED
    return ENTRY_EMPTY


@reads(fills=True)
def combine(rights, entry, kind):
    """The leaf alone decides."""
    if kind > ENTRY_LEAF:
        return 0
    return rights & (((entry >> 1) & (RIGHT_R | RIGHT_W | RIGHT_X)) | ((entry & U) >> 1))


@reads(fills=True)
def next_table(entry):
    return 0


@reads(fills=True)
def leaf_frame(entry, depth):
    return (entry >> FRAME_SHIFT) << FRAME_SHIFT


@reads(fills=True)
def marked(entry, dirty):
    if dirty:
        return entry | A | D
    return entry | A


@reads(fills=True)
def marked_table(entry):
    return entry


@reads(fills=True)
def is_accessed(entry):
    return (entry & A) >> 6


@reads(fills=True)
def is_dirty(entry):
    return (entry & D) >> 7


@reads(fills=True)
def is_global(entry):
    return (entry & G) >> 5


@reads(fills=True)
def aged(entry):
    return entry & ~A


@reads(fills=True)
def cleaned(entry):
    return entry & ~D


@reads(fills=True)
def protected(entry):
    return entry & ~W


@reads(fills=True)
def globalized(entry):
    return entry | G


@reads(fills=True)
def make_leaf(address, rights, depth):
    return address | V | ((rights & (RIGHT_R | RIGHT_W | RIGHT_X)) << 1) | ((rights & RIGHT_U) << 1)


@reads(fills=True)
def make_table(address):
    return 0


@reads(fills=True)
def make_swapped(slot):
    return slot << FRAME_SHIFT | SLOT_MARK


@reads(fills=True)
def swapped_slot(entry):
    return entry >> FRAME_SHIFT


@reads(fills=True)
def fault_code(fault, access, mode):
    """Present 1, write 2, user 4, fetch 16, as on x86: the tutorial machine has no code of its own."""
    code = 0
    if fault != FAULT_NOT_PRESENT:
        code = 1
    if access == ACCESS_WRITE:
        code |= 2
    if mode == 0:
        code |= 4
    if access == ACCESS_FETCH:
        code |= 16
    return code


def allowed(control: list[int], mode: int) -> tuple[int, int, int]:
    """As `x86.allowed`: user accesses need U; the kernel may touch all, and execute its own pages."""
    sets = [0, 0, 0]
    for rights in range(16):
        user_page = bool(rights & RIGHT_U)
        for place, right in enumerate((RIGHT_R, RIGHT_W, RIGHT_X)):
            ok = rights & right and (user_page if mode == 0 else place < 2 or not user_page)
            sets[place] |= bool(ok) << rights
    return sets[0], sets[1], sets[2]


FUNCTIONS = (
    classify, combine, next_table, leaf_frame, marked, marked_table, is_accessed, is_dirty, is_global,
    aged, cleaned, protected, globalized, make_leaf, make_table, make_swapped, swapped_slot, fault_code,
)  # fmt: skip

FIELDS = (
    Field("V", 0, help="valid"),
    Field("R", 1, help="readable"),
    Field("W", 2, help="writable"),
    Field("X", 3, help="executable"),
    Field("U", 4, help="user may access"),
    Field("G", 5, help="global"),
    Field("A", 6, help="accessed"),
    Field("D", 7, help="dirty"),
    Field("PFN", 8, 8, help="frame"),
    Field("slot", 8, 8, where="s", help="swap slot"),
)


def tutorial(name: str, software_walk: bool) -> Format:
    """The 16-bit machine, with a TLB that the kernel fills or one that a walker fills."""
    return Format(
        name=name,
        manual="vmdbg, the tutorial's machine",
        va_bits=16,
        levels=(Level("PT", "pte", 8, 8, leaf=True),),
        entry_bytes=2,
        fields=FIELDS,
        functions=FUNCTIONS,
        allowed=allowed,
        software_walk=software_walk,
        code_bits=((1, "P"), (2, "W"), (4, "U"), (16, "I")),
        rules={
            "r": ("R", "reads need R = 1"),
            "w": ("W", "writes need W = 1"),
            "x": ("X", "fetches need X = 1"),
            "u": ("U", "user accesses need U = 1"),
            "k": ("U", "the kernel does not execute user pages"),
            "p": ("V", "a translation needs V = 1"),
        },
    )


TUTORIAL16 = tutorial("tutorial16", software_walk=True)
TUTORIAL16_HW = tutorial("tutorial16-hw", software_walk=False)


WORD_TABLE = declare(
    "word-table",
    "vmdbg, one entry a word",
    (Level("T", "pte", 3, 16, leaf=True),),
    19,
    8,
    (
        Field("V", 0, help="valid"),
        Field("A", 1, help="accessed"),
        Field("D", 2, help="dirty"),
        Field("PFN", 12, 40, help="frame"),
        Field("slot", 12, 40, where="s", help="swap slot"),
        Field("mark", 3, where="s", help="a slot is kept"),
    ),
    {"valid": "V", "accessed": "A", "dirty": "D", "frame": "PFN", "slot_mark": "mark"},
    allowed,
    code_bits=((1, "P"), (2, "W"), (4, "U"), (16, "I")),
    rules={"p": ("V", "a translation needs V = 1")},
)
