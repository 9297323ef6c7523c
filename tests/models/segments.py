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
