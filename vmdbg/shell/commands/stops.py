"""condition, commands, ignore, delete, disable, enable, info breakpoints: what is done with every stop."""

from __future__ import annotations

from vmdbg.debugger.stops.conditions import Condition
from vmdbg.errors import UserError
from vmdbg.shell.command import NO_REPEAT, PURE, SHELL, Argument, command
from vmdbg.shell.kinds import CONDITION, STOP_NUMBERS
from vmdbg.state.events import EVENTS
from vmdbg.views.result import NUMBER, Column, Table
from vmdbg.views.stops import StopTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.stops.stops import Stop
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session


CONDITION_HELP = """
With "if EXPR" it stops only where the expression is not zero.  It is evaluated at the event, with the
machine as it is then; $_event, $_pid, $_cpu and the arguments of the event ($_va, $_pfn, ...) are what "info
events" names; the $_ can be left out.  Parts such as "pid == 2 && va >= 0x400000" cost a run next to
nothing."""


def split_condition(text: str) -> tuple[str, str]:
    """What stands before `if`, and the condition after it."""
    words = f" {text} "
    before, found, after = words.partition(" if ")
    if not found and text.startswith("if"):
        before, after = "", text[2:]
    return before.strip(), after.strip()


def set_condition(session: Session, stop: Stop, text: str) -> None:
    """Give a stop a condition, or none.  UserError if it is no expression, or would change the machine."""
    stop.complain = session.output.error
    kinds = [*stop.kinds, *(pattern.kind for pattern in stop.patterns + stop.openings)]
    stop.condition = Condition(text, session.evaluator, kinds) if text else None


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
    if words and words[-1] in found:
        raise UserError(f"{words[-1]} requires an argument")
    return " ".join(words), found["-pid"], found["-cpu"]


def declared(session: Session, stop: Stop, condition: str, said: str, spelling: str) -> str:
    """The last steps of a new stop, made by the command `spelling`: it is gone again if its condition is
    wrong."""
    stop.spelling = spelling
    try:
        set_condition(session, stop, condition)
    except UserError:
        session.stops.delete(stop)
        raise
    session.set_variable("bpnum", stop.number)
    return said


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
            session.output.line(f"No breakpoint number {number}.")
    return found


NUMBERS = Argument("numbers", STOP_NUMBERS, optional=True)


@command(
    "ignore",
    group="breakpoints",
    effect=SHELL,
    arguments=[Argument("text", CONDITION, optional=True)],
    usage="ignore NUM COUNT",
    summary="Set the ignore-count of a stop to COUNT.",
    help="Crossings of the stop are passed by that often; only those count whose condition holds.",
    repeat=NO_REPEAT,
)
def ignore_command(session: Session, args: Args) -> object:
    words = (args.text or "").split(None, 1)
    if not words:
        raise UserError("Argument required (a breakpoint number).")
    if len(words) < 2:
        raise UserError("Second argument (specified ignore-count) is missing.")
    stop = session.stops.get(session.integer(words[0]))
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
    arguments=[Argument("text", CONDITION, optional=True)],
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
    arguments=[Argument("numbers", STOP_NUMBERS, optional=True)],
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
        found = chosen(session, args.numbers)
        if not found:
            return None
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
    aliases=("info b",),
    group="status",
    effect=PURE,
    arguments=[NUMBERS],
    usage="info breakpoints[/json|/csv] [NUM|RANGE]...",
    forms=("json", "csv"),
    summary="Status of all stops, or of those with the given numbers.",
    examples=["info breakpoints"],
)
def info_breakpoints(session: Session, args: Args) -> object:
    stops = listed(session, args.numbers)
    if not stops and not args.form:
        return none_of("breakpoint or watchpoint", "breakpoints or watchpoints", args.numbers)
    return StopTable(stops)


def listed(session: Session, text: str | None) -> list[Stop]:
    """The stops that numbers name, all without numbers; `info` passes over those that are not there."""
    wanted = set(numbers(session, text)) if text and session.stops.by_number else None
    return [stop for number, stop in session.stops.by_number.items() if wanted is None or number in wanted]


def none_of(one: str, several: str, numbers: str | None) -> str:
    """What `info` says where there is nothing to list."""
    return f"No {one} matching '{numbers}'." if numbers else f"No {several}."


@command(
    "info watchpoints",
    group="status",
    effect=PURE,
    arguments=[NUMBERS],
    usage="info watchpoints[/json|/csv] [NUM|RANGE]...",
    forms=("json", "csv"),
    summary="Status of all watchpoints, or of those with the given numbers.",
    examples=["info watchpoints"],
)
def info_watchpoints(session: Session, args: Args) -> object:
    stops = [stop for stop in listed(session, args.numbers) if stop.sort.endswith("watchpoint")]
    if not stops and not args.form:
        return none_of("watchpoint", "watchpoints", args.numbers)
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
    counts = session.machine.counts()
    columns = [Column("event"), Column("count", kind=NUMBER), Column("cost"), Column("meaning", wraps=True)]
    rows = [[event.name, counts.get(event.name, 0), event.cost or "-", event.help] for event in EVENTS]
    return Table(columns, rows)


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
