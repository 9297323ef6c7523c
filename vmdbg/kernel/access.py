"""One access by a process: translate, serve its faults and repeat, then load or store; page by page."""

from __future__ import annotations

from vmdbg.engine import writes
from vmdbg.formats.contract import ACCESS_FETCH, ACCESS_WRITE, CHUNK_BITS, PAGE_BITS, SOFTWARE_WALK
from vmdbg.hardware.memory import load_at, ram_offset, store_at
from vmdbg.hardware.mmu import path_address, tell_straddle, translate
from vmdbg.hardware.tlb import FIRST_DATA, FIRST_FETCH, SECOND
from vmdbg.kernel.faults import MAX_FAULTS, SIGBUS, handle_fault, signal
from vmdbg.kernel.kernel_access import kernel_access
from vmdbg.kernel.policies import policy_use
from vmdbg.kernel.swap import PAYLOAD
from vmdbg.state.events import BUS_ERROR, FETCH, READ, RETRY, WRITE, emit
from vmdbg.state.tables import CONTROL_VALUE

CROSSES = 16  # as a width: an access of a trace that goes on in the next page; its size plays no role
BY_KERNEL = 32  # added to a width: the kernel itself makes the access


@writes
def access_page(m, cpu, pid, va, how, width, value):
    """Fetch, read or write `width` bytes that lie in one page.  Returns 0 or a reason.

    If a fault occurs, it is served and the access repeated.  If the page faults more than MAX_FAULTS times
    (its tables may have been overwritten), the process gets a bus error.
    """
    tries = 0
    while True:
        pa = translate(m, cpu, va, how)
        if pa >= 0:
            break
        tries += 1
        if tries > MAX_FAULTS:
            return signal(m, pid, SIGBUS, 0, va)
        reason = handle_fault(m, cpu, va, how)
        if reason:
            return reason
        emit(m, RETRY, va, how, 0)
        if SOFTWARE_WALK and FIRST_DATA < 0 and FIRST_FETCH < 0 and SECOND < 0:
            pa = path_address(m, va)  # without a TLB nothing keeps what the kernel found: use it now
            break
    at = ram_offset(m, pa, width or 1)
    if at < 0:
        emit(m, BUS_ERROR, pa, va, 0)
        return signal(m, pid, SIGBUS, 0, va)
    policy_use(m, at >> PAGE_BITS)
    seen = 0  # what memory held before the access
    if PAYLOAD:
        seen = load_at(m, at, width)
        m.control[CONTROL_VALUE] = seen
    if how == ACCESS_WRITE:
        if PAYLOAD:
            store_at(m, at, width, value)
        else:
            m.dirty[at >> CHUNK_BITS] = 1
        emit(m, WRITE, pa, seen, value)
    elif how == ACCESS_FETCH:
        emit(m, FETCH, pa, seen, 0)
    else:
        emit(m, READ, pa, seen, 0)
    return 0


@writes(cold=True)
def access_straddling(m, cpu, pid, va, how, width, value):
    """Make an access that goes on in the next page, in two parts, the lower one first; 0 or a reason.

    Each part is translated and emits its own event of an access; between them `tell_straddle` emits one for
    both.  The kernel's own accesses come this way too, so that programs' need not be asked whether they are.
    """
    if width >= BY_KERNEL:
        return kernel_access(m, cpu, pid, va, how, width & 15 or 1, value)
    rest = (va | ((1 << PAGE_BITS) - 1)) + 1
    part = 0 if width == CROSSES else rest - va
    reason = access_page(m, cpu, pid, va, how, part, value)
    if reason:
        return reason
    tell_straddle(m, va, how)
    left = 0 if width == CROSSES else width - part
    return access_page(m, cpu, pid, rest, how, left, value >> ((part << 3) & 63))


@writes
def access(m, cpu, pid, va, how, width, value):
    """Fetch, read or write `width` bytes, or CROSSES; or BY_KERNEL.  Returns 0 or a reason."""
    if width > 1 and (width >= CROSSES or (va & ((1 << PAGE_BITS) - 1)) + width > (1 << PAGE_BITS)):
        return access_straddling(m, cpu, pid, va, how, width, value)
    return access_page(m, cpu, pid, va, how, width, value)
