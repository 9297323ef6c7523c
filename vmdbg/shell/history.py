"""The history of typed commands: its file and its expansion."""

from __future__ import annotations

import os

from vmdbg.errors import UserError
from vmdbg.units import decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.session import Session

HISTORY_FILE = ".vmdbg_history"


def history_path(session: Session) -> str:
    """The history file; empty for none."""
    name = os.path.expanduser(session.settings.string("history filename"))
    return "" if session.permissions.restricted else name


def watch_history(session: Session) -> None:
    """Makes a relative name of the history file absolute when it is set: `cd` is not to change the file."""
    settings, name = session.settings, "history filename"

    def absolute(value: object) -> None:
        if value and not os.path.isabs(os.path.expanduser(str(value))):
            settings.set(name, os.path.abspath(str(value)))

    settings.watch(name, absolute)
    settings.offer(name, os.path.abspath(settings.string(name)))


def offer_history(session: Session) -> None:
    """The defaults for a person at a terminal: the history is saved, in the home folder unless the working
    folder has one.  `VMDBGHISTFILE` and `VMDBGHISTSIZE` come before what was set."""
    settings = session.settings
    settings.offer("history save", True)
    if not os.path.isfile(settings.string("history filename")):
        settings.offer("history filename", "~/" + HISTORY_FILE)
    size = os.environ.get("VMDBGHISTSIZE", "").strip()
    entries = decimal(size.removeprefix("-"))
    if entries is not None:
        settings.set("history size", None if size.startswith("-") else entries)
    if "VMDBGHISTFILE" in os.environ:
        settings.set("history filename", os.environ["VMDBGHISTFILE"])


def read_history(path: str) -> list[str]:
    """The lines of a history file; none if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return [line.rstrip("\n") for line in file]
    except OSError:
        return []


def load_history(session: Session) -> None:
    """Reads the history file, if there is one."""
    path = history_path(session)
    if not path:
        return
    history = session.interpreter.command_history
    history[:0] = newest(session, read_history(path))


def newest(session: Session, lines: list[str]) -> list[str]:
    """The last lines, as many as `history size` allows."""
    limit = session.settings.number("history size")
    return lines if limit is None else lines[-limit:] if limit else []


def save_history(session: Session) -> None:
    """Adds what was typed to the history file if `history save` is on; only its owner may read it.

    What other sessions have added stays, as with GDB.  The file is replaced as a whole: a full disk loses
    nothing.
    """
    path = history_path(session)
    if not path or not session.settings.flag("history save"):
        return
    interpreter = session.interpreter
    typed = interpreter.command_history[len(interpreter.command_history) - interpreter.typed :]
    lines = newest(session, read_history(path) + typed)
    path = os.path.realpath(path)
    part = f"{path}-{os.getpid()}~"
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.writelines(line + "\n" for line in lines)
            os.replace(part, path)
        except OSError:
            os.unlink(part)
            raise
    except OSError as error:
        session.output.warning(f"Could not write the history to {path}: {error.strerror}")


def expand(session: Session, line: str) -> tuple[str, bool]:
    """The line with `!!`, `!N`, `!-N`, `!TEXT` replaced, if `history expansion` is on; and whether it
    changed."""
    text = line.strip()
    if (
        not session.settings.flag("history expansion")
        or not text.startswith("!")
        or len(text) < 2
        or text[1] in " \t=("
    ):
        return line, False
    history: list[str] = session.interpreter.command_history
    word, _, tail = text[1:].partition(" ")
    found: str | None = None
    if word.startswith("!"):
        found, tail = (history[-1] if history else None), text[2:]
        return (found + tail, True) if found is not None else missing(word)
    number = decimal(word.removeprefix("-"))
    if number is not None:
        index = len(history) - number if word.startswith("-") else number - 1
        found = history[index] if 0 <= index < len(history) else None
    else:
        found = next((old for old in reversed(history) if old.startswith(word)), None)
    if found is None:
        return missing(word)
    return (f"{found} {tail}" if tail else found), True


def missing(word: str) -> tuple[str, bool]:
    """readline's sentence."""
    raise UserError(f"{word}: event not found")
