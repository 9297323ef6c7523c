"""An access by the kernel itself, in kernel mode, while a process is on the CPU (Linux: lib/usercopy.c).

It goes through the TLB and the tables as a program's does.  A fault in a region of the process is served as
the process's own would be, unless kernel mode may not touch user pages at all (SMAP, SUM, PAN).  After any
other fault the access is given up and the process goes on: its system call would return EFAULT.
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.formats.contract import (
    ACCESS_FETCH,
    ACCESS_WRITE,
    ALL_RIGHTS,
    CHUNK_BITS,
    PAGE_BITS,
    SOFTWARE_WALK,
)
from vmdbg.hardware.memory import load_at, ram_offset, store_at
from vmdbg.hardware.mmu import allowed, path_address, tell_straddle, translate
from vmdbg.hardware.tlb import FIRST_DATA, FIRST_FETCH, SECOND, tlb_suspect
from vmdbg.kernel.address_space import region_find
from vmdbg.kernel.faults import ACCERR, MAX_FAULTS, SIGBUS, SIGSEGV, handle_fault, signal, trap
from vmdbg.kernel.frames import FRAME_IS_USER
from vmdbg.kernel.policies import policy_use
from vmdbg.kernel.swap import PAYLOAD
from vmdbg.state.events import BUS_ERROR, FETCH, KERNEL_ACCESS, READ, RETRY, WRITE, emit
from vmdbg.state.tables import (
    CONTROL_VALUE,
    CPU,
    CPU_KEYS_READ,
    CPU_KEYS_WRITE,
    CPU_MODE,
    CPU_OTHER_KEYS_READ,
    CPU_OTHER_READ,
    CPU_READ,
    FRAME,
    FRAME_STATE,
)

CPUS = 1  # bound at build


@writes(cold=True)
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


@writes(cold=True)
def serve_own(m, cpu, pid, va, how):
    """Serve the fault in CONTROL_FAULT of an access by the kernel.  0: repeat it; else a reason."""
    if region_find(m, pid, va) and not allowed(m, cpu, ALL_RIGHTS, how):
        trap(m, cpu, va, how)
        return signal(m, pid, SIGSEGV, ACCERR, va)
    return handle_fault(m, cpu, va, how)


@reads
def holds_page(m, at):
    """Does a page of a program lie at an offset into the memory buffer?"""
    return m.frame[(at >> PAGE_BITS) * FRAME + FRAME_STATE] == FRAME_IS_USER


@writes(cold=True)
def suspect_all(m):
    """What the kernel stored may be part of a page table: every CPU compares what it has cached."""
    cpu = 0
    while cpu < CPUS:
        tlb_suspect(m, cpu, -1, 0)
        cpu += 1


@writes(cold=True)
def kernel_access_page(m, cpu, pid, va, how, width, value):
    """`kernel_access` of bytes that lie in one page, in kernel mode."""
    tries = 0
    while True:
        pa = translate(m, cpu, va, how)
        if pa >= 0:
            break
        tries += 1
        if tries > MAX_FAULTS:
            return signal(m, pid, SIGBUS, 0, va)
        reason = serve_own(m, cpu, pid, va, how)
        if reason:
            return reason
        emit(m, RETRY, va, how, 0)
        if SOFTWARE_WALK and FIRST_DATA < 0 and FIRST_FETCH < 0 and SECOND < 0:
            pa = path_address(m, va)
            break
    at = ram_offset(m, pa, width)
    if at < 0:
        emit(m, BUS_ERROR, pa, va, 0)
        return signal(m, pid, SIGBUS, 0, va)
    if holds_page(m, at):
        policy_use(m, at >> PAGE_BITS)
    seen = 0
    if PAYLOAD:
        seen = load_at(m, at, width)
        m.control[CONTROL_VALUE] = seen
    if how == ACCESS_WRITE:
        if PAYLOAD:
            store_at(m, at, width, value)
        else:
            m.dirty[at >> CHUNK_BITS] = 1
        emit(m, WRITE, pa, seen, value)
        if not holds_page(m, at):
            suspect_all(m)
    elif how == ACCESS_FETCH:
        emit(m, FETCH, pa, seen, 0)
    else:
        emit(m, READ, pa, seen, 0)
    return 0


@writes(cold=True)
def kernel_parts(m, cpu, pid, va, how, width, value):
    """`kernel_access` in kernel mode: one part, or two if it goes on in the next page."""
    room = (1 << PAGE_BITS) - (va & ((1 << PAGE_BITS) - 1))
    if width <= room:
        return kernel_access_page(m, cpu, pid, va, how, width, value)
    reason = kernel_access_page(m, cpu, pid, va, how, room, value)
    if reason:
        return reason
    tell_straddle(m, va, how)
    return kernel_access_page(m, cpu, pid, va + room, how, width - room, value >> ((room << 3) & 63))


@writes(cold=True)
def kernel_access(m, cpu, pid, va, how, width, value):
    """Fetch, read or write `width` bytes, 1 to 8, in kernel mode.  Returns 0 or a reason.

    REASON_REFUSED: the kernel met a fault that it does not serve.
    """
    emit(m, KERNEL_ACCESS, va, how, 0)
    change_mode(m, cpu)
    reason = kernel_parts(m, cpu, pid, va, how, width, value)
    change_mode(m, cpu)
    return reason
