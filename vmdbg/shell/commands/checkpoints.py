"""checkpoint, bookmark, restart, info checkpoints: times with a number or a name."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.shell.command import ACTING, NO_REPEAT, PURE, SHELL, Argument, command
from vmdbg.shell.kinds import REST, REST_EXPRESSION, WORD
from vmdbg.shell.stop_report import show_arrival
from vmdbg.views.result import Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session


class CheckpointNumbers:
    """Numbers of checkpoints are never used again."""

    last = 0


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
    numbers = session.state(CheckpointNumbers)
    numbers.last += 1
    number = numbers.last
    timeline.bookmarks[str(number)] = timeline.position
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
    timeline.bookmarks[args.name] = timeline.position
    return f"Bookmark {args.name}: time {timeline.position}."


@command(
    "restart",
    group="time",
    needs=("run",),
    effect=ACTING,
    arguments=[Argument("number", REST_EXPRESSION, optional=True)],
    usage="restart NUMBER",
    summary="Go to the time of a checkpoint, in whatever branch it was made.",
    repeat=NO_REPEAT,
)
def restart_command(session: Session, args: Args) -> object:
    if not args.number:
        raise UserError("Requires argument (checkpoint id to restart)")
    number = session.integer(args.number)
    timeline = session.timeline
    position = timeline.bookmarks.get(str(number))
    elsewhere = timeline.branches.holding(str(number))
    if position is None and elsewhere is not None:
        timeline.switch(elsewhere[0])
        position = elsewhere[1]
    if position is None:
        raise UserError(f"Not found: checkpoint id {number}")
    show_arrival(session, timeline.go(*position))
    return None


@command(
    "delete checkpoint",
    aliases=("delete bookmark",),
    group="time",
    needs=("run",),
    effect=SHELL,
    arguments=[Argument("name", REST, optional=True)],
    usage="delete checkpoint NUMBER|NAME",
    summary="Delete a checkpoint or bookmark.",
    help="The time can still be gone to by its number.",
    repeat=NO_REPEAT,
)
def delete_checkpoint(session: Session, args: Args) -> object:
    if not args.name:
        raise UserError("Requires argument (checkpoint id to delete)")
    bookmarks = session.timeline.bookmarks
    if args.name not in bookmarks:
        raise UserError(f"No such checkpoint id, {args.name}")
    del bookmarks[args.name]
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
    timeline = session.timeline
    rows = [
        [position == timeline.position, name, str(position)]
        for name, position in sorted(timeline.bookmarks.items(), key=lambda item: (item[1], item[0]))
    ]
    star = Column("current", "", format=lambda here: "*" if here else " ")
    columns = [star, Column("name"), Column("time")]
    return Table(columns, rows, empty="No checkpoints.")
