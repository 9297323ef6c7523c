"""`printf` and the escapes of `echo`."""

from __future__ import annotations

import re

from vmdbg.errors import UserError
from vmdbg.expressions.c_types import DOUBLE, FLOAT, INT, POINTER, SINGLE
from vmdbg.expressions.values import Reader, Value, from_bytes, read_string, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
FORMAT_ESCAPES = {**ESCAPES, "e": "\033", "\\": "\\", '"': '"'}
CONVERSION_FORM = re.compile(r"%([-+ #0]*)([0-9]*)((?:\.[0-9]*)?)(hh|h|ll|l|L|z)?(.?)", re.DOTALL)
ECHO_FORM = re.compile(r"\\([0-7]{1,3}|.|$)", re.DOTALL)
MAX_DIGITS = 6
LONGEST_STRING = 1 << 20


# What each conversion does not take: flags and lengths.
REFUSED: dict[str, tuple[set[str], tuple[str, ...]]] = {
    "c": (set("0 +"), ("h", "L", "ll")),
    "s": (set("0 +"), ("h", "L", "ll")),
    "p": (set("#0 +"), ("h", "l", "ll", "L")),
    "u": (set("# +"), ("L",)),
    **dict.fromkeys("di", (set(), ("L",))),
    **dict.fromkeys("oxX", (set(" +"), ("L",))),
    **dict.fromkeys("feEgG", (set(), ("l", "ll", "h"))),
}


class Piece:
    """A part of a format: text, or a conversion with its flags, width, precision, length and letter."""

    __slots__ = ("flags", "length", "letter", "precision", "text", "width")

    def __init__(
        self,
        text: str = "",
        flags: str = "",
        width: str = "",
        precision: str = "",
        length: str = "",
        letter: str = "",
    ) -> None:
        self.text, self.flags, self.width = text, flags, width
        self.precision, self.length, self.letter = precision, length, letter


def raw(byte: int) -> str:
    """The character that streams write as that byte, whatever their encoding."""
    byte &= 0xFF
    return chr(byte if byte < 0x80 else 0xDC00 + byte)


def unescape(text: str) -> str:
    """The text of `echo`: backslash with a letter of C's, up to three octal digits, or any character."""

    def character(found: re.Match[str]) -> str:
        code = found[1]
        if code[:1].isdecimal() and code[0] <= "7":
            return raw(int(code, 8)).replace("\0", "")
        return ESCAPES.get(code, code)

    return ECHO_FORM.sub(character, text)


def split_printf(text: str) -> tuple[str, str]:
    """The arguments of `printf` as the inside of the format's quotes and the list behind its comma.

    UserError as GDB says it if there is no such format.
    """
    text = text.strip()
    if not text:
        raise UserError("Argument required (format-control string and values to print).")
    if not text.startswith('"'):
        raise UserError("Bad format string, missing '\"'.")
    end = 1
    while end < len(text) and text[end] != '"':
        end += 2 if text[end] == "\\" else 1
    if end >= len(text):
        raise UserError("Bad format string, non-terminated '\"'.")
    rest = text[end + 1 :].lstrip()
    if rest and not rest.startswith(","):
        raise UserError("Invalid argument syntax")
    return text[1:end], rest[1:].strip()


def plain(text: str) -> str:
    """A format without its backslashes.  UserError for one that C does not have."""
    out = ""
    characters = iter(text)
    for char in characters:
        if char != "\\":
            out += char
            continue
        code = next(characters, "")
        if code not in FORMAT_ESCAPES:
            raise UserError(f"Unrecognized escape character \\{code} in format string.")
        out += FORMAT_ESCAPES[code]
    return out


def pieces_of(form: str) -> list[Piece]:
    """The parts of a format, the inside of its quotes.  UserError for a conversion that is none."""
    text = plain(form)
    pieces = []
    place = 0
    while place < len(text):
        percent = text.find("%", place)
        if percent < 0:
            pieces.append(Piece(text[place:]))
            break
        if percent > place:
            pieces.append(Piece(text[place:percent]))
        if text.startswith("%%", percent):
            pieces.append(Piece("%"))
            place = percent + 2
            continue
        found = CONVERSION_FORM.match(text, percent)
        assert found is not None
        pieces.append(conversion(found))
        place = found.end()
    return pieces


def conversion(found: re.Match[str]) -> Piece:
    """A conversion that GDB takes.  UserError for all others."""
    flags, width, precision, length, letter = (part or "" for part in found.groups())
    if length == "hh":
        raise UserError("Unrecognized format specifier 'h' in printf")
    if letter == "*":
        raise UserError("`*' not supported for precision or width in printf")
    if not letter:
        raise UserError("Incomplete format specifier at end of format string")
    if letter == "n":
        raise UserError("Format specifier `n' not supported in printf")
    if letter not in "diouxXcspfeEgG":
        raise UserError(f"Unrecognized format specifier '{letter}' in printf")
    refused_flags, refused_lengths = REFUSED[letter]
    bad = set(flags) & refused_flags or length in refused_lengths or (precision and letter in "cp")
    if bad:
        raise UserError(f"Inappropriate modifiers to format specifier '{letter}' in printf")
    if max(len(width), len(precision) - 1) > MAX_DIGITS:
        raise UserError("Numeric constant too large.")
    return Piece("", flags, width, precision, length, letter)


def printf_pieces(
    form: str, arguments: Sequence[Value], read: Reader, foreign: Callable[[str], str] = str
) -> Iterator[str]:
    """The text of `printf` part by part.  UserError as GDB says it; what came before it was printed.
    What the arguments give is passed through `foreign`."""
    pieces = pieces_of(form)
    if sum(bool(piece.letter) for piece in pieces) != len(arguments):
        raise UserError("Wrong number of arguments for specified format-string")
    rest = iter(arguments)
    for piece in pieces:
        yield foreign(convert(piece, next(rest), read)) if piece.letter else piece.text


def format_printf(form: str, arguments: Sequence[Value], read: Reader) -> str:
    """The text of `printf "FORM", ARGUMENTS`; `form` is the inside of the quotes, escapes and all."""
    return "".join(printf_pieces(form, arguments, read))


def convert(piece: Piece, value: Value, read: Reader) -> str:
    """One argument in the form of its conversion."""
    letter = piece.letter
    if letter == "s":
        return aligned(piece, string_argument(value, read))
    if letter == "c":
        return aligned(piece, raw(value.as_integer())).partition("\0")[0]
    if letter == "p":
        address = value.as_address()
        return aligned(piece, f"0x{address:x}" if address else "(nil)")
    if letter in "feEgG":
        return float_text(piece, value)
    return integer_text(piece, value)


def aligned(piece: Piece, text: str) -> str:
    """A text cut to the precision and filled to the width."""
    if piece.precision:
        text = text[: int(piece.precision[1:] or 0)]
    width = int(piece.width or 0)
    return text.ljust(width) if "-" in piece.flags else text.rjust(width)


def string_argument(value: Value, read: Reader) -> str:
    """The string that a pointer, an integer or an array in memory leads to, or that the value is."""
    if value.address is None and value.type.target is not None and value.data:
        return text_of(value, read)
    address = value.as_address()
    if not address:
        return "(null)"
    data, _, error = read_string(read, address, LONGEST_STRING)
    if error is not None:
        raise error
    return data.decode("utf-8", "surrogateescape")


def float_text(piece: Piece, value: Value) -> str:
    """A float; the bits of an integer or pointer of a float's size are taken as such."""
    kind = value.type
    if kind.code in (INT, POINTER) and kind.size in (4, 8):
        value = from_bytes(SINGLE if kind.size == 4 else DOUBLE, value.as_bytes())
    number = value.number if value.type.code in (INT, FLOAT) else float(value.as_integer())
    if number != number:  # noqa: PLR0124 - the test for NaN
        sign = "-" if DOUBLE.pack(number)[7] & 0x80 else "+" if "+" in piece.flags else ""
        return aligned(Piece("", piece.flags, piece.width), f"{sign}nan")
    return f"%{piece.flags}{piece.width}{piece.precision}{piece.letter}" % number


def integer_text(piece: Piece, value: Value) -> str:
    """An integer of the size that the conversion's length says."""
    number = value.as_integer()
    bits = {"": 32, "h": 16}.get(piece.length, 64)
    letter = piece.letter
    unsigned = number & ((1 << bits) - 1)
    flags = piece.flags
    if letter in "di":
        signed = unsigned - (1 << bits) if unsigned >> (bits - 1) else unsigned
        sign = "-" if signed < 0 else "+" if "+" in flags else " " if " " in flags else ""
        digits = str(abs(signed))
    else:
        digits = f"{unsigned:{'d' if letter == 'u' else letter}}"
        sign = f"0{letter}" if "#" in flags and letter in "xX" and unsigned else ""
    if piece.precision:
        least = int(piece.precision[1:] or 0)
        digits = digits.rjust(least, "0") if unsigned or least else ""
    if letter == "o" and "#" in flags and not digits.startswith("0"):
        digits = "0" + digits
    width = int(piece.width or 0)
    if "-" in flags:
        return (sign + digits).ljust(width)
    if "0" in flags and not piece.precision:
        return sign + digits.rjust(width - len(sign), "0")
    return (sign + digits).rjust(width)
