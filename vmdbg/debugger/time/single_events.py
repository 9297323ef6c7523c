"""Going on by single events, each given as soon as it is there."""

from __future__ import annotations

from vmdbg.kernel.calls.processes import live_processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.debugger.time.timeline import Timeline


def events_from_here(line: Timeline, count: int) -> Iterator[LoggedEvent]:
    """Go up to `count` events on; each is given when the machine stands behind its operation, or at the last
    of them.  Ctrl-C is raised between two operations."""
    while count > 0:
        with line.runner.interrupts:
            rows = next_events(line, count)
        if rows is None:
            return
        count -= len(rows)
        yield from rows


def next_events(line: Timeline, count: int) -> list[LoggedEvent] | None:
    """Execute the current operation, or the rest of it, but at most `count` events; they.  None if no
    process is left."""
    passed = line.inside
    line.to_base()
    action = line.action_at(line.machine.operations)
    if action is not None:
        line.machine.restore(action.after)
        return []
    if not live_processes(line.machine.k):
        return None
    base = line.machine.snapshot()
    rows = [row for row in line.whole() if row.number > passed]
    if rows and len(rows) >= count:
        line.machine.restore(base)
        line.enter(rows[count - 1].number)
        rows = rows[:count]
    line.note_end()
    return rows
