"""Prints errors: GDB's message and our hint.  Any other exception is reported as a bug of vmdbg."""

from __future__ import annotations

from errno import ENOMEM

from vmdbg.errors import InputError, LimitError, Quit, UserError

WIDTH = 80
USAGE = "Usage: "

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.session import Session


def report(session: Session, error: BaseException) -> None:
    """Writes an error to stderr: one line, and the hint or excerpt on lines of their own."""
    output = session.output
    if isinstance(error, UserError):
        output.error(str(error))
        if isinstance(error, InputError) and error.excerpt:
            output.error(error.excerpt)
        if error.hint:
            output.error(wrapped(error.hint))
    elif isinstance(error, (Quit, KeyboardInterrupt)):
        output.error("Quit")
    elif isinstance(error, BrokenPipeError):
        raise error
    elif isinstance(error, RecursionError):
        output.error("Recursion too deep -- command aborted.")
    elif isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == ENOMEM):
        output.error("Memory exhausted -- command aborted.")
    else:
        output.error(bug_line(session, error))


def wrapped(hint: str) -> str:
    """A hint in lines of at most 80 columns."""
    if len(hint) <= WIDTH:
        return hint
    from textwrap import fill

    indent = " " * len(USAGE) if hint.startswith(USAGE) else ""
    return fill(hint, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def bug_line(session: Session, error: BaseException) -> str:
    """Writes the traceback to a file; the one line that names it."""
    import tempfile
    import traceback

    session.bugs += 1
    text = "".join(traceback.format_exception(error))
    if session.settings.flag("exceptions verbose"):
        session.output.error(text.rstrip("\n"))
    what = f"{type(error).__name__}: {error}".split("\n")[0]
    try:
        session.permissions.require_open("A file of a traceback")
        with tempfile.NamedTemporaryFile(
            "w",
            encoding="utf-8",
            errors="backslashreplace",
            prefix="vmdbg-bug-",
            suffix=".txt",
            delete=False,
        ) as file:
            file.write(text)
    except (OSError, LimitError):
        return f"Internal error: {what}.  This is a bug of vmdbg."
    return f"Internal error: {what}.  This is a bug of vmdbg; the traceback is in {file.name}."
