"""Invariants of processes and CPUs: what is counted for each, who runs, who waits (part of `check`)."""

from __future__ import annotations

from collections import Counter

from vmdbg.formats.contract import ROOT_ENTRIES
from vmdbg.hardware.tlb import ASID_MASK, KEY_ASID
from vmdbg.kernel.calls.processes import live_processes
from vmdbg.kernel.scheduler import PROCESS_IS_READY, PROCESS_IS_RUNNING, PROCESS_STATES
from vmdbg.machine.boot import COLUMNS
from vmdbg.machine.check.survey import Survey, chain, column
from vmdbg.state.tables import (
    CONTROLS,
    CPU,
    CPU_ASID,
    CPU_ENTRY0,
    CPU_LOADED,
    CPU_MODE,
    CPU_PID,
    CPU_QUANTUM,
    CPU_ROOT,
    KERNEL_CPU,
    KERNEL_LIVE,
    KERNEL_QUANTUM,
    KERNEL_READY_FIRST,
    KERNEL_READY_LAST,
    PROCESS,
    PROCESS_ASID,
    PROCESS_NEXT,
    PROCESS_REGION,
    PROCESS_ROOT,
    PROCESS_RSS,
    PROCESS_STATE,
    PROCESS_SWAPPED,
    PROCESS_TABLES,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def check_processes(s: Survey) -> Iterator[str]:
    """The counters of each process agree with its page tables."""
    m = s.m
    rss, swapped = Counter(), Counter(pid for pid, _, _ in s.swapped.values())  # type: Counter[int], Counter[int]
    for leaf in s.leaves.values():
        rss[leaf.pid] += s.frames_of_size(leaf.size)
    live = set(live_processes(s.k))
    for pid in range(1, len(m.process) // PROCESS):
        row = pid * PROCESS
        for name, at, counted in (
            ("resident frames", PROCESS_RSS, rss[pid]),
            ("swapped pages", PROCESS_SWAPPED, swapped[pid]),
            ("frames of tables", PROCESS_TABLES, s.table_frames[pid]),
        ):
            if m.process[row + at] != counted:
                yield f"process {pid}: {m.process[row + at]} {name} are counted, {counted} exist"
        if pid not in live:
            for name, at in (("a root table", PROCESS_ROOT), ("a region", PROCESS_REGION)):
                if m.process[row + at]:
                    yield f"process {pid} does not live, but has {name}"
    numbers = Counter(m.process[pid * PROCESS + PROCESS_ASID] for pid in live)
    for number in {number for number, count in numbers.items() if number and count > 1}:
        if s.machine.config["tlb.asids"]:
            yield f"{numbers[number]} processes have address-space number {number}"
    if m.kernel[KERNEL_LIVE] != len(live):
        yield f"{len(live)} processes live, {m.kernel[KERNEL_LIVE]} are counted"


def check_scheduler(s: Survey) -> Iterator[str]:
    """Each process that lives runs on one CPU or waits in the queue, once."""
    m = s.m
    waiting, wrong = chain(m.process, PROCESS, PROCESS_NEXT, m.kernel[KERNEL_READY_FIRST], 0)
    if wrong:
        yield f"the processes that wait: the list {wrong}"
    if m.kernel[KERNEL_READY_LAST] != (waiting[-1] if waiting else 0):
        yield f"the queue ends at process {m.kernel[KERNEL_READY_LAST]}, which is not its last one"
    running = Counter(pid for pid in column(m.cpu, CPU, CPU_PID) if pid)
    queued = Counter(waiting)
    for pid in range(1, len(m.process) // PROCESS):
        state = m.process[pid * PROCESS + PROCESS_STATE]
        if running[pid] != (state == PROCESS_IS_RUNNING):
            yield f"process {pid} is {name_of(PROCESS_STATES, state)} and on {running[pid]} CPUs"
        if queued[pid] != (state == PROCESS_IS_READY):
            how = "" if queued[pid] else "not "
            yield f"process {pid} is {name_of(PROCESS_STATES, state)}, {how}waiting"


def check_cpus(s: Survey) -> Iterator[str]:
    """The registers of each CPU are those of its process."""
    m = s.m
    if not 0 <= m.kernel[KERNEL_CPU] < len(m.cpu) // CPU:
        yield f"CPU {m.kernel[KERNEL_CPU]} is next, which there is not"
    for cpu in range(len(m.cpu) // CPU):
        row = cpu * CPU
        pid = m.cpu[row + CPU_PID]
        if not 0 <= pid < len(m.process) // PROCESS:
            yield f"CPU {cpu} runs process {pid}, which there is not"
            continue
        if pid:
            if not s.k.may_run_on(m, pid, cpu):
                yield f"CPU {cpu} runs process {pid}, which is bound to another one"
            for name, at, other in (("root", CPU_ROOT, PROCESS_ROOT), ("ASID", CPU_ASID, PROCESS_ASID)):
                mask = s.form.root_mask if name == "root" and not s.form.bounded else -1
                if (m.cpu[row + at] ^ m.process[pid * PROCESS + other]) & mask:
                    yield f"CPU {cpu}: its {name} is not that of process {pid}"
        elif m.cpu[row + CPU_ROOT] or m.cpu[row + CPU_ASID]:
            yield f"CPU {cpu} is idle, but has a root or an ASID"
        if not 0 <= m.cpu[row + CPU_QUANTUM] <= m.kernel[KERNEL_QUANTUM]:
            yield f"CPU {cpu}: {m.cpu[row + CPU_QUANTUM]} of {m.kernel[KERNEL_QUANTUM]} operations are left"
        if m.cpu[row + CPU_LOADED] and pid:
            yield from loaded_entries(s, cpu)
        control = [m.cpu[row + column] for column in CONTROLS]
        for name, wanted in s.form.derived(control, m.cpu[row + CPU_MODE]).items():
            held = m.cpu[row + COLUMNS[name]]
            if held != wanted:
                yield f"CPU {cpu}: {name} is {held:#x}, its control registers say {wanted:#x}"


def loaded_entries(s: Survey, cpu: int) -> Iterator[str]:
    """The entries of its root table that a CPU has loaded are those in memory."""
    m, row, table = s.m, cpu * CPU, s.m.cpu[cpu * CPU + CPU_LOADED] - 1
    for index in range(ROOT_ENTRIES):
        if m.cpu[row + CPU_ENTRY0 + index] != s.k.load_entry(m, table + index * s.form.entry_bytes):
            yield f"CPU {cpu}: entry {index} of its root table changed since it was loaded"


def check_told(s: Survey) -> Iterator[str]:
    """The kernel knows each CPU that holds translations of a process, so that it can invalidate them."""
    m = s.m
    if len(m.cpu) == CPU or not s.machine.config["tlb.asids"]:
        return
    spaces = {m.process[pid * PROCESS + PROCESS_ASID]: pid for pid in live_processes(s.k)}
    found = {(spaces.get(key >> KEY_ASID & ASID_MASK, 0), cpu) for cpu, _, _, key, _ in s.cached()}
    for pid, cpu in sorted(found):
        if pid and not s.k.ran_on(m, pid, cpu):
            yield f"CPU {cpu} holds translations of process {pid}, but is not said to have run it"


def name_of(names: tuple[str, ...], number: int) -> str:
    """The name of a state, or its number if it is none."""
    return names[number] if 0 <= number < len(names) else f"in state {number}"
