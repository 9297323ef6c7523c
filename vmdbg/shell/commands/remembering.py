"""save session, save breakpoints: as scripts that make them again."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.machine.file import write_whole
from vmdbg.shell.command import NO_REPEAT, SHELL, Argument, command
from vmdbg.shell.kinds import REST_FILE
from vmdbg.shell.session_script import session_lines, stop_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

FILE_ARGUMENT = Argument("file", REST_FILE, optional=True)


def write_script(session: Session, name: str | None, lines: Iterable[str]) -> str:
    """Put lines into a file, whole or not at all; GDB's sentence."""
    if not name:
        raise UserError("Argument required (file name in which to save)")
    text = "".join(f"{line}\n" for line in lines)
    write_whole(session.permissions.writing(name), text.encode("utf-8", "surrogateescape"))
    return f"Saved to file '{name}'."


@command(
    "save breakpoints",
    group="breakpoints",
    effect=SHELL,
    arguments=[FILE_ARGUMENT],
    usage="save breakpoints FILE",
    summary="Save the stops as a script.",
    help='All kinds of stops, with conditions, ignore counts and commands.  "source FILE" makes them again.',
    repeat=NO_REPEAT,
)
def save_breakpoints(session: Session, args: Args) -> object:
    stops = [stop for number, stop in session.stops.by_number.items() if number]
    if not args.file:
        raise UserError("Argument required (file name in which to save)")
    if not stops:
        return "Nothing to save."
    return write_script(session, args.file, stop_lines(stops))


@command(
    "save session",
    group="files",
    effect=SHELL,
    arguments=[FILE_ARGUMENT],
    usage="save session FILE",
    summary="Save the session as a script.",
    help="""
It boots the same machine with the same settings and program, repeats every command that changed it at its
time, makes definitions, stops, displays, checkpoints and bookmarks again, and goes to the present time:
"vmdbg -x FILE" ends in the same state.  Of several branches it follows the present one.  A program is named,
not copied; so is a machine that was loaded from a file.""",
    repeat=NO_REPEAT,
)
def save_session(session: Session, args: Args) -> object:
    return write_script(session, args.file, session_lines(session))
