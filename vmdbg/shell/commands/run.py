"""run, start, step, stepi, continue, finish, file: the program of the machine."""

from __future__ import annotations

from vmdbg.debugger.time.ended import ended_since
from vmdbg.debugger.time.forward import events_from_here, forward, landed, step
from vmdbg.errors import UserError
from vmdbg.inspect.tlb import geometry
from vmdbg.kernel.calls.processes import live_processes
from vmdbg.shell.boot import boot_again, replace_target, tell_remarks
from vmdbg.shell.command import ACTING, NO_REPEAT, PURE, Argument, Option, command
from vmdbg.shell.commands.guest import go_on
from vmdbg.shell.kinds import REST_EXPRESSION, REST_FILE
from vmdbg.shell.stop_report import boot_if_changed, count_of, show_all_displays, show_arrival, show_location
from vmdbg.views.event_table import EventTable, banner, banner_data, ended_lines
from vmdbg.views.result import Lines, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session
    from vmdbg.views.result import Line, Result

COUNT = Argument("count", REST_EXPRESSION, optional=True)
AT_ONCE = 1000  # events; more are shown as the machine goes
RUNNING = "The program being debugged has been started already.\nStart it from the beginning? "


def restart(session: Session) -> None:
    """Put the machine at the beginning of its program, after a question if it is under way."""
    timeline = session.timeline
    moved = not timeline.untouched and timeline.position != (timeline.begin, 0)
    if moved and timeline.location is not None and not session.query(RUNNING):
        raise UserError("Program not restarted.")
    sizes = tlb_sizes(session)
    booted = boot_if_changed(session)
    timeline = session.timeline
    here = timeline.position
    timeline.go(timeline.begin)
    if timeline.location is None:
        timeline.go(*here)
        raise UserError("No process is there at the beginning.")
    timeline.restart()
    timeline.require_process()
    for name, size in tlb_sizes(session).items():
        if not booted and sizes[name] != size:
            session.output.line(
                f'{name} is {size} again: "tlb resize" ends with the run, "set tlb.{name.lower()} '
                f'{sizes[name]}" does not.'
            )


def tlb_sizes(session: Session) -> dict[str, str]:
    """The arrays of the TLB with their geometry."""
    return {name: f"{sets}x{ways}" for name, sets, ways, *_ in geometry(session.timeline.machine)}


@command(
    "run",
    aliases=("r",),
    group="running",
    needs=("run",),
    effect=ACTING,
    summary="Start the program from its beginning.",
    help="""
The machine is put back to before the first operation of its program, and runs until a stop holds, a process
is sent a signal, or all processes have ended.  Ctrl-C stops it between two operations.  Settings of the
machine that were changed take effect; what "tlb resize" did ends.  "continue" goes on from where the machine
stands.""",
    repeat=NO_REPEAT,
    examples=["run"],
)
def run_command(session: Session, args: Args) -> object:
    restart(session)
    show_arrival(session, forward(session.timeline, fresh=True))
    return None


@command(
    "start",
    group="running",
    needs=("run",),
    effect=ACTING,
    summary="Put the machine at the first operation of its program.",
    help='As "run", but nothing is executed yet.',
    repeat=NO_REPEAT,
    examples=["start"],
)
def start_command(session: Session, args: Args) -> object:
    restart(session)
    show_location(session)
    return None


@command(
    "continue",
    aliases=("c", "fg"),
    group="running",
    needs=("resume",),
    effect=ACTING,
    arguments=[COUNT],
    usage="continue [N]",
    summary="Continue the program, after a stop.",
    help="""
With a number N, the stop at which the machine stands is ignored N-1 times.  The program runs until a
stop holds, a process is sent a signal, or all processes have ended; Ctrl-C stops it between two
operations.  A run of more than a moment goes on compiled ("show engine").  On a terminal a line on stderr
says meanwhile how far it is.

A guest ("target qemu") runs until it stops by itself, Ctrl-C stops it, or for N seconds if N is given.
"diff" then says what of its registers and page tables has changed.""",
    examples=["continue"],
)
def continue_command(session: Session, args: Args) -> object:
    if session.target is not None and session.target.guest is not None:
        return go_on(session, args.count)
    timeline = session.timeline
    timeline.require_process()
    if args.count:
        times = count_of(session, args.count)
        stop = session.last_stop
        if stop is not None and stop.number in session.stops.by_number and times > 1:
            stop.ignore = times - 1
            plural = "" if times == 2 else "s"
            session.output.line(
                f"Will ignore next {times - 1} crossing{plural} of breakpoint {stop.number}.  Continuing."
            )
        elif times > 1:
            session.output.line("Not stopped at any breakpoint; argument ignored.")
    show_arrival(session, forward(timeline))
    return None


@command(
    "step",
    aliases=("s",),
    group="running",
    needs=("run",),
    effect=ACTING,
    arguments=[COUNT],
    usage="step [N]",
    summary="Execute the next operation of the current process.",
    help="""
An operation is one access or one system call; other processes may run between.  Inside an operation
the rest of it counts as one.  With N, that many operations.  "stepi" goes by single events, "next"
takes a range of accesses as one.""",
    examples=["step", "step 3"],
)
def step_command(session: Session, args: Args) -> object:
    timeline = session.timeline
    show_arrival(session, landed(timeline, step(timeline, count_of(session, args.count))))
    return None


@command(
    "next",
    aliases=("n",),
    group="running",
    needs=("run",),
    effect=ACTING,
    arguments=[COUNT],
    usage="next [N]",
    summary="Execute the current process's next operation, a range of accesses as one.",
    help='Unlike "step", an operation on a range of addresses is executed to its end.',
    examples=["next"],
)
def next_command(session: Session, args: Args) -> object:
    timeline = session.timeline
    show_arrival(session, landed(timeline, step(timeline, count_of(session, args.count), over=True)))
    return None


@command(
    "stepi",
    aliases=("si",),
    group="running",
    needs=("run",),
    effect=ACTING,
    arguments=[COUNT],
    usage="stepi[/json|/csv] [N]",
    forms=("json", "csv"),
    summary="Go on by one event.",
    help="""
An event is one thing that the machine does: a look-up in the TLB, one step of a walk, a trap, a frame
given.  The machine then is as it was at that instant, inside the operation.  With N, that many events;
"cycles" is what each costs ("show cost").  Stops are not asked on the way.""",
    examples=["stepi", "stepi 11", "stepi/json 3"],
)
def stepi_command(session: Session, args: Args) -> object:
    timeline = session.timeline
    timeline.require_process()
    alive = live_processes(timeline.machine.k)
    count = count_of(session, args.count)
    rows: Iterable[LoggedEvent] = events_from_here(timeline, count)
    if count <= AT_ONCE:
        rows = list(rows)
    table = EventTable(timeline.machine, rows)
    if args.form:
        return table
    return stepped(session, table, lambda: list(ended_lines(ended_since(timeline.machine, alive))))


def stepped(session: Session, table: EventTable, ended: Callable[[], list[Line]]) -> Iterator[Result]:
    """What a halt after single events shows: they, who ended, and the displays."""
    yield table
    lines = ended()
    if lines:
        yield Lines(lines)
    show_all_displays(session)


@command(
    "finish",
    aliases=("fin",),
    group="running",
    needs=("run",),
    effect=ACTING,
    summary="Execute the rest of the current operation.",
    help="Between two operations, the next one is executed.",
    examples=["finish"],
)
def finish_command(session: Session, args: Args) -> object:
    timeline = session.timeline
    timeline.require_process()
    show_arrival(session, landed(timeline, forward(timeline, timeline.machine.operations + 1)))
    return None


@command(
    "file",
    group="files",
    needs=("run",),
    effect=ACTING,
    arguments=[Argument("name", REST_FILE, optional=True)],
    options=[Option("-resident", help="the pages of a trace are in memory from the start")],
    usage="file [-resident] FILE",
    summary="Load a program into the machine in place of the one it has.",
    help="""
FILE is a .vmp program, a trace of memory accesses ("trace formats"), which may be compressed, or an ELF file:
its segments become regions, its symbols addresses, and the process fetches at its entry point.  A trace is in
memory as a whole; "replay" reads one as it goes.  The machine boots anew with its configuration; the program
starts at its first operation ("run", "step").  If the file is wrong, the error says where, and the machine
stays as it is.""",
    repeat=NO_REPEAT,
)
def file_command(session: Session, args: Args) -> object:
    if not args.name:
        raise UserError("Argument required (program to load).")
    target = boot_again(session, {}, session.permissions.path(args.name), args.resident)
    replace_target(session, target)
    tell_remarks(session, target)
    return None


@command(
    "info program",
    group="status",
    needs=("run",),
    effect=PURE,
    forms=("json",),
    summary="Where the program stands.",
    examples=["info program"],
)
def info_program(session: Session, args: Args) -> object:
    timeline = session.timeline
    location = timeline.location
    if location is None and not args.form:
        return "The program being debugged is not being run."
    return Record(
        lambda: banner_data(timeline.position, location),
        lambda: banner(timeline.machine, timeline.position, location),
    )
