"""Processes: making, ending and killing them (Linux: kernel/fork.c, kernel/exit.c).  Cold code."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.formats.contract import ALL_RIGHTS, ENTRY_LEAF, ENTRY_SWAPPED, RIGHT_W
from vmdbg.kernel.calls.objects import retain
from vmdbg.kernel.calls.page_tables import (
    drop_space,
    entries,
    make_room_for_tables,
    tables_of,
)
from vmdbg.kernel.calls.partitions import copy_partition, give_partition, take_partition
from vmdbg.kernel.calls.regions import free_region, regions_of
from vmdbg.kernel.faults import CAUSE_MEMORY, CAUSE_POLICY, MOST_FRAMES
from vmdbg.kernel.frames import FRAME_IS_USER
from vmdbg.kernel.scheduler import (
    PROCESS_IS_ENDED,
    PROCESS_IS_FREE,
    PROCESS_IS_IDLE,
    PROCESS_IS_READY,
    PROCESS_IS_RUNNING,
)
from vmdbg.state.events import ENTRY_WRITE, EXIT, FORK, KINDS, OOM, OOM_PAGES, OOM_SCORE
from vmdbg.state.tables import (
    CPU,
    CPU_PID,
    FRAME,
    FRAME_PID,
    FRAME_STATE,
    KERNEL_LIVE,
    KERNEL_PID,
    KERNEL_READY_FIRST,
    KERNEL_READY_LAST,
    KERNEL_REGION_FREE,
    KERNEL_ROOT,
    PROCESS,
    PROCESS_ASID,
    PROCESS_BACK_DEPTH,
    PROCESS_CAUSE,
    PROCESS_DEPTH,
    PROCESS_END,
    PROCESS_LIMIT,
    PROCESS_LOOP0,
    PROCESS_NAME0,
    PROCESS_NAME1,
    PROCESS_NEXT,
    PROCESS_OOM,
    PROCESS_PARENT,
    PROCESS_PC,
    PROCESS_PINNED,
    PROCESS_REGION,
    PROCESS_ROOT,
    PROCESS_RSS,
    PROCESS_STATE,
    PROCESS_STATUS,
    PROCESS_SWAPPED,
    PROCESS_TABLES,
    REGION,
    REGION_NEXT,
    REGION_OBJECT,
    REGION_PID,
    REGION_RIGHTS,
    REGION_SHARE,
    SLOT,
    SLOT_PID,
)
from vmdbg.units import bytes_of, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.engine import Linked
    from vmdbg.formats.record import Format
    from vmdbg.hardware.page_tables import Entry


def spawn(k: Linked, form: Format, name: str, limit: int, asids: bool, parent: int = 0) -> int:
    """A new process with an empty address space, in no queue yet; returns its pid.

    There is a spare row for it.  UserError if there is no frame for its root table, and none can be had.
    """
    if not form.bounded:
        make_room_for_tables(k, k.table_frames(0))
    m, pid = k.m, spare_row(k)
    clear_row(k, pid)
    root = take_partition(k, pid) if form.bounded else take_root(k, form, pid)
    row = pid * PROCESS
    text = bytes_of(name, 16).ljust(16, b"\0")
    for column, value in (
        (PROCESS_STATE, PROCESS_IS_IDLE),
        (PROCESS_ROOT, root),
        (PROCESS_LIMIT, limit),
        (PROCESS_PARENT, parent),
        (PROCESS_NAME0, int.from_bytes(text[:8], "little", signed=True)),
        (PROCESS_NAME1, int.from_bytes(text[8:], "little", signed=True)),
    ):
        m.process[row + column] = value
    if asids:
        k.give_asid(m, pid)
    else:
        m.process[row + PROCESS_ASID] = 1
    m.kernel[KERNEL_LIVE] += 1
    m.kernel[KERNEL_PID] = pid
    return pid


def spare_row(k: Linked) -> int:
    """The pid for a new process: the next one, in a circle, that no live process has; 0 if all are in use."""
    m = k.m
    rows = len(m.process) // PROCESS
    for turn in range(rows):
        pid = (m.kernel[KERNEL_PID] + turn) % rows + 1
        if pid < rows and m.process[pid * PROCESS + PROCESS_STATE] in (PROCESS_IS_FREE, PROCESS_IS_ENDED):
            return pid
    return 0


def clear_row(k: Linked, pid: int) -> None:
    """Clear the row of a process that ended.  Its event counts are added to those of process 0."""
    m, width = k.m, len(k.m.cpu) // CPU * KINDS
    if m.process[pid * PROCESS + PROCESS_STATE] == PROCESS_IS_FREE:
        return
    for index in range(width):
        m.count[index] += m.count[pid * width + index]
        m.count[pid * width + index] = 0
    for row in range(0, len(m.process), PROCESS):
        if m.process[row + PROCESS_PARENT] == pid:
            m.process[row + PROCESS_PARENT] = 0
    for column in range(PROCESS):
        m.process[pid * PROCESS + column] = 0
    for rows, width, owner in ((m.slot, SLOT, SLOT_PID), (m.frame, FRAME, FRAME_PID)):
        for index, held in enumerate(rows[owner::width].tolist()):
            if held == pid:
                rows[index * width + owner] = 0


def take_root(k: Linked, form: Format, pid: int) -> int:
    """A root table that has the kernel half; UserError if there is no frame for it."""
    m = k.m
    root: int = k.table_take(m, pid, 0, 0)
    if root < 0:
        raise UserError("No frame is free for the root table of a process.")
    for index in range(form.user_entries, 1 << form.levels[0].bits):
        at = index * form.entry_bytes
        entry = k.load_entry(m, m.kernel[KERNEL_ROOT] + at)
        if entry:
            k.store_entry(m, root + at, entry)
    return root


def process_name(k: Linked, pid: int) -> str:
    """The name of a process, up to 16 bytes."""
    row = pid * PROCESS
    words = (k.m.process[row + PROCESS_NAME0], k.m.process[row + PROCESS_NAME1])
    text = b"".join(word.to_bytes(8, "little", signed=True) for word in words)
    return text_of(text.rstrip(b"\0"))


def end_process(k: Linked, form: Format, pid: int, status: int) -> None:
    """End a process: its frames, slots and tables go back, its CPU takes the next one."""
    m, row = k.m, pid * PROCESS
    k.emit(m, EXIT, pid, status, m.process[row + PROCESS_RSS])
    drop_space(k, form, pid)
    for region in regions_of(k, pid):
        free_region(k, form, region)
    m.process[row + PROCESS_REGION] = 0
    if form.bounded:
        give_partition(k, pid)
    else:
        k.table_give(m, pid, m.process[row + PROCESS_ROOT], 0)
    leave_queue(k, pid)
    m.process[row + PROCESS_STATE] = PROCESS_IS_ENDED
    m.process[row + PROCESS_STATUS] = status
    m.process[row + PROCESS_ROOT] = 0
    m.process[row + PROCESS_PC] = m.process[row + PROCESS_END]
    m.kernel[KERNEL_LIVE] -= 1
    for cpu in range(len(m.cpu) // CPU):
        if m.cpu[cpu * CPU + CPU_PID] == pid:
            k.switch_to(m, cpu, k.ready_take(m, cpu))
    k.flush_space(m, pid)
    k.forget_ran(m, pid)


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
    """The out-of-memory score: frames resident, swapped and in tables + adjustment (Linux: mm/oom_kill.c)."""
    row = pid * PROCESS
    return int(
        k.m.process[row + PROCESS_RSS]
        + k.m.process[row + PROCESS_SWAPPED]
        + k.m.process[row + PROCESS_TABLES]
        + k.m.process[row + PROCESS_OOM]
    )


def adjust(k: Linked, pid: int, limit: int | None, oom: int | None) -> None:
    """Set the frames that a process may hold (0: no limit), and those added to its out-of-memory score.

    None leaves a number as it is.  UserError if one is out of range.
    """
    for column, value, low in ((PROCESS_LIMIT, limit, 0), (PROCESS_OOM, oom, -MOST_FRAMES)):
        if value is not None:
            if not low <= value <= MOST_FRAMES:
                raise UserError(f"Expected a number of frames from {low} to {MOST_FRAMES}, not {value}.")
            k.m.process[pid * PROCESS + column] = value


def live_processes(k: Linked) -> list[int]:
    """The pids of all processes that have not ended."""
    alive = (PROCESS_IS_READY, PROCESS_IS_RUNNING, PROCESS_IS_IDLE)
    rows = len(k.m.process) // PROCESS
    return [pid for pid in range(1, rows) if k.m.process[pid * PROCESS + PROCESS_STATE] in alive]


def kill_for_memory(k: Linked, form: Format) -> int:
    """No page can leave, or the policy names none: end the process with the highest score.

    Returns its pid, 0 if there is none.
    """
    m, pids = k.m, live_processes(k)
    if not pids:
        return 0
    pids.sort(key=lambda pid: (badness(k, pid), pid), reverse=True)
    for pid in pids:
        row = pid * PROCESS
        k.emit(m, OOM_PAGES, pid, m.process[row + PROCESS_RSS], m.process[row + PROCESS_SWAPPED])
        k.emit(m, OOM_SCORE, pid, m.process[row + PROCESS_TABLES], badness(k, pid))
    victim = pids[0]
    score = badness(k, victim)
    m.process[victim * PROCESS + PROCESS_CAUSE] = CAUSE_POLICY if k.names_no_page(m) else CAUSE_MEMORY
    m.process[victim * PROCESS + PROCESS_OOM] = score
    k.emit(m, OOM, victim, score, 0)
    end_process(k, form, victim, 128 + 9)
    return victim


def fork(k: Linked, form: Format, pid: int, asids: bool, row: int) -> tuple[int, int, int]:
    """Copy a process; private pages become copy-on-write.  The child goes on at program row `row`.

    There is a spare row for it, and in the reverse map one for each page of the parent.  Room for its
    tables is made first.  Returns the child's pid, the base pages shared, and how many of them are
    copy-on-write.  UserError if memory runs out.
    """
    if not form.bounded and not can_protect(k, form):
        raise UserError(f"Entries of {form.name} have no bit that forbids writing: fork cannot share.")
    if not form.bounded:
        make_room_for_tables(k, tables_of(k, form, pid))
    m, parent, last = k.m, pid * PROCESS, k.m.kernel[KERNEL_PID]
    child = spawn(k, form, process_name(k, pid), m.process[parent + PROCESS_LIMIT], asids, pid)
    at = child * PROCESS
    for column in (
        PROCESS_END,
        PROCESS_DEPTH,
        PROCESS_OOM,
        PROCESS_PINNED,
        *range(PROCESS_LOOP0, PROCESS_BACK_DEPTH + 1),
    ):
        m.process[at + column] = m.process[parent + column]
    m.process[at + PROCESS_PC] = row
    copy_regions(k, pid, child)
    shared = cow = 0
    if form.bounded:
        copy_partition(k, form, pid, child)
    try:
        for found in list(entries(k, form, pid)):
            if found.kind == ENTRY_LEAF:
                pages, private = share_leaf(k, form, child, found)
                shared += pages
                cow += pages if private else 0
            elif found.kind == ENTRY_SWAPPED and found.depth == len(form.levels) - 1:
                write_entry(k, form, child, found, found.entry)
                k.slot_retain(m, k.swapped_slot(found.entry))
                m.process[at + PROCESS_SWAPPED] += 1
    except UserError:
        end_process(k, form, child, 0)
        k.flush_space(m, pid)
        m.kernel[KERNEL_PID] = last
        for column in range(PROCESS):
            m.process[at + column] = 0
        raise
    k.flush_space(m, pid)
    k.ready_put(m, child)
    k.emit(m, FORK, pid, child, shared)
    return child, shared, cow


def can_protect(k: Linked, form: Format) -> bool:
    """Can an entry of the format forbid to write?"""
    last = len(form.levels) - 1
    leaf = k.make_leaf(0, ALL_RIGHTS, last)
    return not k.combine(ALL_RIGHTS, k.protected(leaf), ENTRY_LEAF, last) & RIGHT_W


def copy_regions(k: Linked, pid: int, child: int) -> None:
    """Give the child the same regions; there are free rows for them."""
    m, last = k.m, 0
    region = m.process[pid * PROCESS + PROCESS_REGION]
    while region:
        new = m.kernel[KERNEL_REGION_FREE]
        m.kernel[KERNEL_REGION_FREE] = m.region[new * REGION + REGION_NEXT]
        m.region[new * REGION : (new + 1) * REGION] = m.region[region * REGION : (region + 1) * REGION]
        m.region[new * REGION + REGION_PID] = child
        if m.region[new * REGION + REGION_OBJECT]:
            retain(k, m.region[new * REGION + REGION_OBJECT])
        m.region[new * REGION + REGION_NEXT] = 0
        if last:
            m.region[last * REGION + REGION_NEXT] = new
        else:
            m.process[child * PROCESS + PROCESS_REGION] = new
        last, region = new, m.region[region * REGION + REGION_NEXT]


def share_leaf(k: Linked, form: Format, child: int, found: Entry) -> tuple[int, bool]:
    """Let the child map what a leaf of its parent maps; returns base pages and whether they are private.

    A private page that may be written is protected in both until one of them writes.
    """
    m, va, entry = k.m, found.va, found.entry
    frame = k.frame_at(m, found.target)
    if frame < 0 or m.frame[frame * FRAME + FRAME_STATE] != FRAME_IS_USER:
        return 0, False
    region = k.region_find(m, child, va)
    private = bool(region) and not m.region[region * REGION + REGION_SHARE]
    writable = bool(region) and m.region[region * REGION + REGION_RIGHTS] & RIGHT_W != 0
    new = k.protected(entry) if private else entry
    pages = 1 << (form.levels[found.depth].shift - form.page_bits)
    target = write_entry(k, form, child, found, k.aged(new))
    k.rmap_add(m, frame, target, child, va)
    m.process[child * PROCESS + PROCESS_RSS] += pages
    if new != entry:
        k.store_entry(m, found.address, new)
        k.emit(m, ENTRY_WRITE, found.address, entry, new)
    return pages, private and writable


def write_entry(k: Linked, form: Format, pid: int, found: Entry, entry: int) -> int:
    """Write an entry into a process's tables at the address and depth that `found` has in another process.

    Tables that are missing are made.  Returns the physical address of the entry.  UserError if there is no
    frame for a table.
    """
    address: int = k.entry_address(k.m, pid, found.va, found.depth)
    if address < 0:
        raise UserError("No frame is free for the tables of a new process.")
    k.store_entry(k.m, address, entry)
    k.emit(k.m, ENTRY_WRITE, address, 0, entry)
    return address


def put_on_cpu(k: Linked, cpu: int, pid: int) -> None:
    """Make a live process the one that runs on a CPU; who ran there waits behind all others.

    UserError if it runs on another CPU, or may not run on this one.
    """
    m = k.m
    if not k.may_run_on(m, pid, cpu):
        raise UserError(f"Process {pid} runs only on CPU {m.process[pid * PROCESS + PROCESS_PINNED] - 1}.")
    for other in range(len(m.cpu) // CPU):
        if m.cpu[other * CPU + CPU_PID] == pid and other != cpu:
            raise UserError(f"Process {pid} runs on CPU {other}.")
    old = m.cpu[cpu * CPU + CPU_PID]
    if old == pid:
        return
    leave_queue(k, pid)
    if old:
        k.ready_put(m, old)
    k.switch_to(m, cpu, pid)
