"""Keeping the TLBs right when an entry changes (Linux: flush_tlb_page)."""

from __future__ import annotations

from vmdbg.hardware.tlb import tlb_drop
from vmdbg.hot import writes
from vmdbg.state.tables import CPU, PROCESS, PROCESS_ASID


@writes
def shoot_down(m, pid, va):
    """Invalidate the page of `va` in a process's space on every CPU; returns how many rows went."""
    asid = m.process[pid * PROCESS + PROCESS_ASID]
    gone = 0
    cpu = 0
    while cpu * CPU < len(m.cpu):
        gone += tlb_drop(m, cpu, va, asid)
        cpu += 1
    return gone
