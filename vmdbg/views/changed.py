"""What an acting command changed, in a line."""

from __future__ import annotations

from vmdbg.inspect.changes import changes_told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.time.types import Action, Position
    from vmdbg.machine.machine import Machine


def changed_line(machine: Machine, action: Action, position: Position) -> str:
    """`Changed: 1 frame freed, 1 TLB entry dropped.  Time 4:0.`

    That nothing changed but the time, and what is counted, is said only if that is all that did.
    """
    parts = changes_told(machine, action.before, action.after, action.events, action.changes)
    counted = " and counts" if action.changes else ""
    return f"Changed: {', '.join(parts) or 'nothing but the time' + counted}.  Time {position}."
