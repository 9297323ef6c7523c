"""save machine, load machine: a machine in a file."""

from __future__ import annotations

import os

from vmdbg.shell.command import NO_REPEAT, SHELL, Argument, command, prefix
from vmdbg.shell.kinds import FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.session import Session
    from vmdbg.shell.command import Args

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
    from vmdbg.machine.file import save_machine
    from vmdbg.units import format_size

    machine = session.target.machine
    size = save_machine(machine, session.policy.writing(args.file))
    digest = session.extras["saved"] = machine.digest()
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
    from vmdbg.inspect.target import Simulated
    from vmdbg.machine.file import load_machine
    from vmdbg.shell.boot import approve, equip, replace_target

    path = session.policy.path(args.file)
    machine = load_machine(path, lambda config: approve(session.policy, config.values))
    target = equip(session, Simulated(machine.config, machine=machine, approve=session.policy.reading))
    target.loaded_from = os.path.abspath(path)
    greeting = list(target.greeting())  # before the present machine is given up
    replace_target(session, target)
    session.output.lines(greeting)
    return None
