"""target process: the address space of a process of Linux."""

from __future__ import annotations

from vmdbg.dumps.linux_process import LinuxProcess, machine_of_process
from vmdbg.errors import UserError
from vmdbg.inspect.linux_process import (
    process_facts,
    process_rows,
    process_runs,
    translated,
)
from vmdbg.inspect.target import Target
from vmdbg.shell.boot import replace_target
from vmdbg.shell.command import NO_REPEAT, SHELL, Argument, command
from vmdbg.shell.kinds import NUMBER
from vmdbg.views.address_space import runs_table
from vmdbg.views.linux_process import place_line, process_line, process_map_table
from vmdbg.views.result import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

CAPABILITIES = frozenset({"addresses"})
OTHERS = ("filter", "pid", "root", "cpu", "k", "merge", "fold")


@command(
    "target process",
    group="files",
    effect=SHELL,
    arguments=[Argument("pid", NUMBER, help="number of a process of this computer")],
    summary="Look at the address space of a process of this computer.",
    help="""
Linux's /proc/PID says what regions a process has, what of them is in memory, shared with others, and in swap
("map"), and where a page is ("translate", "map -phys").  Frame numbers are shown only to those with
CAP_SYS_ADMIN.  The process runs on, and nothing of it is changed; its page tables themselves Linux does not
show.""",
    repeat=NO_REPEAT,
)
def target_process(session: Session, args: Args) -> object:
    session.permissions.require_open("A process of this computer")
    process = LinuxProcess(args.pid)
    target = Target(machine_of_process(process), "process", CAPABILITIES, process.folder)
    target.process, target.command = process, f"target process {args.pid}"
    replace_target(session, target)
    return described_process(process)


def described_process(process: LinuxProcess) -> Record:
    """A line about the process."""
    facts = process_facts(process)
    return Record(facts, [process_line(facts)])


def process_map(session: Session, process: LinuxProcess, args: Args) -> object:
    """`map` of a process."""
    for option in OTHERS:
        if args.__dict__[option] not in (None, False):
            raise UserError("Of a process map shows all regions, or with -phys their frames.")
    if args.phys:
        return runs_table(session.notation, process_runs(process), "No page is in memory.")
    return process_map_table(session.notation, process_rows(process))


def process_translate(session: Session, process: LinuxProcess, va: int) -> Record:
    """`translate` of a process."""
    found = translated(process, va)
    return Record(found, [place_line(session.notation, found)], addresses=("va", "pa"))
