"""The history of typed commands: its file and its expansion."""

from __future__ import annotations

import os

from vmdbg.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.session import Session


def history_path(session: Session) -> str:
    """The history file; empty for none."""
    name = os.path.expanduser(session.settings.string("history filename"))
    return "" if session.policy.restricted else name


def watch_history(session: Session) -> None:
    """A relative name of the history file is made absolute at once: `cd` does not change the file."""
    settings, name = session.settings, "history filename"

    def absolute(value: object) -> None:
        if value and not os.path.isabs(os.path.expanduser(str(value))):
            settings.set(name, os.path.abspath(str(value)))

    settings.watch(name, absolute)
    absolute(settings.get(name))


def load_history(session: Session) -> None:
    """Reads the history file, if there is one.  `VMDBGHISTFILE` and `VMDBGHISTSIZE` come first."""
    settings = session.settings
    size = os.environ.get("VMDBGHISTSIZE")
    if size is not None and size.strip().lstrip("-").isdigit():
        settings.set("history size", None if int(size) < 0 else int(size))
    if "VMDBGHISTFILE" in os.environ:
        settings.set("history filename", os.environ["VMDBGHISTFILE"])
    path = history_path(session)
    if not path:
        return
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.rstrip("\n") for line in file]
    except OSError:
        return
    limit = settings.number("history size")
    session.interpreter.history[:0] = lines if limit is None else lines[-limit:] if limit else []


def save_history(session: Session) -> None:
    """Writes the history file if `history save` is on."""
    path = history_path(session)
    if not path or not session.settings.flag("history save"):
        return
    try:
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.writelines(line + "\n" for line in session.interpreter.history)
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
    history: list[str] = session.interpreter.history
    word, _, tail = text[1:].partition(" ")
    found: str | None = None
    if word.startswith("!"):
        found, tail = (history[-1] if history else None), text[2:]
        return (found + tail, True) if found is not None else missing(word)
    if word.lstrip("-").isdigit():
        number = int(word)
        index = number - 1 if number > 0 else len(history) + number
        found = history[index] if 0 <= index < len(history) else None
    else:
        found = next((old for old in reversed(history) if old.startswith(word)), None)
    if found is None:
        return missing(word)
    return (f"{found} {tail}" if tail else found), True


def missing(word: str) -> tuple[str, bool]:
    """readline's sentence."""
    raise UserError(f"{word}: event not found")
