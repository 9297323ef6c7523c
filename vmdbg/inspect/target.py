"""A target: what commands look at, where it came from, and what can be done with it.

It answers no questions.  The modules beside this one do, each about one subject, and take its machine:
`translate.translate(target.machine, ...)`.
"""

from __future__ import annotations

import os

from vmdbg.errors import UserError
from vmdbg.inspect.notation import Notation
from vmdbg.kernel.calls.processes import live_processes
from vmdbg.machine.boot import format_of
from vmdbg.machine.config import MachineConfig, load_config
from vmdbg.machine.future import check_number, looks_ahead
from vmdbg.machine.machine import Machine
from vmdbg.machine.trace_pages import trace_pages
from vmdbg.programs import read_program
from vmdbg.units import s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vmdbg.dumps.guest import Guest
    from vmdbg.dumps.linux_process import LinuxProcess
    from vmdbg.dumps.machine import DumpMachine
    from vmdbg.programs.program import Program

#: What commands may need of a target, and what is said of one that lacks it.
LACKS = {
    "addresses": "has no addresses",
    "translate": "has no page tables that can be read",
    "tlb": "has no TLB",
    "kernel": "has no kernel whose processes, regions and frames vmdbg knows",
    "act": "is only looked at: nothing of it can be changed",
    "run": "does not run",
    "resume": "does not run",
}
CAPABILITIES = frozenset(LACKS)
KERNEL = frozenset({"kernel"})


class Target:
    """`origin` is what `machine` takes, a name or a file; `loaded_from` the file that the machine came from
    as a whole.  `resident`: a trace's pages were in memory from the start.  `approve` gives the path to open
    for the name of a program or of a file that it maps, or raises a UserError.  `guest` is the real computer
    behind the machine, if it can go on; `earlier` the machine of its last stop but one.  `process`: what is
    looked at is not the machine, which is empty, but a process of Linux.
    """

    def __init__(
        self,
        machine: Machine,
        name: str = "simulated",
        capabilities: frozenset[str] | None = None,
        origin: str = "",
        resident: bool = False,
        approve: Callable[[str], str] = os.path.expanduser,
    ) -> None:
        self.machine, self.name = machine, name
        if capabilities is None:
            capabilities = CAPABILITIES if machine.config["machine.kernel"] else CAPABILITIES - KERNEL
        self.capabilities = capabilities
        self.origin, self.loaded_from, self.resident, self.approve = origin, "", resident, approve
        # Of a replay: what boots it anew, and the command, without the machine's settings.
        self.again: Callable[[MachineConfig], Target] | None = None
        self.command = ""
        self.guest: Guest | None = None
        self.earlier: DumpMachine | None = None
        self.process: LinuxProcess | None = None
        self.notation = Notation(machine.format)  # how its numbers read

    def check(self, needs: frozenset[str], what: str) -> None:
        """UserError if the target lacks what `what` needs, in one sentence."""
        for need, sentence in LACKS.items():
            if need in needs - self.capabilities:
                if need in KERNEL and not self.machine.config["machine.kernel"]:
                    raise UserError(
                        "This machine has no kernel: no processes, regions or swap.",
                        '"set machine.kernel on" gives it one; "machine" lists machines that have one.',
                    )
                if self.guest is not None and self.guest.goes_on_by and need in ("run", "resume"):
                    sentence = f"goes on by {self.guest.goes_on_by}"
                elif self.guest is not None and need == "run":
                    sentence = 'is not executed by vmdbg: "continue" lets it run'
                raise UserError(f"{what}: a {self.name} {sentence}.")


#: The settings of a machine's own program, which do not hold for another one.
WITHOUT_PROGRAM = {"machine.program": "", "machine.warm": 0, "kernel.swapped": ""}


def boot(
    config: MachineConfig,
    program_file: str = "",
    resident: bool = False,
    approve: Callable[[str], str] = os.path.expanduser,
    fed: bool = False,
) -> Target:
    """A machine of that configuration, its program loaded; `program_file` replaces the configuration's.

    `resident`, `approve`, `fed`: as for `boot_program`.
    """
    if program_file:
        config = config.with_({**WITHOUT_PROGRAM, "machine.program": program_file})
    machine = Machine(config)
    boot_program(machine, resident, approve, fed)
    return Target(machine, origin=config.name, resident=resident, approve=approve)


def boot_fed(config: MachineConfig, program: Program) -> Target:
    """A machine of that configuration with a program that has feeds in place of its own, at its begin.
    UserError."""
    machine = Machine(config.with_(WITHOUT_PROGRAM))
    load(machine, program)
    return Target(machine, origin=config.name)


def load(machine: Machine, program: Program) -> None:
    """Make the program's processes, ready to run, and have them fed if it has feeds.  As `Machine.load`."""
    machine.feeds.update(zip(machine.load(program), program.feeds, strict=bool(program.feeds)))


def read_for(config: MachineConfig, read: Callable[[bool], Program]) -> Program:
    """A program for one machine of that configuration: with feeds, unless the machine has to know all of it
    before it runs.

    `read` reads it, with feeds if it is given True.  UserError if it is too long for such a machine.
    """
    fed = read(not format_of(config).bounded)
    if not looks_ahead(config):
        return fed
    check_number(config, (fed.length or 1) - 1)  # told before all its rows are in memory
    return read(False)  # while `fed` has what was found, so that it need not be found again


def boot_named(name: str = "default", program_file: str = "") -> Target:
    """Boot the machine of that preset or TOML file."""
    return boot(load_config(name), program_file)


def boot_program(
    machine: Machine,
    resident: bool = False,
    approve: Callable[[str], str] = os.path.expanduser,
    fed: bool = False,
) -> None:
    """Load the program that the configuration names, run its warm-up, swap out what it names.

    `resident`: the pages of a trace are in memory from the start.  `approve` as in `Target`.  `fed`: a trace
    is fed to the machine, unless that has to know all of it before it runs.
    """
    config = machine.config
    if config["machine.program"]:
        form = machine.format

        def read(fed: bool) -> Program:
            return read_program(
                config["machine.program"],
                va_bits=form.va_bits,
                page_size=form.grain,
                resident=resident or config["trace.resident"],
                approve=approve,
                user_end=form.user_end,
                pages=trace_pages(config, form),
                straddle=config["trace.straddle"],
                fed=fed,
            )

        load(machine, read_for(config, read) if fed else read(False))
        if config["machine.warm"]:
            machine.first = machine.snapshot()
        machine.run(config["machine.warm"])
    for item in config["kernel.swapped"].split():
        machine.swap_out(*listed_page(machine, item))


def listed_page(machine: Machine, text: str) -> tuple[int, int]:
    """The process and the address of an item of `kernel.swapped`.  UserError if there is no such process."""
    pid, _, address = text.partition(":")
    try:
        found = int(pid), s64(int(address, 0))
    except ValueError:
        raise UserError(f'kernel.swapped: expected PID:ADDRESS, not "{text:.40}".') from None
    if found[0] not in live_processes(machine.k):
        raise UserError(f"kernel.swapped: there is no process {found[0]}.")
    return found
