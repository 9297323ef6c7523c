"""The arguments of operations and regions: what stands behind the word, checked, as words of a row."""

from __future__ import annotations

from vmdbg.formats.contract import RIGHT_R, RIGHT_U, RIGHT_W, RIGHT_X
from vmdbg.kernel.regions import REGION_KINDS
from vmdbg.kernel.scheduler import OP_EXIT, OP_RANGED, OP_WIDTH
from vmdbg.kernel.syscalls import MMAP_PAGE_SHIFT, MMAP_POPULATE
from vmdbg.programs.operations import ARGUMENTS
from vmdbg.programs.scanner import WORD, shorten
from vmdbg.units import WORD_MASK, format_address, format_size, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.programs.operations import Operation
    from vmdbg.programs.scanner import Cursor

#: Kinds of region that a program can ask for.
KINDS = tuple(kind for kind in REGION_KINDS if kind not in ("", "file", "shared", "trace"))
RIGHT_LETTERS = {"r": RIGHT_R, "w": RIGHT_W, "x": RIGHT_X, "u": RIGHT_U, "-": 0}
WIDTHS = (1, 2, 4, 8)
WIDE = 32  # bits; machines with wider addresses extend the sign of an address
OPTION_TEXTS = {"limit": "limit=N", "cpu": "cpu=N", "page": "page=SIZE", "populate": "populate"}
RANGE_HINT = "expected A..B with B not included"


class Space:
    """The addresses that a program may name: `va_bits` of them, base pages of `page_size` bytes.

    Where addresses have more than 32 bits, the upper half is written sign-extended to 64 bits; `upper`
    is its first address, and `half` is one past the last address of the lower half (or of all).
    """

    __slots__ = ("half", "page_size", "upper", "va_bits")

    def __init__(self, va_bits: int, page_size: int) -> None:
        self.va_bits, self.page_size = va_bits, page_size
        self.half = 1 << (va_bits - 1 if va_bits > WIDE else va_bits)
        self.upper = (1 << 64) - (1 << (va_bits - 1)) if va_bits > WIDE else 1 << 64

    def fits(self, va: int) -> bool:
        """Is it an address?"""
        va &= WORD_MASK
        return va >> self.va_bits == 0 or va >= self.upper

    def normal(self, va: int) -> int:
        """The address as tables keep it, negative in the upper half; other values as they are."""
        return s64(va) if va & WORD_MASK >= self.upper else va

    def canonical(self, va: int) -> bool:
        """Can it be mapped?  Where addresses have an upper half, there is a hole between the two."""
        va &= WORD_MASK
        return va < self.half or va >= self.upper

    def same_half(self, first: int, last: int) -> bool:
        """Do two addresses lie in one stretch of them?"""
        return (first & WORD_MASK >= self.upper) == (last & WORD_MASK >= self.upper)

    def check_address(self, cursor: Cursor, va: int, start: int, end: int, width: int = 1) -> None:
        """Refuse an access of `width` bytes at `va` that the machine cannot name."""
        top = format_address((1 << self.va_bits) - 1, self.va_bits)
        bits = f"does not fit in {self.va_bits} bits ({format_address(0, self.va_bits)}..{top})"
        shown = format_address(va, self.va_bits)
        if not self.fits(va):
            cursor.fail(f"address {shown} {bits}", start, end)
        if not self.fits(va + width - 1) or not self.same_half(va, va + width - 1):
            cursor.fail(f"the last of {width} bytes at {shown} {bits}", start, end)

    def check_region(self, cursor: Cursor, first: int, size: int, start: int, end: int) -> None:
        """Refuse a region that the machine's address space has no place for."""
        self.check_address(cursor, first, start, end, size)
        if not self.canonical(first + size - 1):
            top = format_address(self.half - 1, self.va_bits)
            cursor.fail(f"the region does not end at {top}, where user addresses end", start, end)

    def check_aligned(self, cursor: Cursor, value: int, page: int, start: int, end: int) -> None:
        """Refuse an address or a size that is not a number of pages."""
        if value % page:
            text = cursor.text[start:end].rstrip()
            cursor.fail(
                f"{shorten(text)} is not a multiple of the page size, {format_size(page)}",
                start,
                start + len(text),
            )


def rights(cursor: Cursor) -> int:
    """Rights at the cursor, such as `rw`, `r-x`, `rw-u` or `none`; pages are always the user's."""
    start, end = cursor.at, cursor.at
    while end < len(cursor.text) and cursor.text[end] in WORD + "-":
        end += 1
    word = cursor.text[start:end]
    letters = word.replace("-", "")
    if not word or (
        word != "none" and (set(letters) - set(RIGHT_LETTERS) or len(set(letters)) < len(letters))
    ):
        what = f', not "{shorten(word)}"' if word else ""
        cursor.fail(f"expected rights such as rw, r-x or none{what}", start, max(end, start + 1))
    cursor.take(word)
    if word == "none":
        return RIGHT_U
    return RIGHT_U | sum(RIGHT_LETTERS[letter] for letter in letters if letter != "u")


def options(cursor: Cursor, known: dict[str, tuple[int, int] | None]) -> dict[str, int]:
    """`NAME=EXPR` and flags up to the end of the line.  `known` has the bounds, None for a flag."""
    found: dict[str, int] = {}
    wanted = ", ".join(OPTION_TEXTS[name] for name in known)
    while not cursor.done():
        start = cursor.at
        word = cursor.peek_word()
        if word not in known:
            cursor.expected(f"{wanted} or the end of the line")
        if word in found:
            cursor.fail(f"{word} is there already", start, start + len(word))
        cursor.take(word)
        bounds = known[word]
        if bounds is None:
            found[word] = 1
            continue
        if not cursor.take("="):
            cursor.expected('"="')
        place = cursor.at
        found[word] = cursor.expression("a number")
        if word == "page" and (found[word] < bounds[0] or found[word] & (found[word] - 1)):
            cursor.fail(f"expected a power of two from {format_size(bounds[0])}", place, cursor.trimmed())
        if not bounds[0] <= found[word] <= bounds[1]:
            cursor.fail(f"expected a number from {bounds[0]} to {bounds[1]}", place, cursor.trimmed())
    return found


def page_options(cursor: Cursor, space: Space) -> tuple[int, bool]:
    """`page=SIZE` and `populate`: the shift of the page size, 0 = base pages, and the flag."""
    found = options(cursor, {"page": (space.page_size, 1 << 62), "populate": None})
    page = found.get("page", space.page_size)
    return (0 if page == space.page_size else page.bit_length() - 1), "populate" in found


class Place:
    """An address, or a range from `first` up to and without `last`; `step` 0 = the width."""

    __slots__ = ("end", "first", "last", "ranged", "start", "step")

    def __init__(self, cursor: Cursor, space: Space) -> None:
        self.start = cursor.at
        self.first = space.normal(cursor.expression("an address"))
        self.last, self.step, self.ranged = 0, 0, cursor.take("..")
        if self.ranged:
            last = cursor.expression("the end of the range")
            self.last = s64(last) if self.first < 0 else last
        if cursor.peek_word() == "step":
            if not self.ranged:
                cursor.fail(f"a step without a range; {RANGE_HINT}")
            cursor.take("step")
            at = cursor.at
            self.step = cursor.expression("a step")
            if self.step == 0 or abs(self.step) >> 62:
                cursor.fail("expected a step that is not 0 and fits in 63 bits", at, cursor.trimmed())
        self.end = cursor.trimmed()

    def following(self, cursor: Cursor, space: Space, width: int) -> list[int]:
        """The row [count, step, 0, 0] of a range, nothing for an address; checks all addresses."""
        space.check_address(cursor, self.first, self.start, self.end, width)
        if not self.ranged:
            return []
        step = self.step or width
        distance = (self.last - self.first) * (1 if step > 0 else -1)
        if distance <= 0:
            cursor.fail(f"the range is empty; {RANGE_HINT}", self.start, self.end)
        count = -(-distance // abs(step))
        final = self.first + (count - 1) * step
        space.check_address(cursor, final, self.start, self.end, width)
        if not space.same_half(self.first, final):
            cursor.fail("the range leaves its half of the address space", self.start, self.end)
        return [count, step, 0, 0]


def phrase(name: str) -> str:
    """An argument's name in an error."""
    return ("an " if name[0] in "AEIO" else "a ") + name.lower()


def read_arguments(cursor: Cursor, operation: Operation, space: Space) -> tuple[list[int], str, int]:
    """The rest of an operation's line: its row (and the range's), a label that it names, and where."""
    spans: dict[str, tuple[int, int]] = {}
    values: dict[str, int] = {}
    place: Place | None = None
    label, label_at = "", 0
    for number, (name, required) in enumerate(operation.arguments):
        if number == 0 or name == "OPTIONS":
            if not required and cursor.done():
                break
        elif not cursor.take(","):
            if required:
                cursor.expected(f'"," and {phrase(name)}')
            break
        start = cursor.at
        if name == "PLACE":
            place = Place(cursor, space)
        elif name == "LABEL":
            label, label_at = cursor.name("a label"), start
        elif name == "RIGHTS":
            values[name] = rights(cursor)
        elif name == "OPTIONS":
            shift, populate = page_options(cursor, space)
            values[name] = shift << MMAP_PAGE_SHIFT | (MMAP_POPULATE if populate else 0)
        else:
            values[name] = cursor.expression(phrase(name))
        spans[name] = start, cursor.trimmed()
    cursor.finish(
        '"," or the end of the line' if len(spans) < len(operation.arguments) else "the end of the line"
    )
    row = [operation.kind, 0, 0, 0]
    if operation.kind < OP_EXIT:
        assert place is not None
        return access_rows(cursor, space, row, place, values, spans), "", 0
    if ("LABEL", False) in operation.arguments:
        row[1] = -1
    check_call(cursor, operation, space, values, spans)
    for name, value in values.items():
        row[ARGUMENTS[name][0]] |= s64(value)
    return row, label, label_at


def access_rows(
    cursor: Cursor,
    space: Space,
    row: list[int],
    place: Place,
    values: dict[str, int],
    spans: dict[str, tuple[int, int]],
) -> list[int]:
    """The rows of a fetch, read, write or modify."""
    width = values.get("WIDTH", 1)
    if width not in WIDTHS:
        cursor.fail("expected a width of 1, 2, 4 or 8 bytes", *spans["WIDTH"])
    value = values.get("VALUE", 0)
    bits = 8 * width
    if not -(1 << (bits - 1)) <= value < 1 << bits:
        cursor.fail(f"the value does not fit in {width} byte{'s' if width > 1 else ''}", *spans["VALUE"])
    following = place.following(cursor, space, width)
    row[0] |= (OP_RANGED if following else 0) | width << OP_WIDTH
    row[1] = s64(place.first)
    row[2] = s64(value & ((1 << bits) - 1))
    return row + following


def check_call(
    cursor: Cursor,
    operation: Operation,
    space: Space,
    values: dict[str, int],
    spans: dict[str, tuple[int, int]],
) -> None:
    """Refuse arguments of a system call that no machine of this kind takes."""
    if "STATUS" in values and not 0 <= values["STATUS"] <= 255:
        cursor.fail("expected a status from 0 to 255", *spans["STATUS"])
    if "ADDRESS" in values:
        space.check_address(cursor, values["ADDRESS"], *spans["ADDRESS"])
    if "SIZE" in values:
        if values["SIZE"] <= 0:
            cursor.fail("expected a size of at least one page", *spans["SIZE"])
        shift = values.get("OPTIONS", 0) >> MMAP_PAGE_SHIFT & 0xFF
        page = 1 << shift if shift else space.page_size
        for name in ("ADDRESS", "SIZE"):
            space.check_aligned(cursor, values[name], page, *spans[name])
        space.check_region(cursor, values["ADDRESS"], values["SIZE"], spans["ADDRESS"][0], spans["SIZE"][1])
