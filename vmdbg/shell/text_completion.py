"""What may stand at the end of a text that is no plain list of words: expressions, types, `printf`'s
arguments, a condition, lines of the shell.  Every function gives whole texts that continue the given one.
"""

from __future__ import annotations

import os

from vmdbg.errors import UserError
from vmdbg.shell.grammar import word_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vmdbg.machine.setting import Setting
    from vmdbg.shell.session import Session


#: What `handle` may be told to do -> whether the signal stops the program after it; GDB's others change
#: nothing here.
HANDLE_ACTIONS = {
    "stop": True,
    "print": None,
    "pass": None,
    "noignore": None,
    "nostop": False,
    "noprint": False,
}


def last_word(text: str, letters: str) -> int:
    """Where the word at the end of the text starts: ASCII letters, digits and `letters`."""
    start = len(text)
    while start and (text[start - 1].isascii() and text[start - 1].isalnum() or text[start - 1] in letters):
        start -= 1
    return start


def complete_expression(session: Session, text: str) -> list[str]:
    """Convenience variables, registers, functions and symbols for the word at the end of `text`; types
    where one may stand."""
    start = last_word(text, "_$.")
    word, before = text[start:], text[:start]
    found = [before + name for name in session.names() if word and name.startswith(word)]
    if type_may_follow(before, word):
        found += [before + name for name in type_words(before) if name.startswith(word)]
    return found


def complete_type_expression(session: Session, text: str) -> list[str]:
    """As `complete_expression`; a type may stand at the beginning, too (`ptype`)."""
    found = complete_expression(session, text)
    if last_word(text, "_$.") == 0 and text:
        found += [name for name in type_words("") if name.startswith(text)]
    return found


def type_may_follow(before: str, word: str) -> bool:
    """Whether what stands before a word lets it be a type.  Behind a lone bracket, where anything may
    stand, only once the word has begun."""
    from vmdbg.expressions.c_types import TYPE_WORDS

    before = before.rstrip(" ")
    previous = before[last_word(before, "_") :]
    if previous in TYPE_WORDS or previous == "sizeof" or before.endswith("{"):
        return True
    return before.endswith("(") and (bool(word) or before[:-1].rstrip(" ").endswith("sizeof"))


def type_words(before: str) -> list[str]:
    """Words of C's types that may stand behind the type words at the end of `before`, sorted."""
    from vmdbg.expressions.c_types import AGGREGATES, QUALIFIERS, SPELLINGS, TYPE_WORDS

    given: list[str] = []
    rest = before.rstrip(" ")
    while (word := rest[last_word(rest, "_") :]) in TYPE_WORDS:
        rest = rest[: len(rest) - len(word)].rstrip(" ")
        if word not in QUALIFIERS:
            given.insert(0, word)
    size = len(given)
    following = {words[size] for words in SPELLINGS if len(words) > size and list(words[:size]) == given}
    return sorted(following if given else following | QUALIFIERS | AGGREGATES)


def complete_printf(session: Session, text: str) -> list[str]:
    """`"FORMAT", EXPR, ...`: an expression behind the format."""
    if not text.startswith('"'):
        return []
    end = word_end(text, 0, ",")
    return (
        []
        if end >= len(text)
        else [text[: end + 1] + rest for rest in complete_expression(session, text[end + 1 :])]
    )


def complete_condition(session: Session, text: str) -> list[str]:
    """`NUM EXPR`: a stop, then an expression."""
    number, blank, rest = text.partition(" ")
    if blank:
        return [f"{number} {line}" for line in complete_expression(session, rest)]
    return stop_numbers(session, text)


def complete_stops(session: Session, text: str) -> list[str]:
    """Numbers of stops, the last of some."""
    before, blank, word = text.rpartition(" ")
    return [before + blank + number for number in stop_numbers(session, word)]


def stop_numbers(session: Session, text: str) -> list[str]:
    """The numbers of stops that begin so."""
    return [str(number) for number in session.stops.by_number if str(number).startswith(text)]


def complete_signals(session: Session, text: str) -> list[str]:
    """Signals, and what `handle` is to do at them."""
    before, blank, word = text.rpartition(" ")
    words = [*signal_words(session, word), *(HANDLE_ACTIONS if blank else ())]
    return [before + blank + name for name in words if name.startswith(word)]


def complete_signal(session: Session, text: str) -> list[str]:
    """One signal."""
    return signal_words(session, text)


def signal_words(session: Session, text: str) -> list[str]:
    """Names of signals, and `all`."""
    from vmdbg.inspect.signals import SIGNAL_NAMES

    return [name for name in (*(name for name, _ in SIGNAL_NAMES.values()), "all") if name.startswith(text)]


def complete_pipe(session: Session, text: str) -> list[str]:
    """A command line, then `|` and a line for the system's shell."""
    line, bar, rest = text.partition("|")
    return (
        [line + bar + word for word in complete_shell(session, rest)]
        if bar
        else session.interpreter.complete(text)
    )


def complete_catch(session: Session, text: str) -> list[str]:
    """A kind of events, or `signal SIGNAL`."""
    word, blank, rest = text.partition(" ")
    if blank:
        return [f"{word} {name}" for name in signal_words(session, rest)] if word == "signal" else []
    return [name for name in words_of_machine(session, "events") if name.startswith(word)]


def complete_file(session: Session, text: str) -> list[str]:
    """Files and folders (these end with a slash)."""
    folder, _, start = text.rpartition("/")
    try:
        entries = list(os.scandir(session.permissions.path(folder + "/") if "/" in text else "."))
    except (OSError, UserError):
        return []
    names = [e.name + "/" if e.is_dir() else e.name for e in entries if e.name.startswith(start)]
    lead = folder + "/" if "/" in text else ""
    return [lead + name for name in names if start.startswith(".") or not name.startswith(".")]


def machine_settings() -> Sequence[Setting]:
    """The settings of a machine."""
    from vmdbg.machine.config import SETTINGS

    return SETTINGS


def complete_sweep(session: Session, text: str) -> list[str]:
    """Settings of the machine, with an equals sign, or files, for the last word."""
    before, blank, word = text.rpartition(" ")
    names = [f"{setting.name}=" for setting in machine_settings() if setting.name.startswith(word)]
    return [before + blank + name for name in (*names, *complete_file(session, word))]


def complete_compare(session: Session, text: str) -> list[str]:
    """A setting of the machine, then two of its values, then files, for the last word."""
    before, blank, word = text.rpartition(" ")
    given, settings = before.split(), machine_settings()
    if not given:
        found = [setting.name for setting in settings if setting.name.startswith(word)]
    elif len(given) < 3:
        found = [name for setting in settings if setting.name == given[0] for name in setting.complete(word)]
    else:
        found = complete_file(session, word)
    return [before + blank + name for name in found]


def words_of_machine(session: Session, what: str) -> list[str]:
    """All words of a sort that the target's machine offers; none without a target."""
    if session.target is None:
        return []
    from vmdbg.inspect.completions import offered

    return offered(session.target.machine, what)


def complete_shell(session: Session, text: str) -> Iterable[str]:
    """Files and folders for the last word of a line for the system's shell."""
    start = max(text.rfind(char) for char in " \t|&;<>=\"'(") + 1
    return [text[:start] + name for name in complete_file(session, text[start:])]
