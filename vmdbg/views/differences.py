"""What two states of a machine differ in, in the words of memory: entries, frames, TLB, swap, processes."""

from __future__ import annotations

from vmdbg.formats.contract import ENTRY_LEAF, ENTRY_SWAPPED, RIGHT_W
from vmdbg.hardware.tlb import ASID_MASK, KEY_ASID, KEY_SIZE, KEY_TAG, WORD_DIRTY, WORD_PFN, WORD_RIGHTS
from vmdbg.kernel.frames import FRAME_IS_FREE, FRAME_STATES
from vmdbg.kernel.processes import live_processes, process_name
from vmdbg.kernel.scheduler import PROCESS_STATES
from vmdbg.state.tables import (
    ARRAY,
    ARRAY_BASE,
    ARRAY_MASK,
    ARRAY_SPAN,
    ARRAY_STRIDE,
    CPU,
    CPU_PID,
    CPU_ROOT,
    FRAME,
    FRAME_MAPS,
    FRAME_PID,
    FRAME_STATE,
    PROCESS,
    PROCESS_ASID,
    PROCESS_MAJOR,
    PROCESS_MINOR,
    PROCESS_ROOT,
    PROCESS_RSS,
    PROCESS_STATE,
    PROCESS_SWAPPED,
    PROCESS_TABLES,
    REGION,
    REGION_RIGHTS,
    SLOT,
    SLOT_PID,
    SLOT_REFS,
    SLOT_VA,
    TLB,
    TLB_KEY,
    TLB_WORD,
)
from vmdbg.targets.mapping import entries
from vmdbg.targets.notation import rights_text
from vmdbg.units import format_size, s64
from vmdbg.views.result import Column, Table
from vmdbg.views.teller import Teller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.machine.machine import Machine

    Facts = dict[tuple[str, str], str]

COUNTERS = (
    ("rss", PROCESS_RSS),
    ("swapped", PROCESS_SWAPPED),
    ("tables", PROCESS_TABLES),
    ("minor", PROCESS_MINOR),
    ("major", PROCESS_MAJOR),
)


def facts(machine: Machine, pid: int | None = None) -> Facts:
    """What there is to say about a state: (sort, name) -> words.

    Of one process, if `pid` names it: then no name has a process in it, so that two can be compared.
    """
    teller = Teller(machine)
    found: Facts = {}
    for source in (process_facts, entry_facts, frame_facts, slot_facts, tlb_facts, cpu_facts):
        found.update(source(teller, pid))
    return found


def chosen(teller: Teller, pid: int | None) -> Iterator[tuple[int, str]]:
    """Number and name, to be put before what is said, of all processes or of one."""
    m = teller.machine.m
    for number in range(1, len(m.process) // PROCESS) if pid is None else (pid,):
        if m.process[number * PROCESS + PROCESS_STATE]:
            owner = f"{number} ({process_name(teller.machine.k, number)}): " if pid is None else ""
            yield number, owner


def process_facts(teller: Teller, pid: int | None) -> Iterator[tuple[tuple[str, str], str]]:
    """States and counts of the processes that there are."""
    m = teller.machine.m
    for number, owner in chosen(teller, pid):
        row = number * PROCESS
        yield ("process", f"{owner}state"), PROCESS_STATES[m.process[row + PROCESS_STATE]]
        for label, column in COUNTERS:
            yield ("process", owner + label), str(m.process[row + column])


def entry_facts(teller: Teller, pid: int | None) -> Iterator[tuple[tuple[str, str], str]]:
    """Every entry of a process that maps a page or keeps a slot."""
    machine, form = teller.machine, teller.machine.format
    alive = () if form.bounded else live_processes(machine.k)
    end = form.user_entries << form.levels[0].shift if alive else 0
    for number, owner in chosen(teller, pid):
        if number not in alive:
            continue
        root = machine.m.process[number * PROCESS + PROCESS_ROOT]
        for va, depth, _, entry, kind, rights in entries(machine, root, end=end):
            if kind not in (ENTRY_LEAF, ENTRY_SWAPPED):
                continue
            said = teller.entry_text(entry, depth)
            if kind == ENTRY_LEAF:
                pfn = teller.show.pfn(machine.k.leaf_frame(entry, depth) >> form.page_bits)
                said = f"pfn {pfn}, {rights_text(rights)}, {said}{armed(machine, number, va, rights)}"
            yield ("entry", owner + teller.show.va(va)), said


def armed(machine: Machine, pid: int, va: int, rights: int) -> str:
    """Whether a write to a page that is not writable will give the writer a copy."""
    region = machine.k.region_find(machine.m, pid, s64(va))
    if not region or rights & RIGHT_W or not machine.m.region[region * REGION + REGION_RIGHTS] & RIGHT_W:
        return ""
    return ", copy-on-write"


def frame_facts(teller: Teller, pid: int | None) -> Iterator[tuple[tuple[str, str], str]]:
    """Every frame that is not free, or that belongs to the process."""
    machine, m = teller.machine, teller.machine.m
    states, maps = m.frame[FRAME_STATE::FRAME], m.frame[FRAME_MAPS::FRAME]
    owners = m.frame[FRAME_PID::FRAME]
    for frame, state in enumerate(states):
        if state != FRAME_IS_FREE and pid in (None, owners[frame]):
            pfn = machine.k.frame_address(m, frame) >> machine.format.page_bits
            owner = f" of {owners[frame]}" if owners[frame] and pid is None else ""
            mapped = f", {maps[frame]} maps" if maps[frame] > 1 else ""
            yield ("frame", f"pfn {teller.show.pfn(pfn)}"), FRAME_STATES[state] + owner + mapped


def slot_facts(teller: Teller, pid: int | None) -> Iterator[tuple[tuple[str, str], str]]:
    """Every slot of the swap area that is in use."""
    m = teller.machine.m
    for slot, references in enumerate(m.slot[SLOT_REFS::SLOT]):
        row = slot * SLOT
        if references and pid in (None, m.slot[row + SLOT_PID]):
            page = f"vpn {teller.vpn(m.slot[row + SLOT_VA])}"
            page += f" of {m.slot[row + SLOT_PID]}" if pid is None else ""
            yield ("slot", f"slot {slot}"), page + (f", {references} references" if references > 1 else "")


def tlb_facts(teller: Teller, pid: int | None) -> Iterator[tuple[tuple[str, str], str]]:
    """Every entry of the TLBs, whatever way it is in."""
    m, form = teller.machine.m, teller.machine.format
    own = None if pid is None else m.process[pid * PROCESS + PROCESS_ASID]
    for place, name in enumerate(teller.arrays):
        at = place * ARRAY
        words = (m.array[at + ARRAY_MASK] + 1) * m.array[at + ARRAY_SPAN]
        for cpu in range(len(m.cpu) // CPU):
            base = m.array[at + ARRAY_BASE] + cpu * m.array[at + ARRAY_STRIDE]
            for row in range(base, base + words, TLB):
                key, word = m.tlb[row + TLB_KEY], m.tlb[row + TLB_WORD]
                if key < 0:
                    continue
                shift = form.page_shifts[key & KEY_SIZE]
                page = teller.show.vpn((key >> KEY_TAG) << (shift - form.page_bits))
                space = (key >> KEY_ASID) & ASID_MASK
                if own not in (None, space):
                    continue
                who = f"{name} vpn {page}"
                if pid is None:
                    who += f" asid {space}" if space else " global"
                who = f"cpu {cpu} {who}" if len(m.cpu) > CPU else who
                size = f", {format_size(1 << shift)}" if key & KEY_SIZE else ""
                dirty = " D" if word & WORD_DIRTY else ""
                rights = rights_text(word & WORD_RIGHTS)
                yield ("tlb", who), f"pfn {teller.show.pfn(word >> WORD_PFN)}{size}, {rights}{dirty}"


def cpu_facts(teller: Teller, pid: int | None) -> Iterator[tuple[tuple[str, str], str]]:
    """Which process each CPU runs, by which root."""
    m = teller.machine.m
    for cpu in range(len(m.cpu) // CPU) if pid is None else ():
        row = cpu * CPU
        yield ("cpu", f"cpu {cpu}: process"), str(m.cpu[row + CPU_PID] or "-")
        name, _, value = teller.root_text(m.cpu[row + CPU_ROOT]).partition(" = ")
        yield ("cpu", f"cpu {cpu}: {name}"), value


def difference_table(before: Facts, after: Facts) -> Table:
    """A row for each fact that is not in both; `-` where there is none."""
    keys = [key for key in before if after.get(key) != before[key]]
    keys += [key for key in after if key not in before]
    order = {sort: place for place, sort in enumerate(("cpu", "process", "entry", "frame", "slot", "tlb"))}
    keys.sort(key=lambda key: order[key[0]])
    columns = [Column("sort"), Column("what"), Column("before"), Column("after")]
    rows = [[sort, name, before.get((sort, name), "-"), after.get((sort, name), "-")] for sort, name in keys]
    return Table(columns, rows, empty="No difference.")
