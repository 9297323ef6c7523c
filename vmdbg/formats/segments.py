"""Segmentation: no tables; the top bits of an address choose one of several pairs of base and limit.

A segment that grows down has its base at its end: its last byte is at base - 1, and the bytes that it has lie
below (Arpaci-Dusseau, Operating Systems: Three Easy Pieces, 16; the VAX's stack region P1).
"""

from __future__ import annotations

from vmdbg.formats.base_and_bounds import allowed, classify, combine, leaf_frame, make_leaf
from vmdbg.formats.contract import RIGHT_R, RIGHT_W, RIGHT_X
from vmdbg.formats.record import FLUSH_ALL, Field, Format, Level, Register

MOST_SEGMENTS = 4  # as many as a CPU has control registers for
DOWN_WORD = RIGHTS_WORD = 7
RIGHTS_LOW, RIGHTS_STEP = 8, 4  # where the rights of segment 0 are in their word, and the next ones'
ALL = RIGHT_R | RIGHT_W | RIGHT_X


def limit_word(number: int) -> int:
    """The control register that holds the limit of a segment; its base is in the one before, or the root."""
    return 2 * number


def segment_registers(
    shift: int, count: int, down: tuple[int, ...], rights: tuple[int, ...]
) -> list[Register]:
    """Base, but that of segment 0, and limit of each of `count` segments, of 2 to the `shift` bytes at most,
    which of them grow down, and their rights.

    The TLB holds what bases and rights say, so that it is flushed when they change.
    """
    registers = []
    for number in range(count):
        where = "ends" if number in down else "starts"
        if number:
            registers.append(
                Register(
                    f"base{number}", limit_word(number) - 1, 0, 52, 0, f"where segment {number} {where}",
                    flush=FLUSH_ALL,
                )
            )  # fmt: skip
        registers.append(
            Register(
                f"limit{number}", limit_word(number), 0, 40, 0, f"bytes of segment {number}", most=1 << shift
            )
        )
    for number in range(count):
        name, text = f"down.seg{number}", "it grows down from its base"
        initial = int(number in down)
        registers.append(Register(name, DOWN_WORD, number, 1, initial, text, flush=FLUSH_ALL))
    for number in range(count):
        name, low = f"rights.seg{number}", RIGHTS_LOW + RIGHTS_STEP * number
        text = "1: it may be read, 2: written, 4: executed"
        registers.append(Register(name, RIGHTS_WORD, low, 3, rights[number], text, flush=FLUSH_ALL))
    return registers


RULES = {
    "b": "an address has to lie inside its segment",
    "s": "a segment has to have the right that an access needs",
}


def segmented(
    name: str,
    va_bits: int,
    count: int,
    down: tuple[int, ...],
    manual: str = "",
    rights: tuple[int, ...] = (ALL,) * MOST_SEGMENTS,
) -> Format:
    """`count` segments, a power of two, in a space of `va_bits` bits; those of `down` grow down.

    `rights` are what the segments have at first.
    """
    bits = count.bit_length() - 1
    shift = va_bits - bits
    return Format(
        name=name,
        manual=manual or "vmdbg, segmentation",
        va_bits=va_bits,
        levels=(Level("segment", "-", shift, bits, leaf=True),),
        entry_bytes=8,
        fields=(Field("base", shift, "frame", 52 - shift, help="frame"),),
        functions=(classify, combine, leaf_frame, make_leaf),
        allowed=allowed,
        registers=tuple(segment_registers(shift, count, down, rights)),
        root_register="base0",
        bounded=True,
        segments=count,
        rule_texts=RULES,
    )
