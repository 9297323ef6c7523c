"""Segmentation: the functions that replace the walk and the MMU where top bits choose a base and a limit.

Where there are pages behind the segments, a base is where the root table of its segment starts, of one that
grows down where it would end.
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.formats.contract import (
    BITS,
    ENTRY_BYTES,
    FAULT_BOUNDS,
    FAULT_PROTECTION,
    RIGHT_R,
    RIGHT_U,
    RIGHT_W,
    RIGHT_X,
    TOP_SHIFT,
)
from vmdbg.formats.segments import RIGHTS_LOW, RIGHTS_STEP
from vmdbg.hardware.base_and_bounds import one_step
from vmdbg.hardware.walk import walk_from
from vmdbg.state.tables import (
    CONTROL_FAULT,
    CONTROL_FIRST,
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

SEGMENT_SHIFT = 0  # the lowest of the bits of an address that choose its segment; bound for each format


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
def grows_down(m, cpu, va):
    """Does the segment of an address grow down?"""
    return (m.cpu[cpu * CPU + CPU_CONTROL7] >> ((va >> SEGMENT_SHIFT) & 3)) & 1 != 0


@reads
def in_segment(m, cpu, va):
    """Is `va` within the limit of its segment?"""
    if va < 0 or va >> TOP_SHIFT:
        return False
    offset = va & ((1 << SEGMENT_SHIFT) - 1)
    limit = segment_limit(m, cpu, va >> SEGMENT_SHIFT)
    if grows_down(m, cpu, va):
        return offset - (1 << SEGMENT_SHIFT) >= -limit
    return offset < limit


@reads
def segment_address(m, cpu, root, va):
    """The physical address of `va`; -1 if it lies in no segment."""
    if not in_segment(m, cpu, va):
        return -1
    number = va >> SEGMENT_SHIFT
    offset = va & ((1 << SEGMENT_SHIFT) - 1)
    if grows_down(m, cpu, va):
        offset -= 1 << SEGMENT_SHIFT
    address = segment_base(m, cpu, root, number) + offset
    if address < 0:
        return -1
    return address


@reads
def segment_rights(m, cpu, va):
    """The rights of the segment of an address, with `u`: user code is all that there is."""
    low = RIGHTS_LOW + ((va >> SEGMENT_SHIFT) & 3) * RIGHTS_STEP
    return ((m.cpu[cpu * CPU + CPU_CONTROL7] >> (low & 63)) & (RIGHT_R | RIGHT_W | RIGHT_X)) | RIGHT_U


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
    if (segment_rights(m, cpu, va) >> (access & 63)) & 1 == 0:
        m.control[CONTROL_FAULT] = FAULT_PROTECTION
        return -1
    return address


@reads
def segment_table(m, cpu, root, va):
    """The root table of the segment of an address; `root` is that of segment 0."""
    table = segment_base(m, cpu, root, va >> SEGMENT_SHIFT)
    if grows_down(m, cpu, va):
        table -= (1 << (BITS & 63)) * ENTRY_BYTES
    return table


@reads(fills=True)
def reached(m, cpu, va):
    """Is `va` within the limit of its segment?  The pages behind it are asked after that."""
    return in_segment(m, cpu, va)


@reads(fills=True)
def reached_index(m, va, depth, index):
    """The index that a walk uses: all of its bits."""
    return index


@reads(fills=True)
def start_walk(m, cpu, root, va):
    """`walk` of the tables of a segment, whose rights are those that its pages can have."""
    m.control[CONTROL_FIRST] = 0
    if not in_segment(m, cpu, va):
        return one_step(m, False, 0)
    return walk_from(m, segment_table(m, cpu, root, va), 0, segment_rights(m, cpu, va), va)
