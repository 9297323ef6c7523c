"""What is wrong with an expectation whatever is handed in: syntax, commands, fields, functions, variables.

A check that cannot hold costs every hand-in; so the one who wrote the lab is told before any is graded.
"""

from __future__ import annotations

import json
import re

from vmdbg.errors import UsageError, UserError
from vmdbg.regex import Pattern
from vmdbg.shell.field_conditions import (
    PIECE,
    WORDS,
    comparison,
    comparisons,
    fields_hint,
    in_balance,
    known,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.shell.session import Session

ARROW = " => "
FORMS = "FIELD OP VALUE or an expression over fields expected"
CALL = re.compile(r"""(?<![\w$.])(\$?[A-Za-z_]\w*)\s*\(""")
NO_SYMBOL = re.compile(r'No symbol "(\w+)" in')
QUOTED = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""")
VARIABLE = re.compile(r"\$([A-Za-z]\w*)(?!\w*\s*\()")


class Mistake:
    """A mistake: the piece of the text that it is about, and what was expected there."""

    def __init__(self, piece: str, what: str) -> None:
        self.piece, self.what = piece, what


def mistake_of(session: Session, text: str, data: Any, error: UserError | None) -> Mistake | None:
    """The first mistake of an expectation.  `data` is what its command gave, None if that failed by `error`,
    which may well depend on what was handed in."""
    line, arrow, condition = text.rpartition(ARROW)
    if not arrow:
        return of_expression(session, text, None, alone=True)
    try:
        node, _ = session.interpreter.find(line)
        command = node.declared()
        if command is None or command.function is None or "json" not in command.forms:
            return Mistake(line, f'"{node.name}" has no JSON form; a command with one expected')
    except UserError as unknown:
        return Mistake(line, str(unknown))
    if data is None and isinstance(error, UsageError):
        return Mistake(line, str(error))
    if not in_balance(condition):
        return Mistake(condition, "as many closing brackets as opening ones expected")
    for part in comparisons(condition):
        found = of_comparison(session, part, data)
        if found is not None:
            return Mistake(found.piece or condition, found.what)
    return None


def of_comparison(session: Session, text: str, data: Any) -> Mistake | None:
    """The mistake of FIELD OP VALUE, or of an expression with fields in it."""
    if not text:
        return Mistake("", FORMS)
    parsed = comparison(text)
    if parsed is None:
        return of_expression(session, text, data)
    field, value = parsed["field"], parsed["value"]
    if data is not None and not known(data, field):
        return Mistake(field or text, f'no field "{field}". {fields_hint(data)}')
    try:
        if parsed["op"] == "=~":
            wanted = json.loads(value) if value.startswith('"') else value
            Pattern(str(wanted))
        elif value[0] in '"[{':
            json.loads(value)
        elif value not in WORDS:
            return of_expression(session, value, data)
    except ValueError:
        return Mistake(
            value, "a string in double quotes, a number, true, false, null or an expression expected"
        )
    except UserError as error:
        return Mistake(value, str(error))
    return None


def of_expression(session: Session, text: str, data: Any, alone: bool = False) -> Mistake | None:
    """The mistake of an expression.  `alone`: it has no fields.  Without data every name may be one."""
    evaluator = session.evaluator
    for name in CALL.findall(QUOTED.sub('""', text)):
        if name not in ("sizeof", "alignof", "_Alignof") and not evaluator.has_function(
            name.removeprefix("$")
        ):
            return Mistake(name, f"there is no function {name}")

    def filled(piece: re.Match[str]) -> str:
        path = piece["path"]
        is_field = path is not None and not alone and (data is None or path in WORDS or known(data, path))
        return "(1)" if is_field else piece[0]

    try:
        if evaluator.assigns(PIECE.sub(filled, text)):
            return Mistake(text, 'a comparison expected: "=" assigns, "==" compares')
    except UserError as error:
        unknown = NO_SYMBOL.match(str(error))
        if unknown is not None and not alone:
            return Mistake(unknown[1], f'no field "{unknown[1]}". {fields_hint(data)}')
        wanted = f"COMMAND{ARROW}CONDITION or an expression expected" if alone else FORMS
        return Mistake(text, f"{str(error).removesuffix('.')}; {wanted}")
    return None


def variables(text: str) -> set[str]:
    """The users' variables that a text names, without `$`."""
    return set(VARIABLE.findall(text))
