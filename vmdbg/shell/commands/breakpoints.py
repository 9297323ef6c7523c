"""break, catch, condition, commands, delete, disable, enable, ignore, info breakpoints."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.shell.command import NO_REPEAT, PURE, SHELL, Argument, command
from vmdbg.shell.kinds import EVENT, REST, Kind
from vmdbg.views.result import NUMBER, Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.debugger.session import Session
    from vmdbg.debugger.stops import Stop
    from vmdbg.shell.command import Args

EVENT_REST = Kind("event", lambda session, text: text, EVENT.complete, label="KIND", rest=True)
CONDITION_HELP = """
With "if EXPR" it stops only where the expression is not zero.  It is evaluated at the event, with the
machine as it is then; the arguments of the event are $_va, $_pfn and so on, as "info events" names them."""
CATCH_HELP = """
The program stops at the event itself: the machine is then as it was at that instant, inside the
operation.  "info events" lists the kinds of events.  Stops never change the machine."""


def split_condition(text: str) -> tuple[str, str]:
    """What stands before `if`, and the condition after it."""
    words = f" {text} "
    before, found, after = words.partition(" if ")
    if not found and text.startswith("if"):
        before, after = "", text[2:]
    return before.strip(), after.strip()


def set_condition(session: Session, stop: Stop, text: str) -> None:
    """Give a stop a condition, or none.  UserError if it is no expression, or would change the machine."""
    if not text:
        stop.condition, stop.holds = "", None
        return
    evaluator = session.evaluator
    node = evaluator.parse(text)
    if evaluator.acts(node):
        raise UserError("A condition cannot change the machine.")

    def holds(row: Any) -> bool:
        session.set_variable("_event", row.name)
        for name, value in row.arguments.items():
            session.set_variable(f"_{name}", value)
        try:
            return bool(int(evaluator.run(node)))
        except UserError as error:
            session.output.error(f"Error in testing condition for breakpoint {stop.number}:\n{error}")
            return True

    stop.condition, stop.holds = text, holds


def options_of(session: Session, text: str) -> tuple[str, int, int]:
    """The text without its leading -pid and -cpu, and their values or -1."""
    found = {"-pid": -1, "-cpu": -1}
    words = text.split()
    while len(words) > 1 and words[0] in found:
        found[words[0]] = session.integer(words[1])
        words = words[2:]
    while len(words) > 2 and words[-2] in found and "if" not in words:
        found[words[-2]] = session.integer(words[-1])
        words = words[:-2]
    return " ".join(words), found["-pid"], found["-cpu"]


def make_catch(session: Session, args: Args, disposition: str) -> str:
    """Declare a catchpoint; what is said of it."""
    text, condition = split_condition(args.event or "")
    text, pid, cpu = options_of(session, text)
    if not text:
        raise UserError("Argument required (kind of event to stop at).", 'Try "info events".')
    kind = str(EVENT.parse(session, text))
    stop = session.stops.catch(kind, pid, cpu, disposition)
    return declared(session, stop, condition, f"{stop.label} ({kind})")


def declared(session: Session, stop: Stop, condition: str, said: str) -> str:
    """The last steps of a new stop: it is gone again if its condition is wrong."""
    try:
        set_condition(session, stop, condition)
    except UserError:
        session.stops.delete(stop)
        raise
    session.set_variable("bpnum", stop.number)
    return said


@command(
    "catch",
    group="breakpoints",
    needs=("run",),
    effect=SHELL,
    arguments=[Argument("event", EVENT_REST, optional=True)],
    usage="catch KIND [-pid PID] [-cpu CPU] [if EXPR]",
    summary="Stop the program at every event of a kind.",
    help=CATCH_HELP + CONDITION_HELP,
    examples=["catch fault-minor", "catch tlb-miss -pid 1", "catch swap-out if $_slot == 2"],
    repeat=NO_REPEAT,
)
def catch_command(session: Session, args: Args) -> object:
    return make_catch(session, args, "keep")


@command(
    "tcatch",
    group="breakpoints",
    needs=("run",),
    effect=SHELL,
    arguments=[Argument("event", EVENT_REST, optional=True)],
    usage="tcatch KIND [-pid PID] [-cpu CPU] [if EXPR]",
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
    "condition",
    group="breakpoints",
    effect=SHELL,
    arguments=[Argument("text", REST, optional=True)],
    usage="condition NUM [EXPR]",
    summary="Specify stop number NUM to stop only if EXPR is true.",
    help="Without an expression the stop becomes unconditional." + CONDITION_HELP,
    repeat=NO_REPEAT,
)
def condition_command(session: Session, args: Args) -> object:
    number, _, text = (args.text or "").strip().partition(" ")
    if not number:
        raise UserError("Argument required (breakpoint number).")
    stop = session.stops.get(session.integer(number))
    set_condition(session, stop, text.strip())
    return None if text.strip() else f"Breakpoint {stop.number} now unconditional."


@command(
    "commands",
    group="breakpoints",
    effect=SHELL,
    arguments=[Argument("numbers", REST, optional=True)],
    usage="commands [NUM|RANGE]...",
    summary="Set commands to be executed when the given stops hold.",
    help="""
The commands follow, one a line, down to a line with just "end".  Without a number they belong to the stop
that was set last.  A first line "silent" keeps the usual report of the stop back.""",
    block=True,
    repeat=NO_REPEAT,
)
def commands_command(session: Session, args: Args) -> object:
    stops = session.stops
    if args.numbers:
        found = [stops.get(number) for number in numbers(session, args.numbers)]
    else:
        if not stops.by_number:
            raise UserError("No breakpoints specified.")
        found = [stops.by_number[max(stops.by_number)]]
    sources = session.interpreter.sources
    if args.body is None and sources and sources[-1].interactive:
        listed = ", ".join(str(stop.number) for stop in found)
        session.output.line(f"Type commands for breakpoint(s) {listed}, one per line.")
        session.output.line('End with a line saying just "end".')
    bodies = args.body or session.interpreter.read_bodies("commands")
    if bodies is not None:
        for stop in found:
            stop.commands = bodies[0]
    return None


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
