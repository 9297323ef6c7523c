"""Regions of a program when it is loaded: mapped, with the content that they start with."""

from __future__ import annotations

from vmdbg.kernel.calls import regions, syscalls
from vmdbg.kernel.calls.objects import Wanted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.machine.machine import Machine


def map_region(machine: Machine, pid: int, spec: Any, name: str) -> None:
    """Map a region (`programs.program.RegionSpec`) of the program of that name; or UserError."""
    machine.make_room_for_system_call(pid)
    k, form = machine.k, machine.format
    wanted = Wanted(name, spec.size, spec.content) if spec.content else spec.object
    index, backing = regions.page_index(form, spec.page_size, wanted is not None), None
    if wanted is not None:
        backing = syscalls.backing_of(k, form, wanted, spec.offset, spec.share)
    start, size = spec.start, spec.size
    regions.add_region(k, form, pid, spec.kind, start, size, spec.rights, index, spec.populate, backing)
