"""Executing a command that changes the machine: it counts as one operation, and its events are logged."""

from __future__ import annotations

from vmdbg.debugger.time import event_log
from vmdbg.state.tables import KERNEL_OPERATIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from vmdbg.debugger.time.types import Action
    from vmdbg.machine.machine import Machine


def execute_action(machine: Machine, action: Action, function: Callable[[Machine], Any]) -> Any:
    """Call `function(machine)` between two operations, as the operation of the machine's present time.

    What it returns; the action's events, their amounts and the state after it are filled in.  If it raises,
    the machine is as it was left: the caller restores it.
    """
    counted = event_log.totals(machine.m)
    event_log.aim_counters(machine)
    event_log.start_log(machine.m)
    try:
        with machine.blaming():
            result = function(machine)
    finally:
        event_log.stop_log(machine.m)
    now = event_log.totals(machine.m)
    action.events = event_log.read_log(machine.m)
    action.changes = event_log.amounts(counted, now, action.events)
    machine.m.kernel[KERNEL_OPERATIONS] += 1
    action.after = machine.snapshot()
    return result
