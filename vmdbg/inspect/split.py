"""An address cut into indexes and offset: arithmetic alone."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.formats.record import Format


class Parts:
    """`indexes` are (level, bits, value), the root's first."""

    __slots__ = ("indexes", "offset", "offset_bits", "va", "vpn")

    def __init__(
        self, va: int, indexes: list[tuple[str, int, int]], offset: int, offset_bits: int, vpn: int
    ) -> None:
        self.va, self.indexes, self.offset, self.offset_bits, self.vpn = va, indexes, offset, offset_bits, vpn

    def data(self) -> dict[str, Any]:
        """What JSON shows."""
        return {
            "va": self.va,
            "indexes": [
                {"level": level, "bits": bits, "value": value} for level, bits, value in self.indexes
            ],
            "offset": self.offset,
            "page_size": 1 << self.offset_bits,
            "vpn": self.vpn,
        }


def split(form: Format, va: int, page_size: int = 0) -> Parts:
    """Cut an address for a page size in bytes, 0 = base pages.  UserError if there is no such page."""
    try:
        size = form.size_index(page_size or form.page_size)
    except ValueError:
        sizes = [format_size(1 << level.shift) for level in reversed(form.levels) if level.leaf]
        raise UserError(
            f"{form.name} has no pages of {format_size(page_size)}.", f"It has {', '.join(sizes)}."
        ) from None
    levels = form.levels[: len(form.levels) - size]
    shift = form.segment_shift
    chosen = [("segment", form.va_bits - shift, va >> shift)] if form.segments else []
    if form.segments and form.bounded:
        return Parts(va, chosen, va & ((1 << shift) - 1), shift, 0)
    if form.bounded:
        return Parts(va, [], va, levels[-1].shift, 0)
    indexes = [(level.name, level.bits, form.index(va, depth)) for depth, level in enumerate(levels)]
    shift, indexes = levels[-1].shift, chosen + indexes
    vpn = (va & ((1 << form.va_bits) - 1)) >> form.page_bits
    return Parts(va, indexes, va & ((1 << shift) - 1), shift, vpn)
