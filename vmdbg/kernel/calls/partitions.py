"""Fixed partitions: memory for processes on a machine with base and bounds.  Cold code.

A frame of such a machine is a partition; a process gets one when it starts and keeps it to its end.
"""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.kernel.frames import FRAME_IS_USER
from vmdbg.state.tables import (
    FRAME,
    FRAME_PID,
    FRAME_STATE,
    KERNEL_FREE,
    KERNEL_FREE_COUNT,
    KERNEL_RESIDENT,
    PROCESS,
    PROCESS_ROOT,
    PROCESS_RSS,
)
from vmdbg.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.engine import Linked
    from vmdbg.formats.record import Format


def take_partition(k: Linked, pid: int) -> int:
    """Give a process a zeroed partition; returns its base.  UserError if none is free."""
    m = k.m
    free = m.kernel[KERNEL_FREE_COUNT]
    frame = k.pool_take(m, KERNEL_FREE)
    if frame < 0:
        total = len(m.frame) // FRAME
        raise UserError(f"Process not started: no free partition ({total - free} of {total} in use).")
    k.mark_frame(m, frame)
    m.frame[frame * FRAME + FRAME_STATE] = FRAME_IS_USER
    m.frame[frame * FRAME + FRAME_PID] = pid
    m.process[pid * PROCESS + PROCESS_RSS] = 1
    m.kernel[KERNEL_RESIDENT] += 1
    size = len(m.ram1) // (len(m.frame) // FRAME)
    for start, end in list(k.recorder.written(frame * size, (frame + 1) * size)):
        k.zero_words(m.ram8, start >> 3, (end - start) >> 3)
        k.recorder.mark(start, end)
    return int(k.frame_address(m, frame))


def give_partition(k: Linked, pid: int) -> None:
    """Take a process's partition away."""
    m = k.m
    k.pool_give(m, KERNEL_FREE, k.frame_at(m, m.process[pid * PROCESS + PROCESS_ROOT]))
    m.process[pid * PROCESS + PROCESS_RSS] = 0
    m.kernel[KERNEL_RESIDENT] -= 1


def copy_partition(k: Linked, form: Format, pid: int, child: int) -> int:
    """Copy what a process wrote into the partition of its child; returns the bytes copied."""
    m, total = k.m, 0
    first = k.ram_offset(m, m.process[pid * PROCESS + PROCESS_ROOT], 1)
    target = k.ram_offset(m, m.process[child * PROCESS + PROCESS_ROOT], 1)
    for start, end in list(k.recorder.written(first, first + form.page_size)):
        to = target + start - first
        k.copy_words(m.ram8, to >> 3, m.ram8, start >> 3, (end - start) >> 3)
        k.recorder.mark(to, to + end - start)
        total += end - start
    return total


def check_fits(k: Linked, form: Format, start: int, end: int) -> None:
    """UserError if a region does not fit into a partition; the message also says how much memory is free."""
    if start >= 0 and end <= form.page_size:
        return
    free = k.m.kernel[KERNEL_FREE_COUNT]
    size = format_size(form.page_size)
    raise UserError(
        f"Region {start:#x}..{end:#x} does not fit a partition of {size}: an address is below "
        f"{form.page_size:#x}.",
        f"{format_size(free * form.page_size)} are free in sum, in {free} partitions of {size}.",
    )
