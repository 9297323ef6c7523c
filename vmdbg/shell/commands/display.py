"""display: expressions that are shown after every stop."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.shell.command import FORMAT_LETTERS, NO_REPEAT, Argument, command
from vmdbg.shell.commands.values import print_options, shown
from vmdbg.shell.kinds import REST, REST_EXPRESSION
from vmdbg.views.result import Column, Table
from vmdbg.views.values import ExamineState, decode_format, format_memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

NONE = "There are no auto-display expressions now."
MEMORY_LETTERS = ("i", "s")


class Display:
    """One expression with its format."""

    def __init__(self, number: int, text: str, letters: str, form: Any) -> None:
        self.number, self.text, self.letters, self.form, self.enabled = number, text, letters, form, True
        self.memory = bool(form and form.size)

    @property
    def label(self) -> str:
        """The format as lists show it."""
        if not self.form or not self.form.letter:
            return ""
        if not self.memory:
            return f"/{self.form.letter} "
        return f"/{self.form.count}{self.form.size}{self.form.letter} "

    @property
    def spelling(self) -> str:
        """`x/2xw`, as it is shown with its memory."""
        form = self.form
        count = form.count if form.count != 1 else ""
        return f"x/{count}{form.letter}{form.size if form.letter not in MEMORY_LETTERS else ''}"


class Displays:
    """The displays of a session, by number; numbers are never used again."""

    def __init__(self) -> None:
        self.by_number: dict[int, Display] = {}
        self.last = 0


def displays_of(session: Session) -> Displays:
    """The displays of a session."""
    return session.state(Displays)


def show_displays(session: Session) -> None:
    """Shows all enabled displays: what every stop does."""
    for display in list(displays_of(session).by_number.values()):
        if display.enabled:
            show_display(session, display)


def show_display(session: Session, display: Display) -> None:
    """`1: g = 1`, or the memory at an address; an error is shown in its place."""
    output = session.output
    if not display.memory:
        letter = display.form.letter if display.form else ""
        try:
            text = shown(session, session.evaluate(display.text), letter)
        except UserError as error:
            text = f"<error: {error}>"
        output.line(f"{display.number}: {display.label}{display.text} = {text}")
        return
    apart = "  " if display.form.count == 1 else "\n"
    output.write(f"{display.number}: {display.spelling} {display.text}{apart}")
    try:
        address = session.evaluate(display.text).as_address()
    except UserError as error:
        output.line(f"<error: {error}>")
        return
    scope = session.scope
    try:
        for line in format_memory(
            ExamineState(), display.form, scope.read_memory, address, print_options(session), scope.symbolize
        ):
            output.write(line)
    except UserError as error:
        output.line(f"<error: {error}>")


@command(
    "display",
    group="data",
    arguments=[Argument("expression", REST_EXPRESSION, optional=True)],
    forms=FORMAT_LETTERS,
    usage="display[/FMT] [EXP]",
    summary="Print value of expression EXP each time the program stops.",
    help="""
/FMT may be used before EXP as in the "print" command, or as in the "x" command with a size letter
or "s".  A display is shown at once if it was typed, and after every stop.  With no argument,
display all currently requested auto-display expressions.  Use "undisplay" to cancel display requests
previously made.""",
    examples=["display 1 + 1", "display/x 255"],
    repeat=NO_REPEAT,
)
def display_command(session: Session, args: Args) -> object:
    if not args.expression and args.format is None:
        show_displays(session)
        return None
    if not args.expression:
        raise UserError("Argument required (expression to compute).")
    form = None
    if args.format:
        form = decode_format(args.format)
        if form.letter in MEMORY_LETTERS:
            form.size = "b"
        elif form.size:
            form.letter = form.letter or "x"
    session.evaluator.parse(args.expression)
    displays = displays_of(session)
    displays.last += 1
    display = Display(displays.last, args.expression, args.format or "", form)
    displays.by_number[display.number] = display
    if args.from_tty:
        show_display(session, display)
    return None


@command(
    "undisplay",
    aliases=("delete display", "und"),
    group="data",
    arguments=[Argument("numbers", REST, optional=True)],
    usage="undisplay [NUM]...",
    summary="Cancel some expressions to be displayed when the program stops.",
    help="Arguments are the code numbers of the expressions, or ranges of them.  No argument: all.",
)
def undisplay_command(session: Session, args: Args) -> object:
    displays = displays_of(session)
    if not args.numbers:
        if session.query("Delete all auto-display expressions? "):
            displays.by_number.clear()
        if args.from_tty:
            session.interpreter.repeat_line = ""
        return None
    for display in chosen(session, args.numbers):
        displays.by_number.pop(display.number, None)
    if args.from_tty:
        session.interpreter.repeat_line = ""
    return None


def chosen(session: Session, text: str) -> list[Display]:
    """The displays that numbers and ranges name; GDB's line for each that is not there."""
    displays = displays_of(session)
    found = []
    for word in text.replace(",", " ").split():
        first, dash, last = word.partition("-")
        low = session.integer(first) if first else 0
        high = session.integer(last or "0") if dash else low
        if low <= 0:
            raise UserError("Negative value" if low < 0 else "Zero is not a display number.")
        if high < low:
            raise UserError("inverted range")
        for number in range(low, min(high, displays.last + low) + 1):
            if number in displays.by_number:
                found.append(displays.by_number[number])
            else:
                session.output.line(f"No display number {number}.")
    return found


@command(
    "enable display",
    group="data",
    arguments=[Argument("numbers", REST, optional=True)],
    usage="enable display [NUM]...",
    summary="Enable some expressions to be displayed when the program stops.",
    repeat=NO_REPEAT,
)
def enable_display(session: Session, args: Args) -> object:
    switch(session, args, on=True)
    return None


@command(
    "disable display",
    group="data",
    arguments=[Argument("numbers", REST, optional=True)],
    usage="disable display [NUM]...",
    summary="Disable some expressions to be displayed when the program stops.",
    repeat=NO_REPEAT,
)
def disable_display(session: Session, args: Args) -> object:
    switch(session, args, on=False)
    return None


def switch(session: Session, args: Args, on: bool) -> None:
    """Turns displays on or off; all of them without numbers."""
    every = list(displays_of(session).by_number.values())
    for display in chosen(session, args.numbers) if args.numbers else every:
        display.enabled = on


@command(
    "info display",
    group="status",
    summary="Expressions to display when program stops, with code numbers.",
    forms=("json", "csv"),
    examples=["info display", "info display/j"],
)
def info_display(session: Session, args: Args) -> object:
    displays = list(displays_of(session).by_number.values())
    columns = [Column("number"), Column("enabled"), Column("format"), Column("expression")]
    rows = [(d.number, d.enabled, d.letters, d.text) for d in displays]
    return Table(columns, rows, drawn=lambda: lines_of(displays))


def lines_of(displays: list[Display]) -> Iterator[str]:
    """GDB's list."""
    if not displays:
        yield NONE
        return
    yield "Auto-display expressions now in effect:"
    yield "Num Enb Expression"
    for display in displays:
        yield f"{display.number}:   {'y' if display.enabled else 'n'}  {display.label}{display.text}"
