"""What page tables would cost: arithmetic on address bits, page sizes and entry sizes."""

from __future__ import annotations

from vmdbg.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.formats.record import Format

STEP_BITS = 4  # between two rows of the table of page sizes
SMALL_ENTRY = 4
WIDEST = 64  # bits of an address


class Flat:
    """A flat table: `entries` = 2 to the `entry_bits`; `size` in bytes; `small` with entries of 4 B."""

    __slots__ = ("entry", "entry_bits", "size", "small")

    def __init__(self, entry_bits: int, entry: int) -> None:
        self.entry_bits, self.entry = entry_bits, entry
        self.size = entry << entry_bits
        self.small = SMALL_ENTRY << entry_bits


def flat(bits: int, page: int, entry: int) -> Flat:
    """The flat table of an address space of so many bits.  UserError for sizes that make no table."""
    if page <= 0 or page & (page - 1):
        raise UserError(f"A page of {page} bytes is no power of two.")
    shift = page.bit_length() - 1
    if not 0 < bits <= WIDEST:
        raise UserError(f"An address of {bits} bits: expected 1 to {WIDEST}.")
    if shift > bits:
        raise UserError(f"Pages of 2^{shift} bytes do not fit an address space of {bits} bits.")
    if not 0 < entry <= 64:
        raise UserError(f"An entry of {entry} bytes makes no table.")
    return Flat(bits - shift, entry)


class PageSize:
    """The flat table for one page size.  Sizes in units (words, or bytes); `lost` is the mean that a
    region leaves unused in its last page."""

    __slots__ = ("entries", "lost", "page", "table")

    def __init__(self, page: int, entries: int, table: int) -> None:
        self.page, self.entries, self.table = page, entries, table
        self.lost = (page - 1) / 2

    @property
    def share(self) -> float:
        """Table as a part of table and data together."""
        return self.table / (self.table + self.page * self.entries)


def page_sizes(form: Format, every: bool = False) -> tuple[str, list[PageSize]]:
    """The unit (`word` or `B`) and a row for each page size: the format's own, and from there sixteen
    times more or less, down to one entry; or with `every` for each power of two.

    Where a page can be one word, a word is what an entry takes: tables are counted in words too.
    """
    words = 1 << form.least_bits <= form.entry_bytes
    unit, entry = ("word", 1) if words else ("B", form.entry_bytes)
    less = form.least_bits if words else 0  # bits of an address inside a unit
    own = [level.shift - less for level in form.levels if level.leaf]
    space = form.va_bits - less
    least = 0 if words else (form.entry_bytes - 1).bit_length()
    if every:
        steps = range(least, space)
    else:
        last = space if words else form.page_bits + 2 * STEP_BITS
        first = least + (min(own) - least) % STEP_BITS
        steps = range(first, min(last, space - STEP_BITS) + 1, STEP_BITS)
    return unit, [
        PageSize(1 << shift, 1 << (space - shift), entry << (space - shift))
        for shift in sorted({*own, *steps})
    ]
