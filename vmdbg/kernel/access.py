"""One access by a process: translate, serve its faults and repeat, then load or store; page by page."""

from __future__ import annotations

from vmdbg.engine import writes
from vmdbg.formats.contract import ACCESS_FETCH, ACCESS_WRITE, CHUNK_BITS, PAGE_BITS, SOFTWARE_WALK
from vmdbg.hardware.memory import load_at, ram_offset, store_at
from vmdbg.hardware.mmu import path_address, tell_straddle, translate
from vmdbg.hardware.tlb import FIRST_DATA, FIRST_FETCH, SECOND
from vmdbg.kernel.faults import MAX_FAULTS, SIGBUS, handle_fault, signal
from vmdbg.kernel.frames import FRAME_IS_USER, first_frame
from vmdbg.kernel.kernel_access import change_mode, serve_fault, suspect_all
from vmdbg.kernel.policies import policy_use
from vmdbg.kernel.swap import PAYLOAD
from vmdbg.state.events import BUS_ERROR, FETCH, KERNEL_ACCESS, READ, RETRY, WRITE, emit
from vmdbg.state.tables import CONTROL_VALUE, FRAME, FRAME_STATE

CROSSES = 16  # as a width: an access of a trace that goes on in the next page; its size plays no role
BY_KERNEL = 32  # added to a width: the kernel itself makes the access


@writes
def transfer(m, at, pa, how, width, value):
    """Load or store at an offset of the memory buffer, and tell it as the access to `pa` that it is."""
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
    policy_use(m, first_frame(m, at >> PAGE_BITS))
    transfer(m, at, pa, how, width, value)
    return 0


@writes(rare=True)
def rare_access_page(m, cpu, pid, va, how, width, value, by_kernel):
    """`access_page` for what is rare: a part of an access that straddles two pages, an access by the kernel.

    It is a function apart, so that what follows a miss of the TLB is not compiled once for each of them.
    """
    tries = 0
    while True:
        pa = translate(m, cpu, va, how)
        if pa >= 0:
            break
        tries += 1
        if tries > MAX_FAULTS:
            return signal(m, pid, SIGBUS, 0, va)
        reason = serve_fault(m, cpu, pid, va, how, by_kernel)
        if reason:
            return reason
        emit(m, RETRY, va, how, 0)
        if SOFTWARE_WALK and FIRST_DATA < 0 and FIRST_FETCH < 0 and SECOND < 0:
            pa = path_address(m, va)
            break
    at = ram_offset(m, pa, width or 1)
    if at < 0:
        emit(m, BUS_ERROR, pa, va, 0)
        return signal(m, pid, SIGBUS, 0, va)
    frame = first_frame(m, at >> PAGE_BITS)
    of_program = m.frame[frame * FRAME + FRAME_STATE] == FRAME_IS_USER
    if of_program or by_kernel == 0:
        policy_use(m, frame)
    transfer(m, at, pa, how, width, value)
    if by_kernel and not of_program and how == ACCESS_WRITE:
        suspect_all(m)
    return 0


@writes(rare=True)
def access_in_parts(m, cpu, pid, va, how, width, value, by_kernel):
    """Make an access in two parts if it goes on in the next page, the lower one first; 0 or a reason.

    Each part is translated and emits its own event of an access; between them `tell_straddle` emits one for
    both.
    """
    rest = (va | ((1 << PAGE_BITS) - 1)) + 1
    part = width
    if width == CROSSES:
        part = 0
    elif width > rest - va:
        part = rest - va
    reason = rare_access_page(m, cpu, pid, va, how, part, value, by_kernel)
    if reason or part == width:
        return reason
    tell_straddle(m, va, how)
    left = 0 if width == CROSSES else width - part
    return rare_access_page(m, cpu, pid, rest, how, left, value >> ((part << 3) & 63), by_kernel)


@writes(rare=True)
def kernel_access(m, cpu, pid, va, how, width, value):
    """Fetch, read or write `width` bytes, 1 to 8, in kernel mode.  Returns 0 or a reason.

    REASON_REFUSED: the kernel met a fault that it does not serve.
    """
    change_mode(m, cpu)
    emit(m, KERNEL_ACCESS, va, how, 0)
    reason = access_in_parts(m, cpu, pid, va, how, width, value, 1)
    change_mode(m, cpu)
    return reason


@writes
def access(m, cpu, pid, va, how, width, value):
    """Fetch, read or write `width` bytes, or CROSSES; or BY_KERNEL.  Returns 0 or a reason."""
    if width > 1 and (width >= CROSSES or (va & ((1 << PAGE_BITS) - 1)) + width > (1 << PAGE_BITS)):
        if width >= BY_KERNEL:
            return kernel_access(m, cpu, pid, va, how, width & 15 or 1, value)
        return access_in_parts(m, cpu, pid, va, how, width, value, 0)
    return access_page(m, cpu, pid, va, how, width, value)
