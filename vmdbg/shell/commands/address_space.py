"""map, ps, process: address spaces and who has them."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.inspect.address_space import kernel_runs, map_notes, measured, named_runs
from vmdbg.inspect.context import current_pid, find_context
from vmdbg.inspect.processes import processes, scores
from vmdbg.shell.command import PURE, Argument, Option, command
from vmdbg.shell.context_options import TABLES, context_of
from vmdbg.shell.kinds import PROCESS
from vmdbg.views.address_space import map_table, process_table, runs_table, score_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session


@command(
    "map",
    aliases=("m",),
    group="looking",
    needs=("translate",),
    effect=PURE,
    options=[
        *TABLES,
        Option("-phys", help="the frames behind the pages"),
        Option("-k", help="the kernel's part"),
    ],
    forms=("json", "csv"),
    summary="Show the regions of an address space.",
    help="""
Each region with its rights, the size of its pages, and how much of it is in memory and in swap.  With
-phys, each run of pages that lie one after the other in memory too; with -k, what the kernel alone may
use.  With -root, what a tree of tables maps, whoever it belongs to.  Nothing is changed; "mmap" maps.""",
    examples=["map", "map -phys", "map -k", "map/json"],
)
def map_command(session: Session, args: Args) -> object:
    context = context_of(session, args)
    if args.k:
        none = "The kernel has no part of this address space."
        return runs_table(
            session.notation,
            ((run, "") for run in kernel_runs(session.machine, context.root)),
            none,
            kernel=True,
        )
    if args.phys or context.pid is None:
        return runs_table(
            session.notation,
            named_runs(session.machine, context.root, context.pid),
            "No page is mapped.",
        )
    return map_table(
        session.notation,
        measured(session.machine, context.pid, context.root),
        map_notes(session.machine, context.root, context.pid),
    )


@command(
    "ps",
    aliases=("info processes",),
    group="processes",
    needs=("kernel",),
    effect=PURE,
    options=[
        Option("-all", help="those that have ended too"),
        Option("-oom", help="who would be killed first if memory and swap were full"),
    ],
    forms=("json", "csv"),
    summary="List the processes.",
    help="""
"rss" is what is resident in memory, "swapped" what is in the swap area, "tables" what the page tables
take; then the page faults that were served from memory (minor) and from swap (major).  A star marks the
process that runs on the current CPU.  "asid" is the number of its address space; the kernel gives it one
when it runs ("help set kernel.asids").  One that ended shows how, until its pid is given again.

-oom shows the scores by which a victim is chosen when memory and swap are full: frames that are resident,
pages that are swapped, frames of tables, and the adjustment that "process PID -oom N" set; the highest
dies.""",
    examples=["ps", "ps/json", "ps -all", "ps -oom"],
)
def ps_command(session: Session, args: Args) -> object:
    if args.oom:
        return score_table(scores(session.machine))
    return process_table(
        session.notation, processes(session.machine, ended=args.all), current_pid(session.machine)
    )


PROCESS_ARGUMENT = Argument("process", PROCESS, optional=True, help="process; the current one without")


@command(
    "info proc",
    group="status",
    needs=("kernel",),
    effect=PURE,
    arguments=[PROCESS_ARGUMENT],
    forms=("json", "csv"),
    summary="Show process information about the current process, or the one that is given.",
    help='"ps" lists all of them.',
    examples=["info proc", "info proc 1"],
)
def info_proc(session: Session, args: Args) -> object:
    pid = find_context(session.machine, args.process).pid
    rows = [row for row in processes(session.machine) if row["pid"] == pid]
    return process_table(session.notation, rows, current_pid(session.machine))


@command(
    "info proc mappings",
    group="status",
    needs=("kernel",),
    effect=PURE,
    arguments=[PROCESS_ARGUMENT],
    forms=("json", "csv"),
    summary="List memory regions mapped by the current process, or the one that is given.",
    help='The regions, as "map" shows them, which can do more.',
    examples=["info proc mappings", "info proc mappings 1"],
)
def info_proc_mappings(session: Session, args: Args) -> object:
    context = find_context(session.machine, args.process)
    if context.pid is None:
        raise UserError("No process.", '"ps" lists the processes.')
    return map_table(
        session.notation,
        measured(session.machine, context.pid, context.root),
        map_notes(session.machine, context.root, context.pid),
    )
