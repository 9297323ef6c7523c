"""Numbers, characters and strings as GDB prints them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from vmdbg.errors import UserError
from vmdbg.expressions.c_types import DOUBLE, FLOAT, INT, POINTER, SINGLE, CType
from vmdbg.expressions.values import make

Symbolize = Callable[[int], str]
ADDRESS_MASK = (1 << 64) - 1
CHARACTERS = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r"}
LETTERS = "xduotacfszri"
RADIX_LETTERS = {16: "x", 8: "o"}


class PrintOptions:
    """What `set print ...` says: limits of elements (0: none) and what to leave out.

    `repeats` is the run from which on equal elements are counted (0: never), `null_stop` ends strings at
    their first zero byte, `array` gives each element of an array a line, `symbol` names addresses.  `radix`
    is that of integers without a format letter: 10, 16 or 8.
    """

    __slots__ = ("array", "elements", "null_stop", "radix", "repeats", "symbol")

    def __init__(
        self,
        elements: int = 200,
        repeats: int = 10,
        null_stop: bool = False,
        array: bool = False,
        symbol: bool = True,
        radix: int = 10,
    ) -> None:
        self.elements, self.repeats, self.null_stop = elements, repeats, null_stop
        self.array, self.symbol, self.radix = array, symbol, radix

    @property
    def limit(self) -> int:
        """The number of elements to print."""
        return self.elements or 1 << 62

    @property
    def threshold(self) -> int:
        """The longest run that is printed element by element."""
        return self.repeats or 1 << 62


DEFAULT_OPTIONS = PrintOptions()


def escape(byte: int, quote: str) -> str:
    """One byte, or a wider unit of a string, inside quotes."""
    if byte in CHARACTERS:
        return "\\" + CHARACTERS[byte]
    if byte > 0o777:
        return f"\\x{byte:x}"
    if not 32 <= byte < 127:
        return f"\\{byte:03o}"
    char = chr(byte)
    return "\\" + char if char in (quote, "\\") else char


def format_character(number: int) -> str:
    """`65 'A'`, `-1 '\\377'`."""
    return f"{number} '{escape(number & 0xFF, chr(39))}'"


def format_string(data: Sequence[int], options: PrintOptions = DEFAULT_OPTIONS, cut: bool = False) -> str:
    """Bytes (or wider units) as a C string with repeats and limits; `cut` adds the dots of a longer one."""
    if not data and not cut:
        return '""'
    parts: list[str] = []
    plain = ""
    shown = 0
    for byte, run in groupby(data):
        if shown >= options.limit:
            break
        count = len(list(run))
        shown += count
        if count > options.threshold:
            parts += [f'"{plain}"'] if plain else []
            parts.append(f"'{escape(byte, chr(34))}' <repeats {count} times>")
            plain = ""
        else:
            plain += escape(byte, '"') * count
    parts += [f'"{plain}"'] if plain or not parts else []
    return ", ".join(parts) + ("..." if cut or shown < len(data) else "")


def format_text_array(data: bytes, options: PrintOptions = DEFAULT_OPTIONS) -> str:
    """An array of characters: without the zero byte that ends it."""
    if options.null_stop and 0 in data[: options.limit]:
        return format_string(data[: data.index(0)], options)
    if data and data[-1] == 0:
        data = data[:-1]
    return format_string(data, options)


def format_float(number: float, size: int) -> str:
    """A float of 4, 8 or 16 bytes with all its digits; NaN with its sign and payload."""
    if number != number:  # noqa: PLR0124 - the test for NaN
        bits = int.from_bytes((SINGLE if size == 4 else DOUBLE).pack(number), "little")
        payload = bits & ((1 << (23 if size == 4 else 52)) - 1)
        return f"{'-' if bits >> (31 if size == 4 else 63) else ''}nan(0x{payload:x})"
    return f"{number:.{9 if size == 4 else 17}g}"


def format_place(address: int, symbolize: Symbolize | None) -> str:
    """An address with the name of what is there: `0x1000 <buf+8>`."""
    name = symbolize(address) if symbolize is not None else ""
    return f"0x{address:x} <{name}>" if name else f"0x{address:x}"


def format_number(
    kind: CType, number: float, letter: str, padded: bool = False, symbolize: Symbolize | None = None
) -> str:
    """A number in the form of a letter; `padded` fills hex and binary to the size, as `x` does.

    UserError for a letter that is no form.
    """
    if letter in "xduotz" and kind.code == FLOAT:
        value = int.from_bytes(kind.pack(number), "little")
    elif kind.code == FLOAT and letter in "ac":
        value = make(kind, number).as_integer()
    else:
        value = int(number) if kind.code != FLOAT else 0
    bits = kind.size * 8
    unsigned = value & ((1 << bits) - 1)
    if letter == "x":
        return f"0x{unsigned:0{bits // 4 if padded else 1}x}"
    if letter == "z":
        return f"0x{unsigned:0{bits // 4}x}"
    if letter == "d":
        return str(unsigned - (1 << bits) if unsigned >> (bits - 1) else unsigned)
    if letter == "u":
        return str(unsigned)
    if letter == "o":
        return f"0{unsigned:o}" if unsigned else "0"
    if letter == "t":
        return f"{unsigned:0{bits if padded else 1}b}"
    if letter == "a":
        return format_place(value & ADDRESS_MASK, symbolize)
    if letter == "c":
        low = unsigned & 0xFF
        return format_character(low - 256 if low > 127 and kind.signed else low)
    if letter == "f":
        return format_as_float(kind, number)
    raise UserError(f'Undefined output format "{letter}".')


def format_as_float(kind: CType, number: float) -> str:
    """A float; the bits of an integer or pointer of a float's size as such; other integers as they are."""
    if kind.code in (INT, POINTER):
        if kind.size not in (4, 8):
            return str(int(number))
        number = (SINGLE if kind.size == 4 else DOUBLE).unpack(kind.pack(number))
    return format_float(number, kind.size)
