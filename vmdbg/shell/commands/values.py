"""print, output, printf, echo, eval, call, whatis: values of expressions."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.expressions.c_types import ARRAY, CHAR, describe
from vmdbg.shell.command import FORMAT_LETTERS, Argument, Option, command
from vmdbg.shell.kinds import NUMBER, PRINTF, REST, REST_EXPRESSION, TYPE_EXPRESSION
from vmdbg.views import printf
from vmdbg.views.examine import ExamineState
from vmdbg.views.result import Lines, Record
from vmdbg.views.values import PrintOptions, format_value, unescape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from vmdbg.expressions.values import Value
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

PRINT_OPTIONS = [
    Option("-elements", NUMBER, help="limit on string chars or array elements to print; 0 is unlimited"),
    Option("-repeats", NUMBER, help="threshold for repeated print elements; 0 is unlimited"),
]


def examine_state(session: Session) -> ExamineState:
    """What `x` and `print/F` remember."""
    return session.state(ExamineState)


def print_options(session: Session, args: Args | None = None) -> Any:
    """The settings of `print`, with the options that were given."""
    settings = session.settings
    elements, repeats = settings.number("print elements"), settings.number("print repeats")
    if args is not None and args.__dict__.get("elements") is not None:
        elements = args.elements
    if args is not None and args.__dict__.get("repeats") is not None:
        repeats = args.repeats
    return PrintOptions(
        elements or 0,
        repeats or 0,
        null_stop=settings.flag("print null-stop"),
        array=settings.flag("print array"),
        symbol=settings.flag("print symbol"),
        radix=settings.number("output-radix") or 10,
    )


def shown(session: Session, value: Any, letter: str, args: Args | None = None) -> str:
    """A value as text, under the settings and options of `print`."""
    scope = session.scope
    examine_state(session).printed(value)
    return format_value(value, letter, scope.read_memory, print_options(session, args), scope.symbolize)


def single_letter(session: Session, text: str | None, name: str) -> str:
    """The format letter of a command that shows one value; a slash alone takes the last one.  GDB's
    errors."""
    if text is None:
        return ""
    state = examine_state(session)
    try:
        found = state.print_format(text, remember=name not in ("output", "display"))
    except UserError as error:
        raise UserError(str(error).replace('"print"', f'"{name}"')) from None
    return str(found.letter)


def print_value(session: Session, args: Args, void: bool) -> str | None:
    """Evaluates, records and shows; the line, or None for a void value that `call` hides."""
    letter = single_letter(session, args.format, args.declared)
    value = session.evaluate(args.expression) if args.expression else session.values.last()
    if value.is_void and not void:
        return None
    number = session.values.record(value)
    try:
        return f"${number} = {shown(session, value, letter, args)}"
    except UserError:
        session.output.write(f"${number} = ")
        raise


@command(
    "print",
    aliases=("p", "inspect"),
    group="data",
    arguments=[Argument("expression", REST_EXPRESSION, optional=True)],
    options=PRINT_OPTIONS,
    forms=FORMAT_LETTERS,
    usage="print [[OPTION]... --] [/FMT] [EXP]",
    summary="Print value of expression EXP.",
    help="""
Note: because this command accepts arbitrary expressions, if you specify any command option, you must
use a double dash ("--") to mark the end of option processing.

$NUM gets previous value number NUM.  $ and $$ are the last two values.
$$NUM refers to NUM'th value back from the last one.
Names starting with $ refer to registers of the machine or else to debugger "convenience" variables
(any such name not a known register).  Use assignment expressions to give values to them; an
assignment to a register or to memory changes the machine.

{TYPE}ADREXP refers to a datum of data type TYPE, located at address ADREXP.
@ is a binary operator for treating consecutive data objects anywhere in memory as an array.

EXP may be preceded with /FMT, where FMT is a format letter but no count or size letter (see "x"
command).  /j prints an object of JSON: number, type, value.""",
    examples=["print 1 + 1", "print/x 255", "print $", "print/j 0x100"],
)
def print_command(session: Session, args: Args) -> object:
    if args.format in ("j", "json"):
        return print_json(session, args)
    return print_value(session, args, void=True)


def print_json(session: Session, args: Args) -> Record:
    """`print/j`: evaluates and records; a string is its text, an array a list, nothing null."""
    value = session.evaluate(args.expression) if args.expression else session.values.last()
    number = session.values.record(value)
    args.form = "json"
    return Record({"number": number, "type": describe(value.type), "value": plain_value(value)})


def plain_value(value: Value) -> Any:
    """A value as JSON has it."""
    if value.is_void:
        return None
    if value.type.is_scalar:
        return value.number
    if value.type.code == ARRAY:
        if value.type.pointed() is CHAR:
            return value.data.partition(b"\0")[0].decode("utf-8", "replace")
        return [plain_value(element) for element in value.elements()]
    return describe(value.type)


@command(
    "call",
    group="data",
    arguments=[Argument("expression", REST_EXPRESSION, optional=True)],
    options=PRINT_OPTIONS,
    forms=FORMAT_LETTERS,
    usage="call [[OPTION]... --] [/FMT] [EXP]",
    summary="Call a function, that is, print value of EXP but not if it is void.",
    help='The argument is the same as that of the "print" command.',
    examples=["call 1 + 1"],
)
def call_command(session: Session, args: Args) -> object:
    return print_value(session, args, void=False)


@command(
    "output",
    group="data",
    arguments=[Argument("expression", REST_EXPRESSION, optional=True, help="expression to compute")],
    forms=FORMAT_LETTERS,
    usage="output[/FMT] EXP",
    summary="Like \"print\" but don't put in value history and don't print newline.",
    help="This is useful in user-defined commands.",
    examples=["output/x 255"],
)
def output_command(session: Session, args: Args) -> object:
    if not args.expression:
        raise UserError("Argument required (expression to compute).")
    letter = single_letter(session, args.format, "output")
    session.output.write(shown(session, session.evaluate(args.expression), letter))
    return None


@command(
    "echo",
    group="support",
    arguments=[Argument("text", REST, optional=True)],
    usage="echo TEXT",
    summary="Print a constant string.  Give string as argument.",
    help="""
C escape sequences may be used in the argument.  No newline is added at the end of the argument; use
"\\n" if you want a newline to be printed.  Since leading and trailing whitespace are ignored in
command arguments, if you want to print some you must use "\\" before leading whitespace to be printed
or after trailing whitespace.""",
    examples=["echo done\\n"],
)
def echo_command(session: Session, args: Args) -> object:
    session.output.write(unescape(args.text or ""))
    return None


@command(
    "printf",
    group="data",
    arguments=[Argument("arguments", PRINTF, optional=True)],
    usage='printf "FORMAT", EXPR, ...',
    summary='Formatted printing, like the C "printf" function.',
    help="This supports most C printf format specifications, like %s, %d, etc.",
    examples=['printf "%d pages\\n", 3'],
)
def printf_command(session: Session, args: Args) -> object:
    for piece in printf_pieces(session, args.arguments or "", session.output.foreign):
        session.output.write(piece)
    return None


def printf_pieces(session: Session, text: str, foreign: Callable[[str], str] = str) -> Iterator[str]:
    """What `printf TEXT` writes; what comes before an error is written.  `foreign` gets what the arguments
    give."""
    form, rest = printf.split_printf(text)
    evaluator = session.evaluator
    arguments = [evaluator.run(node) for node in evaluator.parse_list(rest)]
    return printf.printf_pieces(form, arguments, evaluator.scope.read_memory, foreign)


@command(
    "eval",
    aliases=("ev",),
    group="data",
    arguments=[Argument("arguments", PRINTF, optional=True)],
    usage='eval "FORMAT", EXPR, ...',
    summary="Construct a vmdbg command and then evaluate it.",
    help='The arguments are the same as those of "printf"; what that would print is executed.',
    examples=['eval "print %d", 5'],
)
def eval_command(session: Session, args: Args) -> object:
    session.execute("".join(printf_pieces(session, args.arguments or "")))
    return None


@command(
    "whatis",
    group="data",
    arguments=[Argument("expression", TYPE_EXPRESSION, optional=True)],
    usage="whatis [EXP]",
    summary="Print data type of expression EXP.",
    examples=["whatis 1 + 1"],
)
def whatis_command(session: Session, args: Args) -> object:
    if not args.expression:
        return f"type = {describe(session.values.last().type)}"
    return f"type = {session.evaluator.describe(args.expression)}"


@command(
    "ptype",
    aliases=("pt",),
    group="data",
    arguments=[Argument("expression", TYPE_EXPRESSION, optional=True)],
    usage="ptype [EXP]",
    summary="Print definition of type TYPE.",
    help="Without structures, types have no parts: the same as whatis.",
    examples=["ptype 1L"],
)
def ptype_command(session: Session, args: Args) -> object:
    return whatis_command(session, args)


@command(
    "show values",
    group="status",
    arguments=[Argument("position", REST_EXPRESSION, optional=True)],
    usage="show values [+|NUMBER]",
    summary="Elements of value history around item number IDX (or last ten).",
    examples=["show values"],
)
def show_values(session: Session, args: Args) -> object:
    text = args.position or ""
    centre = session.integer(text) if text and text != "+" else None
    rows = session.values.rows(centre, more=text == "+")
    if args.from_tty and text:
        session.interpreter.repeat_line = "show values +"
    return Lines(f"${number} = {shown(session, value, '')}" for number, value in rows)


@command(
    "show convenience",
    aliases=("show conv",),
    group="status",
    summary='Debugger convenience ("$foo") variables and functions.',
    help="""
Debugger convenience variables are assigned values when you set them.  Unlike the values of print's
history, they keep their names; functions are listed after them.""",
    examples=["show convenience"],
)
def show_convenience(session: Session, args: Args) -> object:
    lines = [f"${name} = {shown(session, value, '')}" for name, value in session.variables.rows()]
    lines += [f"${name} = <internal function {name}>" for name in sorted(session.evaluator.functions)]
    return Lines(lines)
