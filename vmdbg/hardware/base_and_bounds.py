"""Base and bounds: the functions that replace the walk and the MMU on a machine without tables."""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.formats.contract import ALL_RIGHTS, ENTRY_BOUND, ENTRY_LEAF, FAULT_BOUNDS
from vmdbg.state.tables import (
    CONTROL_FAULT,
    CONTROL_RIGHTS,
    CONTROL_STEPS,
    CPU,
    CPU_CONTROL0,
    CPU_ROOT,
    KERNEL_CPU,
    PATH_ADDRESS,
    PATH_ENTRY,
    PATH_INDEX,
    PATH_KIND,
    PATH_RIGHTS,
    PATH_TABLE,
)

BOUND = CPU_CONTROL0  # register: the first offset that is not in the partition


@reads
def in_bounds(m, cpu, va):
    """Is an address below the bound of a CPU?"""
    return va >= 0 and va < m.cpu[cpu * CPU + BOUND]


@reads
def one_step(m, inside, entry):
    """Note a walk of one step without memory, in or out of bounds, for which `entry` stands; its kind."""
    kind = ENTRY_LEAF
    rights = ALL_RIGHTS
    if not inside:
        kind = ENTRY_BOUND
        rights = 0
    m.path[PATH_TABLE] = 0
    m.path[PATH_INDEX] = 0
    m.path[PATH_ADDRESS] = -1
    m.path[PATH_ENTRY] = entry
    m.path[PATH_KIND] = kind
    m.path[PATH_RIGHTS] = rights
    m.control[CONTROL_STEPS] = 1
    m.control[CONTROL_RIGHTS] = rights
    return kind


@reads(fills=True)
def walk(m, root, va):
    """A walk of one step, without memory: `root` + `va`, if `va` is below the bound of the CPU in use."""
    return one_step(m, in_bounds(m, m.kernel[KERNEL_CPU], va), root)


@writes(fills=True)
def translate(m, cpu, va, access):
    """One access by a CPU: base + address, or -1 and CONTROL_FAULT."""
    if not in_bounds(m, cpu, va):
        m.control[CONTROL_FAULT] = FAULT_BOUNDS
        return -1
    return m.cpu[cpu * CPU + CPU_ROOT] + va
