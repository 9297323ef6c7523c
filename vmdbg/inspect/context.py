"""The context of a question: which tables, which CPU and its TLB, which mode; what is current."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.formats.contract import BARE_ROOT
from vmdbg.hardware.tlb import ZERO_SPACE
from vmdbg.inspect.notation import Notation
from vmdbg.kernel.scheduler import PROCESS_IS_ENDED, PROCESS_IS_IDLE, PROCESS_IS_READY, PROCESS_IS_RUNNING
from vmdbg.state.tables import (
    CONTROLS,
    CPU,
    CPU_ASID,
    CPU_MODE,
    CPU_PID,
    CPU_ROOT,
    KERNEL_CPU,
    KERNEL_READY_FIRST,
    PROCESS,
    PROCESS_ASID,
    PROCESS_NEXT,
    PROCESS_ROOT,
    PROCESS_STATE,
)
from vmdbg.units import WORD_MASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.machine.machine import Machine

ALIVE = (PROCESS_IS_READY, PROCESS_IS_RUNNING, PROCESS_IS_IDLE)
USER, KERNEL = 0, 1
MODES = ("user", "kernel")


class Context:
    """The tables below `root`, seen by a CPU in a mode.

    `pid` None: the tables belong to no process.  `asid` None: no TLB is used; else the number with which its
    entries are searched.  `by_machine`: machine mode makes the access, in that mode.
    """

    __slots__ = ("asid", "by_machine", "cpu", "mode", "pid", "root")

    def __init__(self, pid: int | None, root: int, cpu: int, asid: int | None, mode: int) -> None:
        self.pid, self.root, self.cpu, self.asid, self.mode = pid, root, cpu, asid, mode
        self.by_machine = False

    def with_mode(self, mode: int) -> Context:
        """The same in another mode."""
        return Context(self.pid, self.root, self.cpu, self.asid, mode)


def is_alive(machine: Machine, pid: int) -> bool:
    """Is there such a process, and has it not ended?"""
    rows = len(machine.m.process) // PROCESS
    return 0 < pid < rows and machine.m.process[pid * PROCESS + PROCESS_STATE] in ALIVE


def check_process(machine: Machine, pid: int, ended: bool = False) -> int:
    """`pid`; UserError if there is no such process, or no longer unless `ended`."""
    known = 0 < pid < len(machine.m.process) // PROCESS
    if not is_alive(machine, pid) and not (
        ended and known and machine.m.process[pid * PROCESS + PROCESS_STATE] == PROCESS_IS_ENDED
    ):
        raise UserError(f"No process {pid}.", '"ps" lists the processes.')
    return pid


def check_cpu(machine: Machine, cpu: int) -> int:
    """`cpu`; UserError if there is no such CPU."""
    cpus = machine.config["machine.cpus"]
    if not 0 <= cpu < cpus:
        raise UserError(f"No CPU {cpu}: this machine has {'only CPU 0' if cpus == 1 else f'0..{cpus - 1}'}.")
    return cpu


def check_address(machine: Machine, value: int) -> int:
    """A virtual address, unsigned.  UserError if it does not fit the machine."""
    form = machine.format
    unsigned = value & WORD_MASK
    if not form.sign_extended and unsigned >> form.va_bits:
        show, last = Notation(form).va, (1 << form.va_bits) - 1
        raise UserError(
            f"Address {unsigned:#x} does not fit in {form.va_bits} bits ({show(0)}..{show(last)})."
        )
    return unsigned


def waiting_pid(machine: Machine, cpu: int) -> int:
    """The process that has waited longest of those that may run on a CPU; 0 if none waits."""
    m, k = machine.m, machine.k
    pid = int(m.kernel[KERNEL_READY_FIRST])
    while pid and machine.config["machine.cpus"] > 1 and not k.may_run_on(m, pid, cpu):
        pid = int(m.process[pid * PROCESS + PROCESS_NEXT])
    return pid


def current_cpu(machine: Machine) -> int:
    """The CPU that executes the next operation: the first one from the kernel's on that has a process, or
    gets one that waits; the kernel's if there is none."""
    first = int(machine.m.kernel[KERNEL_CPU])
    cpus = machine.config["machine.cpus"]
    turn = ((first + step) % cpus for step in range(cpus))
    return next((cpu for cpu in turn if current_pid(machine, cpu)), first)


def check_asid(asid: int) -> int:
    """The address-space number as keys of the TLB carry it; UserError if they cannot."""
    if not 0 <= asid < ZERO_SPACE:
        raise UserError(f"No address-space number {asid} (0..{ZERO_SPACE - 1}).")
    return asid or ZERO_SPACE


def shown_asid(carried: int) -> int:
    """The address-space number that a key of the TLB, or a CPU, carries so."""
    return carried % ZERO_SPACE


def running_pid(machine: Machine, cpu: int) -> int:
    """The process on a CPU; 0 while it is idle."""
    return int(machine.m.cpu[cpu * CPU + CPU_PID])


def current_pid(machine: Machine, cpu: int | None = None) -> int:
    """The process on a CPU; on an idle one that which would run next; 0 if none would.

    Without a CPU: the process that executes the next operation.
    """
    cpu = current_cpu(machine) if cpu is None else cpu
    return running_pid(machine, cpu) or waiting_pid(machine, cpu)


def find_context(
    machine: Machine,
    pid: int | None = None,
    root: int | None = None,
    cpu: int | None = None,
    asid: int | None = None,
    mode: int | None = None,
) -> Context:
    """The context for what was given.  UserError if there is no such process or CPU.

    Without `pid` and `root` it is the process on the CPU, by the CPU's own root register; without a
    process, the tree that this register was made to name; without a kernel, whatever the registers of the
    CPU say.  UserError if nothing can be at `root`.
    """
    m = machine.m
    cpu = current_cpu(machine) if cpu is None else check_cpu(machine, cpu)
    asid = None if asid is None else check_asid(asid)
    c = cpu * CPU
    mode = int(m.cpu[c + CPU_MODE]) if mode is None else mode
    if root is not None:
        return Context(None, check_root(machine, root), cpu, asid, mode)
    running = m.cpu[c + CPU_PID]
    if pid is None and not machine.config["machine.kernel"]:
        return Context(
            None, int(m.cpu[c + CPU_ROOT]), cpu, int(m.cpu[c + CPU_ASID]) if asid is None else asid, mode
        )
    pid = (current_pid(machine, cpu) or None) if pid is None else check_process(machine, pid)
    if pid is None and (m.cpu[c + CPU_ROOT] or machine.rooted):
        return Context(None, int(m.cpu[c + CPU_ROOT]), cpu, asid, mode)
    if pid is None:
        raise UserError(*machine.no_root)
    if pid == running:
        return Context(
            pid, int(m.cpu[c + CPU_ROOT]), cpu, int(m.cpu[c + CPU_ASID]) if asid is None else asid, mode
        )
    if asid is None and machine.config["tlb.asids"]:
        asid = int(m.process[pid * PROCESS + PROCESS_ASID])
    return Context(pid, int(m.process[pid * PROCESS + PROCESS_ROOT]), cpu, asid, mode)


def in_machine_mode(machine: Machine, context: Context, access: int) -> Context:
    """The context as machine mode makes an access: in the mode that the registers say, or untranslated.

    UserError if the format has no machine mode.
    """
    form = machine.format
    if form.machine_mode is None:
        raise UserError(f"{form.name} has no machine mode: RISC-V's formats have.")
    mode = form.machine_mode(controls(machine, context.cpu), access)
    if mode is None:
        found = Context(context.pid, BARE_ROOT, context.cpu, None, KERNEL)
    else:
        found = context.with_mode(mode)
    found.by_machine = True
    return found


def machine_context(
    machine: Machine,
    access: int,
    pid: int | None = None,
    root: int | None = None,
    cpu: int | None = None,
    asid: int | None = None,
) -> Context:
    """`find_context` for an access by machine mode, which needs neither process nor tables where it does not
    translate.  UserError as there, or if the format has no machine mode."""
    number = current_cpu(machine) if cpu is None else check_cpu(machine, cpu)
    form = machine.format
    bare = form.machine_mode is not None and form.machine_mode(controls(machine, number), access) is None
    if bare and pid is None and root is None:
        return in_machine_mode(machine, Context(None, BARE_ROOT, number, None, KERNEL), access)
    return in_machine_mode(machine, find_context(machine, pid, root, number, asid), access)


def check_root(machine: Machine, root: int) -> int:
    """`root`; UserError if no root table of the machine's format can be at that physical address."""
    form = machine.format
    mask = form.root_mask
    if form.bounded or not root & WORD_MASK & ~mask:
        return root
    show, grain = Notation(form), mask & -mask
    at = root & mask
    if (root & WORD_MASK) >> show.physical_bits:
        raise UserError(f"A root table is below {show.pa(mask + grain)}, not at {show.pa(root)}.")
    raise UserError(
        f"A root table is at a multiple of {grain:#x}, not at {show.pa(root)}.",
        f"Its table would be the one at {show.pa(at)}.",
    )


def controls(machine: Machine, cpu: int) -> list[int]:
    """The control registers of a CPU."""
    return [int(machine.m.cpu[cpu * CPU + column]) for column in CONTROLS]
