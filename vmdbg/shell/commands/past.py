"""last write, last map: questions to the past, which is run again for the answer."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.shell.command import PURE, Argument, command, prefix
from vmdbg.shell.kinds import ADDRESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.debugger.session import Session
    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.debugger.time.location import Place
    from vmdbg.shell.command import Args

LAST = prefix("last", group="time", summary="When something happened last.")


def answer(session: Session, found: tuple[LoggedEvent | None, Place | None, str], what: str) -> object:
    """The last event of the record that was looked for: when, what, by whom."""
    from vmdbg.views.past_events import PastTeller
    from vmdbg.views.result import Record

    timeline = session.timeline
    row, place, command_name = found
    if row is None:
        line = f"{what}: not since {timeline.begin}:0, where the record begins."
        return Record({"time": None, "event": None, "what": None, "command": None}, [line])
    said = PastTeller(timeline, [row]).what(row)
    by = f'command "{command_name}"' if place is None else f"process {place.pid}"
    if place is not None and place.line:
        by += f", {place.file}:{place.line}"
    time = f"{row.operation}:{row.number}"
    data: dict[str, Any] = {"time": time, "event": row.name, "what": said, "command": command_name or None}
    data |= {"pid": row.pid, "line": place.line if place is not None and place.line else None}
    return Record(data, [f"{time}  {row.name}  {said}", f"by {by}"])


@command(
    "last write",
    group="time",
    needs=("run",),
    effect=PURE,
    arguments=[Argument("address", ADDRESS, help="virtual address")],
    forms=("json",),
    summary="When a program last wrote the byte at an address, and which operation it was.",
    help="""
Whatever process wrote it by whatever address.  The page is followed back from frame to frame, through swap,
and into the process that this one was forked from.  The time can be given to "goto".""",
    examples=["last write 0x406000"],
)
def last_write(session: Session, args: Args) -> object:
    from vmdbg.debugger.time.questions import last_write
    from vmdbg.units import s64

    timeline, show = session.timeline, session.target.notation.va(args.address)
    found = last_write(timeline, timeline.require_process(), s64(args.address))
    if found[0] is None and session.target.translate(args.address, "r").pa is None:
        raise UserError(f"{show} is in no frame now.", '"last map" says when its entry was written.')
    return answer(session, found, f"{show} was written")


@command(
    "last map",
    group="time",
    needs=("run",),
    effect=PURE,
    arguments=[Argument("address", ADDRESS, help="virtual address")],
    forms=("json",),
    summary="When the kernel last wrote the page-table entry of an address.",
    help='It is the entry at which a walk ends now.  The time can be given to "goto".',
    examples=["last map 0x406000"],
)
def last_map(session: Session, args: Args) -> object:
    from vmdbg.debugger.stops.patterns import Pattern
    from vmdbg.debugger.time.questions import find_back
    from vmdbg.state.events import ENTRY_WRITE

    walk, _ = session.target.walk(args.address)
    if not walk.steps:
        raise UserError(f"{session.target.notation.va(args.address)} has no entry.")
    at = walk.steps[-1].address
    show = session.target.notation
    what = f"The entry of {show.va(args.address)} at {show.pa(at)} was written"
    return answer(session, find_back(session.timeline, [Pattern(ENTRY_WRITE, low=at)]), what)
