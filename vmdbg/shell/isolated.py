"""`source -isolated`: runs a script that is not trusted; only its changes of the machine remain."""

from __future__ import annotations

import copy
import os

from vmdbg.debugger.time.fence import Fence
from vmdbg.errors import LimitError, LimitReached, UserError, VmdbgError
from vmdbg.expressions.c_types import ARRAY, CHAR, FLOAT, INT
from vmdbg.expressions.values import Value
from vmdbg.shell.commands.display import Displays
from vmdbg.shell.limits import Allowance
from vmdbg.shell.report import report
from vmdbg.shell.source import NO_NAME, read_script
from vmdbg.views.examine import ExamineState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from vmdbg.debugger.stops.stops import Stop
    from vmdbg.shell.session import Session

KEPT_CHARACTERS = 4000  # of a string that -keep keeps
REFUSED, LIMIT, MISTAKE, BUG = "refused", "limit", "mistake", "bug"
OWN = ("last_stop", "next_target", "saved_digest", "torn")  # what of a session's attributes is put back


class Ending:
    """How an isolated script ended, if not at its end: it was refused something, reached a limit, made a
    mistake, or met a bug of ours."""

    def __init__(self, name: str, kind: str, text: str) -> None:
        self.name, self.kind, self.text = name, kind, text


class Endings:
    """Those of all isolated scripts of a session."""

    def __init__(self) -> None:
        self.all: list[Ending] = []


def source_isolated(
    session: Session, name: str, seconds: float | None = None, keep: Sequence[str] = ()
) -> None:
    """Runs a stranger's script: only what it does to the machine remains, and of its variables the numbers
    and strings named in `keep`.  What goes wrong in it, and a limit that it reaches, is reported and ends it
    alone; a limit makes the exit status 1 all the same.  It has `seconds`, if that is said."""
    if not name:
        raise UserError(NO_NAME)
    try:
        lines = read_script(session, name)
    except OSError as error:
        raise UserError(f"{name}: {error.strerror}.") from None
    interpreter = session.interpreter
    endings = session.state(Endings).all  # made before what is put back is looked at
    outer, kept = interpreter.isolated, Kept(session)
    interpreter.isolated = True
    try:
        with Allowance(session, seconds, outer), session.output.capture():
            interpreter.run_lines(name, lines)
    except LimitReached as error:
        endings.append(Ending(name, LIMIT, error.what))
        kept.torn = session.torn
        if outer:
            raise
        session.exit_code = 1
    except SystemExit:
        pass
    except Exception as error:
        kept.torn = not isinstance(error, VmdbgError)
        endings.append(Ending(name, kind_of(error), words_of(error)))
        if session.strict:
            raise
        report(session, error)
        session.errors += 1
    finally:
        interpreter.isolated = outer
        handed_over = {} if outer else kept_variables(session, keep)
        kept.put_back(session)
        for variable, value in handed_over.items():
            session.variables.set(variable, value)


def kind_of(error: Exception) -> str:
    """Whether a script was refused something, asked for too much memory, or made a mistake."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, LimitError):
            return REFUSED
        cause = cause.__cause__
    if isinstance(error, MemoryError):
        return LIMIT
    return MISTAKE if isinstance(error, (VmdbgError, RecursionError)) else BUG


def words_of(error: Exception) -> str:
    """What an error says, without the line about the file it stands in."""
    if isinstance(error, MemoryError):
        return "Memory exhausted."
    if isinstance(error, RecursionError):
        return "Recursion too deep."
    if not isinstance(error, VmdbgError):
        return type(error).__name__
    return str(error).replace(": Error in sourced command file:\n", ": ")


def kept_variables(session: Session, names: Sequence[str]) -> dict[str, Value]:
    """Variables that a script hands over: numbers and strings; of others it is said that they are lost."""
    found = {}
    for name in names:
        value = session.variables.values.get(name)
        if value is None:
            continue
        if value.type.code in (INT, FLOAT):
            found[name] = Value(value.type, value.number)
        elif value.type.code == ARRAY and value.type.pointed() is CHAR and len(value.data) <= KEPT_CHARACTERS:
            found[name] = Value(value.type, data=value.data)
        elif not value.is_void:
            session.output.error(f"${name} is not kept: it is neither a number nor a string.")
    return found


class Kept:
    """The state of the session that is put back after an isolated script.

    `torn`: it ended while the machine ran.
    """

    def __init__(self, session: Session) -> None:
        # One that boots only now would not be the grader's.
        self.machine = getattr(session.target, "machine", None)
        self.config = self.machine.config if self.machine is not None else None
        self.fence = Fence(session.timeline) if self.machine is not None else None
        self.torn = False
        self.commands, self.settings = session.interpreter.registry.snapshot(), session.settings.values()
        self.variables, self.folder = session.keep_values(), os.getcwd()
        self.kept = {kind: copy.copy(value) for kind, value in session.kept.items()}
        self.own = {name: getattr(session, name) for name in OWN}
        stops = session.stops
        self.last, self.numbered = stops.last, dict(stops.by_number)
        self.stops = [(stop, kept_values(stop)) for stop in (*self.numbered.values(), stops.signals)]
        self.ask = session.ask
        session.ask = None
        session.next_target, session.torn = None, False
        for kind in (Displays, ExamineState):
            session.kept.pop(kind, None)

    def put_back(self, session: Session) -> None:
        """Puts all of it back.  Of the machine's settings only the costs can have changed."""
        session.interpreter.registry.restore(self.commands)
        session.settings.restore(self.settings)
        session.put_values(self.variables)
        session.stops.last, session.stops.by_number = self.last, self.numbered
        for stop, values in self.stops:
            vars(stop).update(values)
        session.kept, session.ask = self.kept, self.ask
        for name, value in self.own.items():
            setattr(session, name, value)
        if self.machine is not None:
            self.machine.config = self.config
        if self.fence is not None:
            self.fence.remove(self.torn)
        os.chdir(self.folder)


def kept_values(stop: Stop) -> dict[str, Any]:
    """The values of a stop that are put back."""
    return {**vars(stop), "commands": list(stop.commands)}
