"""Machines of textbooks: `tutorial16`, 16-bit addresses cut 8/8, entries of two bytes.

An entry holds the frame in bits 15:8 and RISC-V's flag bits in 7:0 (Privileged Architecture, figure
"Sv32 page table entry"); an absent entry with bit 1 set keeps a swap slot in bits 15:8.
"""

from __future__ import annotations

from vmdbg.formats.contract import RIGHT_R, RIGHT_U, RIGHT_W, RIGHT_X
from vmdbg.formats.declared import declare
from vmdbg.formats.record import Field, Format, Level

CODE_BITS = ((1, "P"), (2, "W"), (4, "U"), (16, "I"))  # as on x86: these machines have no codes of their own


def allowed(control: list[int], mode: int) -> tuple[int, int, int]:
    """As `x86.allowed`: user accesses need U; the kernel may touch all, and execute its own pages."""
    sets = [0, 0, 0]
    for rights in range(16):
        user_page = bool(rights & RIGHT_U)
        for place, right in enumerate((RIGHT_R, RIGHT_W, RIGHT_X)):
            ok = rights & right and (user_page if mode == 0 else place < 2 or not user_page)
            sets[place] |= bool(ok) << rights
    return sets[0], sets[1], sets[2]


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
    Field("mark", 1, where="s", help="a slot is kept"),
)


def tutorial(name: str, software_walk: bool) -> Format:
    """The 16-bit machine, with a TLB that the kernel fills or one that a walker fills."""
    return declare(
        name,
        "vmdbg, the tutorial's machine",
        (Level("PT", "pte", 8, 8, leaf=True),),
        16,
        2,
        FIELDS,
        {
            "valid": "V",
            "readable": "R",
            "writable": "W",
            "executable": "X",
            "user": "U",
            "global": "G",
            "accessed": "A",
            "dirty": "D",
            "frame": "PFN",
            "slot_mark": "mark",
        },
        allowed,
        software_walk=software_walk,
        asid_bits=4,
        code_bits=CODE_BITS,
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
    code_bits=CODE_BITS,
    rules={"p": ("V", "a translation needs V = 1")},
)
