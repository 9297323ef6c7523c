"""Keeping the TLBs right when an entry changes (Linux: flush_tlb_page, native_flush_tlb_multi).

A CPU invalidates its own translations at once.  Others are told, if they ran the address space: with
`machine.shootdown` now, they do it at that instant; with lazy, before their next operation, and until
then they owe it.
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.formats.contract import PAGE_BITS, VPN_MASK
from vmdbg.hardware.tlb import ASID_MASK, KEY_ASID, KEY_SIZE, KEY_TAG, tlb_drop, tlb_flush, tlb_suspect
from vmdbg.state.events import SHOOTDOWN, SHOOTDOWN_DONE, emit
from vmdbg.state.tables import (
    CPU,
    CPU_OWED,
    CPU_OWED0,
    CPU_OWED7,
    CPU_PID,
    CPU_SINCE0,
    KERNEL_CPU,
    KERNEL_FORGET,
    KERNEL_LAZY,
    KERNEL_OPERATIONS,
    KERNEL_SHOTS,
    PROCESS,
    PROCESS_ASID,
    PROCESS_RAN0,
    PROCESS_RAN1,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CPUS = 1  # bound at build
ASIDS = 1  # 1: the TLB distinguishes spaces; bound at build
FORGETS = 0  # 1: the kernel forgets one invalidation; bound at build
OWED_ROOM = CPU_OWED7 - CPU_OWED0 + 1
# A request is a TLB key for a base page, or one of these.
OWED_SPACE = 3  # in the bits of the page size: all pages of that space
OWED_ALL = -1  # all pages of all spaces, except global ones


@writes
def note_ran(m, pid, cpu):
    """Note that a CPU may hold translations of a process's space from now on."""
    if CPUS > 1:
        m.process[pid * PROCESS + PROCESS_RAN0 + (cpu >> 5)] |= 1 << (cpu & 31)


@writes
def note_flushed(m, pid, cpu):
    """Note that a CPU holds no translations of a process's space any more."""
    if CPUS > 1:
        m.process[pid * PROCESS + PROCESS_RAN0 + (cpu >> 5)] &= ~(1 << (cpu & 31))


@writes
def forget_ran(m, pid):
    """Note that no CPU holds translations of a process's space any more."""
    m.process[pid * PROCESS + PROCESS_RAN0] = 0
    m.process[pid * PROCESS + PROCESS_RAN1] = 0


@reads
def ran_on(m, pid, cpu):
    """May a CPU hold translations of a process's space?"""
    return (m.process[pid * PROCESS + PROCESS_RAN0 + (cpu >> 5)] >> (cpu & 31)) & 1


@reads
def may_hold(m, pid, cpu):
    """May a CPU's TLB hold translations of a process?

    Without address-space numbers: only while it runs there.
    """
    running = m.cpu[cpu * CPU + CPU_PID]
    return ASIDS != 0 or running == pid or running == 0


@writes(cold=True)
def forgets(m, va, asid):
    """Fault injection: is this the invalidation that the kernel forgets?  Then the entries become suspect."""
    m.kernel[KERNEL_SHOTS] += 1
    if m.kernel[KERNEL_SHOTS] != m.kernel[KERNEL_FORGET]:
        return False
    cpu = 0
    while cpu < CPUS:
        tlb_suspect(m, cpu, va, asid)
        cpu += 1
    return True


@writes
def shoot_down(m, pid, va):
    """Invalidate the page of `va` in a process's space, on every CPU that may hold it."""
    asid = m.process[pid * PROCESS + PROCESS_ASID]
    if asid:
        if FORGETS and forgets(m, va, asid):
            return
        if CPUS > 1:
            tell_others(m, pid, asid, va, ((va >> PAGE_BITS) & VPN_MASK) << KEY_TAG | asid << KEY_ASID)
        if may_hold(m, pid, m.kernel[KERNEL_CPU]):
            tlb_drop(m, m.kernel[KERNEL_CPU], va, asid)


@writes(cold=True)
def flush_space(m, pid):
    """Invalidate all translations of a process, on every CPU that may hold some."""
    asid = m.process[pid * PROCESS + PROCESS_ASID]
    if asid:
        if FORGETS and forgets(m, -1, asid):
            return
        if CPUS > 1:
            tell_others(m, pid, asid, -1, asid << KEY_ASID | OWED_SPACE)
        if may_hold(m, pid, m.kernel[KERNEL_CPU]):
            tlb_flush(m, m.kernel[KERNEL_CPU], asid, 1)


@writes(cold=True)
def tell_others(m, pid, asid, va, request):
    """Send a request to the other CPUs that ran a process's space; `va` -1 stands for all of it."""
    cpu = 0
    while cpu < CPUS:
        if cpu != m.kernel[KERNEL_CPU] and ran_on(m, pid, cpu) and may_hold(m, pid, cpu):
            emit(m, SHOOTDOWN, va, asid, cpu)
            if m.kernel[KERNEL_LAZY]:
                owe(m, cpu, request)
                tlb_suspect(m, cpu, va, asid)
            else:
                serve(m, cpu, request, m.kernel[KERNEL_OPERATIONS])
        cpu += 1


@writes(cold=True)
def owe(m, cpu, request):
    """Queue a request until a CPU's next operation.  A full queue becomes one request to flush everything."""
    c = cpu * CPU
    index = m.cpu[c + CPU_OWED]
    if index == OWED_ROOM:
        while index > 1:
            index -= 1
            m.cpu[c + CPU_OWED0 + index] = 0
            m.cpu[c + CPU_SINCE0 + index] = 0
        m.cpu[c + CPU_OWED0] = OWED_ALL
        m.cpu[c + CPU_OWED] = 1
    elif index == 0 or m.cpu[c + CPU_OWED0] != OWED_ALL:
        m.cpu[c + CPU_OWED0 + index] = request
        m.cpu[c + CPU_SINCE0 + index] = m.kernel[KERNEL_OPERATIONS]
        m.cpu[c + CPU_OWED] = index + 1


@writes(cold=True)
def serve(m, cpu, request, since):
    """Let a CPU execute a request that was sent in operation `since`."""
    asid = (request >> KEY_ASID) & ASID_MASK
    va = (request >> KEY_TAG) << PAGE_BITS
    if request == OWED_ALL:
        asid = -1
        va = -1
        tlb_flush(m, cpu, -1, 1)
    elif request & KEY_SIZE == OWED_SPACE:
        va = -1
        tlb_flush(m, cpu, asid, 1)
    else:
        tlb_drop(m, cpu, va, asid)
    emit(m, SHOOTDOWN_DONE, va, asid, since)


@writes(cold=True)
def serve_owed(m, cpu):
    """Let a CPU execute all requests that wait for it."""
    c = cpu * CPU
    index = 0
    while index < m.cpu[c + CPU_OWED]:
        serve(m, cpu, m.cpu[c + CPU_OWED0 + index], m.cpu[c + CPU_SINCE0 + index])
        index += 1
    forget_owed(m, cpu)


@writes(cold=True)
def forget_owed(m, cpu):
    """Remove all requests that wait for a CPU."""
    c = cpu * CPU
    index = m.cpu[c + CPU_OWED]
    m.cpu[c + CPU_OWED] = 0
    while index > 0:
        index -= 1
        m.cpu[c + CPU_OWED0 + index] = 0
        m.cpu[c + CPU_SINCE0 + index] = 0


def owed_since(m: Any, cpu: int, key: int, shift: int | None) -> int | None:
    """The operation in which a CPU was asked to drop the entry with a TLB key; None if no such request waits.

    `shift`: how many bits the number of the entry's page is shorter than that of a base page; None for an
    entry of a page-walk cache, which any request for its space drops.  Cold code.
    """
    asid, tag = key >> KEY_ASID & ASID_MASK, key >> KEY_TAG
    for index in range(m.cpu[cpu * CPU + CPU_OWED]):
        request = m.cpu[cpu * CPU + CPU_OWED0 + index]
        wanted = request >> KEY_ASID & ASID_MASK
        whole = shift is None or request == OWED_ALL or request & KEY_SIZE == OWED_SPACE
        if (asid if request == OWED_ALL else wanted == asid) and (
            whole or request >> KEY_TAG >> (shift or 0) == tag
        ):
            return int(m.cpu[cpu * CPU + CPU_SINCE0 + index])
    return None
