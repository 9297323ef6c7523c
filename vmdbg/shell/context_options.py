"""The options that say with which process, root, CPU and mode a command looks at memory."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.inspect.context import find_context, in_machine_mode
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


def context_of(session: Session, args: Args) -> Context:
    """The context that the options name; see `vmdbg.inspect.context`.  UserError if two contradict."""
    given = args.__dict__
    if given.get("pid") is not None and given.get("root") is not None:
        raise UserError('"-pid" and "-root" exclude one another.')
    modes = [f'"-{letter}"' for letter in "ukm" if given.get(letter)]
    if len(modes) > 1:
        raise UserError(f"{' and '.join(modes)} exclude one another.")
    mode = 1 if given.get("k") else 0 if given.get("u") else None
    context = find_context(
        session.machine, given.get("pid"), given.get("root"), given.get("cpu"), given.get("asid"), mode
    )
    if given.get("m"):
        return in_machine_mode(session.machine, context, ACCESSES[args.access])
    return context
