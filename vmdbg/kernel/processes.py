"""Processes: making, ending and killing them (Linux: kernel/fork.c, kernel/exit.c).  Cold code."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.formats.contract import ENTRY_LEAF, ENTRY_SWAPPED, ENTRY_TABLE
from vmdbg.kernel.regions import drop_entry, entries, remove_region, signed
from vmdbg.kernel.scheduler import PROCESS_IS_ENDED, PROCESS_IS_FREE, PROCESS_IS_READY, PROCESS_IS_RUNNING
from vmdbg.state.events import EXIT, OOM
from vmdbg.state.tables import (
    CPU,
    CPU_PID,
    KERNEL_LIVE,
    KERNEL_READY_FIRST,
    KERNEL_READY_LAST,
    PROCESS,
    PROCESS_ASID,
    PROCESS_END,
    PROCESS_LIMIT,
    PROCESS_NAME0,
    PROCESS_NAME1,
    PROCESS_NEXT,
    PROCESS_PARENT,
    PROCESS_PC,
    PROCESS_REGION,
    PROCESS_ROOT,
    PROCESS_RSS,
    PROCESS_STATE,
    PROCESS_STATUS,
    PROCESS_SWAPPED,
    PROCESS_TABLES,
    REGION,
    REGION_START,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.formats.record import Format
    from vmdbg.hot import Linked


def spawn(k: Linked, name: str, limit: int, asids: bool, parent: int = 0) -> int:
    """A new process with an empty address space, in no queue yet; returns its pid.

    UserError if the table of processes is full or there is no frame for its root table.
    """
    m = k.m
    rows = len(m.process) // PROCESS
    pid = next((p for p in range(1, rows) if m.process[p * PROCESS + PROCESS_STATE] == PROCESS_IS_FREE), 0)
    if not pid:
        raise UserError(f"No free process ({rows - 1} of {rows - 1} in use).")
    root = k.table_take(m, pid, 0, 0)
    if root < 0:
        raise UserError("No frame is free for the root table of a process.")
    row = pid * PROCESS
    text = name.encode()[:16].ljust(16, b"\0")
    for column, value in (
        (PROCESS_STATE, PROCESS_IS_READY),
        (PROCESS_ASID, pid if asids else 1),
        (PROCESS_ROOT, root),
        (PROCESS_LIMIT, limit),
        (PROCESS_PARENT, parent),
        (PROCESS_NAME0, int.from_bytes(text[:8], "little", signed=True)),
        (PROCESS_NAME1, int.from_bytes(text[8:], "little", signed=True)),
    ):
        m.process[row + column] = value
    m.kernel[KERNEL_LIVE] += 1
    return pid


def process_name(k: Linked, pid: int) -> str:
    """The name of a process, up to 16 bytes."""
    row = pid * PROCESS
    words = (k.m.process[row + PROCESS_NAME0], k.m.process[row + PROCESS_NAME1])
    text = b"".join(word.to_bytes(8, "little", signed=True) for word in words)
    return text.rstrip(b"\0").decode("utf-8", "replace")


def end_process(k: Linked, form: Format, pid: int, status: int) -> None:
    """End a process: its frames, slots and tables go back, its CPU takes the next one."""
    m, row = k.m, pid * PROCESS
    k.emit(m, EXIT, pid, status, m.process[row + PROCESS_RSS])
    while m.process[row + PROCESS_REGION]:
        remove_region(k, form, pid, m.region[m.process[row + PROCESS_REGION] * REGION + REGION_START])
    root = m.process[row + PROCESS_ROOT]
    for va, depth, address, entry, kind in list(entries(k, form, root)):
        if kind in (ENTRY_LEAF, ENTRY_SWAPPED):
            drop_entry(k, form, pid, signed(form, va), depth, address, entry, kind)
        elif kind == ENTRY_TABLE:
            k.table_give(m, pid, k.next_table(entry), depth + 1)
    k.table_give(m, pid, root, 0)
    leave_queue(k, pid)
    m.process[row + PROCESS_STATE] = PROCESS_IS_ENDED
    m.process[row + PROCESS_STATUS] = status
    m.process[row + PROCESS_ROOT] = 0
    m.process[row + PROCESS_PC] = m.process[row + PROCESS_END]
    m.kernel[KERNEL_LIVE] -= 1
    for cpu in range(len(m.cpu) // CPU):
        if m.cpu[cpu * CPU + CPU_PID] == pid:
            k.switch_to(m, cpu, k.ready_take(m))
        k.tlb_flush(m, cpu, m.process[row + PROCESS_ASID], 1)


def leave_queue(k: Linked, pid: int) -> None:
    """Take a process out of the queue of those that wait for a CPU."""
    m, before, current = k.m, 0, k.m.kernel[KERNEL_READY_FIRST]
    while current and current != pid:
        before, current = current, m.process[current * PROCESS + PROCESS_NEXT]
    if not current:
        return
    following = m.process[pid * PROCESS + PROCESS_NEXT]
    m.process[pid * PROCESS + PROCESS_NEXT] = 0
    if before:
        m.process[before * PROCESS + PROCESS_NEXT] = following
    else:
        m.kernel[KERNEL_READY_FIRST] = following
    if not following:
        m.kernel[KERNEL_READY_LAST] = before


def badness(k: Linked, pid: int) -> int:
    """The out-of-memory score: resident + swapped + table frames (Linux: mm/oom_kill.c)."""
    row = pid * PROCESS
    return int(
        k.m.process[row + PROCESS_RSS]
        + k.m.process[row + PROCESS_SWAPPED]
        + k.m.process[row + PROCESS_TABLES]
    )


def live_processes(k: Linked) -> list[int]:
    """The pids of all processes that have not ended."""
    alive = (PROCESS_IS_READY, PROCESS_IS_RUNNING)
    rows = len(k.m.process) // PROCESS
    return [pid for pid in range(1, rows) if k.m.process[pid * PROCESS + PROCESS_STATE] in alive]


def kill_for_memory(k: Linked, form: Format) -> int:
    """Memory and swap are full: end the process with the highest score; returns its pid, 0 if none."""
    pids = live_processes(k)
    if not pids:
        return 0
    victim = max(pids, key=lambda pid: (badness(k, pid), pid))
    k.emit(k.m, OOM, victim, badness(k, victim), 0)
    end_process(k, form, victim, 128 + 9)
    return victim
