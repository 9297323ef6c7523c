"""Shows a halt of the machine: reason, location, displays, hook-stop; then runs the stop's commands."""

from __future__ import annotations

from vmdbg.debugger.time.stale import Stale
from vmdbg.debugger.time.types import AT_STOP
from vmdbg.errors import UserError
from vmdbg.shell.boot import replace_target
from vmdbg.shell.commands.display import Displays, show_displays
from vmdbg.views.event_table import arrival_lines, banner
from vmdbg.views.stale import stale_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.time.types import Arrival
    from vmdbg.shell.session import Session

MOST = (1 << 63) - 1  # operations or events


def count_of(session: Session, text: str | None) -> int:
    """The repeat count of a stepping command; 1 without one."""
    if not text:
        return 1
    count = session.integer(text)
    if count < 0:
        raise UserError("Negative count.")
    if count > MOST:
        raise UserError("Numeric constant too large.")
    return count


def boot_if_changed(session: Session) -> bool:
    """Boot the machine that changed settings made, if one waits."""
    if session.next_target is None:
        return False
    replace_target(session, session.next_target)
    return True


def show_location(session: Session) -> None:
    """The banner of a halt, and the displays."""
    timeline = session.timeline
    session.output.lines(banner(timeline.machine, timeline.position, timeline.location))
    show_all_displays(session)


def show_all_displays(session: Session) -> None:
    """The displays, if there are any."""
    if Displays in session.kept:
        show_displays(session)


def show_arrival(session: Session, arrival: Arrival) -> None:
    """Everything that a halt shows; then the commands of its stops run."""
    run_hook(session)
    timeline = session.timeline
    named = [stop for stop in arrival.stops if stop.number]
    silent = bool(named) and any(is_silent(stop.commands) for stop in named)
    for process in arrival.ended:
        session.set_variable("_exitcode", process.status)
    if arrival.event is not None:
        session.set_variable("_event", arrival.event.name)
        for name, value in arrival.event.arguments.items():
            session.set_variable(f"_{name}", value)
    if not silent:
        session.output.lines(arrival_lines(timeline.machine, arrival))
        row = arrival.event
        if row is not None and row.name == "tlb-stale":
            session.output.lines(stale_lines(session.notation, Stale(timeline, row)))
        if timeline.location is not None:
            show_location(session)
    if arrival.kind == AT_STOP and named:
        session.last_stop = named[0]
        run_commands(session, arrival)


def is_silent(commands: list[object]) -> bool:
    """Do a stop's commands begin with `silent`?"""
    return bool(commands) and getattr(commands[0], "text", "").strip() == "silent"


def run_commands(session: Session, arrival: Arrival) -> None:
    """The commands that were given to the stops that hold."""
    for stop in arrival.stops:
        statements = stop.commands[1:] if is_silent(stop.commands) else stop.commands
        if statements:
            session.interpreter.run(statements)


def run_hook(session: Session) -> None:
    """`hook-stop`, if the user defined it."""
    interpreter = session.interpreter
    hook = interpreter.registry.find(("hook-stop",))
    if hook is not None and hook.command is not None:
        interpreter.invoke(hook, "")
