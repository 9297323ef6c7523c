"""A question: what is given, what is asked step by step, and the key."""

from __future__ import annotations

import re
from fractions import Fraction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

NOT_ALNUM = re.compile(r"[^0-9a-z]")
TOLERANCE = Fraction(1, 1000)  # of a time that was rounded
KINDS = {
    "translate": "an address into indexes, offset and physical address",
    "walk": "where the walk reads, entry by entry",
    "replace": "hits and faults of a reference string",
    "tlb": "set, tag, hit or miss",
    "fault": "whether an access faults, and at which level",
    "cost": "effective access time",
    "why": "the entry and the field that decide",
}


class Mark:
    """What an answer is worth.  `understood`: it could be read; `remark` says what is wrong."""

    def __init__(self, right: bool, remark: str = "", understood: bool = True) -> None:
        self.right, self.remark, self.understood = right, remark, understood


class Ask:
    """One step.  `answer` is an integer, a ratio, or a word; `shown` is how it reads.

    `other` is the word that may stand in the place of a number, such as fault.  With `places` the answer is a
    row, one letter for each.
    """

    def __init__(
        self,
        name: str,
        answer: int | Fraction | str,
        shown: str,
        other: str = "",
        places: list[str] | None = None,
    ) -> None:
        self.name, self.answer, self.shown, self.other = name, answer, shown, other
        self.places = places or []

    def mark(self, text: str, integer: Callable[[str], int]) -> Mark:
        """Judges an answer as it was typed.  `integer` reads a number, and raises UserError for none."""
        if self.places:
            return self._mark_row(text)
        if isinstance(self.answer, str):
            return self._wrong_unless(plain(text) == plain(self.answer))
        if self.other and plain(text) == plain(self.other):
            return self._wrong_unless(False)
        if isinstance(self.answer, Fraction):
            number = ratio(text)
            if number is None:
                return Mark(False, f'"{text}" is no number.', understood=False)
            return self._wrong_unless(abs(number - self.answer) <= TOLERANCE * self.answer)
        return self._wrong_unless(integer(text) == self.answer)

    def mark_nothing(self) -> Mark:
        """What no answer is worth."""
        return Mark(False, self.correction())

    def correction(self) -> str:
        """`offset is 4 (0x4).`"""
        return f"{self.name.partition(',')[0]} is {self.shown}."

    def _wrong_unless(self, right: bool) -> Mark:
        return Mark(right, "" if right else self.correction())

    def _mark_row(self, text: str) -> Mark:
        letters = [letter for letter in text.upper() if letter in "FH"]
        assert isinstance(self.answer, str)
        if len(letters) != len(self.places):
            wanted = f"{len(self.places)} letters F or H are expected"
            return Mark(False, f"{wanted}, these are {len(letters)}.", understood=False)
        for count, (given, right, place) in enumerate(zip(letters, self.answer, self.places, strict=True), 1):
            if given != right:
                words = ("fault", "hit") if right == "F" else ("hit", "fault")
                return Mark(False, f"reference {count} (page {place}) is a {words[0]}, not a {words[1]}.")
        return Mark(True)


def plain(text: str) -> str:
    """Letters and digits alone, for words."""
    return NOT_ALNUM.sub("", text.lower())


def ratio(text: str) -> Fraction | None:
    """A number with a point or a fraction bar, its unit left out; None if it is none."""
    try:
        return Fraction(text.strip().lower().removesuffix("ns").strip())
    except (ValueError, ZeroDivisionError):
        return None


class Question:
    """One question.  `given` are lines that stand below its text; `command` answers it at the prompt; `proof`
    is what a view draws the reason from, the kind of drawing first; `paper` names the machine on paper."""

    def __init__(
        self,
        kind: str,
        text: str,
        asks: list[Ask],
        command: str,
        proof: tuple[Any, ...],
        given: list[str] | None = None,
    ) -> None:
        self.kind, self.text, self.asks, self.command, self.proof = kind, text, asks, command, proof
        self.given = given or []
        self.paper = ""

    def data(self) -> dict[str, Any]:
        """What JSON shows."""
        return {
            "kind": self.kind,
            "text": self.text,
            "given": self.given,
            "steps": [
                {"name": ask.name, "answer": number(ask.answer), "shown": ask.shown} for ask in self.asks
            ],
            "command": self.command,
        }


def number(answer: int | Fraction | str) -> int | float | str:
    """An answer as JSON has it."""
    return float(answer) if isinstance(answer, Fraction) else answer
