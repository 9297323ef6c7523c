"""set radix, show radix: the base of numbers as they are typed and as they are printed."""

from __future__ import annotations

from vmdbg.debugger.settings import RADIX
from vmdbg.shell.command import PURE, SHELL, Argument, command
from vmdbg.shell.kinds import REST_EXPRESSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

NAMES = ("output-radix", "input-radix")


@command(
    "set radix",
    group="support",
    effect=SHELL,
    arguments=[Argument("radix", REST_EXPRESSION, optional=True)],
    usage="set radix [8|10|16]",
    summary="Set default input and output number radices.",
    help="""
Use "set input-radix" or "set output-radix" to independently set each.
Without an argument, sets both radices back to the default value of 10.""",
    examples=["set radix 16", "set radix"],
)
def set_radix(session: Session, args: Args) -> object:
    settings = session.settings
    text = args.radix or "0t10"
    values = {name: settings.declared(name).parse(text, session.integer) for name in NAMES}
    for name, value in values.items():
        settings.set(name, value)
    said = f"Input and output radices now set to {RADIX.format(values[NAMES[0]])}."
    return said if args.from_tty else None


@command(
    "show radix",
    group="status",
    effect=PURE,
    summary="Show the default input and output number radices.",
    help='Use "show input-radix" or "show output-radix" to independently show each.',
    examples=["show radix"],
)
def show_radix(session: Session, args: Args) -> object:
    output, entered = (session.settings.number(name) for name in NAMES)
    if output == entered:
        return f"Input and output radices set to {RADIX.format(output)}."
    return f"Input radix set to {RADIX.format(entered)}.\nOutput radix set to {RADIX.format(output)}."
