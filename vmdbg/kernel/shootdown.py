"""Keeping the TLBs right when an entry changes (Linux: flush_tlb_page)."""

from __future__ import annotations

from vmdbg.hardware.tlb import tlb_drop
from vmdbg.hot import writes
from vmdbg.state.events import SHOOTDOWN, emit
from vmdbg.state.tables import CPU, KERNEL_CPU, PROCESS, PROCESS_ASID

CPUS = 1  # bound at build


@writes
def shoot_down(m, pid, va):
    """Invalidate the page of `va` in a process's space on every CPU; returns how many rows went."""
    asid = m.process[pid * PROCESS + PROCESS_ASID]
    gone = 0
    cpu = 0
    while cpu * CPU < len(m.cpu):
        if CPUS > 1 and cpu != m.kernel[KERNEL_CPU]:
            emit(m, SHOOTDOWN, va, asid, cpu)
        gone += tlb_drop(m, cpu, va, asid)
        cpu += 1
    return gone
