"""Regions of an address space: mapping and unmapping them (Linux: mm/mmap.c).  Cold code.

All functions take `k`, the linked hot functions and their tables.
"""

# Long: all that changes an address space from a system call.
from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.formats.contract import ENTRY_LEAF, ENTRY_SWAPPED, ENTRY_TABLE
from vmdbg.kernel.frames import FRAME_IS_TAIL, FRAME_IS_USER
from vmdbg.kernel.partitions import check_fits
from vmdbg.state.events import BRK, ENTRY_WRITE, FAULT_COW, FAULT_MINOR, MPROTECT, MUNMAP
from vmdbg.state.tables import (
    FRAME,
    FRAME_DEPTH,
    FRAME_MAPS,
    FRAME_PID,
    FRAME_SLOT,
    FRAME_STATE,
    KERNEL_FREE,
    KERNEL_REGION_FREE,
    KERNEL_RESIDENT,
    KERNEL_STACK_LIMIT,
    KERNEL_USER_POOL,
    PATH,
    PATH_ADDRESS,
    PATH_ENTRY,
    PROCESS,
    PROCESS_LIMIT,
    PROCESS_MINOR,
    PROCESS_REGION,
    PROCESS_ROOT,
    PROCESS_RSS,
    PROCESS_SWAPPED,
    REGION,
    REGION_END,
    REGION_FLAGS,
    REGION_KIND,
    REGION_LIMIT,
    REGION_NEXT,
    REGION_OFFSET,
    REGION_PID,
    REGION_RIGHTS,
    REGION_SHARE,
    REGION_SIZE,
    REGION_START,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.formats.record import Format
    from vmdbg.hot import Linked

REGION_KINDS = ("", "text", "data", "heap", "anon", "stack", "file", "shared", "trace")
POPULATED = 1


def neighbours(k: Linked, pid: int, start: int, end: int) -> tuple[int, int]:
    """The regions of a process before and after a range (0: none).  UserError if one overlaps it."""
    m, before, after = k.m, 0, k.m.process[pid * PROCESS + PROCESS_REGION]
    while after and m.region[after * REGION + REGION_START] < start:
        before, after = after, m.region[after * REGION + REGION_NEXT]
    if (before and m.region[before * REGION + REGION_END] > start) or (
        after and m.region[after * REGION + REGION_START] < end
    ):
        raise UserError(f"Region {start:#x}..{end:#x} overlaps another region of process {pid}.")
    return before, after


def add_region(
    k: Linked,
    form: Format,
    pid: int,
    kind: str,
    start: int,
    size: int,
    rights: int,
    page: int,
    populate: bool,
) -> int:
    """Map a region of `size` bytes at `start`; `page` is a page size in bytes, 0 = base pages.

    Returns its row.  UserError if it is misaligned, overlaps another one or does not fit.
    """
    page = page or form.page_size
    try:
        index = form.size_index(page)
    except ValueError:
        raise UserError(f"{form.name} has no pages of {page} bytes.") from None
    end = start + size
    if form.bounded:
        check_fits(k, form, start, end)
        populate = False
    grain = 1 if form.bounded else page
    if start % grain or size % grain or size <= 0:
        raise UserError(f"Region {start:#x}..{end:#x} is not aligned to its page size, {page:#x}.")
    if not (k.canonical(start) and k.canonical(end - 1)):
        raise UserError(f"Region {start:#x}..{end:#x} does not fit the address space of {form.name}.")
    if max(form.index(start, 0), form.index(end - 1, 0)) >= form.user_entries:
        raise UserError(f"Region {start:#x}..{end:#x} is not in the user's half of the address space.")
    m = k.m
    before, after = neighbours(k, pid, start, end)
    new = m.kernel[KERNEL_REGION_FREE]
    row = new * REGION
    m.kernel[KERNEL_REGION_FREE] = m.region[row + REGION_NEXT]
    for column, value in (
        (REGION_PID, pid),
        (REGION_START, start),
        (REGION_END, end),
        (REGION_RIGHTS, rights),
        (REGION_KIND, REGION_KINDS.index(kind)),
        (REGION_SIZE, index),
        (REGION_NEXT, after),
        (REGION_FLAGS, POPULATED if populate else 0),
        (REGION_LIMIT, start),
    ):
        m.region[row + column] = value
    if before:
        m.region[before * REGION + REGION_NEXT] = new
    else:
        m.process[pid * PROCESS + PROCESS_REGION] = new
    if kind == "stack":
        lowest = m.region[before * REGION + REGION_END] + form.grain if before else form.grain
        m.region[row + REGION_LIMIT] = min(start, max(lowest, end - m.kernel[KERNEL_STACK_LIMIT]))
    if populate:
        try:
            for va in range(start, end, page):
                check_limit(k, pid, 1 << (form.page_shifts[index] - form.page_bits))
                populate_page(k, form, pid, va, rights, index)
        except UserError:
            remove_region(k, form, pid, start)
            raise
    return new


def check_limit(k: Linked, pid: int, count: int) -> None:
    """UserError if a process may not have `count` more frames, even if it gives up pages of its own."""
    if not k.within_limit(k.m, pid, count) and not k.make_own_room(k.m, pid, count):
        held, limit = (k.m.process[pid * PROCESS + column] for column in (PROCESS_RSS, PROCESS_LIMIT))
        raise UserError(f"Process {pid} is at its limit: it holds {held} of {limit} frames.")


def populate_page(k: Linked, form: Format, pid: int, va: int, rights: int, index: int) -> None:
    """Give one page of size `index` a zeroed frame (or run of frames) now."""
    m, depth = k.m, len(form.levels) - 1 - index
    count = 1 << (form.page_shifts[index] - form.page_bits)
    frame, address = -1, entry_address(k, form, pid, va, depth)  # first: tables take frames, too
    if address >= 0:
        frame = k.run_of_free(m, count) if index else k.take_user_frame(m)
    if frame < 0:
        raise UserError(f"No memory for the page at {va:#x} of process {pid}.")
    if k.has_payload():
        for tail in range(count):
            k.zero_frame(m, frame + tail)
    if index:
        k.take_run(m, frame, count)
        drop_table(k, form, pid, address, depth)
    map_large(k, form, pid, va, frame, address, rights, index)
    if index == 0:
        k.policy_load(m, frame)
    m.kernel[KERNEL_RESIDENT] += count


def drop_table(k: Linked, form: Format, pid: int, address: int, depth: int) -> None:
    """Give back the tables, empty by now, that the entry at `address` points to: a page takes its place."""
    old = k.load(k.m, address, form.entry_bytes)
    if k.classify(old, depth) != ENTRY_TABLE:
        return
    table = k.next_table(old)
    for _, below, _, entry, kind in list(entries(k, form, table, depth + 1)):
        if kind == ENTRY_TABLE:
            k.table_give(k.m, pid, k.next_table(entry), below + 1)
    k.table_give(k.m, pid, table, depth + 1)


def map_large(
    k: Linked, form: Format, pid: int, va: int, frame: int, address: int, rights: int, index: int
) -> None:
    """Write the leaf that maps a page of size `index`, and fill the rows of its frames."""
    m, count = k.m, 1 << (form.page_shifts[index] - form.page_bits)
    for tail in range(count):
        m.frame[(frame + tail) * FRAME + FRAME_STATE] = FRAME_IS_TAIL
        m.frame[(frame + tail) * FRAME + FRAME_PID] = pid
    m.frame[frame * FRAME + FRAME_DEPTH] = index
    m.frame[frame * FRAME + FRAME_SLOT] = 0
    depth = len(form.levels) - 1 - index
    k.map_frame(m, pid, va, frame, address, k.make_leaf(k.frame_address(m, frame), rights, depth))
    m.process[pid * PROCESS + PROCESS_RSS] += count - 1


def large_fault(k: Linked, form: Format, pid: int, va: int) -> None:
    """Give the large page of `va` its frames now: zeroed, or a copy of those that it shares.

    UserError if memory has no such run of frames.
    """
    m, region = k.m, k.region_find(k.m, pid, va)
    row = region * REGION
    index = m.region[row + REGION_SIZE]
    page = va >> form.page_shifts[index] << form.page_shifts[index]
    depth = len(form.levels) - 1 - index
    kind = k.walk(m, m.process[pid * PROCESS + PROCESS_ROOT], va)
    old = fresh = -1
    if kind == ENTRY_LEAF:
        old = fresh = k.frame_at(m, k.leaf_frame(m.path[depth * PATH + PATH_ENTRY], depth))
        address = m.path[depth * PATH + PATH_ADDRESS]
        if m.frame[old * FRAME + FRAME_MAPS] == 1:
            entry = m.path[depth * PATH + PATH_ENTRY]
            leaf = k.marked(k.make_leaf(k.frame_address(m, old), m.region[row + REGION_RIGHTS], depth), 1)
            k.store(m, address, form.entry_bytes, leaf)
            k.emit(m, ENTRY_WRITE, address, entry, leaf)
        else:
            fresh = copy_large(k, form, pid, page, old, address, m.region[row + REGION_RIGHTS], index)
        k.shoot_down(m, pid, va)
    else:
        populate_page(k, form, pid, page, m.region[row + REGION_RIGHTS], index)
    m.process[pid * PROCESS + PROCESS_MINOR] += 1
    if kind == ENTRY_LEAF:
        k.emit(m, FAULT_COW, va, old, fresh)
    else:
        k.emit(m, FAULT_MINOR, va, region, 0)


def copy_large(
    k: Linked, form: Format, pid: int, page: int, old: int, address: int, rights: int, index: int
) -> int:
    """A copy of its own of a large page that it shares: the entry at `address` maps it."""
    m, count = k.m, 1 << (form.page_shifts[index] - form.page_bits)
    fresh = k.run_of_free(m, count)
    if fresh < 0:
        raise UserError(f"No memory for a copy of the page at {page:#x} of process {pid}.")
    if k.has_payload():
        words = form.page_size >> 3
        k.copy_words(m.ram8, fresh * words, m.ram8, old * words, count * words)
        for tail in range(count):
            m.dirty[fresh + tail] = 1
    k.rmap_remove(m, old, address)
    m.process[pid * PROCESS + PROCESS_RSS] -= count
    k.take_run(m, fresh, count)
    map_large(k, form, pid, page, fresh, address, rights, index)
    m.kernel[KERNEL_RESIDENT] += count
    return int(fresh)


def entry_address(k: Linked, form: Format, pid: int, va: int, depth: int) -> int:
    """Physical address of the entry for `va` at a depth, with tables made on the way; -1 without."""
    m = k.m
    if depth == len(form.levels) - 1:
        address: int = k.leaf_entry(m, pid, va)
        return address
    table = m.process[pid * PROCESS + PROCESS_ROOT]
    for level in range(depth + 1):
        address = table + form.index(va, level) * form.entry_bytes
        if level == depth:
            break
        entry = k.load(m, address, form.entry_bytes)
        if k.classify(entry, level) == ENTRY_TABLE:
            table = k.next_table(entry)
            continue
        table = k.table_take(m, pid, level + 1, address)
        if table < 0:
            return -1
        k.store(m, address, form.entry_bytes, k.make_table(table))
        k.emit(m, ENTRY_WRITE, address, entry, k.make_table(table))
    return address


def entries(
    k: Linked, form: Format, root: int, depth: int = 0, base: int = 0, seen: dict[int, int] | None = None
) -> Iterator[tuple[int, int, int, int, int]]:
    """All entries of a tree that are not empty, tables after what they hold.

    Yields (va, depth, entry address, entry, kind) of the user's half; the tree may change behind the
    iteration.  Entries may be garbage: only tables of the process that the root belongs to are
    followed, each once (`seen`: their frames, and that process).
    """
    frame = k.frame_at(k.m, root)
    seen = {-1: k.m.frame[frame * FRAME + FRAME_PID]} if seen is None else seen
    if frame in seen or not k.is_table(k.m, frame, seen[-1], depth):
        return
    seen[frame] = seen[-1]
    level = form.levels[depth]
    for index in range(1 << level.bits if depth else form.user_entries):
        address = root + index * form.entry_bytes
        entry = k.load(k.m, address, form.entry_bytes)
        if entry == 0:
            continue
        kind = k.classify(entry, depth)
        va = base | index << level.shift
        if kind == ENTRY_TABLE:
            yield from entries(k, form, k.next_table(entry), depth + 1, va, seen)
        yield va, depth, address, entry, kind


def drop_entry(
    k: Linked, form: Format, pid: int, va: int, depth: int, address: int, entry: int, kind: int
) -> None:
    """Clear a leaf or swapped entry; its frame or slot goes back if nobody else refers to it."""
    m = k.m
    if kind == ENTRY_LEAF:
        frame = k.frame_at(m, k.leaf_frame(entry, depth))
        k.store(m, address, form.entry_bytes, 0)
        k.emit(m, ENTRY_WRITE, address, entry, 0)
        k.shoot_down(m, pid, va)
        if frame >= 0 and m.frame[frame * FRAME + FRAME_STATE] == FRAME_IS_USER:
            release_frame(k, form, pid, frame, address)
    elif kind == ENTRY_SWAPPED:
        k.store(m, address, form.entry_bytes, 0)
        k.emit(m, ENTRY_WRITE, address, entry, 0)
        k.slot_release(m, k.swapped_slot(entry))
        m.process[pid * PROCESS + PROCESS_SWAPPED] -= 1


def release_frame(k: Linked, form: Format, pid: int, frame: int, address: int) -> None:
    """The entry at `address` no longer maps a user frame."""
    m, row = k.m, frame * FRAME
    index = m.frame[row + FRAME_DEPTH]
    count = 1 << (form.page_shifts[index] - form.page_bits)
    maps = m.frame[row + FRAME_MAPS]
    k.rmap_remove(m, frame, address)
    if m.frame[row + FRAME_MAPS] == maps:
        return  # the entry was garbage: it is another one's frame
    m.process[pid * PROCESS + PROCESS_RSS] -= count
    if m.frame[row + FRAME_MAPS]:
        return
    m.kernel[KERNEL_RESIDENT] -= count
    if m.frame[row + FRAME_SLOT]:
        k.slot_release(m, m.frame[row + FRAME_SLOT])
    if index == 0:
        k.policy_unload(m, frame)
        k.pool_give(m, m.kernel[KERNEL_USER_POOL], frame)
        return
    for tail in reversed(range(count)):
        k.pool_give(m, KERNEL_FREE, frame + tail)


def remove_region(k: Linked, form: Format, pid: int, start: int) -> None:
    """Unmap the region that starts at `start`: its pages, its slots, then its row."""
    m = k.m
    before, region = 0, m.process[pid * PROCESS + PROCESS_REGION]
    while region and m.region[region * REGION + REGION_START] != start:
        before, region = region, m.region[region * REGION + REGION_NEXT]
    row = region * REGION
    end = m.region[row + REGION_END]
    for found in list(entries(k, form, m.process[pid * PROCESS + PROCESS_ROOT])):
        if found[4] != ENTRY_TABLE and start <= signed(form, found[0]) < end:
            drop_entry(k, form, pid, *found)
    following = m.region[row + REGION_NEXT]
    if before:
        m.region[before * REGION + REGION_NEXT] = following
    else:
        m.process[pid * PROCESS + PROCESS_REGION] = following
    for column in range(REGION):
        m.region[row + column] = 0
    m.region[row + REGION_NEXT] = m.kernel[KERNEL_REGION_FREE]
    m.kernel[KERNEL_REGION_FREE] = region


def split_region(k: Linked, pid: int, va: int) -> None:
    """Make `va` the border of two regions, if it is inside one.  There is a free row."""
    m, region = k.m, k.region_find(k.m, pid, va)
    row = region * REGION
    if not region or m.region[row + REGION_START] == va:
        return
    new = m.kernel[KERNEL_REGION_FREE]
    at = new * REGION
    m.kernel[KERNEL_REGION_FREE] = m.region[at + REGION_NEXT]
    m.region[at : at + REGION] = m.region[row : row + REGION]
    m.region[at + REGION_START] = m.region[at + REGION_LIMIT] = va
    m.region[at + REGION_OFFSET] += va - m.region[row + REGION_START]
    m.region[row + REGION_END] = va
    m.region[row + REGION_NEXT] = new


def regions_of(k: Linked, pid: int) -> list[int]:
    """Rows of a process's regions, by address."""
    found, region = [], k.m.process[pid * PROCESS + PROCESS_REGION]
    while region:
        found.append(region)
        region = k.m.region[region * REGION + REGION_NEXT]
    return found


def checked_range(k: Linked, form: Format, pid: int, start: int, size: int) -> tuple[int, int]:
    """The range as start and end, rounded up to pages; split regions stand at both.  UserError."""
    end = start + -(-size // form.grain) * form.grain
    if start % form.grain or size <= 0:
        raise UserError(f"Range {start:#x}, {size:#x} is empty or does not start at a page.")
    for region in regions_of(k, pid):
        row = region * REGION
        page = 1 if form.bounded else 1 << form.page_shifts[k.m.region[row + REGION_SIZE]]
        for border in (start, end):
            if k.m.region[row + REGION_START] < border < k.m.region[row + REGION_END] and border % page:
                raise UserError(f"{border:#x} is not a border of the pages of {page:#x} bytes there.")
    split_region(k, pid, start)
    split_region(k, pid, end)
    return start, end


def unmap(k: Linked, form: Format, pid: int, start: int, size: int) -> int:
    """Unmap a range: its pages, slots and regions go.  Returns how many regions it held (POSIX munmap)."""
    start, end = checked_range(k, form, pid, start, size)
    m, gone = k.m, 0
    for region in regions_of(k, pid):
        first = m.region[region * REGION + REGION_START]
        if start <= first < end:
            remove_region(k, form, pid, first)
            gone += 1
    k.emit(m, MUNMAP, start, end, 0)
    return gone


def protect(k: Linked, form: Format, pid: int, start: int, size: int, rights: int) -> None:
    """Change the rights of a range, in its regions and in its entries (POSIX mprotect).

    UserError if a part of the range is in no region; then nothing has changed.
    """
    at = start
    for region in regions_of(k, pid):
        row = region * REGION
        if k.m.region[row + REGION_START] <= at < k.m.region[row + REGION_END]:
            at = k.m.region[row + REGION_END]
    if at < start + size:
        raise UserError(f"No region holds {at:#x}.")
    start, end = checked_range(k, form, pid, start, size)
    m = k.m
    for region in regions_of(k, pid):
        if start <= m.region[region * REGION + REGION_START] < end:
            m.region[region * REGION + REGION_RIGHTS] = rights
    for va, depth, address, entry, kind in list(entries(k, form, m.process[pid * PROCESS + PROCESS_ROOT])):
        page = signed(form, va)
        if kind != ENTRY_LEAF or not start <= page < end:
            continue
        frame = k.frame_at(m, k.leaf_frame(entry, depth))
        leaf = k.make_leaf(k.leaf_frame(entry, depth), rights, depth)
        if k.is_accessed(entry):
            leaf = k.marked(leaf, k.is_dirty(entry))
        alone = frame < 0 or m.frame[frame * FRAME + FRAME_MAPS] == 1
        if not alone and not m.region[k.region_find(m, pid, page) * REGION + REGION_SHARE]:
            leaf = k.protected(leaf)  # still shared since a fork
        k.store(m, address, form.entry_bytes, leaf)
        k.emit(m, ENTRY_WRITE, address, entry, leaf)
        k.shoot_down(m, pid, page)
    k.emit(m, MPROTECT, start, end, rights)


def set_break(k: Linked, form: Format, pid: int, end: int) -> None:
    """Move the end of the heap region (POSIX brk).  UserError if there is none, or no room."""
    m = k.m
    rows = regions_of(k, pid)
    heaps = [r for r in rows if m.region[r * REGION + REGION_KIND] == REGION_KINDS.index("heap")]
    if not heaps:
        raise UserError(f"Process {pid} has no heap.")
    row = heaps[-1] * REGION
    old, wanted = m.region[row + REGION_END], -(-end // form.grain) * form.grain
    if wanted <= m.region[row + REGION_START]:
        raise UserError(f"The heap of process {pid} starts at {m.region[row + REGION_START]:#x}.")
    last = 1 << (form.va_bits - 1 if form.sign_extended else form.va_bits)
    if wanted > last:
        raise UserError(f"The heap of process {pid} cannot grow over {last:#x}.")
    after = m.region[row + REGION_NEXT]
    if after and wanted > m.region[after * REGION + REGION_LIMIT]:
        raise UserError(
            f"The heap of process {pid} cannot grow over {m.region[after * REGION + REGION_LIMIT]:#x}."
        )
    if wanted < old:
        unmap(k, form, pid, wanted, old - wanted)
    else:
        m.region[row + REGION_END] = wanted
    k.emit(m, BRK, old, wanted, 0)


def signed(form: Format, va: int) -> int:
    """A virtual address of `va_bits` bits as tables keep it: sign-extended where the format is."""
    if form.sign_extended and va >> (form.va_bits - 1):
        return va - (1 << form.va_bits)
    return va
