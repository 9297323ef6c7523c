"""One line of a program's source: a cursor on it, integer expressions, and errors that point at it."""

from __future__ import annotations

from vmdbg.errors import InputError, UserError
from vmdbg.units import WORD_MASK, parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

DIGITS = "0123456789"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
WORD = LETTERS + DIGITS
PRECEDENCE = {"|": 1, "^": 2, "&": 3, "<<": 4, ">>": 4, "+": 5, "-": 5, "*": 6, "/": 6, "%": 6}
MAX_DEPTH = 32
MAX_WORD = 40  # characters of a word that a message repeats


def shorten(text: str) -> str:
    """A word as a message shows it."""
    return text if len(text) <= MAX_WORD else text[:MAX_WORD] + "..."


def without_comment(source: str) -> str:
    """A line up to its comment; a `#` in quotes begins none."""
    if '"' not in source:
        return source.split("#", 1)[0]
    quoted = False
    for offset, character in enumerate(source):
        quoted ^= character == '"'
        if character == "#" and not quoted:
            return source[:offset]
    return source


class LineCursor:
    """A position in a line.  `at` is an index into `text`, which has no comment and no end of line."""

    __slots__ = ("at", "file", "line", "source", "symbols", "text")

    def __init__(self, source: str, file: str, line: int, symbols: dict[str, int]) -> None:
        self.source, self.file, self.line, self.symbols = source, file, line, symbols
        self.text = without_comment(source).rstrip()
        self.at = 0
        self.skip()

    def fail(self, message: str, start: int = -1, end: int = -1) -> NoReturn:
        """Refuse the file because of `text[start:end]`; by default the word at the cursor."""
        if start < 0:
            start = self.at
            end = start
            while end < len(self.text) and self.text[end] in WORD:
                end += 1
        raise InputError(message, self.file, self.line, start + 1, self.source, max(1, end - start))

    def expected(self, what: str) -> NoReturn:
        """Refuse the line: `what` was expected at the cursor."""
        if self.at >= len(self.text):
            self.fail(f"expected {what}, but the line ends", len(self.text), len(self.text) + 1)
        word = self.peek_word() or self.text[self.at]
        self.fail(f'expected {what}, not "{shorten(word)}"', self.at, self.at + len(word))

    def skip(self) -> None:
        """Move over blanks."""
        while self.at < len(self.text) and self.text[self.at] in " \t":
            self.at += 1

    def done(self) -> bool:
        """Is there nothing more on the line?"""
        return self.at >= len(self.text)

    def finish(self, more: str = "the end of the line") -> None:
        """Refuse the line if there is more on it."""
        if not self.done():
            self.expected(more)

    def peek_word(self) -> str:
        """The name or number at the cursor, or an empty string."""
        end = self.at
        while end < len(self.text) and self.text[end] in WORD:
            end += 1
        return self.text[self.at : end]

    def starts(self, text: str) -> bool:
        """Does the text stand at the cursor?"""
        return self.text.startswith(text, self.at)

    def take(self, text: str) -> bool:
        """Move over the text if it stands at the cursor."""
        if not self.starts(text):
            return False
        self.at += len(text)
        self.skip()
        return True

    def take_word(self, word: str) -> bool:
        """Move over a whole word if it stands at the cursor."""
        return self.peek_word() == word and self.take(word)

    def name(self, what: str) -> str:
        """The name at the cursor; moves the cursor over it."""
        word = self.peek_word()
        if not word or word[0] in DIGITS:
            self.expected(what)
        self.take(word)
        return word

    def string(self, what: str) -> str:
        """The text in quotes at the cursor; moves the cursor over it."""
        if not self.starts('"'):
            self.expected(what)
        end = self.text.find('"', self.at + 1)
        if end < 0:
            self.fail("the quotes are not closed", self.at, len(self.text))
        text = self.text[self.at + 1 : end]
        if not text:
            self.fail(f"expected {what}, not an empty one", self.at, end + 1)
        self.at = end + 1
        self.skip()
        return text

    def word_of(self, characters: str) -> str:
        """The longest text of these characters at the cursor; moves the cursor over it."""
        start = self.at
        while self.at < len(self.text) and self.text[self.at] in characters:
            self.at += 1
        word = self.text[start : self.at]
        self.skip()
        return word

    # -- expressions

    def expression(self, what: str, precedence: int = 1, depth: int = 0) -> int:
        """The value of the expression at the cursor; from -2^63 to 2^64 - 1."""
        start = self.at
        value = self.operand(what, depth)
        while True:
            sign = self.operator()
            if not sign or PRECEDENCE[sign] < precedence:
                return value
            left_at = self.at
            self.take(sign)
            right_at = self.at
            right = self.expression("a number", PRECEDENCE[sign] + 1, depth)
            value = self.apply(sign, value, right, left_at, right_at)
            if not -(1 << 63) <= value <= WORD_MASK:
                self.fail("the value does not fit in 64 bits", start, self.trimmed())

    def trimmed(self) -> int:
        """The index behind the last character before the cursor that is not a blank."""
        return len(self.text[: self.at].rstrip())

    def operator(self) -> str:
        """The binary operator at the cursor, or an empty string."""
        pair = self.text[self.at : self.at + 2]
        if pair in ("<<", ">>"):
            return pair
        return pair[0] if pair and pair[0] in PRECEDENCE else ""

    def apply(self, sign: str, left: int, right: int, left_at: int, right_at: int) -> int:
        """The value of a binary operation; division is C's, towards zero."""
        if sign in ("<<", ">>"):
            if not 0 <= right <= 63:
                self.fail("expected a shift from 0 to 63", right_at, self.trimmed())
            return left << right if sign == "<<" else left >> right
        if sign in ("/", "%"):
            if right == 0:
                self.fail("division by zero", left_at, self.trimmed())
            quotient = abs(left) // abs(right)
            if (left < 0) != (right < 0):
                quotient = -quotient
            return quotient if sign == "/" else left - quotient * right
        if sign == "+":
            return left + right
        if sign == "-":
            return left - right
        if sign == "*":
            return left * right
        if sign == "&":
            return left & right
        return left | right if sign == "|" else left ^ right

    def operand(self, what: str, depth: int) -> int:
        """A number, a symbol or a parenthesis at the cursor, with its signs."""
        start = self.at
        if depth > MAX_DEPTH:
            self.fail(f"more than {MAX_DEPTH} parentheses inside one another")
        signs = ""
        while not self.done() and self.text[self.at] in "+-~":
            signs += self.text[self.at]
            self.take(self.text[self.at])
        if self.take("("):
            value = self.expression("a number", 1, depth + 1)
            if not self.take(")"):
                self.expected('an operator or ")"')
        elif self.peek_word()[:1] in tuple(DIGITS):
            value = self.number()
        elif self.peek_word():
            value = self.symbol()
        else:
            self.expected(what)
        for sign in reversed(signs):
            value = -value if sign == "-" else ~value if sign == "~" else value
        if not -(1 << 63) <= value <= WORD_MASK:
            self.fail("the value does not fit in 64 bits", start, self.trimmed())
        return value

    def number(self) -> int:
        """A number at the cursor: decimal, 0x, 0b or octal, with a unit."""
        word, start = self.peek_word(), self.at
        try:
            value = parse_size(word)
        except UserError:
            self.fail(f'invalid number "{shorten(word)}"', start, start + len(word))
        if value > WORD_MASK:
            self.fail("the number does not fit in 64 bits", start, start + len(word))
        self.take(word)
        return value

    def symbol(self) -> int:
        """The value of the name at the cursor."""
        word = self.peek_word()
        if word not in self.symbols:
            self.fail(f'unknown name "{shorten(word)}"; expected a number or a name that "let" has made')
        self.take(word)
        return self.symbols[word]
