"""save and load: a machine in a file, a session or its breakpoints as a script that makes them again."""

from __future__ import annotations

import os

from vmdbg.errors import UserError
from vmdbg.files import write_whole
from vmdbg.inspect.completions import greeting
from vmdbg.inspect.target import Target
from vmdbg.machine.file import load_machine, save_machine
from vmdbg.shell.boot import approve, replace_target
from vmdbg.shell.command import NO_REPEAT, SHELL, Argument, command, prefix
from vmdbg.shell.kinds import FILE, REST_FILE
from vmdbg.shell.session_script import session_lines, stop_lines
from vmdbg.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session


LOAD = prefix(
    "load", aliases=("lo",), group="files", summary="Load a machine from a file, or memory from a dump."
)
SAVE = prefix("save", group="files", summary="Save things in files: a machine, or stops as a script.")


@command(
    "save machine",
    group="files",
    needs=("translate",),
    effect=SHELL,
    arguments=[Argument("file", FILE, help="file to write")],
    summary="Save the machine to a file.",
    help="""
All of it: memory, tables, TLBs, swap, processes, configuration.  The file takes the place of an old one at
once, when it is whole.  What watches the machine (breakpoints, the past) is not saved.""",
    repeat=NO_REPEAT,
)
def save_machine_command(session: Session, args: Args) -> object:
    machine = session.machine
    size = save_machine(machine, session.permissions.writing(args.file))
    digest = session.saved_digest = machine.digest()
    return f"Saved {args.file}: {format_size(size)}, digest {digest}."


@command(
    "load machine",
    group="files",
    effect=SHELL,
    arguments=[Argument("file", FILE, help='file that "save machine" wrote')],
    summary="Go on with a machine from a file.",
    help="The present machine and its past are forgotten.  A file that is damaged changes nothing.",
    repeat=NO_REPEAT,
)
def load_machine_command(session: Session, args: Args) -> object:
    path = session.permissions.path(args.file)
    machine = load_machine(path, lambda config: approve(session.permissions, config.values))
    target = Target(machine, origin=machine.config.name, approve=session.permissions.reading)
    target.loaded_from = os.path.abspath(path)
    lines = list(greeting(machine))  # before the present machine is given up
    replace_target(session, target)
    session.output.lines(lines)
    return None


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
