"""What commands do to a machine: accesses, swapping, TLB flushes.  `Timeline.act` calls these functions."""

from __future__ import annotations

from vmdbg.debugger.time.event_log import read_log
from vmdbg.errors import UserError
from vmdbg.formats.contract import ACCESS_READ, ALL_RIGHTS, ENTRY_LEAF, ENTRY_SWAPPED
from vmdbg.hardware.tlb import KEY_ASID, KEY_TAG, WORD_KEYED
from vmdbg.inspect.context import KERNEL, controls
from vmdbg.kernel.access import BY_KERNEL
from vmdbg.kernel.calls.page_tables import entries
from vmdbg.kernel.exits import REASON_MEMORY, REASON_REFUSED
from vmdbg.kernel.frames import FRAME_IS_TABLE, FRAME_IS_USER, RMAP_SPARE
from vmdbg.kernel.scheduler import PROCESS_IS_ENDED
from vmdbg.state.events import FETCH, READ, TLB_FILL, WRITE
from vmdbg.state.tables import (
    ARRAY,
    ARRAY_SPAN,
    CONTROL_VALUE,
    CPU,
    CPU_ADDRESS,
    CPU_ASID,
    CPU_CODE,
    CPU_PID,
    CPU_ROOT,
    FRAME,
    FRAME_PID,
    FRAME_STATE,
    KERNEL_CPU,
    KERNEL_RMAP_COUNT,
    KERNEL_SLOT_COUNT,
    PROCESS,
    PROCESS_LIMIT,
    PROCESS_ROOT,
    PROCESS_RSS,
    PROCESS_STATE,
    REGION,
    REGION_OBJECT,
    REGION_RIGHTS,
    TLB,
    TLB_KEY,
)
from vmdbg.units import WORD_MASK, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.inspect.walk import Fault
    from vmdbg.machine.machine import Machine

SETS = ("read", "write", "fetch")  # columns of a CPU with the rights that an access is allowed on


class Accessed:
    """An access that was tried by the process `pid`, or by the CPU of a machine without a kernel (0).

    `value` is what it read or overwrote, signed.

    Or why there was none.  `killed`: a signal ended the process; `frames`, `tables` and `slots` are how many
    it gave back.  `handled`: its signal handler is about to run.  `failed`: the access was given up, as
    it is at its limit of `limit` frames, or as the kernel does not serve a fault of its own.

    `fault`: without a kernel, or made by machine mode (`by_machine`), it ended in a fault.

    Of the last fault `code` is the error code and `at` the address (signed); `rights` are those of the region
    there; `beyond`: the object that the region maps has no such page; `foreign`: the CPU's root table is not
    the process's.  `barred`: it was the kernel's own access, and kernel mode may not touch user pages so.
    """

    __slots__ = (
        "at", "barred", "beyond", "by_machine", "code", "failed", "fault", "foreign", "frames", "handled",
        "killed", "limit", "pid", "rights", "slots", "tables", "value",
    )  # fmt: skip

    def __init__(self, pid: int, limit: int) -> None:
        self.pid, self.limit = pid, limit
        self.fault: Fault | None = None
        self.value = self.code = self.rights = self.frames = self.tables = self.slots = 0
        self.killed = self.handled = self.failed = self.beyond = self.foreign = self.barred = False
        self.at, self.by_machine = 0, False

    @property
    def refused(self) -> bool:
        """Was there no access, but a signal or no memory, or a fault that nobody serves?"""
        return self.killed or self.handled or self.failed or self.fault is not None


def running_process(machine: Machine) -> tuple[int, int]:
    """The CPU that is next and its process; an idle CPU gets one that waits.  UserError if none does."""
    m = machine.m
    cpu = m.kernel[KERNEL_CPU]
    pid = m.cpu[cpu * CPU + CPU_PID] or machine.k.dispatch(m, cpu)
    if not pid:
        raise UserError("The program is not being run.")
    return cpu, pid


def access(
    machine: Machine, va: int, how: int, width: int = 1, value: int = 0, by_kernel: bool = False
) -> Accessed:
    """Access memory as the current process would, or the kernel itself; the kernel serves faults, or not."""
    cpu, pid = running_process(machine)
    row = pid * PROCESS
    done = Accessed(pid, machine.m.process[row + PROCESS_LIMIT])
    machine.k.serve_owed(machine.m, cpu)
    while True:
        if machine.m.kernel[KERNEL_RMAP_COUNT] < 2 * RMAP_SPARE:
            machine.grow_rmap()
        m = machine.m
        reason = machine.k.access(m, cpu, pid, s64(va), how, width | by_kernel * BY_KERNEL, value)
        if not reason:
            done.value = value_of_parts(machine, va, width)
            return done
        done.frames, done.tables = m.process[row + PROCESS_RSS], tables_of(machine, pid)
        note_fault(machine, cpu, done)
        if by_kernel:
            sets = machine.format.sets(controls(machine, cpu), KERNEL)
            done.barred = not sets[SETS[how]] >> ALL_RIGHTS & 1
        if reason == REASON_REFUSED:
            done.failed = True
            return done
        slots = m.kernel[KERNEL_SLOT_COUNT]
        if machine.cold_work(reason):
            if machine.m.process[row + PROCESS_STATE] != PROCESS_IS_ENDED:
                done.handled = True
                return done
            done.slots = machine.m.kernel[KERNEL_SLOT_COUNT] - slots
            done.killed = True
            return done


def value_of_parts(machine: Machine, va: int, width: int) -> int:
    """What the last access read or overwrote, signed.  Both parts of one that crosses into the next page are
    in the log of the command that made it."""
    m, size = machine.m, machine.format.page_size
    low = size - va % size
    parts = [event for event in read_log(m) if event.kind in (FETCH, READ, WRITE)][-2:]
    if low >= width or len(parts) < 2:
        return int(m.control[CONTROL_VALUE])
    return s64(parts[0].b & ((1 << 8 * low) - 1) | (parts[1].b << 8 * low) & WORD_MASK)


def note_fault(machine: Machine, cpu: int, done: Accessed) -> None:
    """What the last fault of a CPU was, and what the kernel knows of its address."""
    m, k, form, row = machine.m, machine.k, machine.format, cpu * CPU
    done.code, done.at = m.cpu[row + CPU_CODE], m.cpu[row + CPU_ADDRESS]
    region = k.region_find(m, done.pid, done.at)
    done.rights = m.region[region * REGION + REGION_RIGHTS]
    if region and m.region[region * REGION + REGION_OBJECT]:
        done.beyond = k.cache_row(m, region, done.at & -form.page_size) == 0
    own = m.process[done.pid * PROCESS + PROCESS_ROOT]
    done.foreign = not form.bounded and (m.cpu[row + CPU_ROOT] ^ own) & form.root_mask != 0


def tables_of(machine: Machine, pid: int) -> int:
    """The page tables of a process."""
    frame = machine.m.frame
    owners = frame[FRAME_PID::FRAME]
    return sum(
        state == FRAME_IS_TABLE and owners[place] == pid
        for place, state in enumerate(frame[FRAME_STATE::FRAME])
    )


def swap_out(machine: Machine, pid: int, va: int) -> None:
    """Evict the page of `va` of a process."""
    machine.swap_out(pid, s64(va))


def swap_out_pages(machine: Machine, count: int) -> int:
    """Evict `count` pages that the policy chooses.

    Returns how many were evicted; UserError if none could be.
    """
    for done in range(count):
        if machine.k.reclaim(machine.m, 1) == REASON_MEMORY:
            if not done:
                raise UserError("No page can leave memory: swap is full, or nothing is resident.")
            return done
    return count


def swap_out_process(machine: Machine, pid: int) -> int:
    """Evict all pages of a process that can leave.  Returns how many did; UserError if none could."""
    done = 0
    for va in resident_pages(machine, pid):
        frame = machine.find_page(pid, va)
        if frame >= 0 and machine.m.frame[frame * FRAME + FRAME_STATE] == FRAME_IS_USER:
            if machine.k.evict(machine.m, frame) == REASON_MEMORY:
                break
            done += 1
    if not done:
        raise UserError(f"No page of process {pid} can leave memory.")
    return done


def resident_pages(machine: Machine, pid: int) -> list[int]:
    """The addresses of the base pages of a process that are in memory."""
    last = len(machine.format.levels) - 1
    return [
        found.va
        for found in entries(machine.k, machine.format, pid)
        if found.kind == ENTRY_LEAF and found.depth == last
    ]


def swap_in(machine: Machine, pid: int, va: int) -> None:
    """Bring the page of `va` of a process back from swap, as a fault would.  UserError if it is not there."""
    k, m, at = machine.k, machine.m, s64(va)
    if k.walk(m, m.process[pid * PROCESS + PROCESS_ROOT], at) != ENTRY_SWAPPED:
        raise UserError(f"No page of process {pid} at {va:#x} is in swap.")
    region = k.region_find(m, pid, at)
    if not region:
        raise UserError(f"No region of process {pid} holds {va:#x}.")
    if k.page_in(m, pid, region, at, ACCESS_READ):
        raise UserError(f"No frame is free for the page at {va:#x}, or process {pid} may not have one.")


def flush_page(machine: Machine, va: int) -> None:
    """Drop what the CPU's TLB holds for an address in its present space."""
    m = machine.m
    cpu = m.kernel[KERNEL_CPU]
    machine.k.tlb_drop(m, cpu, s64(va), m.cpu[cpu * CPU + CPU_ASID])


def put_translation(
    machine: Machine, array: int, va: int, page_bits: int, word: int, asid: int | None
) -> tuple[int, int]:
    """Put a translation of a page of 2 to the `page_bits` bytes into an array of the CPU's TLB.

    `asid` None: of the present space, 0: of every one.  Its set and way.
    """
    m, k = machine.m, machine.k
    cpu, size = m.kernel[KERNEL_CPU], machine.format.page_shifts.index(page_bits)
    space = m.cpu[cpu * CPU + CPU_ASID] if asid is None else asid
    tag = (va & (1 << machine.format.va_bits) - 1) >> page_bits
    key = tag << KEY_TAG | space << KEY_ASID | size
    if machine.bindings["KEY_MASK"]:
        word |= WORD_KEYED  # with key 0
    at = array * ARRAY
    k.tlb_insert(m, at, cpu, key, word)
    k.emit(m, TLB_FILL, s64(va), key, word)
    k.tlb_suspect(m, cpu, -1, 0)  # its first use compares it with the tables
    base, span = k.array_base(m, at, cpu), m.array[at + ARRAY_SPAN]
    start = k.tlb_set(m, at, cpu, key)
    row = next(row for row in range(start, start + span, TLB) if m.tlb[row + TLB_KEY] == key)
    return (start - base) // span, (row - start) // TLB


def flush(machine: Machine, asid: int | None, everything: bool = False, only_global: bool = False) -> None:
    """Drop the entries of a space (None: the present one) from the CPU's TLB.

    Global entries stay, unless `everything` goes or `only_global` ones do.
    """
    m, k = machine.m, machine.k
    cpu = m.kernel[KERNEL_CPU]
    if not len(m.array) // ARRAY:
        raise UserError("This machine has no TLB.")
    if everything:
        k.tlb_flush(m, cpu, -1, 0)
    elif only_global:
        k.tlb_flush(m, cpu, 0, 0)
    else:
        k.tlb_flush(m, cpu, m.cpu[cpu * CPU + CPU_ASID] if asid is None else asid, 1)
