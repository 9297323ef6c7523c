"""Reading command files: `source`, `-x`, init files."""

from __future__ import annotations

import os

from vmdbg.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.session import Session

NO_NAME = "source command requires file name of file to source."


def read_script(session: Session, name: str, trusted: bool = False) -> list[str]:
    """The lines of a script; a trusted name, from the command line, may lead anywhere.
    FileNotFoundError and its like for one that cannot be read."""
    path = os.path.expanduser(name) if trusted else session.policy.path(name)
    if os.path.isdir(path):
        raise IsADirectoryError(21, "Is a directory", name)
    with open(path, encoding="utf-8", errors="surrogateescape", newline=None) as file:
        text = file.read()
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


def source_isolated(session: Session, name: str) -> None:
    """Runs a stranger's script: only what it does to the machine remains."""
    if not name:
        raise UserError(NO_NAME)
    try:
        lines = read_script(session, name)
    except OSError as error:
        raise UserError(f"{name}: {error.strerror}.") from None
    interpreter = session.interpreter
    commands, settings = interpreter.registry.snapshot(), session.settings.values()
    variables, extras, folder = session.keep_values(), dict(session.extras), os.getcwd()
    session.extras.pop("displays", None)
    session.extras.pop("examine", None)
    before, interpreter.isolated = interpreter.isolated, True
    try:
        with session.output.capture():
            interpreter.run_lines(name, lines)
    except SystemExit:
        pass
    finally:
        interpreter.isolated = before
        interpreter.registry.restore(commands)
        session.settings.restore(settings)
        session.put_values(variables)
        session.extras = extras
        os.chdir(folder)
