"""The errors of vmdbg.  A fault of the simulated machine is a value, never one of these.

    VmdbgError
     +-- UserError            the user asked for something impossible: one line, nothing changed
     |    +-- InputError      a file is wrong: says file, line, column, what was expected
     |    +-- LimitError      `--restricted` or a setting forbids it
     |    +-- UsageError      a command was given what it does not take, whatever the machine is like
     +-- Quit                 Ctrl-C at the prompt, `q` at the pager: the command ends

Anything else that escapes is a bug of vmdbg.
"""

from __future__ import annotations


class VmdbgError(Exception):
    """Base of all errors that vmdbg raises on purpose."""


class UserError(VmdbgError):
    """A mistake of the user.  `str()` is GDB's sentence; `hint` is our own second line or empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class InputError(UserError):
    """A file that cannot be read as what it should be.

    `str()` is `FILE:LINE:COLUMN: message` in one line, with the parts that are known; lines and columns
    count from 1.  `excerpt` is the line, indented by two, with a row of carets below it, or empty.
    """

    def __init__(
        self, message: str, file: str = "", line: int = 0, column: int = 0, source: str = "", width: int = 1
    ) -> None:
        if not message.isprintable():
            message = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
        self.message = message
        self.file, self.line, self.column = file, line, column
        place = ":".join(str(part) for part in (file, line, column) if part)
        super().__init__(f"{place}: {message}" if place else message)
        self.excerpt = ""
        if source:
            text = source.rstrip().replace("\t", " ")
            before = max(0, column - 1 - (len(text) - len(text.lstrip())))
            self.excerpt = f"  {text.lstrip()}\n  {' ' * before}{'^' * max(1, width)}"


class LimitError(UserError):
    """Refused by `--restricted` or by a limit that was set."""


class UsageError(UserError):
    """Options or arguments that a command does not have, or that it misses."""


class Quit(VmdbgError):
    """The user interrupted a command: GDB prints `Quit` and goes on."""


class LimitReached(SystemExit):
    """A limit of a restricted run, on time or on output, is reached: the run ends with status 1.

    `what` is the sentence that has been said about it.
    """

    def __init__(self, what: str) -> None:
        super().__init__(1)
        self.what = what


class Terminated(SystemExit):
    """A signal asked the process to end; `signal` is its number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = number


class OutputLost(SystemExit):
    """Results cannot be written (a full disk, a closed descriptor): the run ends with status 1."""

    def __init__(self) -> None:
        super().__init__(1)
