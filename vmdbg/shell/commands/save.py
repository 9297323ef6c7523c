"""save machine, load machine: a machine in a file."""

from __future__ import annotations

import os

from vmdbg.inspect.completions import greeting
from vmdbg.inspect.target import Target
from vmdbg.machine.file import load_machine, save_machine
from vmdbg.shell.boot import approve, replace_target
from vmdbg.shell.command import NO_REPEAT, SHELL, Argument, command, prefix
from vmdbg.shell.kinds import FILE
from vmdbg.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

LOAD = prefix("load", aliases=("lo",), group="files", summary="Load a machine from a file.")
SAVE = prefix("save", group="files", summary="Save things in files: a machine, or stops as a script.")


@command(
    "save machine",
    group="files",
    needs=("kernel",),
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
