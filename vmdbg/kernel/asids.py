"""Address-space numbers, given one by one and taken back all at once (Linux: arch/arm64/mm/context.c).

A process keeps its number until all numbers are given.  Then a new generation begins: only the processes that
run on a CPU keep their numbers, the TLBs are flushed, and each other process gets a new number when it runs
next.  No process has number 0.
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.hardware.tlb import tlb_flush
from vmdbg.kernel.shootdown import forget_owed, forget_ran, note_ran
from vmdbg.state.events import ASID_ROLLOVER, emit
from vmdbg.state.tables import (
    CPU,
    CPU_PID,
    KERNEL_ASID_COUNT,
    KERNEL_ASIDS,
    KERNEL_GENERATION,
    PROCESS,
    PROCESS_ASID,
)


@reads(cold=True)
def runs_on(m, pid):
    """The CPU on which a process runs; -1 if it does not."""
    cpu = 0
    while cpu * CPU < len(m.cpu):
        if m.cpu[cpu * CPU + CPU_PID] == pid:
            return cpu
        cpu += 1
    return -1


@reads(cold=True)
def next_asid(m):
    """The number to give next: the next one that no process has kept from the last generation."""
    number = m.kernel[KERNEL_ASIDS] + 1
    row = 0
    while row < len(m.process):
        if m.process[row + PROCESS_ASID] == number:
            number += 1
            row = 0
        row += PROCESS
    return number


@writes(cold=True)
def give_asid(m, pid):
    """Give a process an address-space number; where none is left, a new generation begins."""
    number = next_asid(m)
    if number > m.kernel[KERNEL_ASID_COUNT]:
        roll_over(m)
        number = next_asid(m)
    m.kernel[KERNEL_ASIDS] = number
    m.process[pid * PROCESS + PROCESS_ASID] = number


@writes(cold=True)
def roll_over(m):
    """Begin a new generation of address-space numbers."""
    m.kernel[KERNEL_GENERATION] += 1
    emit(m, ASID_ROLLOVER, m.kernel[KERNEL_GENERATION], m.kernel[KERNEL_ASIDS], 0)
    m.kernel[KERNEL_ASIDS] = 0
    pid = 1
    while pid * PROCESS < len(m.process):
        forget_ran(m, pid)
        cpu = runs_on(m, pid)
        if cpu < 0:
            m.process[pid * PROCESS + PROCESS_ASID] = 0
        else:
            note_ran(m, pid, cpu)
        pid += 1
    cpu = 0
    while cpu * CPU < len(m.cpu):
        forget_owed(m, cpu)
        tlb_flush(m, cpu, -1, 1)
        cpu += 1
