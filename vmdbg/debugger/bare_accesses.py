"""Accesses of a machine without a kernel: the MMU translates, and a fault is the end of them.

`Timeline.act` calls these functions, as those of `accesses`.
"""

from __future__ import annotations

from vmdbg.debugger.accesses import Accessed
from vmdbg.formats.contract import ACCESS_FETCH, ACCESS_WRITE, FAULT_BUS, FAULT_REFILL
from vmdbg.inspect.context import find_context
from vmdbg.inspect.notation import Notation
from vmdbg.inspect.translate import outcome_of, translate
from vmdbg.inspect.walk import Fault, walk_tables
from vmdbg.machine.boot import set_allowed
from vmdbg.state.events import BUS_ERROR, FETCH, READ, TRAP, WRITE
from vmdbg.state.tables import CONTROL_FAULT, CONTROL_STEPS, CPU, CPU_ADDRESS, CPU_CODE, CPU_MODE, KERNEL_CPU
from vmdbg.units import WORD_MASK, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.inspect.context import Context
    from vmdbg.machine.machine import Machine

EVENT_OF = {ACCESS_WRITE: WRITE, ACCESS_FETCH: FETCH}


def bare_access(
    machine: Machine, va: int, how: int, width: int = 1, value: int = 0, mode: int | None = None
) -> Accessed:
    """Make an access of the CPU in a mode (None: its own).

    One that crosses into the next page is translated page by page before a byte is moved.  After a fault the
    registers say which it was, as after a trap.
    """
    m = machine.m
    cpu = int(m.kernel[KERNEL_CPU])
    own = int(m.cpu[cpu * CPU + CPU_MODE])
    mode = own if mode is None else mode
    done = Accessed(0, 0)
    put_in_mode(machine, cpu, mode)
    try:
        parts = list(translated(machine, cpu, va, how, width, mode, done))
    finally:
        put_in_mode(machine, cpu, own)
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
    machine: Machine, cpu: int, va: int, how: int, width: int, mode: int, done: Accessed
) -> Iterator[tuple[int, int]]:
    """The physical address and the length of each part of an access; ends at a fault, which `done` gets."""
    k, m, size = machine.k, machine.m, machine.format.page_size
    at, end = va, va + width
    while at < end:
        room = min(end - at, size - at % size)
        context = find_context(machine, cpu=cpu, mode=mode)
        expected = translate(machine, context, at & WORD_MASK, how)
        pa = k.translate(m, cpu, s64(at), how)
        if pa >= 0 and machine.format.bounded and k.translate(m, cpu, s64(at + room - 1), how) < 0:
            at, pa = at + room - 1, -1  # what begins inside ends outside
            expected = translate(machine, context, at & WORD_MASK, how)
        if pa < 0:
            trap(machine, context, at, how, done, expected.fault)
            return
        if k.ram_offset(m, pa, room) < 0:
            k.emit(m, BUS_ERROR, pa, s64(at), 0)
            reason = f"{Notation(machine.format).pa(pa)} lies outside memory"
            done.at, done.fault = s64(at), Fault(FAULT_BUS, reason, 0)
            return
        yield pa, room
        at += room


def trap(machine: Machine, context: Context, va: int, how: int, done: Accessed, fault: Fault | None) -> None:
    """The CPU enters the kernel that is not there: its registers and `done` say why.

    `fault` is what was expected by the TLB and the tables.  A write through an entry that is clean walks, so
    that the tables have the last word; a TLB that software fills asks them only through its handler.
    """
    k, m, row = machine.k, machine.m, context.cpu * CPU
    number = m.control[CONTROL_FAULT]
    code = k.code_of(m, context.cpu, number, how, context.mode, m.control[CONTROL_STEPS] - 1)
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
        k.emit(m, EVENT_OF.get(how, READ), pa, s64(here), s64(value >> shift & mask))
        seen |= (here & mask) << shift
        shift += 8 * length
    done.value = s64(seen)
