"""The faults that processes had, by kind."""

from __future__ import annotations

from vmdbg.inspect.processes import processes
from vmdbg.state.events import EVENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.machine.machine import Machine


def faults(machine: Machine, pid: int | None) -> list[dict[str, Any]]:
    """A row for each kind of fault that the processes had, those that ended too, with its cost in cycles;
    `signal` counts the accesses that the kernel did not serve."""
    rows = []
    for process in processes(machine, ended=True):
        if pid not in (None, process["pid"]):
            continue
        counts = machine.counts(process["pid"])
        for event in EVENTS:
            if (event.name.startswith("fault-") or event.name == "signal") and event.name in counts:
                each = int(machine.config[f"cost.{event.cost}"]) if event.cost else 0
                count = counts[event.name]
                rows.append(
                    {"pid": process["pid"], "name": process["name"], "fault": event.name, "count": count}
                    | {"cycles": each * count, "help": event.help}
                )
    return rows
