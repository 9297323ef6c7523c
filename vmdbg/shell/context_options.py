"""The options that say with which process, root, CPU and mode a command looks at memory."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.inspect.context import KERNEL, USER, find_context, machine_context
from vmdbg.inspect.walk import ACCESSES
from vmdbg.shell.command import Option
from vmdbg.shell.kinds import ASID, CPU, PHYSICAL, PROCESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.inspect.context import Context
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

PID = Option("-pid", PROCESS, help="in that process instead of the one on the CPU")
ROOT = Option("-root", PHYSICAL, help="by the root table at that physical address, without a TLB")
ON_CPU = Option("-cpu", CPU, help="as that CPU would")
IN_ASID = Option("-asid", ASID, help="with that address-space number in the TLB")
AS_USER = Option("-u", help="as user code, whatever the CPU's mode is")
AS_KERNEL = Option("-k", help="as the kernel")
AS_MACHINE = Option("-m", help="in machine mode: as mstatus.MPRV and MPP say (RISC-V)")
TABLES = (PID, ROOT, ON_CPU)
CONTEXT = (PID, ROOT, ON_CPU, IN_ASID)
MODES = (AS_USER, AS_KERNEL)
ALL_MODES = (*MODES, AS_MACHINE)


MODE_OF = {"u": USER, "k": KERNEL}


def caller_of(args: Args) -> str:
    """The letter of the option that says who makes an access; empty for the CPU as it is.  UserError: two."""
    letters = [letter for letter in "ukm" if args.__dict__.get(letter)]
    if len(letters) > 1:
        raise UserError(" and ".join(f'"-{letter}"' for letter in letters) + " exclude one another.")
    return "".join(letters)


def context_of(session: Session, args: Args) -> Context:
    """The context that the options name; see `vmdbg.inspect.context`.  UserError if two contradict."""
    given = args.__dict__
    if given.get("pid") is not None and given.get("root") is not None:
        raise UserError('"-pid" and "-root" exclude one another.')
    caller = caller_of(args)
    where = given.get("pid"), given.get("root"), given.get("cpu"), given.get("asid")
    if caller == "m":
        return machine_context(session.machine, ACCESSES[args.access], *where)
    return find_context(session.machine, *where, MODE_OF.get(caller))
