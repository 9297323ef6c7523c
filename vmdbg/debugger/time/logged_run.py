"""Running along a timeline without halting at stops: what they match is logged instead."""

from __future__ import annotations

from vmdbg.debugger.time import event_log
from vmdbg.debugger.time.forward import at_breakpoint, next_crossing
from vmdbg.debugger.time.types import AT_END, AT_LIMIT
from vmdbg.kernel.exits import REASON_IDLE
from vmdbg.state.tables import CONTROL_STOP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.time.timeline import Timeline
    from vmdbg.debugger.time.types import Crossing
    from vmdbg.machine.machine import Machine

MOST_CROSSINGS = 2000  # that are noted: each takes the machine out of the compiled engine


def run_logged(timeline: Timeline, limit: int, crossings: list[Crossing]) -> str:
    """As `Timeline.run_to`, logging: events that stops match are in the machine's log, and operations before
    which a stop would halt the machine are added to `crossings`.

    It ends early, with AT_LIMIT, where that is `too_long`.
    """
    machine, runner, stops = timeline.machine, timeline.runner, timeline.stops
    stops.install_log(machine)
    break_rows = stops.break_rows()
    try:
        for goal in timeline.goals(limit):
            reason = runner.slice_to_breakpoint(goal, break_rows)
            if at_breakpoint(machine):
                crossings.append(next_crossing(machine))
                reason = runner.slice(machine.operations + 1)
            if machine.m.control[CONTROL_STOP]:
                stops.install_log(machine, again=True)
            if too_long(machine, crossings):
                return AT_LIMIT
            if reason == REASON_IDLE:
                return AT_END
        return timeline.reached(limit)
    finally:
        stops.remove(machine.m)


def too_long(machine: Machine, crossings: list[Crossing]) -> bool:
    """Is it more than the log can hold, or than is worth being noted?"""
    return len(crossings) > MOST_CROSSINGS or event_log.overflowed(machine.m)
