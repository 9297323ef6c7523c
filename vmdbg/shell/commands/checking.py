"""check: the machine's own invariants."""

from __future__ import annotations

from vmdbg.inspect.processes import violations
from vmdbg.shell.command import PURE, Argument, command
from vmdbg.shell.kinds import choice
from vmdbg.views.result import Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session


@command(
    "check",
    group="looking",
    needs=("kernel",),
    effect=PURE,
    arguments=[
        Argument("what", choice("machine", "tlb"), optional=True, default="machine", help="machine or tlb")
    ],
    forms=("json", "csv"),
    summary="Check that the machine is consistent.",
    help="""
Frames and the entries that map them, the reverse map, slots, counts, lists, page tables, TLBs: each is
compared with the others, and what disagrees is listed.  In the middle of an operation that names what is
in transit.  "check tlb" lists TLB entries that disagree with the tables, those too that their CPU owes to
drop ("help set machine.shootdown").""",
    examples=["check", "check tlb", "check/json"],
)
def check_command(session: Session, args: Args) -> object:
    found = violations(session.machine, tlb_only=args.what == "tlb")
    return Table(
        [Column("rule"), Column("message", "what is wrong", wraps=True)],
        found,
        empty="Consistent: nothing disagrees.",
    )
