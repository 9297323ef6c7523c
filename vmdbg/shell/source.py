"""Reading command files: `source`, `-x`, init files."""

from __future__ import annotations

import os

from vmdbg.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.session import Session

HEAD = 1 << 16  # characters
NO_NAME = "source command requires file name of file to source."


def read_script(session: Session, name: str, trusted: bool = False) -> list[str]:
    """The lines of a script; a trusted name, from the command line, may lead anywhere.
    FileNotFoundError and its like for one that cannot be read."""
    path = os.path.expanduser(name) if trusted else session.permissions.path(name)
    if os.path.isdir(path):
        raise IsADirectoryError(21, "Is a directory", name)
    with open(path, encoding="utf-8", errors="surrogateescape", newline=None) as file:
        text = file.read(HEAD)
        if "\0" not in text:  # no line with one can run: what stands behind it need not be read
            text += file.read()
    return text.split("\n")[:-1] if text.endswith("\n") else text.split("\n") if text else []


def source_file(
    session: Session, name: str, verbose: bool = False, trusted: bool = False, must_exist: bool = False
) -> None:
    """Runs a script.  One that cannot be opened is a warning, as in GDB, or an error if a person asked
    for it or the session is strict."""
    if not name:
        raise UserError(NO_NAME)
    try:
        lines = read_script(session, name, trusted)
    except OSError as error:
        message = f"{name}: {error.strerror}"
        if session.strict or must_exist:
            raise UserError(f"{message}.") from None
        session.output.warning(message)
        return
    session.interpreter.run_lines(name, lines, verbose)
