"""Cuts expressions into tokens; text that is no token gets GDB's error message."""

from __future__ import annotations

import re

from vmdbg.errors import UserError
from vmdbg.expressions.c_types import (
    CHAR,
    DOUBLE,
    INT_TYPE,
    LONG,
    LONG_DOUBLE,
    LONG_LONG,
    SINGLE,
    UNSIGNED_INT,
    UNSIGNED_LONG,
    UNSIGNED_LONG_LONG,
    CType,
)
from vmdbg.expressions.values import Value, make
from vmdbg.units import SUFFIXES

NUMBER, STRING, CHARACTER, NAME, DOLLAR, SYMBOL, END = range(7)
NUMBER_FORM = re.compile(
    r"(?:0[xX](?:[pP][+-]|[0-9A-Za-z])*(?:\.(?:[pP][+-]|[0-9A-Za-z])*)?)"
    r"|(?=\.?[0-9])(?:[eE][+-]|[0-9A-Za-z])*(?:\.(?:[eE][+-]|[0-9A-Za-z])*)?"
)
NUMBER_START = re.compile(r"\.?[0-9]")
NAME_FORM = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
DOLLAR_FORM = re.compile(r"\$[A-Za-z0-9_$]*")
HISTORY_FORM = re.compile(r"\$(\$?)([0-9]*)")
SYMBOLS = re.compile(r"<<=|>>=|[-+*/%|&^]=|\+\+|--|->|&&|\|\||::|<<|>>|[=!<>]=|[-+*/%|&^~!@<>\[\]()?:={},.]")
FLOAT_FORM = re.compile(r"([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]*))?([fFlL]?)")
HEX_FLOAT_FORM = re.compile(r"0[xX]([0-9A-Fa-f]*)(?:\.([0-9A-Fa-f]*))?(?:[pP]([+-]?[0-9]*))?([lL]?)")
INTEGER_FORM = re.compile(
    r"(?:0[xX](?P<hex>[0-9A-Fa-f]+)|0[bB](?P<binary>[01]+)|0[tTdD](?P<decimal>[0-9]+)"
    r"|0(?P<octal>[0-7]+)|(?P<plain>0|[1-9][0-9]*))(?:(?P<suffix>[uUlL]*)|(?P<unit>[KMGTkmgt](?:[iI]?[bB])?))"
)
UNPREFIXED_FORM = re.compile(r"([1-9A-Za-z][0-9A-Za-z]{0,127})", re.ASCII)
LONGEST = 64  # binary digits of the largest constant
BASES = {"hex": 16, "binary": 2, "decimal": 10, "octal": 8, "plain": 10}
ESCAPES = {
    "a": 7,
    "b": 8,
    "f": 12,
    "n": 10,
    "r": 13,
    "t": 9,
    "v": 11,
    "e": 27,
}
ESCAPE_FORM = re.compile(
    r"\\(?:(?P<octal>[0-7]{1,3})|x(?P<hex>[0-9A-Fa-f]*)|u(?P<short>[0-9A-Fa-f]{4})"
    r"|U(?P<long>[0-9A-Fa-f]{8})|(?P<letter>.))",
    re.DOTALL,
)


class Token:
    """One token: its kind, its text, its value (number, bytes), and where it begins."""

    __slots__ = ("kind", "offset", "text", "value")

    def __init__(self, kind: int, text: str, offset: int, value: object = None) -> None:
        self.kind, self.text, self.offset, self.value = kind, text, offset, value


class Lexer:
    """The tokens of a text, one at a time, so that the error message is about the first mistake.

    The end is the end of the text, a closing bracket that nothing opened, the word `if`, or, with
    `comma`, a comma outside brackets.  `radix` is the radix of numbers without a prefix.
    """

    def __init__(self, text: str, comma: bool = False, radix: int = 10) -> None:
        self.text, self.comma, self.radix = text, comma, radix
        self.offset = 0
        self.depth = 0

    def next(self) -> Token:
        """The next token.  UserError for text that is no token."""
        text, offset = self.text, self.offset
        while offset < len(text) and text[offset] in " \t\n\r\f\v":
            offset += 1
        self.offset = offset
        if offset >= len(text):
            return Token(END, "", offset)
        char = text[offset]
        if NUMBER_START.match(text, offset):
            return self.number()
        if char == "$":
            return self.take(DOLLAR, DOLLAR_FORM)
        if char in "\"'":
            return self.quoted(char)
        if NAME_FORM.match(char):
            token = self.take(NAME, NAME_FORM)
            if token.text == "if":
                return self.end(offset)
            return token
        return self.symbol(char)

    def take(self, kind: int, form: re.Pattern[str]) -> Token:
        """The token at the current position, which `form` matches."""
        offset = self.offset
        found = form.match(self.text, offset)
        assert found is not None
        self.offset = found.end()
        return Token(kind, found[0], offset)

    def end(self, offset: int) -> Token:
        """The token for the end of the expression, at a position before the end of the text."""
        self.offset = offset
        return Token(END, "", offset)

    def symbol(self, char: str) -> Token:
        """An operator or bracket."""
        offset = self.offset
        found = SYMBOLS.match(self.text, offset)
        if found is None:
            raise UserError(f"Invalid character '{char}' in expression.")
        text = found[0]
        if text in "([":
            self.depth += 1
        elif text in ")]":
            if self.depth == 0:
                return self.end(offset)
            self.depth -= 1
        elif text == "," and self.comma and self.depth == 0:
            return self.end(offset)
        self.offset = found.end()
        return Token(SYMBOL, text, offset)

    def number(self) -> Token:
        """An integer or float with its type."""
        token = self.take(NUMBER, NUMBER_FORM)
        token.value = parse_number(token.text, self.radix)
        return token

    def quoted(self, quote: str) -> Token:
        """A string, or a character constant; more than two characters in single quotes are a name."""
        offset = self.offset
        end = offset + 1
        while end < len(self.text) and self.text[end] != quote:
            end += 2 if self.text[end] == "\\" else 1
        if end >= len(self.text):
            single = "Unmatched single quote."
            raise UserError(single if quote == "'" else "Unterminated string in expression.")
        self.offset = end + 1
        inside = self.text[offset + 1 : end]
        data = unescape_c(inside)
        if quote == '"':
            return Token(STRING, self.text[offset : end + 1], offset, data)
        if not data:
            raise UserError("A character constant must contain at least one character.")
        if len(data) > 2 and inside.isascii():
            return Token(NAME, inside, offset, "quoted")
        if len(data) > 1:
            raise UserError("Invalid character constant.")
        return Token(CHARACTER, self.text[offset : end + 1], offset, make(CHAR, data[0]))


def unescape_c(text: str) -> bytes:
    """The bytes of a C string literal, given the text between its quotes."""
    out = bytearray()
    offset = 0
    for found in ESCAPE_FORM.finditer(text):
        out += text[offset : found.start()].encode("utf-8", "surrogateescape")
        offset = found.end()
        if found["octal"] is not None:
            out.append(int(found["octal"], 8) & 0xFF)
        elif found["hex"] is not None:
            if not found["hex"]:
                raise UserError("\\x escape without a following hex digit")
            out.append(int(found["hex"], 16) & 0xFF)
        elif found["letter"] is not None:
            letter = found["letter"]
            escaped = ESCAPES.get(letter)
            out += bytes([escaped]) if escaped is not None else letter.encode("utf-8", "surrogateescape")
        else:
            point = int(found["short"] or found["long"], 16)
            out += chr(min(point, 0x10FFFF)).encode("utf-8", "surrogatepass")
    return bytes(out + text[offset:].encode("utf-8", "surrogateescape"))


def parse_number(text: str, radix: int = 10) -> Value:
    """A number as C (and GDB: `0b101`, `0t10`) writes it, or with a unit of sizes (`4K`, `2MiB`); one
    without a prefix has the radix that is given, 2 to 36.  UserError if it is none or too large."""
    if radix != 10 and (own := UNPREFIXED_FORM.fullmatch(text)) is not None:
        return in_radix(text, own[1], radix)
    found = INTEGER_FORM.fullmatch(text)
    if found is not None:
        base, digits = next((BASES[name], found[name]) for name in BASES if found[name] is not None)
        if len(digits.lstrip("0")) > LONGEST:
            raise UserError("Numeric constant too large.")
        unit = found["unit"]
        if unit is None:
            return integer_value(int(digits, base), found["suffix"].lower(), base == 10)
        if found["plain"] is not None:
            return integer_value(int(digits) * SUFFIXES[unit[0].upper()], "", True)
    hexadecimal = text[:2] in ("0x", "0X")
    floating = (HEX_FLOAT_FORM if hexadecimal else FLOAT_FORM).fullmatch(text)
    has_point = "." in text
    has_exponent = bool(set(text) & set("pP" if hexadecimal else "eE"))
    if floating is None or not (has_point or has_exponent):
        raise UserError(f'Invalid number "{text}".')
    whole, fraction, exponent, suffix = (part or "" for part in floating.groups())
    if exponent in ("", "+", "-"):
        exponent = "0"
    kind = {"f": SINGLE, "l": LONG_DOUBLE}.get(suffix.lower(), DOUBLE)
    try:
        if hexadecimal:
            number = float.fromhex(f"0x{whole or 0}.{fraction}p{exponent}")
        else:
            number = float(f"{whole or 0}.{fraction or 0}e{exponent}")
    except OverflowError:
        number = float("inf")
    return make(kind, number)


def in_radix(text: str, digits: str, radix: int) -> Value:
    """Digits of a radix, with C's suffixes where these are no digits."""
    suffix = ""
    while digits and digits[-1] in "uUlL" and int(digits[-1], 36) >= radix:
        digits, suffix = digits[:-1], digits[-1] + suffix
    try:
        number = int(digits, radix)
    except ValueError:
        raise UserError(f'Invalid number "{text}".') from None
    if number >> LONGEST:
        raise UserError("Numeric constant too large.")
    return integer_value(number, suffix.lower(), decimal=False)


def integer_value(number: int, suffix: str, decimal: bool) -> Value:
    """An integer constant in the first of C's types that holds it."""
    longs = min(2, suffix.count("l"))
    unsigned_allowed = "u" in suffix or not decimal
    signed_allowed = "u" not in suffix
    candidates: list[CType] = []
    for length, (signed, unsigned) in enumerate(
        ((INT_TYPE, UNSIGNED_INT), (LONG, UNSIGNED_LONG), (LONG_LONG, UNSIGNED_LONG_LONG))
    ):
        if length >= longs:
            candidates += [signed] if signed_allowed else []
            candidates += [unsigned] if unsigned_allowed or length == max(1, longs) else []
    for kind in candidates:
        if kind.wrap(number) == number:
            return Value(kind, number)
    raise UserError("Numeric constant too large.")
