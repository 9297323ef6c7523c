"""Who runs: one operation at a time, CPUs in turn, processes round robin (Linux: kernel/sched)."""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.formats.contract import (
    ACCESS_WRITE,
    ROOT_LOADED,
    WINDOW,
)
from vmdbg.hardware.tlb import tlb_flush
from vmdbg.hardware.walk import load_root
from vmdbg.kernel.access import BY_KERNEL, access
from vmdbg.kernel.access_patterns import pattern_place
from vmdbg.kernel.asids import give_asid
from vmdbg.kernel.exits import REASON_IDLE, REASON_REFUSED, REASON_SYSCALL
from vmdbg.kernel.frames import RMAP_SPARE
from vmdbg.kernel.kernel_access import change_window
from vmdbg.kernel.reclaim import background
from vmdbg.kernel.shootdown import note_flushed, note_ran, serve_owed
from vmdbg.state.events import KINDS_SHIFT, SWITCH, emit
from vmdbg.state.op_rows import OP_BODY, OP_COUNT, OP_ROUNDS, OP_STEP
from vmdbg.state.tables import (
    CONTROL_COUNTERS,
    CONTROL_GOAL,
    CONTROL_LIMIT,
    CONTROL_STOP,
    CPU,
    CPU_ASID,
    CPU_OWED,
    CPU_PID,
    CPU_QUANTUM,
    CPU_ROOT,
    KERNEL_CPU,
    KERNEL_OPERATIONS,
    KERNEL_QUANTUM,
    KERNEL_READY_FIRST,
    KERNEL_READY_LAST,
    KERNEL_RMAP_COUNT,
    KERNEL_WAKE,
    OP,
    OP_VA,
    OP_VALUE,
    PROCESS,
    PROCESS_ASID,
    PROCESS_CURSOR,
    PROCESS_DEPTH,
    PROCESS_LOOP0,
    PROCESS_NEXT,
    PROCESS_PC,
    PROCESS_PINNED,
    PROCESS_ROOT,
    PROCESS_STATE,
    PROCESS_WINDOW,
)

# States of a process.
PROCESS_IS_FREE, PROCESS_IS_READY, PROCESS_IS_RUNNING, PROCESS_IS_ENDED = 0, 1, 2, 3
PROCESS_IS_IDLE = 4  # is in no queue: it runs only when a command puts it on a CPU
PROCESS_STATES = ("free", "ready", "running", "ended", "idle")

# Kinds of operation, in the low byte of an op row; the first three are the ACCESS_ constants.
OP_READ, OP_WRITE, OP_FETCH, OP_MODIFY = 0, 1, 2, 3
OP_PATTERNED = 4  # flag of a ranged access: two rows behind it describe the pattern of its addresses
OP_LOOP, OP_END, OP_EXIT = 8, 9, 16  # from OP_EXIT on: system calls
OP_KIND, OP_RANGED = 0x7F, 0x80  # mask; flag: count and step follow in the next row
OP_WIDTH = 8  # shift of the access width in bytes, one byte; 0 = a trace, the width plays no role
OP_WIDTHS = 63  # mask of the width and of what is added to it (kernel/access.py)
OP_KERNEL = BY_KERNEL << OP_WIDTH  # flag of an access: it is the kernel's own
OP_LINE = 16  # shift of the line in the program's source

CPUS = 1  # bound at build
ASIDS = 1  # 1: the TLB distinguishes spaces; bound at build


@writes
def ready_put(m, pid):
    """Queue a process that waits for a CPU."""
    m.process[pid * PROCESS + PROCESS_STATE] = PROCESS_IS_READY
    m.process[pid * PROCESS + PROCESS_NEXT] = 0
    last = m.kernel[KERNEL_READY_LAST]
    if last:
        m.process[last * PROCESS + PROCESS_NEXT] = pid
    else:
        m.kernel[KERNEL_READY_FIRST] = pid
    m.kernel[KERNEL_READY_LAST] = pid


@reads
def may_run_on(m, pid, cpu):
    """May a process run on a CPU?"""
    pinned = m.process[pid * PROCESS + PROCESS_PINNED]
    return pinned == 0 or pinned == cpu + 1


@writes
def ready_take(m, cpu):
    """The process that has waited longest of those that may run on a CPU; 0 if none waits."""
    before = 0
    pid = m.kernel[KERNEL_READY_FIRST]
    if CPUS > 1:
        while pid and not may_run_on(m, pid, cpu):
            before = pid
            pid = m.process[pid * PROCESS + PROCESS_NEXT]
    if pid:
        following = m.process[pid * PROCESS + PROCESS_NEXT]
        m.process[pid * PROCESS + PROCESS_NEXT] = 0
        if before:
            m.process[before * PROCESS + PROCESS_NEXT] = following
        else:
            m.kernel[KERNEL_READY_FIRST] = following
        if following == 0:
            m.kernel[KERNEL_READY_LAST] = before
    return pid


@writes(cold=True)
def switch_to(m, cpu, pid):
    """Load a process's root and address-space number into a CPU; pid 0 leaves the CPU idle."""
    c = cpu * CPU
    old = m.cpu[c + CPU_PID]
    root = 0
    asid = 0
    if pid:
        p = pid * PROCESS
        if ASIDS and m.process[p + PROCESS_ASID] == 0:
            give_asid(m, pid)
        root = m.process[p + PROCESS_ROOT]
        asid = m.process[p + PROCESS_ASID]
        m.process[p + PROCESS_STATE] = PROCESS_IS_RUNNING
        note_ran(m, pid, cpu)
    if WINDOW and m.process[old * PROCESS + PROCESS_WINDOW] | m.process[pid * PROCESS + PROCESS_WINDOW]:
        change_window(m, cpu, old, pid)
    m.cpu[c + CPU_PID] = pid
    m.cpu[c + CPU_ROOT] = root
    if ROOT_LOADED:
        load_root(m, cpu)
    m.cpu[c + CPU_ASID] = asid
    m.cpu[c + CPU_QUANTUM] = m.kernel[KERNEL_QUANTUM]
    m.control[CONTROL_COUNTERS] = (pid * CPUS + cpu) << KINDS_SHIFT
    emit(m, SWITCH, old, pid, root)
    if ASIDS == 0 and pid:
        tlb_flush(m, cpu, -1, 1)
        if old:
            note_flushed(m, old, cpu)


@writes(cold=True)
def dispatch(m, cpu):
    """Give a CPU without a process the next one that waits; 0 if none does."""
    pid = ready_take(m, cpu)
    if pid:
        switch_to(m, cpu, pid)
    return pid


@writes
def next_operation(m, p):
    """Execute the starts and ends of loops before the next operation; returns the row of that operation.

    `p` is the offset of the process in its table.
    """
    row = m.process[p + PROCESS_PC]
    kind = m.op[row * OP] & OP_KIND
    while kind == OP_LOOP or kind == OP_END:
        depth = m.process[p + PROCESS_DEPTH]
        if kind == OP_LOOP:
            m.process[p + PROCESS_LOOP0 + depth] = m.op[row * OP + OP_ROUNDS]
            m.process[p + PROCESS_DEPTH] = depth + 1
            row += 1
        else:
            left = m.process[p + PROCESS_LOOP0 + depth - 1] - 1
            m.process[p + PROCESS_LOOP0 + depth - 1] = left
            if left > 0:
                row = m.op[row * OP + OP_BODY]
            else:
                m.process[p + PROCESS_DEPTH] = depth - 1
                row += 1
        kind = m.op[row * OP] & OP_KIND
    m.process[p + PROCESS_PC] = row
    return row


@reads
def range_place(m, p, row, word):
    """The index of the next address of the range at `row`, from 0; `p` is the offset of the process."""
    if word & OP_PATTERNED:
        return pattern_place(m, p, row)
    return m.process[p + PROCESS_CURSOR]


@writes
def operate(m, cpu, pid):
    """Execute the next operation of a process, and move the program counter if it succeeds.

    0 or a reason.
    """
    p = pid * PROCESS
    row = m.process[p + PROCESS_PC]
    word = m.op[row * OP]
    if word & OP_KIND >= OP_LOOP:
        row = next_operation(m, p)
        word = m.op[row * OP]
        if word & OP_KIND >= OP_EXIT:
            return REASON_SYSCALL
    how = word & 3
    va = m.op[row * OP + OP_VA]
    if word & (OP_KIND | OP_RANGED) >= OP_MODIFY:
        if how == OP_MODIFY:
            how = ACCESS_WRITE
        if word & OP_RANGED:
            va += range_place(m, p, row, word) * m.op[row * OP + OP_STEP]
    reason = access(m, cpu, pid, va, how, (word >> OP_WIDTH) & OP_WIDTHS, m.op[row * OP + OP_VALUE])
    if reason and reason != REASON_REFUSED:
        return reason
    if word & OP_RANGED:
        done = m.process[p + PROCESS_CURSOR] + 1
        if done < m.op[row * OP + OP_COUNT]:
            m.process[p + PROCESS_CURSOR] = done
            return 0
        m.process[p + PROCESS_CURSOR] = 0
        row += 2 if word & OP_PATTERNED else 1
    m.process[p + PROCESS_PC] = row + 1
    return 0


@writes
def end_operation(m, cpu):
    """Count an executed operation, and let time pass: quantum, next CPU."""
    left = m.cpu[cpu * CPU + CPU_QUANTUM]
    if left > 0:
        m.cpu[cpu * CPU + CPU_QUANTUM] = left - 1
        if left == 1:
            expire(m, cpu)  # its events belong to the operation that ends
    count_operation(m, cpu)


@writes
def count_operation(m, cpu):
    """Count an executed operation of a process that has left its CPU; the next CPU has its turn."""
    m.kernel[KERNEL_OPERATIONS] += 1
    if CPUS > 1:
        following = cpu + 1
        if following == CPUS:
            following = 0
        m.kernel[KERNEL_CPU] = following


@writes(cold=True)
def expire(m, cpu):
    """The process on a CPU has used its quantum: the next one that waits has its turn."""
    c = cpu * CPU
    pid = m.cpu[c + CPU_PID]
    following = 0
    if pid:
        following = ready_take(m, cpu)
    if following:
        ready_put(m, pid)
        switch_to(m, cpu, following)
    else:
        m.cpu[c + CPU_QUANTUM] = m.kernel[KERNEL_QUANTUM]


@reads
def anyone_runs(m):
    """Is there a CPU with a process?"""
    c = 0
    while c < len(m.cpu):
        if m.cpu[c + CPU_PID]:
            return True
        c += CPU
    return False


@writes(cold=True)
def charge(m):
    """Count events that occur between operations for the CPU that is next and its process."""
    cpu = m.kernel[KERNEL_CPU]
    m.control[CONTROL_COUNTERS] = (m.cpu[cpu * CPU + CPU_PID] * CPUS + cpu) << KINDS_SHIFT


@writes
def run(m):
    """Execute operations until CONTROL_GOAL of them are executed.  Returns 0, or the reason for stopping.

    CONTROL_LIMIT is the same number, or 0: then the inner loop ends after the current operation.  Hot code
    sets 0 when background reclaim is due, which counts as an operation; when a stop row has matched; and when
    the reverse map has few free rows.  In the last two cases `run` returns 0.
    """
    charge(m)
    while True:
        while m.kernel[KERNEL_OPERATIONS] < m.control[CONTROL_LIMIT]:
            cpu = m.kernel[KERNEL_CPU]
            pid = m.cpu[cpu * CPU + CPU_PID]
            if pid == 0:
                pid = dispatch(m, cpu)
                if pid == 0:
                    if m.kernel[KERNEL_READY_FIRST] == 0 and not anyone_runs(m):
                        return REASON_IDLE
                    cpu += 1
                    if cpu == CPUS:
                        cpu = 0
                    m.kernel[KERNEL_CPU] = cpu
                    continue
            if CPUS > 1:
                m.control[CONTROL_COUNTERS] = (pid * CPUS + cpu) << KINDS_SHIFT
                if m.cpu[cpu * CPU + CPU_OWED]:
                    serve_owed(m, cpu)
            reason = operate(m, cpu, pid)
            if reason:
                return reason
            end_operation(m, cpu)
        if m.control[CONTROL_STOP] or m.kernel[KERNEL_OPERATIONS] >= m.control[CONTROL_GOAL]:
            return 0
        if m.kernel[KERNEL_WAKE]:
            charge(m)
            background(m)
            m.kernel[KERNEL_OPERATIONS] += 1
        if m.control[CONTROL_STOP] or m.kernel[KERNEL_RMAP_COUNT] < RMAP_SPARE:
            return 0
        m.control[CONTROL_LIMIT] = m.control[CONTROL_GOAL]
