"""Segmentation: the functions that replace the walk and the MMU where top bits choose a base and a limit.

PAGE_BITS is the lowest of these bits.
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.formats.contract import (
    FAULT_BOUNDS,
    FAULT_PROTECTION,
    PAGE_BITS,
    RIGHT_R,
    RIGHT_U,
    RIGHT_W,
    RIGHT_X,
    TOP_SHIFT,
)
from vmdbg.formats.segments import RIGHTS_LOW, RIGHTS_STEP
from vmdbg.hardware.base_and_bounds import one_step
from vmdbg.state.tables import (
    CONTROL_FAULT,
    CONTROL_RIGHTS,
    CPU,
    CPU_CONTROL0,
    CPU_CONTROL1,
    CPU_CONTROL2,
    CPU_CONTROL3,
    CPU_CONTROL4,
    CPU_CONTROL5,
    CPU_CONTROL6,
    CPU_CONTROL7,
    CPU_ROOT,
    KERNEL_CPU,
    PATH_RIGHTS,
)


@reads
def segment_base(m, cpu, root, number):
    """The base of a segment; `root` is that of segment 0."""
    c = cpu * CPU
    if number == 1:
        return m.cpu[c + CPU_CONTROL1]
    if number == 2:
        return m.cpu[c + CPU_CONTROL3]
    if number == 3:
        return m.cpu[c + CPU_CONTROL5]
    return root


@reads
def segment_limit(m, cpu, number):
    """How many bytes a segment has."""
    c = cpu * CPU
    if number == 1:
        return m.cpu[c + CPU_CONTROL2]
    if number == 2:
        return m.cpu[c + CPU_CONTROL4]
    if number == 3:
        return m.cpu[c + CPU_CONTROL6]
    return m.cpu[c + CPU_CONTROL0]


@reads
def segment_address(m, cpu, root, va):
    """The physical address of `va`; -1 if it lies in no segment."""
    if va < 0 or va >> TOP_SHIFT:
        return -1
    number = va >> PAGE_BITS
    offset = va & ((1 << PAGE_BITS) - 1)
    limit = segment_limit(m, cpu, number)
    if (m.cpu[cpu * CPU + CPU_CONTROL7] >> (number & 3)) & 1:
        offset -= 1 << PAGE_BITS
        if offset < -limit:
            return -1
    elif offset >= limit:
        return -1
    address = segment_base(m, cpu, root, number) + offset
    if address < 0:
        return -1
    return address


@reads
def segment_rights(m, cpu, va):
    """The rights of the segment of an address, with `u`: user code is all that there is."""
    low = RIGHTS_LOW + ((va >> PAGE_BITS) & 3) * RIGHTS_STEP
    return ((m.cpu[cpu * CPU + CPU_CONTROL7] >> low) & (RIGHT_R | RIGHT_W | RIGHT_X)) | RIGHT_U


@reads(fills=True)
def walk(m, root, va):
    """A walk of one step, without memory, with the registers of the CPU in use."""
    cpu = m.kernel[KERNEL_CPU]
    address = segment_address(m, cpu, root, va)
    kind = one_step(m, address >= 0, address)
    if address >= 0:
        rights = segment_rights(m, cpu, va)
        m.path[PATH_RIGHTS] = rights
        m.control[CONTROL_RIGHTS] = rights
    return kind


@writes(fills=True)
def translate(m, cpu, va, access):
    """One access by a CPU: base + offset, or -1 and CONTROL_FAULT."""
    address = segment_address(m, cpu, m.cpu[cpu * CPU + CPU_ROOT], va)
    if address < 0:
        m.control[CONTROL_FAULT] = FAULT_BOUNDS
        return -1
    if (segment_rights(m, cpu, va) >> access) & 1 == 0:
        m.control[CONTROL_FAULT] = FAULT_PROTECTION
        return -1
    return address
