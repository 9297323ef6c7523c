"""catch, tcatch, delete, disable, enable, ignore, info breakpoints: what makes the program stop."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.shell.command import NO_REPEAT, PURE, SHELL, Argument, Option, command
from vmdbg.shell.kinds import CPU, EVENT, PROCESS, REST
from vmdbg.views.result import NUMBER, Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.session import Session
    from vmdbg.debugger.stops import Stop
    from vmdbg.shell.command import Args

WHERE = [
    Option("-pid", PROCESS, help="only in that process"),
    Option("-cpu", CPU, help="only on that CPU"),
]
CATCH_HELP = """
The program stops at the event itself: the machine is then as it was at that instant, inside the
operation.  "info events" lists the kinds of events.  Stops never change the machine."""


def make_catch(session: Session, args: Args, disposition: str) -> str:
    """Declare a catchpoint; what is said of it."""
    anyone = -1
    stop = session.stops.catch(
        args.event,
        anyone if args.pid is None else args.pid,
        anyone if args.cpu is None else args.cpu,
        disposition,
    )
    session.set_variable("bpnum", stop.number)
    return f"{stop.label} ({args.event})"


@command(
    "catch",
    group="breakpoints",
    needs=("run",),
    effect=SHELL,
    arguments=[Argument("event", EVENT, help="kind of event to stop at")],
    options=WHERE,
    summary="Stop the program at every event of a kind.",
    help=CATCH_HELP,
    examples=["catch fault-minor", "catch tlb-miss -pid 1"],
    repeat=NO_REPEAT,
)
def catch_command(session: Session, args: Args) -> object:
    return make_catch(session, args, "keep")


@command(
    "tcatch",
    group="breakpoints",
    needs=("run",),
    effect=SHELL,
    arguments=[Argument("event", EVENT, help="kind of event to stop at")],
    options=WHERE,
    summary="Stop the program once at an event of a kind.",
    help='As "catch", but the catchpoint is deleted when the program stops at it.',
    examples=["tcatch fault-major"],
    repeat=NO_REPEAT,
)
def tcatch_command(session: Session, args: Args) -> object:
    return make_catch(session, args, "del")


def numbers(session: Session, text: str) -> list[int]:
    """`1 3-5 $bpnum` as numbers.  GDB's errors."""
    found: list[int] = []
    for word in text.split():
        low, dash, high = word.partition("-")
        try:
            first = session.integer(low) if low else 0
            last = session.integer(high) if dash else first
        except UserError:
            raise UserError(f"Bad breakpoint number '{word}'") from None
        if not low or first < 0 or last < 0:
            raise UserError("Negative value" if word.startswith("-") else f"Bad breakpoint number '{word}'")
        if last < first:
            raise UserError("inverted range")
        if last - first > 100_000:
            raise UserError(f"Bad breakpoint number '{word}'")
        found += range(first, last + 1)
    return found


def chosen(session: Session, text: str | None) -> list[Stop]:
    """The stops that numbers name, all without numbers; one that is not there is said."""
    stops = session.stops
    if not text:
        return list(stops.by_number.values())
    found = []
    for number in numbers(session, text):
        if number in stops.by_number:
            found.append(stops.by_number[number])
        else:
            session.output.error(f"No breakpoint number {number}.")
    return found


NUMBERS = Argument("numbers", REST, optional=True)


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


@command(
    "ignore",
    group="breakpoints",
    effect=SHELL,
    arguments=[Argument("text", REST, optional=True)],
    usage="ignore NUM COUNT",
    summary="Set the ignore-count of a stop to COUNT.",
    help="Crossings of the stop are passed by that often; only those count whose condition holds.",
    repeat=NO_REPEAT,
)
def ignore_command(session: Session, args: Args) -> object:
    words = (args.text or "").split(None, 1)
    if not words:
        raise UserError("Argument required (a breakpoint number).")
    stop = session.stops.get(session.integer(words[0]))
    if len(words) < 2:
        raise UserError("Second argument (specified ignore-count) is missing.")
    stop.ignore = max(0, session.integer(words[1]))
    if stop.ignore == 0:
        return f"Will stop next time breakpoint {stop.number} is reached."
    if stop.ignore == 1:
        return f"Will ignore next crossing of breakpoint {stop.number}."
    return f"Will ignore next {stop.ignore} crossings of breakpoint {stop.number}."


@command(
    "info breakpoints",
    aliases=("info b", "info watchpoints"),
    group="status",
    effect=PURE,
    arguments=[NUMBERS],
    usage="info breakpoints[/json|/csv] [NUM|RANGE]...",
    forms=("json", "csv"),
    summary="Status of all stops, or of those with the given numbers.",
    examples=["info breakpoints"],
)
def info_breakpoints(session: Session, args: Args) -> object:
    from vmdbg.views.stops import StopTable

    stops = chosen(session, args.numbers)
    if not stops and not args.form:
        return "No breakpoints or watchpoints."
    return StopTable(stops)


@command(
    "info events",
    group="status",
    effect=PURE,
    forms=("json", "csv"),
    summary="The kinds of events, and how often each happened.",
    help='Every kind can be caught ("catch KIND"); "cost" is what one costs, in the settings "cost.*".',
    needs=("run",),
    examples=["info events"],
)
def info_events(session: Session, args: Args) -> object:
    from vmdbg.state.events import EVENTS

    counts = session.target.machine.counts()
    columns = [Column("event"), Column("count", kind=NUMBER), Column("cost"), Column("meaning")]
    rows = [[event.name, counts.get(event.name, 0), event.cost or "-", event.help] for event in EVENTS]
    return Table(columns, rows)
