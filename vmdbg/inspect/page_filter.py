"""Conditions on mapped pages, as `map where` takes them: `rights=~w && user && size>=2M`.

word     r w x user kernel              a right; whose page it is
compare  start end size page pa pfn     = == != < <= > >= and a number (a size such as 2M, an expression)
compare  rights                         =~ has all of these letters, !~ lacks one, == and != all four
compare  region                         =~ has this text, !~ has it not, == and !=
joined   && || ! ( )
"""

from __future__ import annotations

import re

from vmdbg.errors import UserError
from vmdbg.formats.contract import RIGHT_R, RIGHT_U, RIGHT_W, RIGHT_X
from vmdbg.inspect.notation import rights_text
from vmdbg.units import WORD_MASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vmdbg.inspect.address_space import Run

    Condition = Callable[[Run, str], bool]
    Right = Callable[[int], bool]
    Compare = Callable[[int, int], bool]

TOKEN = re.compile(r"\s*(&&|\|\||=~|!~|==|!=|>=|<=|[()!=<>]|[^\s&|!()=<>~]+)")
WORDS: dict[str, Right] = {
    "r": lambda rights: bool(rights & RIGHT_R),
    "w": lambda rights: bool(rights & RIGHT_W),
    "x": lambda rights: bool(rights & RIGHT_X),
    "user": lambda rights: bool(rights & RIGHT_U),
    "kernel": lambda rights: not rights & RIGHT_U,
}
NUMBERS = ("start", "end", "size", "page", "pa", "pfn")
TEXTS = ("rights", "region")
OPERATORS = ("=", "==", "!=", "<", "<=", ">", ">=", "=~", "!~")
COMPARED: dict[str, Compare] = {
    "=": lambda a, b: a == b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
KNOWN = f"Conditions speak of {', '.join((*WORDS, *NUMBERS, *TEXTS))}."
DEEPEST = 64  # brackets and negations


def number_of(run: Run, name: str, page_bits: int) -> int:
    """What a number of a condition is for a run of pages."""
    if name in ("pa", "pfn"):
        return run.pa >> (page_bits if name == "pfn" else 0)
    if name == "size":
        return run.end - run.start
    return {"start": run.start, "end": run.end & WORD_MASK, "page": run.page_size}[name]


class Reader:
    """Reads one condition: a parser by recursive descent.  `evaluate` gives the number that a text means."""

    def __init__(self, text: str, evaluate: Callable[[str], int], page_bits: int) -> None:
        self.text, self.evaluate, self.page_bits = text, evaluate, page_bits
        self.tokens: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            found = TOKEN.match(text, at)
            if found is None:
                raise UserError(f'Invalid condition at "{text[at:].strip():.40}".', KNOWN)
            self.tokens.append(found[1])
            at = found.end()
        self.at = self.depth = 0

    def peek(self) -> str:
        """The next token; empty at the end."""
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        """The next token, which is used up.  UserError at the end."""
        token = self.peek()
        if not token:
            raise UserError("The condition ends too early.", KNOWN)
        self.at += 1
        return token

    def whole(self) -> Condition:
        """All of the text.  UserError if something is left."""
        found = self.either()
        if self.peek():
            raise UserError(f'Invalid condition at "{self.peek()}".', KNOWN)
        return found

    def either(self) -> Condition:
        """`a || b`."""
        parts = [self.both()]
        while self.peek() == "||":
            self.take()
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else lambda run, name: any(part(run, name) for part in parts)

    def both(self) -> Condition:
        """`a && b`."""
        parts = [self.one()]
        while self.peek() == "&&":
            self.take()
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else lambda run, name: all(part(run, name) for part in parts)

    def one(self) -> Condition:
        """A word, a comparison, a negation, something in brackets."""
        word = self.take()
        if word in ("!", "("):
            self.depth += 1
            if self.depth > DEEPEST:
                raise UserError("The condition is nested too deeply.")
            inner = self.one() if word == "!" else self.either()
            self.depth -= 1
            if word == "!":
                return lambda run, name: not inner(run, name)
            if self.take() != ")":
                raise UserError("Missing ) in the condition.")
            return inner
        if word in WORDS:
            test = WORDS[word]
            return lambda run, name: test(run.rights)
        if word in NUMBERS or word in TEXTS:
            operator = self.take()
            if operator not in OPERATORS:
                raise UserError(f'Expected a comparison after "{word}", not "{operator}".', KNOWN)
            return (self.number if word in NUMBERS else self.words)(word, operator, self.take())
        raise UserError(f'Undefined word in the condition: "{word}".', KNOWN)

    def number(self, token: str, operator: str, text: str) -> Condition:
        """A comparison of numbers."""
        if operator not in COMPARED:
            raise UserError(f'"{operator}" compares texts: {token} is a number.')
        compare, value, bits = COMPARED[operator], self.evaluate(text) & WORD_MASK, self.page_bits
        return lambda run, name: compare(number_of(run, token, bits), value)

    @staticmethod
    def words(word: str, operator: str, text: str) -> Condition:
        """A comparison of texts."""
        if operator not in ("=", "==", "!=", "=~", "!~"):
            raise UserError(f'"{operator}" compares numbers: {word} is a text.')
        wanted = operator in ("=", "==", "=~")

        def test(run: Run, name: str) -> bool:
            if word == "region":
                same = text in name if operator in ("=~", "!~") else text == name
            else:
                letters = rights_text(run.rights)
                same = set(text) <= set(letters) if operator in ("=~", "!~") else text == letters
            return same == wanted

        return test


def condition(text: str, evaluate: Callable[[str], int], page_bits: int) -> Condition:
    """A function of a run of pages and of its region's name.  UserError says what is wrong with the text."""
    return Reader(text, evaluate, page_bits).whole()
