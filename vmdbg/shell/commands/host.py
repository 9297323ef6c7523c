"""shell, pipe, cd, pwd: the world outside."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress

from vmdbg.errors import UserError
from vmdbg.shell.command import NO_REPEAT, Argument, command
from vmdbg.shell.kinds import PIPE_LINE, REST_FILE, SHELL_LINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session


def note_exit(session: Session, status: int) -> None:
    """`$_shell_exitcode`, or `$_shell_exitsignal` for a shell that a signal ended."""
    session.set_variable("_shell_exitcode", status if status >= 0 else None)
    session.set_variable("_shell_exitsignal", -status if status < 0 else None)


def lend_terminal(session: Session) -> None:
    """Takes the panes of the full screen away: a program of the shell may need all of the terminal."""
    if session.screen is not None:
        session.screen.lend()


@command(
    "shell",
    aliases=("!",),
    group="support",
    arguments=[Argument("line", SHELL_LINE, optional=True)],
    usage="shell [COMMAND]",
    summary="Execute the rest of the line as a shell command.",
    help='With no arguments, run an inferior shell.  "$_shell_exitcode" holds its exit status afterwards.',
)
def shell_command(session: Session, args: Args) -> object:
    session.permissions.require_open("shell")
    session.output.flush()
    shell = os.environ.get("SHELL") or "/bin/sh"
    words = [shell, "-c", args.line] if args.line else [shell]
    lend_terminal(session)
    try:
        note_exit(session, subprocess.call(words))  # noqa: S603 - that is the command
    except OSError as error:
        raise UserError(f"Cannot execute {shell}: {error.strerror}") from None
    return None


@command(
    "make",
    group="support",
    arguments=[Argument("line", SHELL_LINE, optional=True)],
    usage="make [ARGS]",
    summary="Run the ``make'' program using the rest of the line as arguments.",
)
def make_command(session: Session, args: Args) -> object:
    session.execute(f"shell make {args.line or ''}".rstrip())
    return None


@command(
    "pipe",
    aliases=("|",),
    group="support",
    arguments=[Argument("line", PIPE_LINE, optional=True)],
    usage=(
        "pipe COMMAND | SHELL_COMMAND",
        "pipe -d DELIM COMMAND DELIM SHELL_COMMAND",
        "| COMMAND | SHELL_COMMAND",
    ),
    summary="Send the output of a vmdbg command to a shell command.",
    help="""
Executes COMMAND and sends its output to SHELL_COMMAND.  If COMMAND contains a |, use -d DELIM.
With no arguments, the last command is executed again.""",
)
def pipe_command(session: Session, args: Args) -> object:
    session.permissions.require_open("pipe")
    text, delimiter = args.line or "", "|"
    if text == "-d" or text.startswith("-d "):
        words = text.split(None, 2)
        if len(words) < 2:
            raise UserError("-d requires an argument")
        delimiter, text = words[1], words[2] if len(words) > 2 else ""
        if not text:
            raise UserError("Missing delimiter before SHELL_COMMAND")
    if not text:
        raise UserError("Missing COMMAND")
    line, found, shell = text.partition(delimiter)
    if not found:
        raise UserError("Missing delimiter before SHELL_COMMAND")
    line, shell = line.strip(), shell.strip()
    if not line:
        line = session.interpreter.relaunch()
    if not shell:
        raise UserError("Missing SHELL_COMMAND")
    run_pipe(session, line, shell)
    return None


def run_pipe(session: Session, line: str, shell: str) -> None:
    """Runs a line with its results going to a shell command, as they come."""
    output = session.output
    output.flush()
    lend_terminal(session)
    with subprocess.Popen(  # noqa: S603 - that is the command
        [os.environ.get("SHELL") or "/bin/sh", "-c", shell],
        stdin=subprocess.PIPE,
        encoding="utf-8",
        errors="surrogateescape",
    ) as process:
        assert process.stdin is not None
        # A shell command that stops reading (`head`) ends the line early; that is no error.
        try:
            with suppress(BrokenPipeError), output.redirect(process.stdin):
                session.execute(line)
        finally:
            with suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()
    note_exit(session, process.returncode)


@command(
    "cd",
    group="files",
    arguments=[Argument("folder", REST_FILE, optional=True)],
    usage="cd [DIR]",
    summary="Set working directory to DIR for debugger.",
    help="The default is the home directory.",
    repeat=NO_REPEAT,
)
def cd_command(session: Session, args: Args) -> object:
    folder = args.folder or "~"
    session.permissions.require_open("cd")
    try:
        os.chdir(os.path.expanduser(folder))
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}.") from None
    if args.from_tty:
        session.execute("pwd")
    return None


@command(
    "pwd", group="files", summary="Print working directory.", help="This is used for your program as well."
)
def pwd_command(session: Session, args: Args) -> object:
    return f"Working directory {os.getcwd()}."
