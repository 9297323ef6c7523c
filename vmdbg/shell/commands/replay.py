"""replay: traces run through the machine as they are read."""

from __future__ import annotations

import contextlib
import os

from vmdbg.debugger.time.forward import forward
from vmdbg.debugger.time.types import AT_END, AT_LIMIT
from vmdbg.errors import Quit, UserError
from vmdbg.inspect.counts import accesses
from vmdbg.inspect.replayed import replay_counts
from vmdbg.inspect.target import boot_fed
from vmdbg.machine.trace_pages import trace_pages
from vmdbg.programs.addresses import Space
from vmdbg.programs.traces.catalog import BY_NAME, open_trace
from vmdbg.programs.traces.contents import look_through
from vmdbg.programs.traces.feed import KEPT, ReplayedProgram, TraceFeed
from vmdbg.programs.traces.parser import AUTO
from vmdbg.programs.traces.regions import regions_of
from vmdbg.programs.traces.stream import STDIN
from vmdbg.shell.boot import approve, replace_target
from vmdbg.shell.command import ACTING, NO_REPEAT, Argument, Option, command
from vmdbg.shell.kinds import FILE, NUMBER, choice
from vmdbg.shell.stop_report import show_arrival, show_location
from vmdbg.views.document import Document
from vmdbg.views.event_table import ended_lines
from vmdbg.views.result import NUMBER as NUMBERS
from vmdbg.views.result import Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.debugger.time.timeline import Timeline
    from vmdbg.debugger.time.types import Arrival
    from vmdbg.formats.record import Format
    from vmdbg.inspect.target import Target
    from vmdbg.machine.config import MachineConfig
    from vmdbg.machine.trace_pages import TracePages
    from vmdbg.programs.program import RegionSpec
    from vmdbg.programs.traces.parser import Parser
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

BOUNDED = "A replay learns only as it goes which memory it needs; base and bounds have to know before."
KILLED = 128  # an exit status above it is this plus the number of the signal that killed the process
BUDGET = 64 << 20  # bytes that checkpoints of a replay may hold
FORMAT = Option(
    "-format", choice(*BY_NAME, label="NAME"), help="the format of the traces; else their content tells"
)
SKIP_BAD = Option("-skip-bad", help="count malformed records and go on")


def space_of(form: Format) -> Space:
    """The addresses of a machine with that page-table format."""
    return Space(form.va_bits, form.grain, form.user_end)


def check_stdin(session: Session, files: list[str]) -> None:
    """UserError if standard input is to be read and cannot be."""
    if STDIN not in files:
        return
    session.permissions.require_open("Standard input as a trace")
    if files.count(STDIN) > 1:
        raise UserError("Standard input can be one trace.")
    if not session.batch:
        raise UserError('Standard input has the commands; with "-batch" and "-ex" it can be a trace.')


def boot_replay(config: MachineConfig, files: list[str], args: Args, format: Format, engine: str) -> Target:
    """A machine with the traces of the command.  UserError; then nothing was started."""
    if format.bounded:
        raise UserError(BOUNDED)
    feeds: list[TraceFeed] = []
    space = space_of(format)
    pages = trace_pages(config, format)
    bits = format.grain.bit_length() - 1

    def opened(file: str) -> Parser:
        return open_trace(
            file,
            args.format or "",
            space=space,
            page_bits=bits,
            skip_bad=args.skip_bad,
            engine=engine,
            straddle=config["trace.straddle"],
        )

    try:
        regions = None
        if config["trace.resident"]:
            regions = [resident_regions(opened(file), space, pages) for file in files]
        for file in files:
            feeds.append(TraceFeed(opened(file), args.skip or 0, args.count, KEPT // len(files)))
        target = boot_fed(config, ReplayedProgram(feeds, space, pages, regions))
    except BaseException:
        for feed in feeds:
            feed.parser.trace.close()
        raise
    target.command = spelled(files, args)
    if STDIN not in files:
        target.again = lambda config: boot_replay(config, files, args, format, engine)
    return target


def resident_regions(parser: Parser, space: Space, pages: TracePages) -> list[RegionSpec]:
    """The regions of all pages that a trace touches; reads the whole trace.  UserError for a pipe."""
    with contextlib.closing(parser.trace):
        if not parser.trace.regular:
            raise UserError(
                f'{parser.trace.shown}: a pipe can be read once; "trace.resident" reads it twice.'
            )
        return regions_of(look_through(parser, True, 0).pages, space, True, pages)


def spelled(files: list[str], args: Args) -> str:
    """The command that loads the same traces."""
    words = ["replay", "-start"]
    for name in ("format", "skip", "count"):
        value = getattr(args, name)
        words += [f"-{name}", str(value)] if value is not None else []
    words += ["-skip-bad"] if args.skip_bad else []
    paths = [file if file == STDIN else os.path.abspath(file) for file in files]
    return " ".join([*words, *(f'"{path}"' if " " in path else path for path in paths)])


@command(
    "replay",
    group="running",
    needs=("run",),
    effect=ACTING,
    arguments=[Argument("files", FILE, optional=True, many=True, help='traces; "-" is standard input')],
    options=[
        FORMAT,
        Option("-skip", NUMBER, help="pass over so many accesses of each trace"),
        Option("-count", NUMBER, help="replay so many accesses of each trace at most"),
        SKIP_BAD,
        Option("-start", help="load only: halt before the first access"),
    ],
    forms=("json", "csv"),
    summary="Replay traces of memory accesses, and count.",
    help="""
The machine boots anew with its configuration, and each trace is a process; "set kernel.quantum" says how they
take turns.  A trace is read as the machine runs: what is in memory does not grow with its length.  Its format
is seen from its content (see "trace formats"); it may be compressed with gzip, xz or zstd.

Accesses of kernel and vsyscall addresses are left out and counted.  A malformed record ends the replay before
it, with one line that says where; in the first 65536 accesses nothing is loaded at all.  With -skip-bad such
records are counted.

Stops hold as they do with "continue", and Ctrl-C stops between two operations; the machine can then be
looked at, stepped and run on.  "replay" without a file goes on to the end, if the machine is not there, and
prints the counts.  Going back in time reads a file again from where it has to; of a pipe about the last
million accesses are kept, and the record begins there.

"trace.page", "trace.resident" and "trace.straddle" say how traces are mapped and what an access looks up.
An instruction is a fetch; MPKI are TLB misses for a thousand of them.  A TLB miss is counted only at the
first try of an access, a walk at every try.  Accesses that -skip passes over are not executed; those of "set
trace.warm_up" are executed before the counts begin.""",
    repeat=NO_REPEAT,
)
def replay_command(session: Session, args: Args) -> object:
    if args.files:
        for number in (args.skip, args.count):
            if number is not None and number < 0:
                raise UserError("Negative count.")
        check_stdin(session, args.files)
        files = [file if file == STDIN else session.permissions.path(file) for file in args.files]
        old = session.next_target or session.target
        assert old is not None
        config = old.machine.config
        approve(session.permissions, config.values)
        target = boot_replay(config, files, args, old.machine.format, engine_of(session))
        target.origin, target.approve = old.origin, old.approve
        replace_target(session, target)
    timeline = session.timeline
    program = timeline.machine.program
    if not isinstance(program, ReplayedProgram):
        raise UserError("Argument required (trace to replay).")
    timeline.branch.checkpoints.budget = BUDGET
    for feed in program.feeds:
        feed.parser.trace.asked = lambda: timeline.runner.interrupts.came
    if args.files or args.start:
        timeline.require_process()
    if args.start or (args.files and any(feed.interrupted for feed in program.feeds)):
        show_location(session)
        return None
    arrival = run_on(timeline, program, fresh=bool(args.files))
    if arrival.kind != AT_END:
        show_arrival(session, arrival)
        return None
    for line in ended_lines([process for process in arrival.ended if process.status > KILLED]):
        session.output.error(str(line))
    return counts_document(replay_counts(timeline.machine, program))


def run_on(timeline: Timeline, program: ReplayedProgram, fresh: bool) -> Arrival:
    """Run to the end or to a stop; the counts begin after the warm-up.  UserError if the traces end before.

    With `fresh` a stop before the very next operation halts too; without, it is passed.
    """
    machine = timeline.machine
    wanted = machine.config["trace.warm_up"]
    if program.warm_counts is None and accesses(machine.counts()) > wanted > 0:
        program.warm_counts = counts_after(timeline, wanted)
    while (left := wanted - accesses(machine.counts())) > 0:
        arrival = forward(timeline, machine.operations + left, fresh=fresh)
        if arrival.kind == AT_END:
            raise UserError(
                f"The warm-up is {wanted} accesses, but there are only {accesses(machine.counts())}."
            )
        if arrival.kind != AT_LIMIT:
            return arrival
        fresh = True
    if program.warm_counts is None:
        program.warm_counts = machine.counts() if wanted else {}
    return forward(timeline, fresh=fresh)


def counts_after(timeline: Timeline, wanted: int) -> dict[str, int]:
    """The counts of events when so many accesses were made, a past time.  UserError if it is not on record
    any more; Quit on Ctrl-C."""
    machine = timeline.machine
    with timeline.excursion():
        timeline.travel(timeline.begin)
        if accesses(machine.counts()) > wanted:
            raise UserError('The end of the warm-up is not on record any more; "run" begins anew.')
        while (left := wanted - accesses(machine.counts())) > 0:
            if timeline.run_to(machine.operations + left) != AT_LIMIT:
                raise Quit
        return machine.counts()


def engine_of(session: Session) -> str:
    """The engine for reading: that of the machine."""
    return session.timeline.runner.engine or AUTO


def counts_document(counts: dict[str, Any]) -> Document:
    """The counts as a table of two columns; the text leaves counts of 0 out, except those in `always`."""
    columns = [Column("what", header=""), Column("count", kind=NUMBERS)]
    names = {"tlb_hits": "TLB hits", "tlb_l2_hits": "TLB L2 hits", "tlb_misses": "TLB misses", "mpki": "MPKI"}
    always = ("accesses", "instructions", "faults", "tlb_hits", "tlb_misses", "mpki")
    rows = [
        (names.get(key, key.replace("_", " ")), count)
        for key, count in counts.items()
        if count or key in always
    ]
    table = Table(columns, rows)
    return Document(
        lambda: counts, table.lines, [Column(key) for key in counts], lambda: [list(counts.values())]
    )
