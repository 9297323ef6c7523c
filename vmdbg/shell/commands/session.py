"""quit, history, logging, and the showing of what the session holds."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.shell.command import NO_REPEAT, REPEAT, Argument, command, prefix
from vmdbg.shell.kinds import REST, REST_EXPRESSION
from vmdbg.shell.version import version_text
from vmdbg.views.result import NUMBER, Column, Lines, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

INFO = prefix(
    "info",
    aliases=("i", "inf"),
    group="status",
    summary="Generic command for showing things about the machine and its program.",
)
SET_HISTORY = prefix(
    "set history", group="support", summary="Generic command for setting command history parameters."
)
SHOW_HISTORY = prefix(
    "show history", group="status", summary="Generic command for showing command history parameters."
)
SET_LOGGING = prefix("set logging", group="support", summary="Set logging options.")
SHOW_LOGGING = prefix("show logging", group="status", summary="Show logging options.")
SET_PRINT = prefix(
    "set print",
    aliases=("set p", "set pr"),
    group="data",
    summary="Generic command for setting how things print.",
)
SHOW_PRINT = prefix(
    "show print",
    aliases=("show p", "show pr"),
    group="status",
    summary="Generic command for showing print settings.",
)
SET_STYLE = prefix("set style", group="support", summary="Set style-specific variables.")
SHOW_STYLE = prefix("show style", group="status", summary="Show style-specific variables.")
SET_JSON = prefix("set json", group="support", summary="Set how JSON is written.")
SHOW_JSON = prefix("show json", group="status", summary="Show how JSON is written.")
HISTORY_PAGE = 10


@command(
    "quit",
    aliases=("q", "exit"),
    group="support",
    arguments=[Argument("status", REST_EXPRESSION, optional=True)],
    usage="quit [EXPR]",
    summary="Exit vmdbg.",
    help="""
The optional expression is evaluated and becomes the exit status.  At a terminal, a machine that has gone on
since it was booted, loaded or saved is not left without a question ("set confirm off").""",
    repeat=NO_REPEAT,
)
def quit_command(session: Session, args: Args) -> object:
    status = session.integer(args.status) & 0xFF if args.status else None
    if session.ask is not None and not session.interpreter.isolated and session.unsaved:
        timeline = session.timeline
        what = f"Machine {timeline.machine.config.name} [time {timeline.position}] will be lost."
        if not session.query(f"A debugging session is active.\n\n\t{what}\n\nQuit anyway? "):
            raise UserError("Not confirmed.")
    raise SystemExit(status)


@command("show version", group="status", summary="Show what version of vmdbg this is.")
def show_version(session: Session, args: Args) -> object:
    return version_text()


@command(
    "show commands",
    group="status",
    arguments=[Argument("position", REST_EXPRESSION, optional=True)],
    usage="show commands[/json|/csv] [+|NUMBER]",
    forms=("json", "csv"),
    summary="Show the history of commands you typed.",
    help='"show commands N" shows ten around number N, "show commands +" the ten after the last shown.',
    repeat=REPEAT,
)
def show_commands(session: Session, args: Args) -> object:
    history = session.interpreter.command_history
    text = args.position or ""
    if text == "+":
        start = session.interpreter.history_shown
    elif text:
        start = session.integer(text) - 1 - HISTORY_PAGE // 2
    else:
        start = len(history) - HISTORY_PAGE
    start = max(0, start)
    session.interpreter.history_shown = start + HISTORY_PAGE
    if args.from_tty and text:
        session.interpreter.repeat_line = "show commands +"
    return history_table(list(enumerate(history, 1))[start : start + HISTORY_PAGE])


def history_table(rows: list[tuple[int, str]]) -> Table:
    """Typed commands with their numbers, five columns wide as GDB lists them."""
    columns = [Column("number", kind=NUMBER), Column("command")]
    return Table(columns, rows, drawn=lambda: (f"{number:5d}  {line}" for number, line in rows))


@command(
    "history",
    group="status",
    forms=("json", "csv"),
    summary="Show all commands you typed, numbered.",
    examples=["history"],
)
def history_command(session: Session, args: Args) -> object:
    return history_table(list(enumerate(session.interpreter.command_history, 1)))


@command(
    "show user",
    group="status",
    arguments=[Argument("name", REST, optional=True)],
    usage="show user [COMMAND]",
    summary="Show definitions of non-python/scheme user defined commands.",
    help="Argument is the name of the user defined command.  With no argument, show definitions of all\n"
    "user defined commands.",
)
def show_user(session: Session, args: Args) -> object:
    registry = session.interpreter.registry
    if args.name:
        node, rest = registry.resolve(args.name)
        if not node.user or rest.strip():
            raise UserError("Not a user command.")
        if node.path not in registry.bodies:
            return None
        return Lines(definition(session, node.path))
    return Lines(line for path in sorted(registry.bodies) for line in definition(session, path))


def definition(session: Session, path: tuple[str, ...]) -> Iterator[str]:
    """The body of a user-defined command as it would be typed."""
    yield f'User command "{" ".join(path)}":'
    for statement in session.interpreter.registry.bodies[path]:
        yield from statement.lines(1)
    if session.interpreter.registry.bodies[path]:
        yield ""


@command(
    "set logging on",
    group="support",
    summary="Enable logging (deprecated).",
    help='Use "set logging enabled on".',
    hidden=True,
)
def logging_on(session: Session, args: Args) -> object:
    deprecated_logging(session, "on")
    return None


@command(
    "set logging off",
    group="support",
    summary="Disable logging (deprecated).",
    help='Use "set logging enabled off".',
    hidden=True,
)
def logging_off(session: Session, args: Args) -> object:
    deprecated_logging(session, "off")
    return None


def deprecated_logging(session: Session, word: str) -> None:
    """GDB's warning, then the setting."""
    session.output.line(
        f"Warning: 'set logging {word}', an alias for the command 'set logging enabled', is deprecated."
    )
    session.output.line(f"Use 'set logging enabled {word}'.")
    session.output.line("")
    session.settings.set("logging enabled", word == "on")
