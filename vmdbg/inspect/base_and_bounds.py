"""Machines without tables: where base and bounds, or a segment, lead to, and who has which partition."""

from __future__ import annotations

from vmdbg.formats.contract import ALL_RIGHTS, FAULT_BOUNDS, FAULT_PROTECTION
from vmdbg.hardware.base_and_bounds import BOUND
from vmdbg.inspect.address_space import spaces
from vmdbg.inspect.notation import Notation, rights_text
from vmdbg.inspect.segments import Segment, outside, segments
from vmdbg.inspect.walk import Fault, Outcome, region_kind
from vmdbg.kernel.calls.processes import process_name
from vmdbg.kernel.frames import FRAME_IS_USER
from vmdbg.state.tables import CPU, FRAME, FRAME_PID, FRAME_STATE, KERNEL_CPU

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.inspect.context import Context
    from vmdbg.inspect.walk import Walk
    from vmdbg.machine.machine import Machine


def outcome(machine: Machine, context: Context, walk: Walk, access: int, check: bool = True) -> Outcome:
    """Base + address, or + the offset in its segment, or a fault.  Without `check` rights are ignored."""
    found = Outcome(walk.va, context.pid, access, context.mode)
    found.region = region_kind(machine, context.pid, walk.va)
    form = machine.format
    if walk.maps:
        found.page_size, found.rights = form.page_size, ALL_RIGHTS
        found.pa = walk.root + walk.va
        if form.segments:
            segment = Segment(machine, walk.va >> form.segment_shift, walk.root, context.cpu)
            found.segment, found.rights = segment.number, segment.rights
            if check and not segment.rights >> access & 1:
                code = machine.k.code_of(machine.m, context.cpu, FAULT_PROTECTION, access, context.mode, 0)
                reason = f"segment {segment.number} is {rights_text(segment.rights)}"
                found.pa, found.fault = None, Fault(FAULT_PROTECTION, reason, code)
                return found
            found.pa = int(machine.k.segment_address(machine.m, context.cpu, walk.root, walk.va))
    else:
        code = machine.k.code_of(machine.m, context.cpu, FAULT_BOUNDS, access, context.mode, 0)
        reason = f"the bound is {bound_of(machine, context.cpu):#x}"
        if form.segments:
            reason = outside(machine, walk.va, context.cpu)
        found.fault = Fault(FAULT_BOUNDS, reason, code)
    return found


def bound_of(machine: Machine, cpu: int | None) -> int:
    """The bound register of a CPU (None: of the one in use)."""
    cpu = int(machine.m.kernel[KERNEL_CPU]) if cpu is None else cpu
    return int(machine.m.cpu[cpu * CPU + BOUND])


def registers_of(machine: Machine, root: int, cpu: int | None = None) -> list[tuple[str, int, bool, str]]:
    """The registers by which addresses are translated: name, value, is it a physical address, and meaning."""
    show = Notation(machine.format)
    if not machine.format.segments:
        return [
            ("base", root, True, "where the partition starts"),
            ("bound", bound_of(machine, cpu), False, "the first address that is not in it"),
        ]
    rows = []
    for segment in segments(machine, root, cpu):
        where = f"{show.va(segment.start)}..{show.va(segment.start + segment.size - 1)}"
        way = "ends: it grows down" if segment.down else "starts"
        rows.append(
            (f"base{segment.number}", segment.base, True, f"where segment {segment.number}, {where}, {way}")
        )
        rights = rights_text(segment.rights)
        rows.append((f"limit{segment.number}", segment.limit, False, f"how many bytes it has, {rights}"))
    return rows


def head_data(machine: Machine, root: int, cpu: int | None = None) -> dict[str, Any]:
    """What the JSON of a walk says instead of steps."""
    if machine.format.segments:
        return {"segments": [segment.data() for segment in segments(machine, root, cpu)]}
    return {"bound": bound_of(machine, cpu)}


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
