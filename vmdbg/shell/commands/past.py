"""last write, last map: questions to the past, which is run again for the answer."""

from __future__ import annotations

from vmdbg.debugger.stops.patterns import Pattern
from vmdbg.debugger.time.questions import find_back, last_write
from vmdbg.errors import UserError
from vmdbg.inspect.cached import translate
from vmdbg.inspect.context import find_place
from vmdbg.inspect.translate import READ, walk
from vmdbg.shell.command import PURE, Argument, command, prefix
from vmdbg.shell.kinds import ADDRESS
from vmdbg.state.events import ENTRY_WRITE
from vmdbg.units import s64
from vmdbg.views.past_events import PastTeller
from vmdbg.views.result import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.debugger.time.location import Place
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

LAST = prefix("last", group="time", summary="When something happened last.")


def answer(session: Session, found: tuple[LoggedEvent | None, Place | None, str], what: str) -> object:
    """The last event of the record that was looked for: when, what, by whom."""
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
def last_write_command(session: Session, args: Args) -> object:
    timeline, show = session.timeline, session.notation.va(args.address)
    found = last_write(timeline, timeline.require_process(), s64(args.address))
    if (
        found[0] is None
        and translate(session.machine, find_place(session.machine), args.address, READ).pa is None
    ):
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
    walked, _ = walk(session.machine, find_place(session.machine), args.address)
    if not walked.steps:
        raise UserError(f"{session.notation.va(args.address)} has no entry.")
    at = walked.steps[-1].address
    show = session.notation
    what = f"The entry of {show.va(args.address)} at {show.pa(at)} was written"
    return answer(session, find_back(session.timeline, [Pattern(ENTRY_WRITE, low=at)]), what)
