"""x, xp: memory as numbers and strings."""

from __future__ import annotations

from vmdbg.shell.command import CONTINUE, FORMAT_LETTERS, PURE, Argument, command
from vmdbg.shell.commands.values import examine_state, print_options
from vmdbg.shell.kinds import REST_EXPRESSION
from vmdbg.views.values import format_memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

LETTERS_HELP = """
ADDRESS is an expression for the memory address to examine.  FMT is a repeat count followed by a
format letter and a size letter.  Format letters are o(octal), x(hex), d(decimal), u(unsigned decimal),
t(binary), f(float), a(address), c(char), s(string) and z(hex, zero padded on the left).  Size letters
are b(byte), h(halfword), w(word), g(giant, 8 bytes).  The specified number of objects of the specified
size are printed according to the format.  If a negative number is specified, memory is examined
backward from the address.  Defaults for format and size letters are those previously used.  Without an
address, and when an empty line repeats it, the command goes on where the last one ended.
Afterwards $_ is the last address and $__ its contents."""


def examine(session: Session, args: Args, physical: bool) -> None:
    """Writes the lines; what could be read of a line is shown before its error."""
    state = examine_state(session)
    form = state.examine_format(args.format or "", args.expression or "")
    scope = session.scope
    address = None
    if args.expression is not None:
        value = session.evaluate(args.expression)
        address = value.as_address() if value.address is None or value.type.is_scalar else value.address
    read = scope.read_physical if physical else scope.read_memory
    symbolize = None if physical else scope.symbolize
    try:
        lines = format_memory(
            state, form, read, address, print_options(session), symbolize, scope.width(physical)
        )
        for line in lines:
            session.output.write(line)
    finally:
        if state.next_address is not None:
            session.variables.set("_", state.address)
            session.variables.set("__", state.value)


@command(
    "x",
    group="data",
    effect=PURE,
    arguments=[Argument("expression", REST_EXPRESSION, optional=True)],
    forms=FORMAT_LETTERS,
    usage="x[/FMT] [ADDRESS]",
    summary="Examine memory: x/FMT ADDRESS.",
    help=LETTERS_HELP + '\nADDRESS is virtual, in the current process; "xp" takes physical ones.',
    repeat=CONTINUE,
)
def x_command(session: Session, args: Args) -> object:
    examine(session, args, physical=False)
    return None


@command(
    "xp",
    group="data",
    effect=PURE,
    arguments=[Argument("expression", REST_EXPRESSION, optional=True)],
    forms=FORMAT_LETTERS,
    usage="xp[/FMT] [ADDRESS]",
    summary="Examine physical memory: xp/FMT ADDRESS.",
    help=LETTERS_HELP,
    repeat=CONTINUE,
)
def xp_command(session: Session, args: Args) -> object:
    examine(session, args, physical=True)
    return None
