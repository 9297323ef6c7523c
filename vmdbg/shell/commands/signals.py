"""handle, info signals: which signals of processes stop the program."""

from __future__ import annotations

from vmdbg.debugger.stops.patterns import Pattern
from vmdbg.errors import UserError
from vmdbg.inspect.signals import SIGNAL_NAMES
from vmdbg.shell.command import NO_REPEAT, PURE, SHELL, Argument, command
from vmdbg.shell.kinds import SIGNAL, SIGNALS
from vmdbg.shell.text_completion import HANDLE_ACTIONS
from vmdbg.state import events
from vmdbg.views.result import Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

REFUSED = ("nopass", "ignore")
HEADER = "Signal        Stop\tPrint\tPass to program\tDescription"


def signal_number(text: str) -> int:
    """The number of a signal by name or number; 0 if there is none."""
    for number, (name, _) in SIGNAL_NAMES.items():
        if text in (name, str(number)):
            return number
    return 0


def stopping(session: Session) -> set[int]:
    """The signals that stop the program."""
    stop = session.stops.signals
    if not stop.enabled:
        return set()
    return {n for n in SIGNAL_NAMES if any(p.low in (None, n) for p in stop.patterns)}


def signal_table(session: Session, numbers: Iterable[int]) -> Table:
    """The signals as GDB shows them."""
    stops = stopping(session)
    rows = [(*SIGNAL_NAMES[number], number, number in stops) for number in numbers]

    def lines() -> Iterable[str]:
        yield HEADER
        for name, words, _, stop in rows:
            flag = "Yes" if stop else "No"
            yield f"{name:13} {flag}\t{flag}\tYes\t\t{words}"

    columns = [Column("signal"), Column("description"), Column("number"), Column("stop")]
    return Table(columns, rows, drawn=lines)


@command(
    "handle",
    group="breakpoints",
    needs=("run",),
    effect=SHELL,
    arguments=[Argument("what", SIGNALS, optional=True)],
    usage="handle SIGNAL... [stop|nostop]",
    summary="Specify which signals of processes stop the program.",
    help="""
SIGNAL is a name such as SIGSEGV, a number, or "all".  With "nostop" (or "noprint") the program goes on
without a word: to the process's handler, if it has one, else to its end.  "catch signal" stops all the same.
Signals always reach the process.""",
    examples=["handle SIGSEGV nostop", "handle all stop"],
    repeat=NO_REPEAT,
)
def handle_command(session: Session, args: Args) -> object:
    words = (args.what or "").split()
    if not words:
        raise UserError("Argument required (signal to handle).")
    chosen: list[int] = []
    stop: bool | None = None
    for word in words:
        number = signal_number(word)
        if word == "all":
            chosen += SIGNAL_NAMES
        elif number:
            chosen.append(number)
        elif word in REFUSED:
            raise UserError("Signals always reach the process.")
        elif word in HANDLE_ACTIONS:
            stop = stop if HANDLE_ACTIONS[word] is None else HANDLE_ACTIONS[word]
        else:
            raise UserError(f'Unrecognized or ambiguous flag word: "{word}".')
    if not chosen:
        raise UserError("Argument required (signal to handle).")
    if stop is not None:
        stops = stopping(session)
        stops = stops | set(chosen) if stop else stops - set(chosen)
        own = session.stops.signals
        own.enabled = bool(stops)
        own.patterns = [Pattern(events.SIGNAL, low=number) for number in sorted(stops)]
        if stops == set(SIGNAL_NAMES):
            own.patterns = [Pattern(events.SIGNAL)]
    return signal_table(session, sorted(set(chosen)))


@command(
    "info signals",
    aliases=("info handle",),
    group="status",
    needs=("run",),
    effect=PURE,
    forms=("json", "csv"),
    arguments=[Argument("signal", SIGNAL, optional=True)],
    usage="info signals[/json|/csv] [SIGNAL]",
    summary="What the program does at signals of processes.",
    examples=["info signals", "info signals SIGSEGV"],
)
def info_signals(session: Session, args: Args) -> object:
    if not args.signal:
        return signal_table(session, SIGNAL_NAMES)
    number = signal_number(args.signal.strip())
    if not number:
        raise UserError("Only signals 7, 9 and 11 are known here.", 'Try "info signals".')
    return signal_table(session, [number])
