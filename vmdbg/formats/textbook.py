"""Machines of textbooks: `tutorial16`, 16-bit addresses cut 8/8, entries of two bytes.

An entry holds the frame in bits 15:8 and RISC-V's flag bits in 7:0 (Privileged Architecture, figure
"Sv32 page table entry"); an absent entry with bit 1 set keeps a swap slot in bits 15:8.
"""

from __future__ import annotations

from vmdbg.formats.contract import RIGHT_R, RIGHT_U, RIGHT_W, RIGHT_X
from vmdbg.formats.record import Field, Format, cut
from vmdbg.formats.riscv import FLAGS, LATE_FIELDS


def allowed(control: list[int], mode: int) -> tuple[int, int, int]:
    """As `x86.allowed`: user accesses need U; the kernel may touch all, and execute its own pages."""
    sets = [0, 0, 0]
    for rights in range(16):
        user_page = bool(rights & RIGHT_U)
        for place, right in enumerate((RIGHT_R, RIGHT_W, RIGHT_X)):
            ok = rights & right and (user_page if mode == 0 else place < 2 or not user_page)
            sets[place] |= bool(ok) << rights
    return sets[0], sets[1], sets[2]


#: Rules of machines that no manual describes.
RULES = {
    "r": "reads need {bit}",
    "w": "writes need {bit}",
    "x": "fetches need {bit}",
    "u": "user accesses need {bit}",
    "p": "a translation needs {bit}",
}


def tutorial(name: str, software_walk: bool) -> Format:
    """The 16-bit machine, with a TLB that the kernel fills or one that a walker fills."""
    return Format(
        name,
        "vmdbg, the tutorial's machine",
        16,
        cut(8, ("PT", 8, True)),
        2,
        (
            *FLAGS,
            LATE_FIELDS[0],
            Field("PFN", 8, "frame", 8, help="frame"),
            Field("slot", 8, "slot", 8, where="s", help="swap slot"),
        ),
        allowed,
        software_walk=software_walk,
        asid_bits=4,
        rule_texts={**RULES, "k": "the kernel does not execute user pages"},
    )


TUTORIAL16: Format = tutorial("tutorial16", software_walk=True)
TUTORIAL16_HW: Format = tutorial("tutorial16-hw", software_walk=False)

WORD_TABLE: Format = Format(
    "word-table",
    "vmdbg, one entry a word",
    19,
    cut(3, ("T", 16, True)),
    8,
    (
        Field("V", 0, "valid", help="valid"),
        Field("A", 1, "accessed", help="accessed"),
        Field("D", 2, "dirty", help="dirty"),
        Field("PFN", 12, "frame", 40, help="frame"),
        Field("slot", 12, "slot", 40, where="s", help="swap slot"),
        Field("mark", 3, "slot_mark", where="s", help="a slot is kept"),
    ),
    allowed,
    rule_texts=RULES,
)
