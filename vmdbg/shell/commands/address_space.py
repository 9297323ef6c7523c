"""map, ps, process: address spaces and who has them."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.hardware.page_tables import Bounded
from vmdbg.inspect.address_space import blocks, kernel_runs, map_notes, measured, named_runs
from vmdbg.inspect.context import current_pid, find_context
from vmdbg.inspect.page_filter import condition
from vmdbg.inspect.processes import processes, scores
from vmdbg.shell.command import PURE, Argument, Option, command
from vmdbg.shell.commands.linux_process import process_map
from vmdbg.shell.context_options import TABLES, context_of
from vmdbg.shell.kinds import PROCESS, REST
from vmdbg.units import parse_size
from vmdbg.views.address_space import map_table, process_table, runs_table, score_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TypeVar

    from vmdbg.inspect.address_space import Run
    from vmdbg.inspect.page_filter import Condition
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

    T = TypeVar("T")


@command(
    "map",
    aliases=("m",),
    group="looking",
    needs=("addresses",),
    effect=PURE,
    arguments=[Argument("filter", REST, optional=True, help="FROM..TO, and where CONDITION")],
    options=[
        *TABLES,
        Option("-phys", help="the frames behind the pages"),
        Option("-k", help="the kernel's part"),
        Option("-merge", help="join pages whose rights are the same, whatever their frames and sizes"),
        Option("-fold", help="tables that were shown before are not shown again"),
    ],
    forms=("json", "csv"),
    usage="map[/json|/csv] [-pid PID] [-root PA] [-cpu CPU] [-phys] [-k] [-merge] [-fold] "
    "[FROM..TO] [where CONDITION]",
    summary="Show the regions of an address space.",
    help="""
Each region with its rights, the size of its pages, and how much of it is in memory and in swap.  With
-phys, each run of pages that lie one after the other in memory too; with -k, what the kernel alone may
use.  With -root, and of a dump, what a tree of tables maps, whoever it belongs to.  FROM..TO are the
addresses to show, TO not included; CONDITION chooses runs of pages by the columns and by words:

    map where w && x                           what can be written and executed
    map where rights=~w && user && size>=2M    =~ has these letters
    map where pa>=0x100000 && pa<0x200000      by physical address

Words are r, w, x, user, kernel; columns are start, end, size, page, pa, pfn, rights, region; && || ! and
brackets join them.  Nothing is changed; "mmap" maps.""",
    examples=["map", "map -phys", "map -k", "map where w && size>=8K", "map/json"],
)
def map_command(session: Session, args: Args) -> object:
    if session.target is not None and session.target.process is not None:
        return process_map(session, session.target.process, args)
    context = context_of(session, args)
    root, pid = context.root, context.pid
    span, wanted = parse_filter(session, args.filter or "")
    follow = Bounded()
    how: dict[str, Any] = {"merge": args.merge, "fold": args.fold, "follow": follow, "cpu": context.cpu}
    if span is not None and (args.k or pid is None):
        how["start"], how["end"] = span
    chosen = args.phys or args.merge or args.fold or wanted is not None
    if not (args.k or chosen or pid is None):
        return map_table(
            session.notation, measured(session.machine, pid, root), map_notes(session.machine, root, pid)
        )
    found: Iterator[tuple[Run, str]]
    plain = pid is None and wanted is None and not (args.k or args.fold or session.machine.format.bounded)
    if plain and session.machine.symbols is None:
        all_of_it = ((run, "") for run in blocks(session.machine, root, args.merge, follow, context.cpu))
        return runs_table(session.notation, told(session, all_of_it, follow), "No page is mapped.")
    if args.k:
        found = ((run, "") for run in kernel_runs(session.machine, root, **how))
    else:
        found = named_runs(session.machine, root, pid, **how)
    empty = "The kernel has no part of this address space." if args.k else "No page is mapped."
    if wanted is not None:
        found, empty = (pair for pair in found if wanted(*pair)), "No page is like that."
    return runs_table(session.notation, told(session, found, follow), empty, kernel=args.k, folds=args.fold)


def told(session: Session, rows: Iterator[T], follow: Bounded) -> Iterator[T]:
    """The rows; afterwards it is said if tables were not read again and again."""
    yield from rows
    if follow.refused:
        session.output.warning(
            f"Tables point to one another: {follow.refused} entries whose tables were read before are not "
            'followed; "-fold" shows each table once.'
        )


def parse_filter(session: Session, text: str) -> tuple[tuple[int, int] | None, Condition | None]:
    """`[FROM..TO] [where CONDITION]`: the addresses, and a function of a run and its name; None for all.
    UserError."""
    before, word, rest = text.partition("where ") if "where" in text.split() else (text, "", "")
    chosen = (
        condition(rest, lambda value: size_or_number(session, value), session.notation.page_bits)
        if word
        else None
    )
    if not before.strip():
        return None, chosen
    first, dots, last = before.partition("..")
    if not dots or not first.strip() or not last.strip():
        raise UserError(f'Expected FROM..TO or "where CONDITION", not "{before.strip()}".')
    low, high = session.address(first), session.address(last)
    if low >= high:
        raise UserError(f"The range {first.strip()}..{last.strip()} is empty.")

    def inside(run: Run, name: str) -> bool:
        return run.start < high and run.end > low and (chosen is None or chosen(run, name))

    return (low, high), inside


def size_or_number(session: Session, text: str) -> int:
    """`2M`, or the value of an expression."""
    try:
        return parse_size(text)
    except UserError:
        return session.integer(text)


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
process that runs on the current CPU.  "asid" is the number of its address space: a process has one from the
start, and gets another when it runs after all were given ("help set kernel.asids").  One that ended shows
how, until its pid is given again.

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
