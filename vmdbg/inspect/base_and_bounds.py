"""Base and bounds: where an access goes by its two registers, and which process has which partition."""

from __future__ import annotations

from vmdbg.formats.contract import ALL_RIGHTS, FAULT_BOUNDS
from vmdbg.inspect.address_space import spaces
from vmdbg.inspect.context import bound_of
from vmdbg.inspect.walk import Fault, Outcome, region_kind
from vmdbg.kernel.calls.processes import process_name
from vmdbg.kernel.frames import FRAME_IS_USER
from vmdbg.state.tables import FRAME, FRAME_PID, FRAME_STATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.inspect.context import Context
    from vmdbg.inspect.walk import Walk
    from vmdbg.machine.machine import Machine


def outcome(machine: Machine, context: Context, walk: Walk, access: int) -> Outcome:
    """Base + address, or a bounds fault."""
    found = Outcome(walk.va, context.pid, access, context.mode)
    found.region = region_kind(machine, context.pid, walk.va)
    if walk.maps:
        found.pa, found.page_size, found.rights = walk.root + walk.va, machine.format.page_size, ALL_RIGHTS
    else:
        code = machine.k.code_of(machine.m, context.cpu, FAULT_BOUNDS, access, context.mode, 0)
        reason = f"the bound is {bound_of(machine):#x}"
        found.fault = Fault(FAULT_BOUNDS, reason, code)
    return found


def partitions(machine: Machine) -> Iterator[dict[str, Any]]:
    """A row for each partition: its process, the bytes of its regions, and the bytes that stay unused."""
    m, size = machine.m, machine.format.page_size
    for frame in range(len(m.frame) // FRAME):
        taken = m.frame[frame * FRAME + FRAME_STATE] == FRAME_IS_USER
        pid = m.frame[frame * FRAME + FRAME_PID] if taken else 0
        used = sum(space.end - space.start for space in spaces(machine, pid)) if taken else 0
        yield {
            "partition": frame,
            "base": machine.k.frame_address(m, frame),
            "size": size,
            "pid": pid or None,
            "name": process_name(machine.k, pid) if taken else None,
            "used": used,
            "wasted": size - used if taken else 0,
        }


def partitions_data(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What JSON shows of `partitions`; sizes in bytes."""
    return {
        "partitions": rows,
        "in_use": sum(row["pid"] is not None for row in rows),
        "used": sum(row["used"] for row in rows),
        "wasted": sum(row["wasted"] for row in rows),
    }
