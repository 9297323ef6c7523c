"""delete, disable, enable: stops by their numbers."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.shell.command import NO_REPEAT, SHELL, command
from vmdbg.shell.commands.stops import NUMBERS, chosen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.stops.stops import Stop
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session


@command(
    "delete",
    aliases=("d", "del", "delete breakpoints"),
    group="breakpoints",
    effect=SHELL,
    arguments=[NUMBERS],
    usage="delete [NUM|RANGE]...",
    summary="Delete all or some stops.",
    help="Arguments are numbers of stops, or ranges of them.  No argument: all, after a question.",
    repeat=NO_REPEAT,
    allow_unknown=True,
)
def delete_command(session: Session, args: Args) -> object:
    if not args.numbers and session.stops.by_number and not session.query("Delete all breakpoints? "):
        return None
    for stop in chosen(session, args.numbers):
        session.stops.delete(stop)
    return None


@command(
    "disable",
    aliases=("disa", "dis", "disable breakpoints"),
    group="breakpoints",
    effect=SHELL,
    arguments=[NUMBERS],
    usage="disable [NUM|RANGE]...",
    summary="Disable all or some stops.",
    help="Arguments are numbers of stops, or ranges of them.  No argument: all.",
    repeat=NO_REPEAT,
    allow_unknown=True,
)
def disable_command(session: Session, args: Args) -> object:
    for stop in chosen(session, args.numbers):
        stop.enabled = False
    return None


@command(
    "enable",
    aliases=("en", "enable breakpoints"),
    group="breakpoints",
    effect=SHELL,
    arguments=[NUMBERS],
    usage="enable [NUM|RANGE]...",
    summary="Enable all or some stops.",
    help="Arguments are numbers of stops, or ranges of them.  No argument: all.",
    repeat=NO_REPEAT,
    allow_unknown=True,
)
def enable_command(session: Session, args: Args) -> object:
    for stop in chosen(session, args.numbers):
        stop.enabled = True
    return None


def enabled(session: Session, text: str | None, what: str) -> list[Stop]:
    """The stops that "enable once", "count" and "delete" are about: they need numbers."""
    if not text:
        raise UserError("Argument required (one or more breakpoint numbers).")
    found = chosen(session, text)
    for stop in found:
        stop.enabled, stop.left, stop.disposition = True, 0, what
    return found


@command(
    "enable once",
    group="breakpoints",
    effect=SHELL,
    arguments=[NUMBERS],
    usage="enable once NUM|RANGE...",
    summary="Enable some stops until the program stops at them once.",
    repeat=NO_REPEAT,
)
def enable_once(session: Session, args: Args) -> object:
    enabled(session, args.numbers, "dis")
    return None


@command(
    "enable count",
    group="breakpoints",
    effect=SHELL,
    arguments=[NUMBERS],
    usage="enable count COUNT NUM|RANGE...",
    summary="Enable some stops for COUNT hits; then they are disabled.",
    repeat=NO_REPEAT,
)
def enable_count(session: Session, args: Args) -> object:
    count, _, rest = (args.numbers or "").strip().partition(" ")
    if not count:
        raise UserError("Argument required (hit count).")
    times = session.integer(count)
    if times < 1:
        raise UserError("Expected a hit count from 1.")
    for stop in enabled(session, rest, "dis"):
        stop.left = times
    return None


@command(
    "enable delete",
    group="breakpoints",
    effect=SHELL,
    arguments=[NUMBERS],
    usage="enable delete NUM|RANGE...",
    summary="Enable some stops, and delete each when the program stops at it.",
    repeat=NO_REPEAT,
)
def enable_delete(session: Session, args: Args) -> object:
    enabled(session, args.numbers, "del")
    return None
