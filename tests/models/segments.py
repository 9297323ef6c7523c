"""Segmentation as Operating Systems: Three Easy Pieces, 16, and its homework explain it, in decimal.

Nothing here comes from the code that is tested.
"""

from __future__ import annotations

from typing import NamedTuple


class Registers(NamedTuple):
    """Of one segment: base, size, whether it grows in the positive direction, and its protection (16.4)."""

    base: int
    size: int
    positive: bool = True
    protection: str = "rwx"


def translate(va: int, va_bits: int, segments: list[Registers], access: str = "") -> int | None:
    """The physical address of a virtual one; None: a segmentation violation (or no such memory address).

    An access, `r`, `w` or `x`, needs the protection of its segment to have it.

    Where it grows down, the largest size of a segment is subtracted from the offset, and what remains,
    without its sign, may not be more than the size that the segment has (16.3).
    """
    if not 0 <= va < 2**va_bits:
        return None
    most = 2**va_bits // len(segments)
    segment, offset = segments[va // most], va % most
    if access not in segment.protection:
        return None
    if not segment.positive:
        offset -= most
        if abs(offset) > segment.size:
            return None
    elif offset >= segment.size:
        return None
    return segment.base + offset if segment.base + offset >= 0 else None


def translate_paged(
    va: int, va_bits: int, page_bits: int, segments: list[Registers], memory: bytes, access: str
) -> tuple[str, int]:
    """The same with a table of pages behind each segment (20.2): what comes of it, and the physical address.

    An entry is a byte: bits 5:0 the frame, 6 that it may be written, 7 that it is valid.  The base is where
    the table starts; of a segment that grows down, where it ends.
    """
    if translate(va, va_bits, [one._replace(base=1 << va_bits) for one in segments]) is None:
        return "bounds", -1
    most = 2**va_bits // len(segments)
    segment, page = segments[va // most], va % most >> page_bits
    if not segment.positive:
        page -= most >> page_bits
    address = segment.base + page
    if not 0 <= address < len(memory):
        return "bus", -1
    entry = memory[address]
    if not entry & 0x80:
        return "not-present", -1
    if access not in segment.protection or (access == "w" and not entry & 0x40):
        return "protection", -1
    return "translated", (entry & 63) << page_bits | va % (1 << page_bits)
