"""The line below the prompt: process, time, memory."""

from __future__ import annotations

from vmdbg.inspect.processes import processes
from vmdbg.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.session import Session


def toolbar_text(session: Session) -> str:
    """`default  process 1 (demo)  time 12:0  2072 KiB resident  4 KiB in swap  60 MiB free`."""
    if session.opened is None:
        return "no machine"
    machine = session.opened.machine
    parts = [machine.config.name]
    row = next((row for row in processes(machine) if row["on_cpu"]), None)
    if row is None:
        parts.append("no process")
    else:
        parts.append(f"process {row['pid']} ({row['name']})")
    parts.append(f"time {session.timeline.position}")
    if row is not None:
        parts.append(f"{format_size(row['rss'], 1024)} resident")
        if row["swapped"]:
            parts.append(f"{format_size(row['swapped'], 1024)} in swap")
    return " " + "  ".join(parts)
