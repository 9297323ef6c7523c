"""expect: what has to hold, for graders and tests."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.shell.command import Argument, Option, command
from vmdbg.shell.expectations import check, tally_of
from vmdbg.shell.kinds import COMMAND_LINE, NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

POINTS = 1_000_000


@command(
    "expect",
    group="support",
    arguments=[Argument("line", COMMAND_LINE, help="what to expect")],
    options=[Option("-points", NUMBER, default=1, help="what it is worth; 1 if not given")],
    usage=("expect [-points N] COMMAND => FIELD OP VALUE", "expect [-points N] EXPR"),
    summary="Say that something has to hold, and count it.",
    help="""
COMMAND runs and its JSON is looked at: FIELD is a key, or a path such as fault.kind or steps[0].index;
[0] is the first object of an array, "count" the number of its objects.  OP is one of == != < <= > >=
and =~ (a regular expression that has to match somewhere).  VALUE is a string in double quotes, a
number, true, false, null, or an expression.  With EXPR alone, its value must not be zero.

One that does not hold never stops the script, but the exit status is 1 then.  The totals come at the
end of the run.  "vmdbg --tap" prints the results in the Test Anything Protocol.""",
    examples=["expect 1 + 1 == 2", "expect -points 2 show confirm => [0].value == true"],
)
def expect_command(session: Session, args: Args) -> object:
    if not 0 <= args.points <= POINTS:
        raise UserError(f"Points from 0 to {POINTS} expected.")
    outcome = check(session, args.line, args.points)
    return "\n".join(tally_of(session).add(outcome))
