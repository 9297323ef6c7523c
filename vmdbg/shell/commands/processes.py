"""fork, spawn, kill: processes made and ended from outside."""

from __future__ import annotations

from array import array

from vmdbg.errors import UserError
from vmdbg.kernel.calls import processes
from vmdbg.kernel.scheduler import OP_EXIT
from vmdbg.machine.config import MOST
from vmdbg.programs.program import ProcessSpec
from vmdbg.shell.command import ACTING, NO_REPEAT, Argument, Option, command
from vmdbg.shell.commands.accesses import changed, check_alive, finished_lines
from vmdbg.shell.kinds import NUMBER, PROCESS, WORD
from vmdbg.state.tables import PROCESS as ROW
from vmdbg.state.tables import PROCESS_PC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.machine.machine import Machine
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session


@command(
    "fork",
    group="processes",
    needs=("act", "kernel"),
    effect=ACTING,
    arguments=[Argument("pid", PROCESS, optional=True, help="the process to copy; the current one")],
    summary="Copy a process.",
    help="""
The child has the same regions and shares all pages.  Those that either may write and that are private are
copy-on-write: the first write to one gives the writer a copy.  The child goes on where its parent is.""",
    examples=["fork 1"],
    repeat=NO_REPEAT,
)
def fork_command(session: Session, args: Args) -> object:
    timeline = session.timeline
    pid = check_alive(session, args.pid) if args.pid is not None else timeline.require_process()

    def act(machine: Machine) -> tuple[int, int, int]:
        machine.make_room_for_system_call(pid)
        row = machine.m.process[pid * ROW + PROCESS_PC]
        return processes.fork(machine.k, machine.format, pid, machine.config["tlb.asids"], row)

    (child, shared, cow), action = timeline.act(f"fork {pid}", act)
    name = processes.process_name(timeline.machine.k, child)
    return [
        *finished_lines(action),
        (
            f"Process {child} ({name}) made from {pid}: {shared} pages shared, {cow} copy-on-write.  "
            f"Time {timeline.position}."
        ),
    ]


@command(
    "spawn",
    group="processes",
    needs=("act", "kernel"),
    effect=ACTING,
    arguments=[
        Argument("name", WORD, help="name of the process"),
        Argument("limit", NUMBER, optional=True, default=0, help="frames that it may hold; 0: no limit"),
    ],
    summary="Make a process with an empty address space.",
    help='It has no program: "process" switches to it, "mmap" gives it memory, "fault" makes its accesses.',
    examples=["spawn worker", "spawn small 16"],
    repeat=NO_REPEAT,
)
def spawn_command(session: Session, args: Args) -> object:
    def act(machine: Machine) -> int:
        before = machine.snapshot()
        try:
            pid = machine.spawn(args.name, args.limit)
            machine.append_operations(pid, ending())
            return pid
        except UserError:
            machine.restore(before)
            raise

    if not 0 <= args.limit <= MOST:
        raise UserError(f"A limit is 0 to {MOST} frames; 0 is none.")
    pid, action = session.timeline.act(f"spawn {args.name}", act)
    name = processes.process_name(session.machine.k, pid)
    return [
        *finished_lines(action),
        f"Process {pid} ({name}) made.  Time {session.timeline.position}.",
    ]


def ending() -> ProcessSpec:
    """The program of a process that has none: it ends when it runs."""
    return ProcessSpec("", 0, -1, [], array("q", [OP_EXIT, 0, 0, 0]))


@command(
    "kill",
    group="processes",
    needs=("act", "kernel"),
    effect=ACTING,
    arguments=[Argument("pid", PROCESS, optional=True, help="the process to end; the current one")],
    options=[Option("-y", help="do not ask")],
    summary="Kill a process.",
    help="Its frames, tables and slots go back; the others go on.",
    examples=["kill -y 1"],
    repeat=NO_REPEAT,
)
def kill_command(session: Session, args: Args) -> object:
    timeline = session.timeline
    pid = check_alive(session, args.pid) if args.pid is not None else timeline.require_process()
    if not args.y and not session.query(f"Kill process {pid}? "):
        raise UserError("Not confirmed.")

    def act(machine: Machine) -> None:
        processes.end_process(machine.k, machine.format, pid, 128 + 9)

    _, action = timeline.act(f"kill {pid}", act)
    name = processes.process_name(timeline.machine.k, pid)
    return [*finished_lines(action), f"[Process {pid} ({name}) killed]", changed(session, action)]
