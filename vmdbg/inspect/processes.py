"""What there is: processes, frames, slots, counters, the machine itself.  Rows of plain data."""

from __future__ import annotations

import re

from vmdbg.formats.contract import ENTRY_SWAPPED
from vmdbg.inspect.address_space import measured
from vmdbg.inspect.context import check_cpu, check_process, current_cpu, current_pid
from vmdbg.inspect.counts import accesses as access_count
from vmdbg.inspect.counts import first_misses, lookups, page_faults, per_thousand, straddling
from vmdbg.inspect.counts import instructions as instruction_count
from vmdbg.inspect.notation import Notation, rights_text
from vmdbg.kernel.calls.page_tables import entries
from vmdbg.kernel.calls.processes import badness, live_processes, process_name
from vmdbg.kernel.frames import FRAME_STATES
from vmdbg.kernel.scheduler import PROCESS_IS_FREE, PROCESS_STATES
from vmdbg.machine.check.invariants import check
from vmdbg.state import events
from vmdbg.state.events import EVENTS
from vmdbg.state.tables import (
    CACHE,
    CACHE_FRAME,
    CACHE_SLOT,
    CPU,
    CPU_PID,
    FRAME,
    FRAME_MAPS,
    FRAME_PID,
    FRAME_RMAP,
    FRAME_SLOT,
    FRAME_STATE,
    KERNEL_SLOT_COUNT,
    PROCESS,
    PROCESS_ASID,
    PROCESS_LIMIT,
    PROCESS_MAJOR,
    PROCESS_MINOR,
    PROCESS_OOM,
    PROCESS_PARENT,
    PROCESS_ROOT,
    PROCESS_RSS,
    PROCESS_STATE,
    PROCESS_STATUS,
    PROCESS_SWAPPED,
    PROCESS_TABLES,
    RMAP,
    RMAP_ENTRY,
    RMAP_NEXT,
    RMAP_PID,
    RMAP_VA,
    SLOT,
    SLOT_PID,
    SLOT_REFS,
    SLOT_VA,
)
from vmdbg.units import WORD_MASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.machine.machine import Machine


Row = dict[str, object]


def processes(machine: Machine, ended: bool = False) -> list[dict[str, Any]]:
    """A row for each process; sizes in bytes."""
    m, page = machine.m, machine.format.page_size
    on_cpu = {m.cpu[c + CPU_PID] for c in range(0, len(m.cpu), CPU)}
    found = []
    for pid in range(1, len(m.process) // PROCESS):
        row = pid * PROCESS
        state = m.process[row + PROCESS_STATE]
        if state == PROCESS_IS_FREE or (not ended and PROCESS_STATES[state] == "ended"):
            continue
        found.append(
            {
                "pid": pid,
                "name": process_name(machine.k, pid),
                "state": PROCESS_STATES[state],
                "asid": (m.process[row + PROCESS_ASID] or None) if PROCESS_STATES[state] != "ended" else None,
                "root": m.process[row + PROCESS_ROOT],
                "rss": m.process[row + PROCESS_RSS] * page,
                "swapped": m.process[row + PROCESS_SWAPPED] * page,
                "tables": m.process[row + PROCESS_TABLES] * page,
                "minor_faults": m.process[row + PROCESS_MINOR],
                "major_faults": m.process[row + PROCESS_MAJOR],
                "limit": m.process[row + PROCESS_LIMIT] * page or None,
                "parent": m.process[row + PROCESS_PARENT] or None,
                "status": m.process[row + PROCESS_STATUS] if PROCESS_STATES[state] == "ended" else None,
                "on_cpu": pid in on_cpu,
            }
        )
    return found


def current_process(machine: Machine) -> dict[str, Any] | None:
    """The row of the current process, with its CPU; None without one."""
    pid = current_pid(machine)
    row = next((row for row in processes(machine) if row["pid"] == pid), None)
    return None if row is None else {**row, "cpu": current_cpu(machine)}


def scores(machine: Machine) -> list[dict[str, Any]]:
    """The out-of-memory score of each live process, and what it is the sum of; in frames."""
    columns = {
        "frames": PROCESS_RSS,
        "slots": PROCESS_SWAPPED,
        "table_frames": PROCESS_TABLES,
        "adjustment": PROCESS_OOM,
        "limit": PROCESS_LIMIT,
    }
    return [
        {
            "pid": pid,
            "name": process_name(machine.k, pid),
            **{name: machine.m.process[pid * PROCESS + column] for name, column in columns.items()},
            "score": badness(machine.k, pid),
        }
        for pid in live_processes(machine.k)
    ]


def frame_states(machine: Machine) -> dict[str, int]:
    """How many frames are in each state."""
    states = machine.m.frame[FRAME_STATE::FRAME].tolist()
    return {name: states.count(number) for number, name in enumerate(FRAME_STATES)}


def frames(machine: Machine, first: int = 0, end: int | None = None) -> Iterator[dict[str, Any]]:
    """A row for each frame that is not free, from frame number `first` of the memory on."""
    m, k = machine.m, machine.k
    states = m.frame[FRAME_STATE::FRAME].tolist()
    for frame in range(first, len(states) if end is None else min(end, len(states))):
        if states[frame]:
            row = frame * FRAME
            found = list(mappings(machine, frame))
            yield {
                "pfn": k.frame_address(m, frame) >> machine.format.page_bits,
                "state": FRAME_STATES[states[frame]],
                "pid": (found[0]["pid"] if found else m.frame[row + FRAME_PID]) or None,
                "maps": m.frame[row + FRAME_MAPS],
                "slot": max(0, m.frame[row + FRAME_SLOT]) or None,
                "mappings": found,
            }


def mappings(machine: Machine, frame: int) -> Iterator[dict[str, int]]:
    """The entries that map a frame, by the reverse map."""
    m = machine.m
    row = m.frame[frame * FRAME + FRAME_RMAP]
    seen = 0
    while row and seen <= m.frame[frame * FRAME + FRAME_MAPS]:
        at = row * RMAP
        yield {
            "pid": m.rmap[at + RMAP_PID],
            "va": m.rmap[at + RMAP_VA] & WORD_MASK,
            "entry_address": m.rmap[at + RMAP_ENTRY],
        }
        row = m.rmap[at + RMAP_NEXT]
        seen += 1


def slots(machine: Machine) -> Iterator[dict[str, Any]]:
    """A row for each slot of the swap area that is in use."""
    m = machine.m
    states, user = m.frame[FRAME_STATE::FRAME].tolist(), FRAME_STATES.index("user")
    holders = {
        slot: machine.k.frame_address(m, frame) >> machine.format.page_bits
        for frame, slot in enumerate(m.frame[FRAME_SLOT::FRAME].tolist())
        if slot > 0 and states[frame] == user
    }
    for row in range(0, len(m.cache) - CACHE + 1, CACHE):
        if m.cache[row + CACHE_SLOT] and m.cache[row + CACHE_FRAME]:
            frame = machine.k.frame_address(m, m.cache[row + CACHE_FRAME] - 1)
            holders[m.cache[row + CACHE_SLOT]] = frame >> machine.format.page_bits
    live, heirs = live_processes(machine.k), None
    for slot, refs in enumerate(m.slot[SLOT_REFS::SLOT].tolist()):
        if refs and slot:
            owner = m.slot[slot * SLOT + SLOT_PID], m.slot[slot * SLOT + SLOT_VA]
            if owner[0] not in live:
                heirs = slot_keepers(machine, live) if heirs is None else heirs
                owner = heirs.get(slot, (0, owner[1]))
            yield {
                "slot": slot,
                "pid": owner[0] or None,
                "va": owner[1] & WORD_MASK,
                "refs": refs,
                "pfn": holders.get(slot),
            }


def slot_keepers(machine: Machine, live: list[int]) -> dict[int, tuple[int, int]]:
    """By slot: a live process whose entry keeps it, or maps a frame that has it, and the page's address."""
    m, k = machine.m, machine.k
    found: dict[int, tuple[int, int]] = {}
    for row in range(0, len(m.frame), FRAME):
        first = m.frame[row + FRAME_RMAP] * RMAP
        if m.frame[row + FRAME_SLOT] > 0 and first:
            found[m.frame[row + FRAME_SLOT]] = m.rmap[first + RMAP_PID], m.rmap[first + RMAP_VA]
    for pid in live:
        for entry in entries(k, machine.format, pid):
            if entry.kind == ENTRY_SWAPPED:
                found.setdefault(k.swapped_slot(entry.entry), (pid, entry.va))
    return found


def counters(machine: Machine, pid: int | None = None, cpu: int | None = None) -> list[Row]:
    """A row for each kind of event that happened, to a process that may have ended, on a CPU.

    UserError if there was no such process, or is no such CPU.
    """
    if pid is not None:
        check_process(machine, pid, ended=True)
    if cpu is not None:
        check_cpu(machine, cpu)
    counts = machine.counts(pid, cpu)
    return [
        {"event": event.name, "count": counts[event.name], "help": event.help}
        for event in events.EVENTS
        if event.name in counts
    ]


def rates(machine: Machine, pid: int | None, cpu: int | None = None) -> list[str]:
    """What the counters say together: how often the TLB had what an access looked for at its first try,
    and what missed when it was tried again after a fault.

    A fault that is served leaves no entry of its page in a TLB that a walker fills, so that a second try
    misses; a kernel that fills the TLB itself puts it there, so that it hits.
    """
    counts = machine.counts(pid, cpu)
    accesses = access_count(counts)
    if not accesses:
        return []
    misses = counts.get("tlb-miss", 0)
    faults = page_faults(counts)
    served = f"{faults} page fault" + ("." if faults == 1 else "s.")
    what = "1 access" if accesses == 1 else f"{accesses} accesses"
    missed = f"{misses} TLB miss" + ("" if misses == 1 else "es")
    if machine.config["machine.forget"]:
        return [f"{what}: {missed}, {served}"]  # a forgotten entry is still there at the second try
    tries = lookups(counts)
    first = tries - first_misses(machine, counts)[1]
    lines = [f"{what}: hit at first try {first} of {tries}, {served}"]
    again = misses - (tries - first)
    if again > 0:
        lines.append(f"{missed}: {tries - first} at first tries, {again} at retries.")
    if straddling(counts):
        lines.append(f"{straddling(counts)} of the look-ups are for the second page of an access.")
    instructions = instruction_count(counts)
    if instructions:
        rates = per_thousand(tries - first, instructions), per_thousand(faults, instructions)
        what = "1 instruction" if instructions == 1 else f"{instructions} instructions"
        lines.append(f"{what}: {rates[0]} TLB misses (MPKI) and {rates[1]} page faults for 1000.")
    return lines


def slots_of(machine: Machine, pid: int | None) -> list[dict[str, Any]]:
    """Rows of slots, of all processes or of one."""
    return [row for row in slots(machine) if pid in (None, row["pid"])]


def slot_summary(machine: Machine) -> str:
    """How much of the swap area is in use."""
    total = len(machine.m.slot) // SLOT - 1
    return f"{total - machine.m.kernel[KERNEL_SLOT_COUNT]} of {total} slots in use."


def all_regions(machine: Machine, pid: int | None) -> Iterator[dict[str, Any]]:
    """A row for each region of each process, or of one.  UserError if there is no such process."""
    if pid is not None:
        check_process(machine, pid)
    return regions_of(machine, pid)


def regions_of(machine: Machine, pid: int | None) -> Iterator[dict[str, Any]]:
    """`all_regions`, of a process that is there."""
    for process in processes(machine):
        if pid in (None, process["pid"]):
            for space in measured(machine, process["pid"], process["root"]):
                yield {
                    "pid": process["pid"],
                    "start": space.start & WORD_MASK,
                    "end": space.end & WORD_MASK,
                    "size": space.end - space.start,
                    "rights": rights_text(space.rights),
                    "page_size": space.page_size,
                    "resident": space.resident,
                    "swapped": space.swapped,
                    "kind": space.kind,
                    "backing": space.backing,
                }


def violations(machine: Machine, tlb_only: bool = False) -> list[tuple[str, str]]:
    """What `vmdbg.machine.check.invariants` finds: rule and message, a frame by its number, not by its row.

    `tlb_only`: of the TLBs alone, what their CPUs owe to drop as well.
    """
    m, k, show = machine.m, machine.k, Notation(machine.format)

    def number(match: re.Match[str]) -> str:
        frame = int(match[1])
        if frame >= len(m.frame) // FRAME:
            return match[0]
        return f"pfn {show.pfn(k.frame_address(m, frame) >> machine.format.page_bits)}"

    return [
        (rule, re.sub(r"\bframe (\d+)", number, message))
        for rule, message in check(machine, tlb_only, tlb_only)
    ]


def faults(machine: Machine, pid: int | None) -> list[dict[str, Any]]:
    """A row for each kind of fault that the processes had, those that ended too, with its cost in cycles;
    `signal` counts the accesses that the kernel did not serve."""
    rows = []
    for process in processes(machine, ended=True):
        if pid not in (None, process["pid"]):
            continue
        counts = machine.counts(process["pid"])
        for event in EVENTS:
            if (event.name.startswith("fault-") or event.name == "signal") and event.name in counts:
                each = int(machine.config[f"cost.{event.cost}"]) if event.cost else 0
                count = counts[event.name]
                rows.append(
                    {"pid": process["pid"], "name": process["name"], "fault": event.name, "count": count}
                    | {"cycles": each * count, "help": event.help}
                )
    return rows
