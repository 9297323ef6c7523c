"""An access by the kernel itself, in kernel mode, while a process is on the CPU (Linux: lib/usercopy.c).

It goes through the TLB and the tables as a program's does.  A fault in a region of the process is served as
the process's own would be, unless kernel mode may not touch user pages at all (SMAP, SUM, PAN).  After any
other fault the access is given up and the process goes on: its system call would return EFAULT.
"""

from __future__ import annotations

from vmdbg.engine import writes
from vmdbg.formats.contract import (
    ACCESS_FETCH,
    ALL_RIGHTS,
    WINDOW_LOW,
    WINDOW_WORD,
)
from vmdbg.hardware.mmu import allowed
from vmdbg.hardware.tlb import tlb_suspect
from vmdbg.kernel.address_space import region_find
from vmdbg.kernel.faults import ACCERR, SIGSEGV, handle_fault, signal, trap
from vmdbg.state.tables import (
    CPU,
    CPU_KEYS_READ,
    CPU_KEYS_WRITE,
    CPU_MODE,
    CPU_OTHER_KEYS_READ,
    CPU_OTHER_READ,
    CPU_READ,
    CPU_WINDOW,
    CPU_WINDOW_READ,
    PROCESS,
    PROCESS_WINDOW,
)

CPUS = 1  # bound at build


@writes(rare=True)
def change_window(m, cpu, old, pid):
    """A CPU goes from one process to another, one of which has a window to user pages of its own.

    The window's bit is in what an exception saves and its return restores: RFLAGS (SDM 3A, 6.12.1), PSTATE in
    SPSR_EL1 (Arm ARM, D1.3), sstatus (Linux: arch/riscv/kernel/entry.S, and __switch_to for SUM).
    """
    c = cpu * CPU
    bit = (m.cpu[c + WINDOW_WORD] >> WINDOW_LOW) & 1
    if m.process[old * PROCESS + PROCESS_WINDOW]:
        m.process[old * PROCESS + PROCESS_WINDOW] = 1 + bit
    else:
        m.cpu[c + CPU_WINDOW] = bit
    wanted = m.cpu[c + CPU_WINDOW]
    if m.process[pid * PROCESS + PROCESS_WINDOW]:
        wanted = m.process[pid * PROCESS + PROCESS_WINDOW] - 1
    if wanted == bit:
        return
    m.cpu[c + WINDOW_WORD] ^= 1 << WINDOW_LOW
    kernel = CPU_READ if m.cpu[c + CPU_MODE] else CPU_OTHER_READ
    access = 0
    while access < ACCESS_FETCH:
        here = m.cpu[c + kernel + access]
        m.cpu[c + kernel + access] = m.cpu[c + CPU_WINDOW_READ + access]
        m.cpu[c + CPU_WINDOW_READ + access] = here
        access += 1


@writes(rare=True)
def change_mode(m, cpu):
    """Let a CPU go from user to kernel mode or back: the rights that it allows there are in force."""
    c = cpu * CPU
    m.cpu[c + CPU_MODE] = 1 - m.cpu[c + CPU_MODE]
    access = 0
    while access <= ACCESS_FETCH:
        here = m.cpu[c + CPU_READ + access]
        m.cpu[c + CPU_READ + access] = m.cpu[c + CPU_OTHER_READ + access]
        m.cpu[c + CPU_OTHER_READ + access] = here
        access += 1
    access = 0
    while access <= CPU_KEYS_WRITE - CPU_KEYS_READ:
        here = m.cpu[c + CPU_KEYS_READ + access]
        m.cpu[c + CPU_KEYS_READ + access] = m.cpu[c + CPU_OTHER_KEYS_READ + access]
        m.cpu[c + CPU_OTHER_KEYS_READ + access] = here
        access += 1


@writes(rare=True)
def serve_fault(m, cpu, pid, va, how, by_kernel):
    """Serve the fault in CONTROL_FAULT of an access.  0: repeat it; else a reason."""
    if by_kernel and region_find(m, pid, va) and not allowed(m, cpu, ALL_RIGHTS, how):
        trap(m, cpu, va, how)
        return signal(m, pid, SIGSEGV, ACCERR, va)
    return handle_fault(m, cpu, va, how)


@writes(rare=True)
def suspect_all(m):
    """What the kernel stored may be part of a page table: every CPU compares what it has cached."""
    cpu = 0
    while cpu < CPUS:
        tlb_suspect(m, cpu, -1, 0)
        cpu += 1
