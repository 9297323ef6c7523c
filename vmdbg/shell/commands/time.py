"""undo, redo, when, goto: the timeline."""

from __future__ import annotations

from vmdbg.shell.command import ACTING, NO_REPEAT, PURE, command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.session import Session
    from vmdbg.shell.command import Args


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
