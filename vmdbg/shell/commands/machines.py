"""machine, process: which machine is looked at, and which of its processes is on the CPU."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.inspect.completions import greeting, preset_summary
from vmdbg.inspect.context import check_process, current_cpu, running_pid
from vmdbg.inspect.machine import describe
from vmdbg.inspect.processes import current_process, scores
from vmdbg.kernel.calls.processes import adjust, put_on_cpu
from vmdbg.machine.config import load_config, preset_names
from vmdbg.shell.boot import open_target, replace_target
from vmdbg.shell.command import ACTING, NO_REPEAT, SHELL, Argument, Option, command
from vmdbg.shell.commands.accesses import finished_lines
from vmdbg.shell.kinds import MACHINE, NUMBER, PROCESS
from vmdbg.views.result import Column, Record, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session


@command(
    "machine",
    group="files",
    effect=SHELL,
    arguments=[
        Argument("name", MACHINE, optional=True, help="a machine that comes with vmdbg, or a TOML file")
    ],
    forms=("json", "csv"),
    summary="Boot another machine, or list those that there are.",
    help="""
With a name, that machine is booted in place of the present one, whose past is forgotten.  A name with a
slash, or that ends in .toml, is a file.  Without a name, the machines that come with vmdbg are listed, a
star before the present one.  "info machine" says what it is made of, "show machine" how it is set.""",
    examples=["machine", "machine tutorial16", "machine/json"],
    repeat=NO_REPEAT,
)
def machine_command(session: Session, args: Args) -> object:
    if args.name is None:
        return list_machines(session)
    target = open_target(session, args.name, "")
    replace_target(session, target)
    if args.from_tty:
        session.output.lines(greeting(target.machine))
    return None


def list_machines(session: Session) -> object:
    """The presets, each with the first line of what its file says of it."""
    target = session.target
    present = target.machine.config.name if target is not None else ""
    columns = [
        Column("mark", "  machine", exported=False),
        Column("name", shown=False),
        Column("made_of"),
        Column("summary", shown=False),
        Column("present", shown=False),
    ]
    rows = []
    for name in preset_names():
        mark = f"{'*' if name == present else ' '} {name}"
        rows.append([mark, name, describe(load_config(name)), preset_summary(name), name == present])
    return Table(columns, rows)


@command(
    "process",
    group="processes",
    needs=("kernel", "act"),
    effect=ACTING,
    arguments=[Argument("pid", PROCESS, optional=True, help="process that is to run")],
    options=[
        Option("-limit", NUMBER, help="frames that it may hold from now on; 0: no limit"),
        Option("-oom", NUMBER, help="frames that are added to its out-of-memory score"),
    ],
    usage=("process [PID]", "process [PID] [-limit FRAMES] [-oom FRAMES]"),
    forms=("json", "csv"),
    summary="Put a process on the CPU, or show the one that is there.",
    help="""
The switch loads the process's root table and address-space number, as the scheduler would; the process
that was there waits.  Where TLB entries carry the address-space number nothing is flushed; without, all
but global ones are.  (Some texts say that an entry of another space traps: it is a miss, and the walk
decides.)  It is an operation of the machine: "undo" takes it back.  To look at another process without a
switch, use "-pid".

With -limit or -oom nothing is switched: they set what the process may hold, and how soon it is killed
when memory and swap are full ("ps -oom").  A large negative number keeps it alive.""",
    examples=["process", "process 1", "process 1 -oom -500"],
)
def process_command(session: Session, args: Args) -> object:
    machine = session.machine
    if args.limit is not None or args.oom is not None:
        pid = session.timeline.require_process() if args.pid is None else args.pid
        return adjusted(session, check_process(machine, pid), args.limit, args.oom)
    if args.pid is not None:
        pid = check_process(machine, args.pid)
        if pid != running_pid(machine, current_cpu(machine)):
            cpu = current_cpu(machine)
            session.timeline.act(f"process {pid}", lambda machine: put_on_cpu(machine.k, cpu, pid))
    row = current_process(machine)
    if row is None:
        raise UserError("No process.", '"ps -all" lists those that have ended too.')
    where = "runs" if row["state"] == "running" else "will run"
    root = session.notation.pa(row["root"])
    line = (
        f"Process {row['pid']} ({row['name']}) {where} on CPU {row['cpu']}: asid {row['asid']}, root {root}."
    )
    return Record(row, [line], addresses=("root",))


def adjusted(session: Session, pid: int, limit: int | None, oom: int | None) -> object:
    """Set the limit of a process and its out-of-memory adjustment; what they are now."""
    said = [("-limit", limit), ("-oom", oom)]
    name = " ".join([f"process {pid}", *(f"{option} {value}" for option, value in said if value is not None)])
    _, action = session.timeline.act(name, lambda machine: adjust(machine.k, pid, limit, oom))
    row = next(row for row in scores(session.machine) if row["pid"] == pid)
    held = (
        f"{row['frames']} of {row['limit']} frames" if row["limit"] else f"{row['frames']} frames, no limit"
    )
    line = (
        f"Process {pid} ({row['name']}): {held}; out-of-memory score {row['score']}, of which adjustment "
        f"{row['adjustment']}.  Time {session.timeline.position}."
    )
    return Record(row, [*finished_lines(action), line])
