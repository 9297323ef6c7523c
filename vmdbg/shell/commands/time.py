"""undo, redo, when, goto, reverse-*, checkpoint, bookmark, info cost: the timeline."""

from __future__ import annotations

from vmdbg.debugger.time.questions import record, visit
from vmdbg.debugger.time.reverse import back_events, back_operations, back_to_stop
from vmdbg.debugger.time.types import AT_BEGIN, Arrival
from vmdbg.errors import UserError
from vmdbg.shell.command import ACTING, NO_REPEAT, PURE, Argument, Option, command
from vmdbg.shell.kinds import REST, REST_EXPRESSION
from vmdbg.shell.stop_report import count_of, show_arrival
from vmdbg.shell.times import operations_of, position_of
from vmdbg.views.event_table import cost_sum, cost_table
from vmdbg.views.result import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.time.timeline import Timeline
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

COUNT = Argument("count", REST_EXPRESSION, optional=True)


def now(timeline: Timeline) -> str:
    """`Time 12:4`, and the branch if there are several."""
    branches = timeline.branches
    return f"Time {timeline.position}" + (f", branch {branches.current.number}" if branches.last > 1 else "")


@command(
    "undo",
    group="time",
    needs=("run",),
    effect=ACTING,
    summary="Take back the last acting command.",
    help="""
The machine is as it was before that command, with the command's time; what happened after it is gone
too.  "redo" brings it back.  To look at the past without changing it, use "goto".""",
    examples=["undo"],
)
def undo_command(session: Session, args: Args) -> object:
    timeline = session.timeline
    action = timeline.undo()
    return f"Undone: {action.name}.  {now(timeline)}."


@command(
    "redo",
    group="time",
    needs=("run",),
    effect=ACTING,
    summary='Take back the last "undo".',
    help="""
The machine is where it was when "undo" was typed.  After running on, or another acting command, nothing can
be redone.""",
)
def redo_command(session: Session, args: Args) -> object:
    timeline = session.timeline
    action = timeline.redo()
    return f"Redone: {action.name}.  {now(timeline)}."


@command(
    "when",
    group="time",
    needs=("run",),
    effect=PURE,
    forms=("json",),
    summary="Show the time: operations executed, and events inside the current one.",
    repeat=NO_REPEAT,
    examples=["when"],
)
def when_command(session: Session, args: Args) -> object:
    timeline = session.timeline
    position = timeline.position
    data = {
        "time": str(position),
        "operations": position.operations,
        "events": position.events,
        "begin": timeline.begin,
        "end": timeline.end,
        "branch": timeline.branches.current.number,
    }
    line = f"{now(timeline)}."
    if timeline.future:
        line += f"  The record goes from {timeline.begin}:0 to {timeline.end}:0."
    return Record(data, [line])


def arrive(session: Session, arrival: Arrival, moved: bool = True) -> None:
    """Show where the machine has arrived; GDB's sentence if it was at the beginning already (not `moved`)."""
    if arrival.kind == AT_BEGIN and not moved:
        session.output.line("No more reverse-execution history.")
        return
    show_arrival(session, arrival)


@command(
    "goto",
    group="time",
    needs=("run",),
    effect=ACTING,
    arguments=[Argument("time", REST, optional=True)],
    usage="goto TIME|+N|-N|begin|end|BOOKMARK",
    summary="Go to a time, in the past or the future, without stopping on the way.",
    help="""
A time is operations executed, and after a colon events inside the current one: "goto 12", "goto 12:4".
+N and -N count operations from here.  The past is run again from the nearest copy of the state, so that
everything is as it was; nothing is forgotten, and running on from there does the same again.""",
    examples=["goto begin", "goto +3", "goto end"],
    repeat=NO_REPEAT,
)
def goto_command(session: Session, args: Args) -> object:
    if not args.time:
        raise UserError("Argument required (time to go to).")
    operations, events = position_of(session, args.time)
    arrive(session, session.timeline.go(operations, events))
    return None


@command(
    "reverse-stepi",
    aliases=("rsi",),
    group="time",
    needs=("run",),
    effect=ACTING,
    arguments=[COUNT],
    usage="reverse-stepi [N]",
    summary="Go back by one event.",
    help="With N, that many events.",
    examples=["reverse-stepi"],
)
def reverse_stepi(session: Session, args: Args) -> object:
    before = session.timeline.position
    arrival = back_events(session.timeline, count_of(session, args.count))
    arrive(session, arrival, session.timeline.position != before)
    return None


@command(
    "reverse-step",
    aliases=("rs",),
    group="time",
    needs=("run",),
    effect=ACTING,
    arguments=[COUNT],
    usage="reverse-step [N]",
    summary="Go back by one operation of the current process.",
    help="Inside an operation, to its start.  With N, that many times.",
    examples=["reverse-step"],
)
def reverse_step(session: Session, args: Args) -> object:
    before = session.timeline.position
    arrival = back_operations(session.timeline, count_of(session, args.count))
    arrive(session, arrival, session.timeline.position != before)
    return None


@command(
    "reverse-next",
    aliases=("rn",),
    group="time",
    needs=("run",),
    effect=ACTING,
    arguments=[COUNT],
    usage="reverse-next [N]",
    summary="Go back by one operation of the current process, a range of accesses as one.",
    help='As "reverse-step", but over the whole of an operation on a range of addresses.',
    examples=["reverse-next"],
)
def reverse_next(session: Session, args: Args) -> object:
    before = session.timeline.position
    arrival = back_operations(session.timeline, count_of(session, args.count), over=True)
    arrive(session, arrival, session.timeline.position != before)
    return None


@command(
    "reverse-continue",
    aliases=("rc",),
    group="time",
    needs=("run",),
    effect=ACTING,
    summary="Go back to before the last event at which a stop holds.",
    help='"stepi" then executes that event.  If there is none: to the beginning of the record.',
    examples=["reverse-continue"],
)
def reverse_continue(session: Session, args: Args) -> object:
    arrive(session, back_to_stop(session.timeline))
    return None


@command(
    "reverse-finish",
    group="time",
    needs=("run",),
    effect=ACTING,
    summary="Go back to the start of the current operation.",
    help="Between two operations, to the start of the one before.",
    examples=["reverse-finish"],
)
def reverse_finish(session: Session, args: Args) -> object:
    timeline = session.timeline
    operations, events = timeline.position
    target = operations if events else operations - 1
    if target < timeline.begin:
        arrive(session, Arrival(AT_BEGIN), moved=False)
    else:
        arrive(session, timeline.go(target))
    return None


@command(
    "info cost",
    group="status",
    needs=("run",),
    effect=PURE,
    arguments=[Argument("range", REST, optional=True)],
    options=[Option("-sum", help="only what all of them cost together, by what it was spent on")],
    usage="info cost[/json|/csv] [-sum] [TIME|FROM..TO]",
    forms=("json", "csv"),
    summary="What operations cost, in cycles, and on what.",
    help="""
FROM and TO are operations of the record, both included; without them, the one before now.  The cost of an
operation is the sum of its events' ("show cost", "info events").  Several end with their total and mean,
and with the effective access time: how often an access, on average, met each thing that costs cycles, times
the cycles of one.  -sum has only that, with a row for each, of any number of operations: without FROM and TO
of the whole record.  The past is run again for it; nothing changes.""",
    examples=["info cost", "info cost -sum 0..9"],
)
def info_cost(session: Session, args: Args) -> object:
    timeline = session.timeline
    time = timeline.position.operations
    if args.range:
        first, last = operations_of(session, args.range, timeline.end - 1)
    elif args.sum:
        first, last = timeline.begin, timeline.end - 1
    else:
        first = last = max(timeline.begin, time - 1)
    if args.sum:
        return cost_of_stretch(timeline, first, min(last, timeline.end - 1))
    if last - first >= 1_000_000:
        raise UserError("At most 1000000 operations at a time.")
    last = min(last, max(timeline.begin, timeline.end) - 1)
    return cost_table(timeline.machine, record(timeline, first, last + 1) if last >= first else [])


def cost_of_stretch(timeline: Timeline, first: int, last: int) -> object:
    """`info cost -sum`.  UserError if the record does not reach so far."""
    if not timeline.begin <= first <= last:
        raise UserError(f"The record goes from {timeline.begin}:0 to {timeline.end}:0.")
    before, after = (visit(timeline, time, 0, lambda machine: machine.counts()) for time in (first, last + 1))
    counts = {name: count - before.get(name, 0) for name, count in after.items()}
    return cost_sum(timeline.machine, first, last, counts)
