"""Operations before which a run stops.  They look like system calls to hot code: a mark costs it nothing."""

from __future__ import annotations

from vmdbg.kernel.scheduler import OP_KIND
from vmdbg.state.tables import (
    CONTROL_HIT,
    CONTROL_STOP,
    CPU,
    CPU_PID,
    KERNEL_CPU,
    KERNEL_OPERATIONS,
    OP,
    PROCESS,
    PROCESS_PC,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmdbg.machine.machine import Machine


def put(machine: Machine, rows: Iterable[int]) -> None:
    """Mark the operations of these rows.  `run` then stops before them, with CONTROL_STOP = -1.

    Loop marks before the operation are executed by then, so that the state is not one between two operations:
    the caller restores another, or runs on.  Marks change the table `op`: no snapshot and no digest is to be
    taken before `take`.
    """
    op = machine.m.op
    for row in rows:
        machine.marked[row] = op[row * OP]
        op[row * OP] |= OP_KIND


def take(machine: Machine) -> None:
    """Take all marks off."""
    op = machine.m.op
    for row, word in machine.marked.items():
        op[row * OP] = word
    machine.marked.clear()


def reached(machine: Machine) -> bool:
    """Does the current process stand before an operation that is marked?  If so, tell it."""
    m = machine.m
    pid = m.cpu[m.kernel[KERNEL_CPU] * CPU + CPU_PID]
    if m.process[pid * PROCESS + PROCESS_PC] not in machine.marked:
        return False
    m.control[CONTROL_STOP], m.control[CONTROL_HIT] = -1, m.kernel[KERNEL_OPERATIONS]
    machine.k.charge(m)
    return True
