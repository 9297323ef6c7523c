"""help, apropos, complete."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.shell.command import Argument, Option, command
from vmdbg.shell.completion import complete_line
from vmdbg.shell.help import apropos, help_on
from vmdbg.shell.kinds import COMMAND_NAME, REST
from vmdbg.views.result import Lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session


@command(
    "help",
    aliases=("h",),
    group="support",
    arguments=[
        Argument("command", COMMAND_NAME, optional=True, help="a command, a class of commands, or all")
    ],
    usage="help [COMMAND|CLASS|all|functions|$FUNCTION]",
    summary="Print list of commands.",
    help="""
With a class name: the commands of that class.  With a command: its full documentation.
Where vmdbg does more than GDB's command of the same name, its help says so.""",
    examples=["help", "help looking", "help print", "help functions", "help $pa"],
)
def help_command(session: Session, args: Args) -> object:
    return Lines(help_on(session.interpreter, args.command or ""))


@command(
    "apropos",
    group="support",
    arguments=[Argument("regexp", REST, optional=True)],
    options=[Option("-v", help="print the full documentation of what is found")],
    usage="apropos [-v] REGEXP",
    summary="Search for commands matching a REGEXP.",
    help="Names and documentation of all commands and settings are searched, upper and lower case alike.",
    examples=["apropos pagination"],
)
def apropos_command(session: Session, args: Args) -> object:
    if not args.regexp:
        raise UserError("REGEXP string is empty")
    return Lines(apropos(session.interpreter, args.regexp, args.v))


@command(
    "complete",
    group="support",
    arguments=[Argument("line", REST, optional=True)],
    usage="complete TEXT",
    summary="List the completions for the rest of the line as a command.",
    examples=["complete info b", "complete set conf"],
)
def complete_command(session: Session, args: Args) -> object:
    return Lines(complete_line(session, args.raw))
