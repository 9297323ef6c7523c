"""break, tbreak, dprintf, until, advance: before the operations of a line, or the accesses of an address."""

from __future__ import annotations

from vmdbg.debugger.stops.breakpoints import break_address, break_line
from vmdbg.debugger.stops.stops import Stops
from vmdbg.debugger.time.forward import forward, landed
from vmdbg.errors import UserError
from vmdbg.kernel.scheduler import OP_LINE
from vmdbg.shell.command import ACTING, NO_REPEAT, SHELL, Argument, command
from vmdbg.shell.commands.stops import CONDITION_HELP, declared, options_of, split_condition
from vmdbg.shell.kinds import LOCATION
from vmdbg.shell.stop_report import show_arrival
from vmdbg.state.tables import OP
from vmdbg.units import decimal, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.debugger.stops.stops import Stop
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session


def breakpoint_at(session: Session, stops: Stops, text: str, disposition: str, pid: int) -> Stop:
    """A breakpoint at a location: a line, `FILE:LINE`, a label, or an expression for an address."""
    machine = session.machine
    program = machine.program
    head, colon, tail = text.rpartition(":")
    line = decimal(tail)
    if line is not None:
        if colon and (program is None or not f"/{program.file}".endswith(f"/{head}")):
            raise UserError(f"No source file named {head}.")
        return break_line(stops, machine, line, disposition, pid)
    for process in getattr(program, "processes", ()):
        if text in process.labels:
            return break_line(stops, machine, line_of(process, process.labels[text]), disposition, pid)
    va = session.address(text.removeprefix("*"))
    shown = session.notation.va(va)
    return break_address(stops, machine, s64(va), shown, disposition, pid)


def line_of(process: Any, row: int) -> int:
    """The line of a row of a process."""
    return int(process.rows[row * OP]) >> OP_LINE


def make_break(session: Session, args: Args, disposition: str) -> list[str]:
    """Declare a breakpoint; what is said of it."""
    text, condition = split_condition(args.where or "")
    text, pid, _ = options_of(session, text)
    stop = breakpoint_at(session, session.stops, text or here(session), disposition, pid)
    command = "tbreak" if disposition == "del" else "break"
    return announced(session, stop, condition, command, f"{stop.label} at {stop.what}")


def here(session: Session) -> str:
    """The line at which the machine stands."""
    location = session.timeline.location
    if location is None or not location.line:
        raise UserError("No default breakpoint location.")
    return str(location.line)


def announced(
    session: Session, stop: Stop, condition: str, command: str, said: str, more: str = ""
) -> list[str]:
    """The last steps of a new breakpoint, and GDB's note of those at the same place."""
    others = [
        str(other.number) + ("" if other.enabled else " (disabled)")
        for other in session.stops.by_number.values()
        if other is not stop and other.before and other.what == stop.what
    ]
    where = f"*{stop.address}" if stop.address else stop.what
    option = f"-pid {stop.pid} " if stop.pid >= 0 else ""
    lines = [declared(session, stop, condition, said, f"{command} {option}{where}{more}")]
    if others:
        listed = others[0] if len(others) == 1 else f"{', '.join(others[:-1])} and {others[-1]}"
        plural = "" if len(others) == 1 else "s"
        lines.insert(0, f"Note: breakpoint{plural} {listed} also set at {stop.what}.")
    return lines


BREAK_HELP = """
The program stops before an operation of a line (LINE, FILE:LINE, or the one that a LABEL of the program
names), or before an access that touches a byte (*ADDRESS, or an expression with a name of the program, such
as buf+8).  Each access of a range is an operation.  Without an argument, this line.  With -pid N, only in
that process."""


@command(
    "break",
    aliases=("b", "br"),
    group="breakpoints",
    needs=("run",),
    effect=SHELL,
    arguments=[Argument("where", LOCATION, optional=True)],
    usage="break [-pid PID] [LINE|FILE:LINE|LABEL|*ADDRESS|SYMBOL] [if EXPR]",
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
    arguments=[Argument("where", LOCATION, optional=True)],
    usage="tbreak [-pid PID] [LINE|*ADDRESS|SYMBOL] [if EXPR]",
    summary="Set a breakpoint that is deleted when the program stops at it.",
    help=BREAK_HELP + CONDITION_HELP,
    examples=["tbreak 28"],
)
def tbreak_command(session: Session, args: Args) -> object:
    return make_break(session, args, "del")


@command(
    "clear",
    group="breakpoints",
    needs=("run",),
    effect=SHELL,
    arguments=[Argument("where", LOCATION, optional=True)],
    usage="clear [LINE|FILE:LINE|LABEL|*ADDRESS|SYMBOL]",
    summary="Clear breakpoint at specified location.",
    help='All breakpoints there are deleted.  Without an argument, those of this line.  See also "delete".',
    repeat=NO_REPEAT,
)
def clear_command(session: Session, args: Args) -> object:
    text = (args.where or "").strip()
    sought = breakpoint_at(session, Stops(), text or here(session), "keep", -1)
    stops = session.stops
    found = [stop for stop in stops.by_number.values() if stop.before and stop.what == sought.what]
    if not found:
        raise UserError(f"No breakpoint at {text}." if text else "No breakpoint at this line.")
    for stop in found:
        stops.delete(stop)
    if not args.from_tty and len(found) == 1:
        return None
    return f"Deleted breakpoint{'' if len(found) == 1 else 's'} {' '.join(str(s.number) for s in found)} "


@command(
    "dprintf",
    group="breakpoints",
    needs=("run",),
    effect=SHELL,
    arguments=[Argument("what", LOCATION, optional=True)],
    usage='dprintf LOCATION,"FORMAT"[,ARG]...',
    summary="Set a dynamic printf at a location: it prints, and the program goes on.",
    help='LOCATION is as for "break", what follows as for "printf".',
    examples=['dprintf 28,"%d operations\\n", $_operations'],
    repeat=NO_REPEAT,
)
def dprintf_command(session: Session, args: Args) -> object:
    where, comma, form = (args.what or "").partition(",")
    form = form.strip()
    if not where.strip() or not comma or not form:
        raise UserError("Format string required")
    if not form.startswith('"') or form.count('"') < 2:
        raise UserError("Bad format string")
    text, pid, _ = options_of(session, where.strip())
    stop = breakpoint_at(session, session.stops, text, "keep", pid)
    stop.sort, stop.printed = "dprintf", form

    def show() -> None:
        try:
            session.execute(f"printf {form}")
        except UserError as error:
            session.output.error(str(error))

    stop.action = show
    return announced(session, stop, "", "dprintf", f"{stop.label} at {stop.what}", f",{form}")


@command(
    "until",
    aliases=("u",),
    group="running",
    needs=("run",),
    effect=ACTING,
    arguments=[Argument("where", LOCATION, optional=True)],
    usage="until [LINE|FILE:LINE|LABEL|*ADDRESS|SYMBOL]",
    summary="Execute until the program reaches a line, or an access of an address.",
    help='Without an argument, until a line further down: "until" leaves a loop at its end.',
    examples=["until 29"],
)
def until_command(session: Session, args: Args) -> object:
    timeline = session.timeline
    timeline.require_process()
    location = timeline.location
    if args.where:
        run_to(session, args.where)
    elif location is None or not location.line:
        raise UserError("Argument required (a location).")
    else:
        try:
            run_to(session, str(location.line + 1))
        except UserError:
            show_arrival(session, landed(timeline, forward(timeline)))
    return None


@command(
    "advance",
    group="running",
    needs=("run",),
    effect=ACTING,
    arguments=[Argument("where", LOCATION, optional=True)],
    usage="advance LINE|FILE:LINE|LABEL|*ADDRESS|SYMBOL",
    summary="Continue the program up to the given location.",
    help='Same syntax as "break".',
    examples=["advance 29"],
)
def advance_command(session: Session, args: Args) -> object:
    session.timeline.require_process()
    if not args.where:
        raise UserError("Argument required (a location).")
    run_to(session, args.where)
    return None


def run_to(session: Session, text: str) -> None:
    """Run until the current process reaches a location, or a stop holds.  UserError if there is none."""
    timeline, stops = session.timeline, session.stops
    stop = breakpoint_at(session, Stops(), text, "del", timeline.require_process())
    stop.number = 0
    stops.by_number[0] = stop
    try:
        arrival = forward(timeline)
    finally:
        stops.by_number.pop(0, None)
    show_arrival(session, arrival)
