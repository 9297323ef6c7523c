"""Reading command files: `source`, `-x`, init files."""

from __future__ import annotations

import os

from vmdbg.debugger.time.fence import Fence
from vmdbg.errors import BoundReached, UserError, VmdbgError
from vmdbg.shell.boot import NEXT_TARGET
from vmdbg.shell.limits import TORN, Allowance
from vmdbg.shell.report import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.debugger.session import Session
    from vmdbg.debugger.stops.stops import Stop

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


def source_isolated(session: Session, name: str, seconds: float | None = None) -> None:
    """Runs a stranger's script: only what it does to the machine remains.  What goes wrong in it, and a
    bound that it reaches, is reported and ends it alone; a bound makes the exit status 1 all the same.
    It has `seconds`, if that is said."""
    if not name:
        raise UserError(NO_NAME)
    try:
        lines = read_script(session, name)
    except OSError as error:
        raise UserError(f"{name}: {error.strerror}.") from None
    interpreter = session.interpreter
    outer, kept = interpreter.isolated, Kept(session)
    interpreter.isolated = True
    try:
        with Allowance(session, seconds, outer), session.output.capture():
            interpreter.run_lines(name, lines)
    except BoundReached:
        kept.torn = bool(session.extras.get(TORN))
        if outer:
            raise
        session.exit_code = 1
    except SystemExit:
        pass
    except Exception as error:
        kept.torn = not isinstance(error, VmdbgError)
        if session.strict:
            raise
        report(session, error)
        session.errors += 1
    finally:
        interpreter.isolated = outer
        kept.put_back(session)


class Kept:
    """What ends with an isolated script, as it was before.  `torn`: the machine was left while it ran."""

    def __init__(self, session: Session) -> None:
        # One that boots only now would not be the grader's.
        self.machine = getattr(session.target, "machine", None)
        self.config = self.machine.config if self.machine is not None else None
        self.fence = Fence(session.timeline) if self.machine is not None else None
        self.torn = False
        self.commands, self.settings = session.interpreter.registry.snapshot(), session.settings.values()
        self.variables, self.extras, self.folder = session.keep_values(), dict(session.extras), os.getcwd()
        stops = session.stops
        self.last, self.numbered = stops.last, dict(stops.by_number)
        self.stops = [(stop, kept_values(stop)) for stop in (*self.numbered.values(), stops.signals)]
        self.ask = session.ask
        session.ask = None
        for name in ("displays", "examine", NEXT_TARGET, TORN):
            session.extras.pop(name, None)

    def put_back(self, session: Session) -> None:
        """All of it; costs are the settings of the machine that can have changed."""
        session.interpreter.registry.restore(self.commands)
        session.settings.restore(self.settings)
        session.put_values(self.variables)
        session.stops.last, session.stops.by_number = self.last, self.numbered
        for stop, values in self.stops:
            vars(stop).update(values)
        bugs = session.extras.get("bugs")
        session.extras, session.ask = self.extras, self.ask
        if bugs:
            session.extras["bugs"] = bugs
        if self.machine is not None:
            self.machine.config = self.config
        if self.fence is not None:
            self.fence.remove(self.torn)
        os.chdir(self.folder)


def kept_values(stop: Stop) -> dict[str, Any]:
    """What a stop is, to be put back."""
    return {**vars(stop), "commands": list(stop.commands)}
