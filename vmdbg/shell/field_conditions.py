"""Conditions of `expect` over the fields of a command's JSON: `pa / 4096 == 0x108 && slot == null`.

A condition is comparisons joined by `&&` and `||`, with brackets.  A comparison is FIELD OP VALUE, where
VALUE may be a string, true, false, null, a list or an object of JSON; or it is an expression of the prompt in
which fields stand for their numbers.
"""

from __future__ import annotations

import json
import re

from vmdbg.errors import UserError
from vmdbg.regex import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.shell.session import Session

COMPARISON = re.compile(
    r"\s*(?P<field>[\w.\[\]-]*)\s*(?P<op>==|!=|<=|>=|=~|<|>)\s*(?P<value>.*\S)\s*", re.DOTALL
)
STEP = re.compile(r"\.?([\w-]+)|\[([0-9]{1,18})\]")
# What an expression is cut into: strings, `$names`, calls and numbers, which stay, and paths of fields.
PIECE = re.compile(
    r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\$\w*|\d\w*(?:\.\d+)?|\w+\s*(?=\()|"""
    r"""(?P<path>(?:\[\d{1,18}\]|[A-Za-z_]\w*)(?:\.[A-Za-z_]\w*|\[\d{1,18}\])*)"""
)
RELATION = re.compile(r"[<>=!?]")
ORDER = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
WORDS = {"true": True, "false": False, "null": None}
OPENING, CLOSING = "([{", ")]}"


class Judged:
    """Whether a condition holds, and what was found instead if not."""

    def __init__(self, holds: bool, found: str = "") -> None:
        self.holds, self.found = holds, "" if holds else found


def judge(session: Session, data: Any, text: str) -> Judged:
    """Judges a condition.  UserError if it makes no sense for this data."""
    return judge_any(session, data, text.strip(), alone=True)


def judge_any(session: Session, data: Any, text: str, alone: bool) -> Judged:
    """Parts between `||`, of which one has to hold."""
    parts = split(text, "||")
    alone = alone and len(parts) == 1
    judged = Judged(False)
    for part in parts:
        judged = judge_all(session, data, part, alone)
        if judged.holds:
            break
    return judged


def judge_all(session: Session, data: Any, text: str, alone: bool) -> Judged:
    """Parts between `&&`, which all have to hold."""
    parts = split(text, "&&")
    alone = alone and len(parts) == 1
    judged = Judged(True)
    for part in parts:
        inner = in_brackets(part)
        if inner and (len(split(inner, "&&")) > 1 or len(split(inner, "||")) > 1):
            judged = judge_any(session, data, inner, alone=False)
        else:
            judged = judge_comparison(session, data, part, alone)
        if not judged.holds:
            break
    return judged


def judge_comparison(session: Session, data: Any, text: str, alone: bool) -> Judged:
    """FIELD OP VALUE, or an expression with fields in it."""
    parsed = comparison(text)
    if parsed is None:
        return judge_expression(session, data, text)
    found = look_up(data, parsed["field"])
    holds = compare(found, parsed["op"], literal(session, data, parsed["value"]))
    return Judged(holds, ("" if alone else f"{parsed['field']} ") + f"is {shown(found)}")


def comparison(text: str) -> re.Match[str] | None:
    """FIELD OP VALUE in its parts; None for an expression."""
    parsed = COMPARISON.fullmatch(text)
    if parsed is None or parsed["field"][:1].isdecimal():
        return None
    quoted = parsed["op"] == "=~" or parsed["value"][0] in '"[{'
    return None if not quoted and RELATION.search(parsed["value"]) else parsed


def comparisons(text: str) -> Iterator[str]:
    """All comparisons and expressions of a condition, judged or not."""
    for part in split(text, "||"):
        for piece in split(part, "&&"):
            inner = in_brackets(piece)
            if inner and (len(split(inner, "&&")) > 1 or len(split(inner, "||")) > 1):
                yield from comparisons(inner)
            else:
                yield piece


def judge_expression(session: Session, data: Any, text: str) -> Judged:
    """An expression; it holds if it is neither zero nor void."""
    filled, used = fill(data, text)
    if not used:
        raise UserError(f'Condition "{text}" names no field.', fields_hint(data))
    found = ", ".join(f"{name} is {shown(value)}" for name, value in used.items())
    return Judged(session.truth(filled), found)


def fill(data: Any, text: str) -> tuple[str, dict[str, Any]]:
    """An expression with numbers in the place of fields, and these fields.  UserError for one with a text."""
    used: dict[str, Any] = {}

    def number(piece: re.Match[str]) -> str:
        path = piece["path"]
        if path is None or (not known(data, path) and path not in WORDS):
            return piece[0]
        value = WORDS[path] if path in WORDS else look_up(data, path)
        if path not in WORDS:
            used[path] = value
        if not isinstance(value, (int, float)):
            raise UserError(f"{path} is {shown(value)}: no number, so that it can only be compared alone")
        return f"({int(value) if isinstance(value, bool) else value})"

    return PIECE.sub(number, text), used


def known(data: Any, path: str) -> bool:
    """Whether a path begins with a field of the data."""
    if isinstance(data, dict):
        step = STEP.match(path)
        return step is not None and step[1] in data
    return isinstance(data, (list, tuple)) and (path.startswith("[") or path == "count")


def fields_hint(data: Any) -> str:
    """The names that could stand in a condition."""
    if isinstance(data, dict):
        return f"There are {', '.join(data)}."
    return "It is an array: [0].NAME is a field of its first object, count the number of them."


def depths(text: str) -> Iterator[tuple[int, int]]:
    """Each position of a text outside quotes, and in how many brackets one is behind its character."""
    depth, quote, position = 0, "", 0
    while position < len(text):
        char = text[position]
        if quote:
            position += char == "\\"
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        else:
            depth += (char in OPENING) - (char in CLOSING)
            yield position, depth
        position += 1


def in_balance(text: str) -> bool:
    """Whether each bracket outside quotes that opens is closed."""
    found = [depth for _, depth in depths(text)]
    return not found or (min(found) >= 0 and not found[-1])


def split(text: str, operator: str) -> list[str]:
    """The parts of a text between an operator that stands outside quotes and brackets."""
    parts, start = [], 0
    for position, depth in depths(text):
        if not depth and position >= start and text.startswith(operator, position):
            parts.append(text[start:position].strip())
            start = position + len(operator)
    return [*parts, text[start:].strip()]


def in_brackets(text: str) -> str:
    """What stands in the brackets around a text; nothing if there are none around all of it."""
    if not text.startswith("(") or not text.endswith(")"):
        return ""
    closed = next((position for position, depth in depths(text) if not depth), -1)
    return text[1:-1].strip() if closed == len(text) - 1 else ""


def look_up(data: Any, path: str) -> Any:
    """The value at a path in data.  UserError names what is there instead."""
    position = 0
    while position < len(path):
        step = STEP.match(path, position)
        if step is None:
            raise UserError(f'Field "{path}" makes no sense.')
        position = step.end()
        if step[2] is not None:
            if not isinstance(data, (list, tuple)) or int(step[2]) >= len(data):
                raise UserError(f'no object [{step[2]}] in "{path}"')
            data = data[int(step[2])]
        elif isinstance(data, dict):
            if step[1] not in data:
                raise UserError(f'no field "{step[1]}"; there are {", ".join(data)}')
            data = data[step[1]]
        elif isinstance(data, (list, tuple)) and step[1] == "count":
            data = len(data)
        else:
            raise UserError(f'no field "{step[1]}"')
    return data


def literal(session: Session, data: Any, text: str) -> Any:
    """A string, true, false, null, or the value of an integer expression."""
    if text in WORDS:
        return WORDS[text]
    if text.startswith(('"', "[", "{")) and not known(data, text):
        try:
            return json.loads(text)
        except ValueError:
            raise UserError(f"Value {text} cannot be read.") from None
    return session.integer(fill(data, text)[0])


def compare(found: Any, op: str, wanted: Any) -> bool:
    """Whether the condition holds; numbers are compared with numbers only."""
    if op == "==":
        return bool(found == wanted)
    if op == "!=":
        return bool(found != wanted)
    if op == "=~":
        return Pattern(str(wanted)).found_in(str(found))
    if not isinstance(found, (int, float)) or not isinstance(wanted, (int, float)):
        raise UserError(f"{shown(found)} {op} {shown(wanted)} cannot be compared")
    return bool(ORDER[op](found, wanted))


def shown(value: Any) -> str:
    """A value as JSON writes it; large numbers in hex too."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 9:
        return f"{value} ({value:#x})"
    return json.dumps(value)
