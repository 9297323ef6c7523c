"""`set logging`: what is written also goes to a file, or only there."""

from __future__ import annotations

from vmdbg.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.session import Session


def watch_logging(session: Session) -> None:
    """Lets the logging settings act."""
    session.settings.watch("logging enabled", lambda value: start(session) if value else stop(session))
    for name in ("logging file", "logging overwrite", "logging redirect"):
        session.settings.watch(name, lambda value: warn(session))


def start(session: Session) -> None:
    """Opens the log file."""
    output = session.output
    if output.log is not None:
        output.line(f"Already logging to {session.output.log_name}.")
        return
    if session.interpreter.isolated:
        raise UserError("No logging in an isolated script.")
    name = session.settings.string("logging file")
    overwrite, only = session.settings.flag("logging overwrite"), session.settings.flag("logging redirect")
    try:
        log = open(  # noqa: SIM115 - it stays open
            session.permissions.writing(name),
            "w" if overwrite else "a",
            encoding="utf-8",
            errors="surrogateescape",
        )
    except OSError as error:
        raise UserError(f"set logging: {error.strerror}.") from None
    if session.from_tty:
        output.line(f"{'Redirecting' if only else 'Copying'} output to {name}.")
    output.log_name = name
    output.log, output.log_only = log, only


def stop(session: Session) -> None:
    """Closes the log file."""
    output = session.output
    if output.log is None:
        return
    if session.interpreter.isolated:
        raise UserError("No logging in an isolated script.")
    log, output.log, output.log_only = output.log, None, False
    try:
        log.close()
    except OSError as error:
        output.warning(f"The log may not be whole: {error.strerror}.")
    if session.from_tty:
        output.line(f"Done logging to {session.output.log_name}.")


def warn(session: Session) -> None:
    """A change while logging has no effect yet."""
    if session.output.log is not None:
        session.output.warning(
            f"Currently logging to {session.output.log_name}.  "
            "Turn the logging off and on to make the new setting effective."
        )
