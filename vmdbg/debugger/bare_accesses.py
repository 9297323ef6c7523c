"""Accesses without a kernel, or by machine mode: the MMU translates, and a fault is the end of them.

`Timeline.act` calls these functions, as those of `accesses`.
"""

from __future__ import annotations

from vmdbg.debugger.accesses import Accessed
from vmdbg.formats.contract import ACCESS_FETCH, ACCESS_WRITE, BARE_ROOT, FAULT_BUS, FAULT_REFILL
from vmdbg.inspect.context import find_context, machine_context
from vmdbg.inspect.notation import Notation
from vmdbg.inspect.translate import outcome_of, translate
from vmdbg.inspect.walk import Fault, walk_tables
from vmdbg.kernel.frames import FRAME_IS_USER
from vmdbg.machine.boot import set_allowed
from vmdbg.state.events import BUS_ERROR, FETCH, READ, TRAP, WRITE
from vmdbg.state.tables import (
    CONTROL_FAULT,
    CONTROL_STEPS,
    CPU,
    CPU_ADDRESS,
    CPU_CODE,
    CPU_MODE,
    CPU_ROOT,
    FRAME,
    FRAME_STATE,
    KERNEL_CPU,
)
from vmdbg.units import WORD_MASK, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.inspect.context import Context
    from vmdbg.machine.machine import Machine

EVENT_OF = {ACCESS_WRITE: WRITE, ACCESS_FETCH: FETCH}


def bare_access(
    machine: Machine,
    va: int,
    how: int,
    width: int = 1,
    value: int = 0,
    mode: int | None = None,
    by_machine: bool = False,
) -> Accessed:
    """Make an access of the CPU in a mode (None: its own), or as `by_machine` mode does (RISC-V Privileged,
    3.1.6.3), whether there is a kernel or not.

    One that crosses into the next page is translated page by page before a byte is moved.  After a fault the
    registers say which it was, as after a trap to the kernel; a fault of machine mode is its own.
    """
    m = machine.m
    cpu = int(m.kernel[KERNEL_CPU])
    own, root = int(m.cpu[cpu * CPU + CPU_MODE]), int(m.cpu[cpu * CPU + CPU_ROOT])
    if by_machine:
        context = machine_context(machine, how, cpu=cpu)
    else:
        context = find_context(machine, cpu=cpu, mode=own if mode is None else mode)
    done = Accessed(0, 0)
    done.by_machine = by_machine
    put_in_mode(machine, cpu, context.mode)
    if context.root == BARE_ROOT:
        m.cpu[cpu * CPU + CPU_ROOT] = BARE_ROOT
    try:
        parts = list(translated(machine, context, va, how, width, done))
    finally:
        put_in_mode(machine, cpu, own)
        m.cpu[cpu * CPU + CPU_ROOT] = root
    if done.fault is None:
        move(machine, parts, how, value, done)
    return done


def put_in_mode(machine: Machine, cpu: int, mode: int) -> None:
    """Let a CPU be in user or kernel mode."""
    m, row = machine.m, cpu * CPU + CPU_MODE
    if m.cpu[row] != mode:
        m.cpu[row] = mode
        set_allowed(m, cpu, machine.format)


def translated(
    machine: Machine, context: Context, va: int, how: int, width: int, done: Accessed
) -> Iterator[tuple[int, int]]:
    """The physical address and the length of each part of an access; ends at a fault, which `done` gets."""
    k, m, cpu, size = machine.k, machine.m, context.cpu, machine.format.page_size
    at, end = va, va + width
    while at < end:
        room = min(end - at, size - at % size)
        expected = translate(machine, context, at & WORD_MASK, how)
        bare = context.root == BARE_ROOT
        pa = s64(at) if bare else k.translate(m, cpu, s64(at), how)
        if pa >= 0 and machine.format.bounded and k.translate(m, cpu, s64(at + room - 1), how) < 0:
            at, pa = at + room - 1, -1  # what begins inside ends outside
            expected = translate(machine, context, at & WORD_MASK, how)
        if pa < 0 and not bare:
            trap(machine, context, at, how, done, expected.fault)
            return
        if k.ram_offset(m, pa, room) < 0:
            k.emit(m, BUS_ERROR, pa, s64(at), 0)
            reason = f"{Notation(machine.format).pa(pa & WORD_MASK)} lies outside memory"
            code = k.code_of(m, cpu, FAULT_BUS, how, context.mode, 0) if machine.format.bus_causes else 0
            done.at, done.code, done.fault = s64(at), code, Fault(FAULT_BUS, reason, code)
            return
        yield pa, room
        at += room


def trap(machine: Machine, context: Context, va: int, how: int, done: Accessed, fault: Fault | None) -> None:
    """The CPU enters a kernel that is not there, or machine mode: `done` says why, and its registers if it is
    the kernel.

    `fault` is what was expected by the TLB and the tables.  A write through an entry that is clean walks, so
    that the tables have the last word; a TLB that software fills asks them only through its handler.
    """
    k, m, row = machine.k, machine.m, context.cpu * CPU
    number = m.control[CONTROL_FAULT]
    code = k.code_of(m, context.cpu, number, how, context.mode, m.control[CONTROL_STEPS] - 1)
    if not context.by_machine:
        m.cpu[row + CPU_ADDRESS], m.cpu[row + CPU_CODE] = s64(va), code
        k.emit(m, TRAP, number, code, s64(va))
    if fault is None or fault.number != number:
        walk = walk_tables(machine, context.root, va & WORD_MASK, context.cpu)
        fault = outcome_of(machine, context, walk, how).fault
    if number == FAULT_REFILL or fault is None:
        fault = Fault(number, "the TLB holds no translation, and software fills it", code)
    done.at, done.code, done.fault = s64(va), code, fault


def move(machine: Machine, parts: list[tuple[int, int]], how: int, value: int, done: Accessed) -> None:
    """Move the bytes of an access, and keep what was read or overwritten."""
    k, m, shift, seen = machine.k, machine.m, 0, 0
    for pa, length in parts:
        here = k.load(m, pa, length)
        mask = (1 << 8 * length) - 1
        if how == ACCESS_WRITE:
            k.store(m, pa, length, s64(value >> shift & mask))
            for cpu in range(machine.config["machine.cpus"]):
                k.tlb_suspect(m, cpu, -1, 0)  # the bytes may belong to a page table
        if machine.config["machine.kernel"]:
            frame = k.first_frame(m, k.frame_at(m, pa))
            if m.frame[frame * FRAME + FRAME_STATE] == FRAME_IS_USER:
                k.policy_use(m, frame)
        k.emit(m, EVENT_OF.get(how, READ), pa, s64(here), s64(value >> shift & mask))
        seen |= (here & mask) << shift
        shift += 8 * length
    done.value = s64(seen)
