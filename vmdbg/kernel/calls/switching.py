"""A context switch by hand (Linux: context_switch in kernel/sched/core.c).  Cold code."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.kernel.calls.processes import leave_queue
from vmdbg.state.tables import CPU, CPU_PID, PROCESS, PROCESS_PINNED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.engine import Linked


def put_on_cpu(k: Linked, cpu: int, pid: int) -> None:
    """Make a live process the one that runs on a CPU; who ran there waits behind all others.

    UserError if it runs on another CPU, or may not run on this one.
    """
    m = k.m
    if not k.may_run_on(m, pid, cpu):
        raise UserError(f"Process {pid} runs only on CPU {m.process[pid * PROCESS + PROCESS_PINNED] - 1}.")
    for other in range(len(m.cpu) // CPU):
        if m.cpu[other * CPU + CPU_PID] == pid and other != cpu:
            raise UserError(f"Process {pid} runs on CPU {other}.")
    old = m.cpu[cpu * CPU + CPU_PID]
    if old == pid:
        return
    leave_queue(k, pid)
    if old:
        k.ready_put(m, old)
    k.switch_to(m, cpu, pid)
