"""The addresses that a program may name on the machine that it is read for."""

from __future__ import annotations

from vmdbg.programs.scanner import shorten
from vmdbg.units import WORD_MASK, format_address, format_size, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.programs.scanner import LineCursor

WIDE = 32  # bits; machines with wider addresses extend the sign of an address


class Space:
    """The addresses that a program may name: `va_bits` of them, base pages of `page_size` bytes.

    If addresses have more than 32 bits, those of the upper half are written sign-extended to 64 bits.
    `upper` is the first address of that half; `half` is one past the last address of the lower half (or of
    all addresses). The addresses from `user_end` on belong to the kernel.
    """

    __slots__ = ("half", "page_size", "upper", "user_end", "va_bits")

    def __init__(self, va_bits: int, page_size: int, user_end: int = 1 << 64) -> None:
        self.va_bits, self.page_size, self.user_end = va_bits, page_size, user_end
        self.half = 1 << (va_bits - 1 if va_bits > WIDE else va_bits)
        self.upper = (1 << 64) - (1 << (va_bits - 1)) if va_bits > WIDE else 1 << 64

    def fits(self, va: int) -> bool:
        """Is it an address?"""
        va &= WORD_MASK
        return va >> self.va_bits == 0 or va >= self.upper

    def normal(self, va: int) -> int:
        """The address as tables keep it: negative in the upper half.

        Values that are no address stay as they are.
        """
        return s64(va) if va & WORD_MASK >= self.upper else va

    def canonical(self, va: int) -> bool:
        """Can the address be mapped?

        Between the lower and the upper half there are addresses that cannot.
        """
        va &= WORD_MASK
        return va < self.half or va >= self.upper

    def wrong_half(self, va: int) -> str:
        """The message for an address of the kernel; empty for an address of processes."""
        if va & WORD_MASK < self.user_end:
            return ""
        last = format_address(self.user_end - 1, self.va_bits)
        return f"the address is the kernel's: those of processes end at {last}"

    def same_half(self, first: int, last: int) -> bool:
        """Do two addresses lie in the same half?"""
        return (first & WORD_MASK >= self.upper) == (last & WORD_MASK >= self.upper)

    def check_address(self, cursor: LineCursor, va: int, start: int, end: int, width: int = 1) -> None:
        """Refuse an access of `width` bytes at `va` that the machine cannot name."""
        top = format_address((1 << self.va_bits) - 1, self.va_bits)
        bits = f"does not fit in {self.va_bits} bits ({format_address(0, self.va_bits)}..{top})"
        shown = format_address(va, self.va_bits)
        if not self.fits(va):
            cursor.fail(f"address {shown} {bits}", start, end)
        if not self.fits(va + width - 1) or not self.same_half(va, va + width - 1):
            cursor.fail(f"the last of {width} bytes at {shown} {bits}", start, end)

    def check_region(self, cursor: LineCursor, first: int, size: int, start: int, end: int) -> None:
        """Refuse a region that the machine's address space has no place for."""
        self.check_address(cursor, first, start, end, size)
        if self.wrong_half(first + size - 1):
            cursor.fail(self.wrong_half(first + size - 1), start, end)
        if not self.canonical(first + size - 1):
            top = format_address(self.half - 1, self.va_bits)
            cursor.fail(f"the region does not end at {top}, where user addresses end", start, end)

    def check_aligned(self, cursor: LineCursor, value: int, page: int, start: int, end: int) -> None:
        """Refuse an address or a size that is not a number of pages."""
        if value % page:
            text = cursor.text[start:end].rstrip()
            cursor.fail(
                f"{shorten(text)} is not a multiple of the page size, {format_size(page)}",
                start,
                start + len(text),
            )
