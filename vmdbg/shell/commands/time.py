"""undo, redo, when, goto, reverse-*, checkpoint, bookmark, info cost: the timeline."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.shell.command import ACTING, NO_REPEAT, PURE, SHELL, Argument, command
from vmdbg.shell.kinds import REST, REST_EXPRESSION, TIME, WORD
from vmdbg.shell.stopping import count_of, show_arrival

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.history import Arrival
    from vmdbg.debugger.session import Session
    from vmdbg.shell.command import Args

COUNT = Argument("count", REST_EXPRESSION, optional=True)


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
    return f"Undone: {action.name}.  Time {timeline.position}."


@command(
    "redo",
    group="time",
    needs=("run",),
    effect=ACTING,
    summary='Take back the last "undo".',
    help="The machine is where it was when that was typed.  Running on or acting forgets what was undone.",
)
def redo_command(session: Session, args: Args) -> object:
    timeline = session.timeline
    action = timeline.redo()
    return f"Redone: {action.name}.  Time {timeline.position}."


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
    from vmdbg.views.result import Record

    timeline = session.timeline
    position = timeline.position
    data = {
        "time": str(position),
        "operations": position.operations,
        "events": position.events,
        "begin": timeline.begin,
        "end": timeline.end,
    }
    line = f"Time {position}."
    if timeline.future:
        line += f"  The record goes from {timeline.begin}:0 to {timeline.end}:0."
    return Record(data, [line])


def position_of(session: Session, text: str) -> tuple[int, int]:
    """`12:4`, `12`, `+N`, `-N`, `begin`, `end` or the name of a bookmark as operations and events."""
    timeline, words = session.timeline, text.strip()
    if words in ("begin", "start"):
        return timeline.begin, 0
    if words == "end":
        return timeline.end, 0
    if words in timeline.marks:
        return timeline.marks[words]  # type: ignore[no-any-return]
    now = timeline.position.operations
    if words[:1] in ("+", "-"):
        distance = session.integer(words[1:]) if words[1:] else 1
        return (now + distance if words[0] == "+" else now - distance), 0
    first, colon, second = words.partition(":")
    try:
        return session.integer(first), session.integer(second) if colon else 0
    except UserError:
        raise UserError(
            f'No time or bookmark "{words}".', 'Times: 12, 12:4, +N, -N, begin, end; "info checkpoints".'
        ) from None


def arrive(session: Session, arrival: Arrival, moved: bool = True) -> None:
    """What is shown after going back: nothing but GDB's sentence if the machine was at the beginning."""
    if arrival.kind == "begin" and not moved:
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
    from vmdbg.debugger.backwards import back_events

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
    from vmdbg.debugger.backwards import back_operations

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
    from vmdbg.debugger.backwards import back_operations

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
    help='Without such an event, to the beginning of the record.  "stepi" then executes the event.',
    examples=["reverse-continue"],
)
def reverse_continue(session: Session, args: Args) -> object:
    from vmdbg.debugger.backwards import back_to_stop

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
    from vmdbg.debugger.history import AT_BEGIN, Arrival

    timeline = session.timeline
    operations, events = timeline.position
    target = operations if events else operations - 1
    if target < timeline.begin:
        arrive(session, Arrival(AT_BEGIN), moved=False)
    else:
        arrive(session, timeline.go(target))
    return None


@command(
    "checkpoint",
    group="time",
    needs=("run",),
    effect=SHELL,
    summary='Give this time a number, to come back with "restart".',
    help='Going back never needs one: the machine always records.  "bookmark NAME" gives a time a name.',
    examples=["checkpoint"],
    repeat=NO_REPEAT,
)
def checkpoint_command(session: Session, args: Args) -> object:
    timeline = session.timeline
    number = session.extras["last checkpoint"] = session.extras.get("last checkpoint", 0) + 1
    timeline.marks[str(number)] = timeline.position
    return f"Checkpoint {number}: time {timeline.position}."


@command(
    "bookmark",
    group="time",
    needs=("run",),
    effect=SHELL,
    arguments=[Argument("name", WORD, help="name for this time")],
    summary='Give this time a name, to come back with "goto NAME".',
    examples=["bookmark here"],
    repeat=NO_REPEAT,
)
def bookmark_command(session: Session, args: Args) -> object:
    if not args.name.isidentifier() or args.name in ("begin", "start", "end"):
        raise UserError(f'"{args.name}" cannot be the name of a time.')
    timeline = session.timeline
    timeline.marks[args.name] = timeline.position
    return f"Bookmark {args.name}: time {timeline.position}."


@command(
    "restart",
    group="time",
    needs=("run",),
    effect=ACTING,
    arguments=[Argument("number", REST_EXPRESSION, optional=True)],
    usage="restart NUMBER",
    summary="Go to the time of a checkpoint.",
    repeat=NO_REPEAT,
)
def restart_command(session: Session, args: Args) -> object:
    if not args.number:
        raise UserError("Requires numeric checkpoint id argument.")
    number = session.integer(args.number)
    place = session.timeline.marks.get(str(number))
    if place is None:
        raise UserError(f"Not found: checkpoint id {number}")
    arrive(session, session.timeline.go(*place))
    return None


@command(
    "info checkpoints",
    aliases=("info bookmarks",),
    group="status",
    needs=("run",),
    effect=PURE,
    forms=("json", "csv"),
    summary="The times that have a number or a name.",
    examples=["info checkpoints"],
)
def info_checkpoints(session: Session, args: Args) -> object:
    from vmdbg.views.result import Column, Table

    timeline = session.timeline
    rows = [
        ["*" if place == timeline.position else " ", name, str(place)]
        for name, place in sorted(timeline.marks.items(), key=lambda item: (item[1], item[0]))
    ]
    columns = [Column("current", ""), Column("name"), Column("time")]
    return Table(columns, rows, empty="No checkpoints.")


@command(
    "info cost",
    group="status",
    needs=("run",),
    effect=PURE,
    arguments=[Argument("range", REST, optional=True)],
    usage="info cost[/json|/csv] [TIME|FROM..TO]",
    forms=("json", "csv"),
    summary="What operations cost, in cycles, and on what.",
    help="""
FROM and TO are operations of the record, both included; without them, the one before now.  The cost of an
operation is the sum of its events' ("show cost", "info events").  The past is run again for it; nothing
changes.""",
    examples=["info cost"],
)
def info_cost(session: Session, args: Args) -> object:
    from vmdbg.debugger.backwards import record
    from vmdbg.views.costs import cost_table

    timeline = session.timeline
    now = timeline.position.operations
    if args.range:
        low, dots, high = args.range.partition("..")
        first = position_of(session, low)[0]
        last = position_of(session, high)[0] if dots else first
    else:
        first = last = max(timeline.begin, now - 1)
    if last < first:
        raise UserError("inverted range")
    if last - first >= 1_000_000:
        raise UserError("At most 1000000 operations at a time.")
    last = min(last, max(timeline.begin, timeline.end) - 1)
    return cost_table(timeline.machine, record(timeline, first, last + 1) if last >= first else [])


@command(
    "diff",
    group="time",
    needs=("run",),
    effect=PURE,
    arguments=[
        Argument("first", TIME, help="time to compare"),
        Argument("second", TIME, optional=True, help="time to compare with; by default now"),
    ],
    usage="diff[/json|/csv] TIME [TIME]",
    forms=("json", "csv"),
    summary="What has changed between two times.",
    help="""
Entries by what they say, frames, slots, TLB entries, processes and CPUs; a dash where there is none.  Times
are those of "goto": "diff begin", "diff -1", "diff 12:3 14".  The machine stays where it is.""",
    examples=["diff begin", "diff begin end"],
)
def diff_command(session: Session, args: Args) -> object:
    from vmdbg.debugger.backwards import visit
    from vmdbg.views.differences import difference_table, facts

    timeline = session.timeline
    places = [position_of(session, args.first), timeline.position]
    if args.second is not None:
        places[1] = position_of(session, args.second)
    seen = []
    for place in places:
        if place[0] > timeline.end:
            raise UserError(f"The record goes from {timeline.begin}:0 to {timeline.end}:0.")
        seen.append(visit(timeline, place[0], place[1], facts))
    return difference_table(seen[0], seen[1])
