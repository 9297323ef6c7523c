"""Regions of a program when it is loaded: mapped, with the content that they start with."""

from __future__ import annotations

from vmdbg.kernel import regions
from vmdbg.state.tables import REGION, REGION_FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.machine.machine import Machine


def map_region(machine: Machine, pid: int, spec: Any) -> None:
    """Map a region of a program (`programs.program.RegionSpec`) in its process; or UserError."""
    machine.make_room_for_system_call(pid)
    row = regions.add_region(
        machine.k,
        machine.format,
        pid,
        spec.kind,
        spec.start,
        spec.size,
        spec.rights,
        spec.page_size,
        spec.populate,
    )
    if spec.content:
        machine.m.region[row * REGION + REGION_FILE] = 1 + keep_content(machine, spec.content, spec.size)


def keep_content(machine: Machine, content: bytes, size: int) -> int:
    """Keep a copy of what a host file has, `size` bytes with zeros at the end; its first page in `file8`."""
    page = machine.format.page_size
    first = machine.shape["file_pages"]
    machine.grow("file_pages", first - -size // page)
    machine.buffers["file8"][first * page : first * page + len(content)] = content
    return first
