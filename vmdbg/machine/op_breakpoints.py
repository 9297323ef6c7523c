"""Operation breakpoints: rows of the program before which a run stops.

The kind of such a row is changed, so that hot code takes the operation for a system call and returns.  A run
that meets none of them costs no more than without them.
"""

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
    """Set a breakpoint on each of these rows.  `run` then stops before them, with CONTROL_STOP = -1.

    The rows of loops before the operation are executed by then.  So the machine is not in a state between two
    operations: the caller restores another state, or runs on.  Breakpoints change the table `op`: take no
    snapshot and no digest before `take`.
    """
    op = machine.m.op
    for row in rows:
        machine.saved_words[row] = op[row * OP]
        op[row * OP] |= OP_KIND


def take(machine: Machine) -> None:
    """Remove all breakpoints."""
    op = machine.m.op
    for row, word in machine.saved_words.items():
        op[row * OP] = word
    machine.saved_words.clear()


def reached(machine: Machine) -> bool:
    """Does the current process stand before an operation with a breakpoint?  If so, set CONTROL_STOP."""
    m = machine.m
    pid = m.cpu[m.kernel[KERNEL_CPU] * CPU + CPU_PID]
    if m.process[pid * PROCESS + PROCESS_PC] not in machine.saved_words:
        return False
    m.control[CONTROL_STOP], m.control[CONTROL_HIT] = -1, m.kernel[KERNEL_OPERATIONS]
    machine.k.charge(m)
    return True
