"""break, tbreak, until: stops before the operations of a line, or before accesses of an address."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.shell.command import ACTING, SHELL, Argument, command
from vmdbg.shell.commands.breakpoints import CONDITION_HELP, declared, options_of, split_condition
from vmdbg.shell.kinds import REST
from vmdbg.shell.stopping import show_arrival

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.session import Session
    from vmdbg.debugger.stops import Stop, Stops
    from vmdbg.shell.command import Args


def breakpoint_at(session: Session, stops: Stops, text: str, disposition: str, pid: int) -> Stop:
    """A breakpoint at a location: a line, `FILE:LINE`, or an expression for an address."""
    from vmdbg.debugger.breaking import break_address, break_line
    from vmdbg.units import s64

    machine = session.target.machine
    head, colon, tail = text.rpartition(":")
    if text.isdigit() or (colon and tail.isdigit()):
        if colon and (machine.program is None or not machine.program.file.endswith(head)):
            raise UserError(f"No source file named {head}.")
        return break_line(stops, machine, int(tail or text), disposition, pid)
    va = session.address(text.removeprefix("*"))
    shown = session.target.notation.va(va)
    return break_address(stops, machine, s64(va), shown, disposition, pid)


def make_break(session: Session, args: Args, disposition: str) -> str:
    """Declare a breakpoint; what is said of it."""
    text, condition = split_condition(args.where or "")
    text, pid, _ = options_of(session, text)
    if not text:
        place = session.timeline.place
        if place is None or not place.line:
            raise UserError("No default breakpoint location.")
        text = str(place.line)
    stop = breakpoint_at(session, session.stops, text, disposition, pid)
    return declared(session, stop, condition, f"{stop.label} at {stop.what}")


BREAK_HELP = """
LINE is a line of the program; *ADDRESS or a name of the program an address: the program stops before an
operation on that line, or before an access that touches that byte.  Without an argument, this line.  With
-pid N, only in that process."""


@command(
    "break",
    aliases=("b", "br"),
    group="breakpoints",
    needs=("run",),
    effect=SHELL,
    arguments=[Argument("where", REST, optional=True)],
    usage="break [-pid PID] [LINE|*ADDRESS|SYMBOL] [if EXPR]",
    summary="Stop before operations of a line, or accesses of an address.",
    help=BREAK_HELP + CONDITION_HELP,
    examples=["break 28", "break *0x406000 if $_operations > 20"],
)
def break_command(session: Session, args: Args) -> object:
    return make_break(session, args, "keep")


@command(
    "tbreak",
    aliases=("tb",),
    group="breakpoints",
    needs=("run",),
    effect=SHELL,
    arguments=[Argument("where", REST, optional=True)],
    usage="tbreak [-pid PID] [LINE|*ADDRESS|SYMBOL] [if EXPR]",
    summary="Set a breakpoint that is deleted when the program stops at it.",
    help=BREAK_HELP + CONDITION_HELP,
    examples=["tbreak 28"],
)
def tbreak_command(session: Session, args: Args) -> object:
    return make_break(session, args, "del")


@command(
    "until",
    aliases=("u", "advance"),
    group="running",
    needs=("run",),
    effect=ACTING,
    arguments=[Argument("where", REST, optional=True)],
    usage="until [LINE|*ADDRESS|SYMBOL]",
    summary="Execute until the program reaches a line, or an access of an address.",
    help='Without an argument, until a line further down: "until" leaves a loop at its end.',
    examples=["until 29"],
)
def until_command(session: Session, args: Args) -> object:
    from vmdbg.debugger.stops import Stops

    timeline = session.timeline
    timeline.require_process()
    place = timeline.place
    text = args.where or (str(place.line + 1) if place.line else "")
    if not text:
        raise UserError("Argument required (a location).")
    try:
        stop = breakpoint_at(session, Stops(), text, "del", place.pid)
    except UserError:
        if args.where:
            raise
        show_arrival(session, timeline.forward())
        return None
    stop.number = 0
    session.stops.by_number[0] = stop
    try:
        arrival = timeline.forward()
    finally:
        session.stops.by_number.pop(0, None)
    show_arrival(session, arrival)
    return None
