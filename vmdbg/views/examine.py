"""Memory as `x/NFU` shows it, and what `x` and `print/F` remember from one command to the next."""

from __future__ import annotations

import re

from vmdbg.errors import UserError
from vmdbg.expressions.c_types import DOUBLE, EXAMINED, SINGLE, CType, pointer_to
from vmdbg.expressions.values import VOID_VALUE, Reader, Value, from_bytes, goes_on, make, read_string
from vmdbg.units import decimal, format_address
from vmdbg.views.scalars import (
    ADDRESS_MASK,
    DEFAULT_OPTIONS,
    PrintOptions,
    Symbolize,
    format_number,
    format_string,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SIZES = {"b": 1, "h": 2, "w": 4, "g": 8}
ITEMS_A_LINE = {"b": 8, "h": 8, "w": 4, "g": 2}
FORMAT_FORM = re.compile(r"(-?)([0-9]*)([A-Za-z]*)")
WIDE = {1: "", 2: "u", 4: "U"}
WIDE_UNITS = "hw"
BACKWARD_REACH = 1 << 16


class Format:
    """A count, a letter and a unit, as `4gx` says them; `raw` is the letter r."""

    __slots__ = ("count", "letter", "raw", "size")

    def __init__(self, count: int = 1, letter: str = "", size: str = "", raw: bool = False) -> None:
        self.count, self.letter, self.size, self.raw = count, letter, size, raw


class ExamineState:
    """The letter that `x` and `print/F` used last, count and unit of `x`, and where `x` goes on."""

    __slots__ = ("address", "count", "letter", "next_address", "size", "value")

    def __init__(self) -> None:
        self.letter = ""
        self.size = "w"
        self.count = 1
        self.next_address: int | None = None
        self.address = VOID_VALUE
        self.value = VOID_VALUE

    def print_format(self, text: str, remember: bool = True) -> Format:
        """What `print/TEXT` means; its letter is the next one's default unless told not to (`output`).

        UserError as GDB says it.
        """
        found = decode_format(text, self.letter if remember else "", "")
        if found.size:
            raise UserError('Size letters are meaningless in "print" command.')
        if found.count != 1:
            raise UserError('Item count other than 1 is meaningless in "print" command.')
        if found.letter == "i":
            raise UserError('Format letter "i" is meaningless in "print" command.')
        if remember:
            self.letter = found.letter
        return found

    def printed(self, value: Value) -> None:
        """A value was printed: if it lies in memory, the next `x` goes on behind it."""
        if value.address is not None and self.next_address is not None:
            self.next_address = (value.address + value.type.size) & ADDRESS_MASK

    def examine_format(self, text: str, expression: str = "") -> Format:
        """What `x/TEXT EXPRESSION` means; without letter or unit the last ones hold, and alone the count.

        A count without a letter, before any letter was used, shows numbers in decimal, as GDB does.
        """
        form = decode_format(text, self.letter if text else self.letter or "x", self.size)
        if not text and not expression and self.count > 0:
            form.count = self.count
        self.count = form.count
        return form


def split_format(text: str) -> tuple[str, str]:
    """`4gx 0x1000` as `4gx` and `0x1000`; a leading slash is dropped."""
    found = FORMAT_FORM.match(text.removeprefix("/"))
    assert found is not None
    return found[0], found.string[found.end() :].lstrip()


def decode_format(text: str, letter: str = "", size: str = "") -> Format:
    """A count, letters and units such as `4gx` with the defaults for what it leaves out.

    An empty default unit means that units have no place (`print`).
    """
    found = FORMAT_FORM.match(text)
    assert found is not None
    minus, digits, letters = found.groups()
    count = decimal(digits.lstrip("0") or "0") if digits else 1
    if count is None:
        raise UserError("Numeric constant too large.")
    result = Format(-count if minus else count)
    for char in letters:
        if char in SIZES:
            result.size = char
        elif char == "r":
            result.raw = True
        else:
            result.letter = char
    if not result.letter:
        result.letter = letter
        result.size = result.size or size
    elif not result.size and size:
        result.size = default_size(result.letter, size)
    return result


def default_size(letter: str, size: str) -> str:
    """The unit of a letter that is given without one."""
    if letter == "a":
        return "g"
    if letter in "cs":
        return "b"
    if letter == "f":
        return size if size in ("w", "g") else "g"
    return size


class Examiner:
    """One `x` command at work."""

    def __init__(
        self,
        state: ExamineState,
        form: Format,
        read: Reader,
        options: PrintOptions,
        symbolize: Symbolize | None,
        bits: int,
    ) -> None:
        self.state, self.form, self.read, self.options = state, form, read, options
        self.symbolize, self.bits = symbolize, bits
        self.kind = unit_type(form)

    def label(self, address: int) -> str:
        """`0x1000 <buf+8>:`."""
        name = self.symbolize(address) if self.symbolize is not None else ""
        shown = format_address(address, self.bits)
        return f"{shown} <{name}>:" if name else f"{shown}:"

    def lines(self, address: int) -> Iterator[str]:
        """The lines from an address on; the state moves with them."""
        count = self.form.count
        if abs(count) * self.kind.size > ADDRESS_MASK >> 1:
            raise UserError("Numeric constant too large.")  # more than half of all addresses
        start = address & ADDRESS_MASK
        if count < 0:
            start, count = self.rewound(start, -count)
        self.state.next_address = start
        strings = self.form.letter == "s"
        while count > 0:
            here = min(count, 1 if strings else ITEMS_A_LINE[self.form.size])
            yield from self.string_line() if strings else self.line(here)
            count -= here
        if self.form.count < 0:
            self.state.next_address = start
        self.state.letter = self.form.letter
        self.state.size = "b" if strings else self.form.size

    def units(self, place: int) -> tuple[Sequence[int], bool, UserError | None]:
        """The units of a string, whether a zero ended them, and what failed."""
        size = self.kind.size
        if size == 1:
            return read_string(self.read, place, self.options.limit)
        found: list[int] = []
        while len(found) < self.options.limit:
            try:
                data = self.read((place + len(found) * size) & ADDRESS_MASK, size)
            except UserError as error:
                return found, False, error
            if not any(data):
                return found, True, None
            found.append(int.from_bytes(data, "little"))
        return found, False, None

    def rewound(self, address: int, count: int) -> tuple[int, int]:
        """Where a negative count begins, and how many items there are."""
        if self.form.letter != "s":
            return (address - count * self.kind.size) & ADDRESS_MASK, count
        starts = strings_before(self.read, address, count, self.options.limit)
        return starts[0], len(starts)

    def line(self, count: int) -> Iterator[str]:
        """Some numbers; the good part of the line comes before the error."""
        state, size = self.state, self.kind.size
        place = state.next_address or 0
        line = self.label(place) + "\t"
        try:
            data = self.read(place, count * size)
        except UserError:
            data = b""
        for index in range(count):
            state.next_address = (place + size) & ADDRESS_MASK
            item = data[index * size : (index + 1) * size]
            try:
                item = item or self.read(place, size)
                value = from_bytes(self.kind, item)
                text = format_number(self.kind, value.number, self.form.letter or "d", True, self.symbolize)
            except UserError:
                yield line
                raise
            line += text + ("\t" if index + 1 < count else "\n")
            state.address = make(pointer_to(self.kind), place)
            state.value = value
            place = state.next_address
        yield line

    def string_line(self) -> Iterator[str]:
        """One string, of units as wide as was asked for."""
        state = self.state
        place = state.next_address or 0
        units, whole, error = self.units(place)
        text = ""
        if units or error is None:
            cut = not whole and error is None
            if cut and self.kind.size == 1:
                cut = goes_on(self.read, place + len(units))
            text = WIDE[self.kind.size] + format_string(units, self.options, cut)
        if error is not None:
            text += f"<error: {error}>"
        state.next_address = (place + (len(units) + whole) * self.kind.size) & ADDRESS_MASK
        state.address = make(pointer_to(self.kind), place)
        state.value = VOID_VALUE
        yield f"{self.label(place)}\t{text}\n"


def unit_type(form: Format) -> CType:
    """The type of one item."""
    if form.letter == "s":
        return EXAMINED[form.size if form.size in WIDE_UNITS else "b"]
    if form.letter == "f" and form.size in ("w", "g"):
        return SINGLE if form.size == "w" else DOUBLE
    return EXAMINED[form.size]


def strings_before(read: Reader, address: int, count: int, limit: int) -> list[int]:
    """The starts of up to `count` strings that end before an address.  UserError if there is none."""
    starts: list[int] = []
    place = address
    while len(starts) < count and address - place < BACKWARD_REACH:
        try:
            last = read((place - 1) & ADDRESS_MASK, 1)
        except UserError:
            if starts:
                break
            raise
        begin = place - 1 if last == b"\0" else place
        end = place
        while address - begin < BACKWARD_REACH:
            try:
                if read((begin - 1) & ADDRESS_MASK, 1) == b"\0":
                    break
            except UserError:
                break
            begin -= 1
        pieces = list(range(begin, end, limit))
        starts = pieces[-(count - len(starts)) :] + starts
        place = begin
    return starts


def format_memory(
    state: ExamineState,
    form: Format,
    read: Reader,
    address: int | None = None,
    options: PrintOptions = DEFAULT_OPTIONS,
    symbolize: Symbolize | None = None,
    bits: int = 64,
) -> Iterator[str]:
    """The text of `x`, line by line, each with its newline; without an address from where the last ended.

    UserError where memory cannot be read, after the good part of that line (which then has no newline).
    Afterwards `state.address` and `state.value` are what `$_` and `$__` become.  `bits` is the width to
    which addresses are padded, up to 32.
    """
    if form.letter == "i":
        raise UserError('Format letter "i" is meaningless in "x" command.')
    start = state.next_address if address is None else address
    if start is None:
        raise UserError("Argument required (starting display address).")
    return Examiner(state, form, read, options, symbolize if options.symbol else None, bits).lines(start)
