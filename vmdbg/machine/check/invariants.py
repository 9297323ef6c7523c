"""The machine's own invariants: `check(machine)` reads everything, changes nothing, and lists what is wrong.

What the tables of the kernel say (frames, reverse map, slots, processes, lists) is compared with what
the page tables in memory say, and both with what the TLBs hold.  Garbage anywhere is a finding, never
an exception.
"""

from __future__ import annotations

from collections import Counter, namedtuple

from vmdbg.kernel.calls.processes import live_processes
from vmdbg.kernel.frames import FRAME_IS_FREE, FRAME_IS_TAIL, FRAME_IS_USER, FRAME_STATES, POOL_COUNT
from vmdbg.kernel.policies import facts_of
from vmdbg.machine.check.numbers import wild_numbers
from vmdbg.machine.check.objects import check_objects
from vmdbg.machine.check.policy_lists import check_policy_lists
from vmdbg.machine.check.processes import check_cpus, check_processes, check_scheduler, check_told, name_of
from vmdbg.machine.check.rights import check_rights
from vmdbg.machine.check.survey import Survey, chain, column
from vmdbg.state.tables import (
    CACHE,
    CACHE_SLOT,
    FRAME,
    FRAME_DEPTH,
    FRAME_MAPS,
    FRAME_NEXT,
    FRAME_PID,
    FRAME_PREVIOUS,
    FRAME_RMAP,
    FRAME_SLOT,
    FRAME_STATE,
    KERNEL_FREE,
    KERNEL_HAND,
    KERNEL_NEWEST,
    KERNEL_OLDEST,
    KERNEL_REGION_FREE,
    KERNEL_RESIDENT,
    KERNEL_RMAP_COUNT,
    KERNEL_RMAP_FREE,
    KERNEL_SLOT_COUNT,
    KERNEL_SLOT_FREE,
    KERNEL_USER_END,
    KERNEL_USER_FIRST,
    KERNEL_USER_FREE,
    KERNEL_USER_POOL,
    PROCESS,
    PROCESS_REGION,
    PROCESS_ROOT,
    PROCESS_RSS,
    REGION,
    REGION_END,
    REGION_NEXT,
    REGION_PID,
    REGION_START,
    RMAP,
    RMAP_ENTRY,
    RMAP_NEXT,
    RMAP_PID,
    RMAP_VA,
    SLOT,
    SLOT_NEXT,
    SLOT_PID,
    SLOT_REFS,
    SLOT_VA,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.machine.machine import Machine

#: `rule` is a word: numbers, tables, frames, rmap, slots, processes, regions, rights, objects, lists, policy,
#: scheduler, tlb, stale.
Violation = namedtuple("Violation", "rule message")

MOST = 200  # findings that are listed


def check(machine: Machine, owed: bool = False, tlb_only: bool = False) -> list[Violation]:
    """Everything that is wrong, most basic first; an empty list for a machine that is consistent.

    `tlb_only`: check only the TLBs.  `owed`: also list TLB entries that their CPU has been asked to drop.  In
    the middle of an operation the list may name a page that is just being moved.
    """
    found = [Violation("numbers", message) for message in wild_numbers(machine)]
    if found:
        return found[:MOST]  # nobody reads more
    survey = Survey(machine)
    found += [] if tlb_only else [Violation("tables", message) for message in survey.problems]
    checks = (
        ("frames", check_partitions(survey) if machine.format.bounded else check_frames(survey)),
        ("rmap", check_rmap(survey)),
        ("slots", check_slots(survey)),
        ("processes", [] if machine.format.bounded else check_processes(survey)),
        ("regions", check_regions(survey)),
        ("rights", check_rights(survey)),
        ("objects", check_objects(survey)),
        ("lists", check_frame_lists(survey)),
        ("policy", check_queue(survey)),
        ("policy", check_hand(survey)),
        ("policy", check_policy_lists(survey)),
        ("scheduler", check_scheduler(survey)),
        ("scheduler", check_cpus(survey)),
        ("tlb", check_told(survey)),
        ("tlb", survey.misplaced()),
    )
    for rule, messages in checks:
        for message in () if tlb_only and rule != "tlb" else messages:
            found.append(Violation(rule, message))
            if len(found) >= MOST:
                return found
    for stale in survey.stale():
        if stale.owed is None:
            found.append(Violation("stale", f"{stale.kind}: {stale.message}"))
        elif owed:
            since = f"its CPU owes to drop it since operation {stale.owed}"
            found.append(Violation("owed", f"{stale.kind}: {stale.message}; {since}"))
    return found[:MOST]


def check_partitions(s: Survey) -> Iterator[str]:
    """With base and bounds each live process has one partition, and every other one is free."""
    m = s.m
    owners = {}
    for pid in live_processes(s.k):
        base, rss = m.process[pid * PROCESS + PROCESS_ROOT], m.process[pid * PROCESS + PROCESS_RSS]
        frame = s.k.frame_at(m, base)
        if frame < 0 or base != s.k.frame_address(m, frame) or frame in owners or rss != 1:
            yield f"process {pid}: its base {base:#x} is no partition of its own"
        owners[frame] = pid
    for frame, state in enumerate(s.states):
        if (state == FRAME_IS_USER) != (frame in owners):
            owner = owners.get(frame, 0)
            yield f"partition {frame} is {name_of(FRAME_STATES, state)}, and process {owner} has it"
    if m.kernel[KERNEL_RESIDENT] != len(owners):
        yield f"{m.kernel[KERNEL_RESIDENT]} resident partitions are counted, {len(owners)} exist"


def check_frames(s: Survey) -> Iterator[str]:
    """Owners of frames and present entries agree, both ways; so does the count of resident frames."""
    m = s.m
    mapped: Counter[int] = Counter()
    for leaf in s.leaves.values():
        name = f"process {leaf.pid}: the entry at {leaf.address:#x} for {leaf.va:#x}"
        if leaf.frame < 0:
            yield f"{name} maps no memory"
            continue
        mapped[leaf.frame] += 1
        state = m.frame[leaf.frame * FRAME + FRAME_STATE]
        if state != FRAME_IS_USER:
            yield f"{name} maps frame {leaf.frame}, which is {name_of(FRAME_STATES, state)}"
        elif m.frame[leaf.frame * FRAME + FRAME_DEPTH] != leaf.size:
            yield f"{name} maps frame {leaf.frame} as a page of another size"
    states = s.states
    resident = 0
    tails: set[int] = set(s.table_tails)
    for frame in (number for number, state in enumerate(states) if state == FRAME_IS_USER):
        count = s.frames_of_size(m.frame[frame * FRAME + FRAME_DEPTH])
        resident += count
        tails.update(range(frame + 1, frame + count))
        maps = m.frame[frame * FRAME + FRAME_MAPS]
        if maps != mapped[frame]:
            yield f"frame {frame}: {maps} entries are said to map it, {mapped[frame]} do"
        if maps == 0 and m.frame[frame * FRAME + FRAME_SLOT] >= 0:
            yield f"frame {frame}: a user page that no entry maps"
    if resident != m.kernel[KERNEL_RESIDENT]:
        yield f"{resident} frames hold user pages, {m.kernel[KERNEL_RESIDENT]} are counted"
    for frame, state in enumerate(states):
        if (state == FRAME_IS_TAIL) != (frame in tails):
            yield f"frame {frame}: is {name_of(FRAME_STATES, state)}, but what comes before says otherwise"


def check_rmap(s: Survey) -> Iterator[str]:
    """The reverse map is the page tables turned round; its rows are in one list each."""
    m = s.m
    rows = len(m.rmap) // RMAP
    used: set[int] = set()
    for frame, first in enumerate(column(m.frame, FRAME, FRAME_RMAP)):
        if first == 0:
            continue
        members, wrong = chain(m.rmap, RMAP, RMAP_NEXT, first, 0)
        if wrong:
            yield f"frame {frame}: its reverse map {wrong}"
        if len(members) != m.frame[frame * FRAME + FRAME_MAPS]:
            yield f"frame {frame}: {len(members)} rows of the reverse map, not as many as entries map it"
        for row in members:
            if row in used:
                yield f"row {row} of the reverse map is in two lists"
            used.add(row)
            entry, pid, va = (m.rmap[row * RMAP + at] for at in (RMAP_ENTRY, RMAP_PID, RMAP_VA))
            leaf = s.leaves.get(entry)
            if leaf is None or (leaf.frame, leaf.pid, leaf.va) != (frame, pid, va):
                yield f"frame {frame}: the entry at {entry:#x} does not map it at {va:#x} of process {pid}"
    links = column(m.rmap, RMAP, RMAP_NEXT)
    free, wrong = chain(m.rmap, RMAP, RMAP_NEXT, m.kernel[KERNEL_RMAP_FREE], 0, links)
    if wrong:
        yield f"the free rows of the reverse map: the list {wrong}"
    if len(free) != m.kernel[KERNEL_RMAP_COUNT]:
        yield f"{len(free)} free rows of the reverse map, {m.kernel[KERNEL_RMAP_COUNT]} are counted"
    if used & set(free):
        yield f"row {min(used & set(free))} of the reverse map is free and in use"
    if len(used) + len(free) < rows - 1:
        yield f"{rows - 1 - len(used) - len(free)} rows of the reverse map are in no list"
    filled = [column(m.rmap, RMAP, at) for at in (RMAP_ENTRY, RMAP_PID, RMAP_VA)]
    for row in not_like(filled, free, (0, 0, 0)):
        yield f"row {row} of the reverse map is free, but not empty"


def check_slots(s: Survey) -> Iterator[str]:
    """Each slot has as many references as entries and frames name it; what a clean frame holds is in it."""
    m = s.m
    slots = len(m.slot) // SLOT
    named: Counter[int] = Counter()
    for address, (pid, va, slot) in s.swapped.items():
        named[slot] += 1
        if not 0 < slot < slots:
            yield f"process {pid}: the entry at {address:#x} for {va:#x} keeps slot {slot}, which is none"
    for slot in column(m.cache, CACHE, CACHE_SLOT):
        named[slot] += slot > 0
    for frame, slot in enumerate(column(m.frame, FRAME, FRAME_SLOT)):
        if slot > 0:
            named[slot] += 1
            if not 0 < slot < slots:
                yield f"frame {frame}: slot {slot} is none"
            elif s.states[frame] == FRAME_IS_USER and s.differs(frame, m.swap8, slot):
                yield f"frame {frame} is clean, but its content is not that of slot {slot}"
    free, wrong = chain(m.slot, SLOT, SLOT_NEXT, m.kernel[KERNEL_SLOT_FREE], 0)
    if wrong:
        yield f"the free slots: the list {wrong}"
    if len(free) != m.kernel[KERNEL_SLOT_COUNT]:
        yield f"{len(free)} free slots, {m.kernel[KERNEL_SLOT_COUNT]} are counted"
    is_free = set(free)
    references = column(m.slot, SLOT, SLOT_REFS)
    for slot in range(1, slots):
        if references[slot] != named[slot]:
            yield f"slot {slot}: {references[slot]} references are counted, {named[slot]} exist"
        if (references[slot] == 0) != (slot in is_free):
            yield f"slot {slot}: {references[slot]} references, {'' if slot in is_free else 'not '}free"
        if slot in is_free and (m.slot[slot * SLOT + SLOT_PID] or m.slot[slot * SLOT + SLOT_VA]):
            yield f"slot {slot} is free, but has an owner"


def check_regions(s: Survey) -> Iterator[str]:
    """Regions are in the order of their addresses, do not overlap, and hold every page that is mapped."""
    m = s.m
    used: set[int] = set()
    spans: dict[int, list[tuple[int, int]]] = {}
    for pid in live_processes(s.k):
        members, wrong = chain(m.region, REGION, REGION_NEXT, m.process[pid * PROCESS + PROCESS_REGION], 0)
        if wrong:
            yield f"process {pid}: its regions: the list {wrong}"
        spans[pid] = []
        for region in members:
            start, end = m.region[region * REGION + REGION_START], m.region[region * REGION + REGION_END]
            if region in used or m.region[region * REGION + REGION_PID] != pid:
                yield f"region {region} of process {pid} belongs to another one, too"
            if start >= end or (spans[pid] and spans[pid][-1][1] > start):
                yield f"region {region} of process {pid}: {start:#x}..{end:#x} is out of order"
            used.add(region)
            spans[pid].append((start, end))
    pages = [(leaf.pid, leaf.va) for leaf in s.leaves.values() if not leaf.kernel]
    for pid, va in pages + [(pid, va) for pid, va, _ in s.swapped.values()]:
        if not any(start <= va < end for start, end in spans.get(pid, [])):
            yield f"process {pid}: the page at {va:#x} is in no region"
    free, wrong = chain(m.region, REGION, REGION_NEXT, m.kernel[KERNEL_REGION_FREE], 0)
    if wrong or used & set(free):
        yield f"the free regions: the list {wrong or 'has regions that are in use'}"
    if len(used) + len(free) < len(m.region) // REGION - 1:
        yield "some regions are in no list"
    for region in free:
        row = region * REGION
        if any(m.region[row + at] for at in range(REGION) if at != REGION_NEXT):
            yield f"region {region} is free, but not empty"


def check_frame_lists(s: Survey) -> Iterator[str]:
    """Each free frame is in the list of its pool, once, and its row is empty."""
    m = s.m
    listed: set[int] = set()
    shared = m.kernel[KERNEL_USER_POOL] == KERNEL_FREE
    links = column(m.frame, FRAME, FRAME_NEXT)
    for pool, name in ((KERNEL_FREE, "free frames"), (KERNEL_USER_FREE, "free frames for users")):
        members, wrong = chain(m.frame, FRAME, FRAME_NEXT, m.kernel[pool], -1, links)
        if wrong:
            yield f"the {name}: the list {wrong}"
        if len(members) != m.kernel[pool + POOL_COUNT]:
            yield f"{len(members)} {name}, {m.kernel[pool + POOL_COUNT]} are counted"
        for frame in members:
            if frame in listed:
                yield f"frame {frame} is in both lists of free frames"
            listed.add(frame)
            user = m.kernel[KERNEL_USER_FIRST] <= frame < m.kernel[KERNEL_USER_END]
            if not shared and user != (pool == KERNEL_USER_FREE):
                yield f"frame {frame} is in the wrong list of free frames"
    for frame, state in enumerate(s.states):
        if (state == FRAME_IS_FREE) != (frame in listed):
            how = "" if frame in listed else "not "
            yield f"frame {frame}: is {name_of(FRAME_STATES, state)}, {how}listed free"
    columns = (FRAME_RMAP, FRAME_MAPS, FRAME_SLOT, FRAME_PID, FRAME_DEPTH, FRAME_PREVIOUS)
    empty = (0, 0, 0, 0, 0, -1)
    for frame in not_like([column(m.frame, FRAME, at) for at in columns], sorted(listed), empty):
        yield f"frame {frame} is free, but its row is not empty"


def not_like(columns: list[list[int]], rows: list[int], wanted: tuple[int, ...]) -> list[int]:
    """The rows whose values in the columns are not the wanted ones."""
    found: set[int] = set()
    for values, value in zip(columns, wanted, strict=True):
        found.update(row for row in rows if values[row] != value)
    return sorted(found)


def check_queue(s: Survey) -> Iterator[str]:
    """The policy's queue holds the frames that may be evicted, each once, linked both ways."""
    m = s.m
    members, wrong = chain(m.frame, FRAME, FRAME_NEXT, m.kernel[KERNEL_OLDEST], -1)
    if wrong:
        yield f"the policy's queue {wrong}"
    facts = facts_of(s.machine.config["kernel.policy"])
    if not (facts is not None and facts.queue) and not members:
        return
    previous = -1
    for frame in members:
        if m.frame[frame * FRAME + FRAME_PREVIOUS] != previous:
            yield f"the policy's queue: frame {frame} has another one before it"
        previous = frame
    if m.kernel[KERNEL_NEWEST] != previous:
        yield f"the policy's queue ends at frame {previous}, not at {m.kernel[KERNEL_NEWEST]}"
    evictable = {
        frame
        for frame, state in enumerate(s.states)
        if state == FRAME_IS_USER and m.frame[frame * FRAME + FRAME_DEPTH] <= 1
    }
    for frame in sorted(evictable.symmetric_difference(members)):
        yield f"frame {frame} is {'not ' if frame in evictable else ''}in the policy's queue"


def check_hand(s: Survey) -> Iterator[str]:
    """A policy's hand is at a frame that user pages may have."""
    m, facts = s.m, facts_of(s.machine.config["kernel.policy"])
    first, end, hand = (m.kernel[at] for at in (KERNEL_USER_FIRST, KERNEL_USER_END, KERNEL_HAND))
    if facts is not None and facts.hand and not first <= hand < end:
        yield f"the policy's hand is at frame {hand}; user pages have frames {first} to {end - 1}"
