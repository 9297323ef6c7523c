"""split: an address cut into indexes and offset, drawn."""

from __future__ import annotations

from vmdbg.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.inspect.notation import Notation
    from vmdbg.inspect.split import Parts

WIDTH = 80
GAP = "      "
SHORT_BITS = 16  # up to this width the decimal value is said too


def split_lines(show: Notation, parts: Parts) -> Iterator[str]:
    """The bits, and below each group what it says."""
    address = show.va(parts.va)
    if show.va_bits <= SHORT_BITS:
        address += f" ({parts.va})"
    single = len(parts.indexes) == 1 and parts.offset_bits == show.page_bits
    bits, names = [], []
    for level, count, value in parts.indexes:
        name = f"vpn {value}" if single and level != "segment" else f"{level} {value}"
        width = max(count, len(name) + 1)
        bits.append(f"{value:0{count}b}".ljust(width))
        names.append(name.ljust(width))
    bits.append(f"{parts.offset:0{parts.offset_bits}b}")
    offset = f"offset {parts.offset} ({parts.offset:#x})"
    lead = address + "   "
    blank = " " * len(lead)
    lower = blank + " ".join([*names, offset])
    page = f"page size {format_size(1 << parts.offset_bits)}"
    if single and parts.indexes[0][0] == "segment":
        page = f"segments of at most {format_size(1 << parts.offset_bits)}"
    yield lead + " ".join(bits)
    if len(lower + GAP + page) <= WIDTH:
        yield lower + GAP + page
    else:
        yield lower
        yield blank + page
