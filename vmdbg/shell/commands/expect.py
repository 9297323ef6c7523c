"""expect: what has to hold, for graders and tests."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.shell.command import Argument, Option, command
from vmdbg.shell.expectations import Terms, check, tally_of
from vmdbg.shell.kinds import COMMAND_LINE, NUMBER, WORD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

POINTS = 1_000_000


@command(
    "expect",
    group="support",
    arguments=[Argument("line", COMMAND_LINE, help="what to expect")],
    options=[
        Option("-points", NUMBER, default=1, help="what it is worth; 1 if not given"),
        Option("-name", WORD, default="", help="what it is called in reports"),
        Option("-hint", WORD, default="", help="what is said if it does not hold"),
        Option("-hidden", help="those who handed in are told its points only"),
    ],
    usage=(
        "expect [-points N] [-name NAME] [-hint TEXT] [-hidden] COMMAND => CONDITION",
        "expect [OPTIONS] EXPR",
    ),
    summary="Say that something has to hold, and count it.",
    help="""
COMMAND runs and its JSON is looked at: a field is a key, or a path such as fault.kind or steps[0].index;
[0] is the first object of an array, "count" the number of its objects.  CONDITION is FIELD OP VALUE, where
OP is one of == != < <= > >= and =~ (a regular expression that has to match somewhere) and VALUE is a string
in double quotes, a number, true, false, null, or an expression; or an expression in which fields stand for
their numbers, such as pa / 4096 == 0x108.  Several are joined by && and ||.  With EXPR alone, its value must
not be zero.

One that does not hold never stops the script, nor does one that makes no sense, but the exit status is 1
then.  The totals come at the end of the run.  "vmdbg --tap" prints the results in the Test Anything
Protocol; "vmdbg --grade" runs a script on many hand-ins.""",
    examples=[
        "expect 1 + 1 == 2",
        "expect -points 2 show confirm => [0].value == true",
        'expect -name frame -hint "Which?" translate 0x401234 => pa / 4096 == 0x108',
        "expect walk 0x401234 => steps[0].index == 0 && slot == null",
    ],
)
def expect_command(session: Session, args: Args) -> object:
    if not 0 <= args.points <= POINTS:
        raise UserError(f"Points from 0 to {POINTS} expected.")
    outcome = check(session, args.line, Terms(args.points, args.name, args.hint, args.hidden))
    return "\n".join(tally_of(session).add(outcome))
