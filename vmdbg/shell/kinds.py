"""Kinds of arguments: each knows how to parse a word and how to complete one.

`parse(session, text)` gives the value or raises UserError; `complete(session, text)` gives the full
words that may stand there.  `rest=True` takes the line as it stands.  `label` is the usage word.
"""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.shell.text_completion import (
    complete_catch,
    complete_compare,
    complete_condition,
    complete_expression,
    complete_file,
    complete_pipe,
    complete_printf,
    complete_shell,
    complete_signal,
    complete_signals,
    complete_stops,
    complete_sweep,
    complete_type_expression,
    last_word,
    words_of_machine,
)
from vmdbg.units import parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from vmdbg.shell.session import Session

    Complete = Callable[[Session, str], Iterable[str]]


class Kind:
    """One kind of argument.  `matches(text)` says whether a word could be one: used to leave an
    optional argument out when the word belongs to a later one.  `minus`: what begins with "-" is one, not
    an option.  `commas`: commas are part of it, and do not part words.  `among`: the command's options may
    stand among its words, though it is the rest of the line."""

    __slots__ = (
        "_complete", "_parse", "among", "commas", "expression", "label", "matches", "minus", "name", "rest",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        parse: Callable[[Session, str], Any],
        complete: Complete | None = None,
        *,
        label: str = "",
        rest: bool = False,
        expression: bool = False,
        minus: bool = False,
        commas: bool = False,
        among: bool = False,
        matches: Callable[[str], bool] | None = None,
    ) -> None:
        self.name, self._parse, self._complete = name, parse, complete
        self.label, self.rest, self.expression, self.matches = label, rest, expression, matches
        self.minus, self.commas, self.among = minus, commas, among

    def parse(self, session: Session, text: str) -> Any:
        """The value of `text`."""
        return self._parse(session, text)

    def complete(self, session: Session, text: str) -> list[str]:
        """Words that start with `text` and may stand here."""
        return sorted(self._complete(session, text)) if self._complete else []


def _text(session: Session, text: str) -> str:
    return text


def _integer(session: Session, text: str) -> int:
    return int(session.integer(text))


def _size(session: Session, text: str) -> int:
    try:
        return parse_size(text)
    except UserError:
        return int(session.integer(text))


def _address(session: Session, text: str) -> int:
    return int(session.address(text))


def complete_location(session: Session, text: str) -> list[str]:
    """Names of the program, its labels and processes too, for the word at the end of `text`."""
    program = session.machine.program if session.target is not None else None
    start = last_word(text, "_")
    names = program.declared_at if program is not None else ()
    found = {text[:start] + name for name in names if name.startswith(text[start:])}
    return [*(found | set(complete_expression(session, text)))]


def complete_command(session: Session, text: str) -> list[str]:
    """A whole command line."""
    return session.interpreter.complete(text)


def complete_with(session: Session, text: str) -> list[str]:
    """A setting with its value, then `--` and a command line."""
    before, dashes, after = text.partition("-- ")
    if dashes:
        return [before + dashes + line for line in session.interpreter.complete(after.lstrip())]
    return [line[len("set ") :] for line in session.interpreter.complete("set " + text)]


def complete_alias(session: Session, text: str) -> list[str]:
    """`NAME = COMMAND`: the command on the right."""
    before, equals, after = text.partition("=")
    if not equals:
        return []
    lead = before + equals + " " * (len(after) - len(after.lstrip()))
    return [lead + line for line in complete_command(session, after.lstrip())]


def _setting_path(session: Session, text: str) -> list[str]:
    return [
        " ".join(setting.words)
        for setting in session.settings
        if " ".join(setting.words).startswith(text) or setting.name.startswith(text)
    ]


def _from_target(what: str) -> Complete:
    """Completion by the target's machine, which has all words of that sort."""

    def complete(session: Session, text: str) -> list[str]:
        return [word for word in words_of_machine(session, what) if word.startswith(text)]

    return complete


def choice(*words: str, label: str = "") -> Kind:
    """One of a few words, by a unique prefix."""

    def parse(session: Session, text: str) -> str:
        found = [text] if text in words else [word for word in words if word.startswith(text)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(f'Ambiguous item "{text}".')
        raise UserError(f'Undefined item: "{text}".', f"Valid arguments are {', '.join(words)}.")

    def complete(session: Session, text: str) -> Iterable[str]:
        return [word for word in words if word.startswith(text)]

    def matches(text: str) -> bool:
        return any(word.startswith(text) for word in words)

    return Kind("choice", parse, complete, label=label or "|".join(words), matches=matches)


def letters(allowed: Sequence[str], name: str, label: str) -> Kind:
    """One of a few exact words, such as r, w, x."""

    def parse(session: Session, text: str) -> str:
        if text not in allowed:
            raise UserError(f'Undefined item: "{text}".', f"Valid arguments are {', '.join(allowed)}.")
        return text

    return Kind(
        name,
        parse,
        lambda session, text: [word for word in allowed if word.startswith(text)],
        label=label,
        matches=lambda text: text in allowed,
    )


def _event(session: Session, text: str) -> str:
    if session.target is None:
        return text
    names = words_of_machine(session, "events")
    found = [text] if text in names else [name for name in names if name.startswith(text)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f'Ambiguous event "{text}": {", ".join(found)}.')
    raise UserError(f'Undefined event: "{text}".', near_hint(text, names))


def near_hint(word: str, names: Iterable[str]) -> str:
    """`Did you mean "translate"?` if a name is near, else nothing."""
    from difflib import get_close_matches

    near = get_close_matches(word, [name for name in names if name != word], n=1, cutoff=0.7)
    return f'Did you mean "{near[0]}"?' if near else ""


def _setting(session: Session, text: str) -> str:
    setting = session.settings.find(text)
    if setting is None:
        raise UserError(f'Undefined set command: "{text}".  Try "help set".')
    return str(setting.name)


EXPRESSION = Kind("expression", _text, complete_expression, label="EXPR", expression=True)
ADDRESS = Kind("address", _address, complete_expression, label="ADDRESS", expression=True)
PHYSICAL = Kind("physical address", _integer, complete_expression, label="PA", expression=True)
NUMBER = Kind("number", _integer, complete_expression, label="", expression=True)
SIZE = Kind("size", _size, None, label="SIZE", expression=True)
WORD = Kind("word", _text)
TIME = Kind("time", _text, _from_target("times"), label="TIME")
EVENT = Kind("event", _event, _from_target("events"), label="EVENT")
PROCESS = Kind("process", _integer, _from_target("pids"), label="PID", expression=True)
CPU = Kind("cpu", _integer, _from_target("cpus"), label="CPU", expression=True)
ASID = Kind("asid", _integer, _from_target("asids"), label="ASID", expression=True)
STOPS = Kind("stop numbers", _text, _from_target("stops"), label="NUMBER")
MACHINE = Kind("machine", _text, _from_target("machines"), label="NAME|FILE")
ACCESS = letters(("r", "w", "x"), "access", "r|w|x")
FILE = Kind("file", _text, complete_file, label="FILE")
SETTING = Kind("setting", _setting, _setting_path, label="SETTING")
COMMAND_NAME = Kind("command name", _text, complete_command, label="COMMAND", rest=True)
COMMAND_LINE = Kind("command line", _text, complete_command, label="COMMAND", rest=True)
WITH_LINE = Kind(
    "setting and command line", _text, complete_with, label="SETTING [VALUE] -- COMMAND", rest=True
)
DEFINITION = Kind("definition", _text, complete_alias, rest=True)
REST = Kind("text", _text, rest=True)
LOCATION = Kind("location", _text, complete_location, label="LOCATION", rest=True)
REST_EXPRESSION = Kind("expression", _text, complete_expression, label="EXPR", rest=True, minus=True)
REST_FILE = Kind("file", _text, complete_file, label="FILE", rest=True)
TYPE_EXPRESSION = Kind("expression or type", _text, complete_type_expression, label="EXP", rest=True)
PRINTF = Kind("format and expressions", _text, complete_printf, rest=True)
CONDITION = Kind("stop and condition", _text, complete_condition, rest=True)
STOP_NUMBERS = Kind("stop numbers", _text, complete_stops, rest=True)
SIGNALS = Kind("signals and actions", _text, complete_signals, rest=True)
CATCH = Kind("event", _text, complete_catch, label="KIND", rest=True)
PIPE_LINE = Kind("command line and shell command", _text, complete_pipe, label="COMMAND", rest=True)
SIGNAL = Kind("signal", _text, complete_signal, rest=True)
SWEEP = Kind("settings and a file", _text, complete_sweep, rest=True, among=True)
COMPARE = Kind("setting, two values, a file", _text, complete_compare, rest=True, among=True)
SHELL_LINE = Kind("shell command", _text, complete_shell, rest=True)
