"""check rights, check cpu: what is wrong with page tables, and with what a CPU needs of them."""

from __future__ import annotations

from vmdbg.inspect.check_rights import check_rights
from vmdbg.shell.command import PURE, command
from vmdbg.shell.context_options import TABLES, context_of
from vmdbg.views.check_rights import rights_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session


@command(
    "check rights",
    group="looking",
    needs=("translate",),
    effect=PURE,
    options=TABLES,
    forms=("json", "csv"),
    summary="Check what page tables allow, such as whether the kernel is W^X.",
    help="""
Pages that can be written and executed; pages of the kernel's half that users may access; frames that one
address may write and another execute; entries with reserved bits, or that point outside memory; page tables
that users may write; the page at address 0.  Control registers count: without EFER.NXE every page is
executable.""",
    examples=["check rights", "check rights/json"],
)
def check_rights_command(session: Session, args: Args) -> object:
    context = context_of(session, args)
    return rights_table(session.notation, list(check_rights(session.machine, context.root, context.cpu)))
