"""`check` of files and shared memory: the page cache, and the regions and entries that lead to it."""

from __future__ import annotations

from collections import Counter

from vmdbg.kernel.calls.processes import live_processes
from vmdbg.kernel.frames import FRAME_IS_USER
from vmdbg.machine.check.survey import chain, column
from vmdbg.state.tables import (
    CACHE,
    CACHE_CONTENT,
    CACHE_FRAME,
    CACHE_NUMBER,
    CACHE_SLOT,
    FRAME,
    FRAME_SLOT,
    KERNEL_FILE_PAGES,
    OBJECT,
    OBJECT_CACHED,
    OBJECT_PAGES,
    OBJECT_REGIONS,
    PROCESS,
    PROCESS_REGION,
    REGION,
    REGION_CACHED,
    REGION_LAST,
    REGION_NEXT,
    REGION_OBJECT,
    REGION_SHARE,
    REGION_START,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.machine.check.survey import Survey


def check_objects(s: Survey) -> Iterator[str]:
    """No two objects share rows of the page cache; each counts its regions right; and every entry of such a
    region leads to the page of the object."""
    m = s.m
    owners: dict[int, int] = {}
    for number in range(1, len(m.object) // OBJECT):
        row = number * OBJECT
        first, pages = m.object[row + OBJECT_CACHED], m.object[row + OBJECT_PAGES]
        if first == 0 and any(m.object[row : row + OBJECT]):
            yield f"object {number} is free, but not empty"
        if pages < 0 or (first and not 0 < first <= first + pages <= len(m.cache) // CACHE):
            yield f"object {number}: its pages are outside the page cache"
            continue
        for page in range(first, first + pages):
            if page in owners:
                yield f"object {number}: row {page} of the page cache is object {owners[page]}'s, too"
            owners[page] = number
            if m.cache[page * CACHE + CACHE_NUMBER] != page - first:
                yield f"object {number}: row {page} of the page cache has another page's number"
    yield from check_cache(s, owners)
    yield from check_mappings(s)


def check_cache(s: Survey, owners: dict[int, int]) -> Iterator[str]:
    """A row of the page cache and its frame name one another, and a clean frame holds what is kept."""
    m = s.m
    for row in range(len(m.cache) // CACHE):
        at = row * CACHE
        frame, slot, content = (m.cache[at + c] for c in (CACHE_FRAME, CACHE_SLOT, CACHE_CONTENT))
        name = f"row {row} of the page cache"
        if row not in owners:
            if any(m.cache[at : at + CACHE]):
                yield f"{name} is free, but not empty"
            continue
        if not 0 <= content <= m.kernel[KERNEL_FILE_PAGES] or (content and slot):
            yield f"{name} has slot {slot} and page {content} of the files"
            continue
        if (frame or slot) and not m.object[owners[row] * OBJECT + OBJECT_REGIONS]:
            yield f"{name} is kept, but no region maps object {owners[row]}"
        if not 0 <= frame <= len(s.states):
            yield f"{name} is in frame {frame - 1}, which there is not"
        elif frame and (
            s.states[frame - 1] != FRAME_IS_USER or m.frame[(frame - 1) * FRAME + FRAME_SLOT] != -row
        ):
            yield f"{name} is in frame {frame - 1}, which says otherwise"
        elif frame and content and s.differs(frame - 1, m.file8, content - 1):
            yield f"frame {frame - 1} is clean, but its content is not that of its file"
        elif frame and slot > 0 and s.differs(frame - 1, m.swap8, slot):
            yield f"frame {frame - 1} is clean, but its content is not that of slot {slot}"
    slots = column(m.frame, FRAME, FRAME_SLOT)
    for frame in (number for number, state in enumerate(s.states) if state == FRAME_IS_USER):
        row = -slots[frame]
        if row > 0:
            inside = row < len(m.cache) // CACHE
            if not inside or m.cache[row * CACHE + CACHE_FRAME] != frame + 1:
                yield f"frame {frame} holds row {row} of the page cache, which says otherwise"


def check_mappings(s: Survey) -> Iterator[str]:
    """Regions map what their object has, and their entries lead to the frame or slot of its page."""
    m = s.m
    mapped: Counter[int] = Counter()
    held = {(leaf.pid, leaf.va): leaf.frame for leaf in s.leaves.values()}
    slots = {(pid, va): slot for pid, va, slot in s.swapped.values()}
    for pid in live_processes(s.k):
        for region in chain(m.region, REGION, REGION_NEXT, m.process[pid * PROCESS + PROCESS_REGION], 0)[0]:
            row = region * REGION
            number = m.region[row + REGION_OBJECT]
            mapped[number] += 1
            if number and not 0 < number < len(m.object) // OBJECT:
                yield f"region {region} of process {pid} maps object {number}, which there is not"
            elif number and m.region[row + REGION_LAST] != sum(
                m.object[number * OBJECT + at] for at in (OBJECT_CACHED, OBJECT_PAGES)
            ):
                yield f"region {region} of process {pid} ends elsewhere than object {number}"
    for number in range(1, len(m.object) // OBJECT):
        if m.object[number * OBJECT + OBJECT_REGIONS] != mapped[number]:
            yield f"object {number}: its regions are counted wrong, {mapped[number]} exist"
    for (pid, va), frame in held.items():
        row = -m.frame[frame * FRAME + FRAME_SLOT] if frame >= 0 else 0
        wanted, share = page_of(s, pid, va)
        if (row > 0 and row != wanted) or (row <= 0 and share):
            yield f"process {pid}: {va:#x} is row {wanted} of the page cache, and maps row {row}"
    for (pid, va), slot in slots.items():
        wanted, share = page_of(s, pid, va)
        there = wanted < len(m.cache) // CACHE  # not beyond the end of a file: there may be garbage there
        if share and not (there and m.cache[wanted * CACHE + CACHE_SLOT] == slot):
            yield f"process {pid}: {va:#x} keeps slot {slot}, not that of row {wanted} of the page cache"


def page_of(s: Survey, pid: int, va: int) -> tuple[int, int]:
    """Row of the page cache of an address, and whether its region shares it; (0, 0) without an object."""
    m, region = s.m, s.region_of(pid, va) if pid else 0
    row = region * REGION
    if not region or not m.region[row + REGION_OBJECT]:
        return 0, 0
    page = (va - m.region[row + REGION_START]) >> s.form.page_bits
    return m.region[row + REGION_CACHED] + page, m.region[row + REGION_SHARE]
