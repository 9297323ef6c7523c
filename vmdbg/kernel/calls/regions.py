"""Regions of an address space: mapping and unmapping them (Linux: mm/mmap.c).  Cold code.

All functions take `k`, the linked hot functions and their tables.
"""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.formats.contract import ENTRY_LEAF, RIGHT_R, RIGHT_W, RIGHT_X
from vmdbg.kernel.calls.huge_pages import populate
from vmdbg.kernel.calls.objects import attach, release, retain
from vmdbg.kernel.calls.page_tables import drop_pages, entries
from vmdbg.kernel.calls.partitions import check_fits
from vmdbg.state.events import BRK, ENTRY_WRITE, MPROTECT, MUNMAP
from vmdbg.state.tables import (
    CONTROL_STEPS,
    FRAME,
    FRAME_MAPS,
    FRAME_SLOT,
    KERNEL_REGION_FREE,
    KERNEL_STACK_LIMIT,
    PROCESS,
    PROCESS_REGION,
    PROCESS_ROOT,
    REGION,
    REGION_CACHED,
    REGION_END,
    REGION_KIND,
    REGION_LIMIT,
    REGION_NEXT,
    REGION_OBJECT,
    REGION_PID,
    REGION_RIGHTS,
    REGION_SHARE,
    REGION_SIZE,
    REGION_START,
)
from vmdbg.units import WORD_MASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.engine import Linked
    from vmdbg.formats.record import Format
    from vmdbg.hardware.page_tables import Entry
    from vmdbg.kernel.calls.objects import Backing

REGION_KINDS = ("", "text", "data", "heap", "anon", "stack", "file", "shared", "trace")
GUARD = "guard"  # the kind that is shown for an anonymous region whose rights are none


def region_kind(k: Linked, region: int) -> str:
    """What a region is: one of REGION_KINDS, or `guard`."""
    row = region * REGION
    kind = REGION_KINDS[k.m.region[row + REGION_KIND]]
    if kind == "anon" and not k.m.region[row + REGION_RIGHTS] & (RIGHT_R | RIGHT_W | RIGHT_X):
        return GUARD
    return kind


def regions_of(k: Linked, pid: int) -> list[int]:
    """Rows of a process's regions, by address."""
    found, region = [], k.m.process[pid * PROCESS + PROCESS_REGION]
    while region:
        found.append(region)
        region = k.m.region[region * REGION + REGION_NEXT]
    return found


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


def check_range(k: Linked, form: Format, start: int, end: int, page: int) -> None:
    """UserError if a region of pages of `page` bytes can never have this range, whatever is mapped."""
    if form.bounded:
        check_fits(k, form, start, end)
    grain, where = 1 if form.bounded else page, f"{start & WORD_MASK:#x}..{end & WORD_MASK:#x}"
    if start % grain or end % grain or end <= start:
        raise UserError(f"Region {where} is not aligned to its page size, {page:#x}.")
    if not (k.canonical(k.m, start) and k.canonical(k.m, end - 1)):
        raise UserError(f"Region {where} does not fit the address space of {form.name}.")
    if not in_user_half(form, start, end):
        raise UserError(f"Region {where} is not in the user's half of the address space.")


def in_user_half(form: Format, start: int, end: int) -> bool:
    """Does a range of valid addresses lie in the half of the address space that processes use?"""
    if form.split:
        return 0 <= start < end <= form.user_end
    return max(form.index(start, 0), form.index(end - 1, 0)) < form.user_entries


def page_index(form: Format, page: int, shared: bool = False) -> int:
    """The index of a page size in bytes, 0 = base pages.  UserError if there is none.

    `shared`: of a region that maps an object, which takes base pages.
    """
    try:
        index = form.size_index(page or form.page_size)
    except ValueError:
        raise UserError(f"{form.name} has no pages of {page} bytes.") from None
    if shared and form.bounded:
        raise UserError(f"{form.name} has no files and no shared memory to map.")
    if shared and index:
        raise UserError("Files and shared memory are mapped in base pages.")
    return index


def add_region(
    k: Linked,
    form: Format,
    pid: int,
    kind: str,
    start: int,
    size: int,
    rights: int,
    index: int,
    populated: bool,
    backing: Backing | None = None,
) -> int:
    """Map a region of `size` bytes at `start` in pages of size `index`.

    `backing` is what it maps besides zeros of its own; `populated`: its pages are given now.  Returns
    its row.  UserError if it is misaligned, overlaps another one or does not fit.
    """
    m, end = k.m, start + size
    check_range(k, form, start, end, 1 << form.page_shifts[index])
    before, after = neighbours(k, pid, start, end)
    new = m.kernel[KERNEL_REGION_FREE]
    row = new * REGION
    m.kernel[KERNEL_REGION_FREE] = m.region[row + REGION_NEXT]
    limit = min(start, max(form.grain, end - m.kernel[KERNEL_STACK_LIMIT])) if kind == "stack" else start
    for column, value in (
        (REGION_PID, pid),
        (REGION_START, start),
        (REGION_END, end),
        (REGION_RIGHTS, rights),
        (REGION_KIND, REGION_KINDS.index(kind)),
        (REGION_SIZE, index),
        (REGION_NEXT, after),
        (REGION_LIMIT, limit),
    ):
        m.region[row + column] = value
    put_behind(k, pid, before, new)
    if backing is not None:
        attach(k, new, backing)
    if populated and not form.bounded:
        try:
            populate(k, form, pid, new)
        except UserError:
            remove_region(k, form, pid, before, new)
            raise
    return new


def put_behind(k: Linked, pid: int, before: int, region: int) -> None:
    """Link `region` into the list of a process's regions behind `before` (0: at the start)."""
    if before:
        k.m.region[before * REGION + REGION_NEXT] = region
    else:
        k.m.process[pid * PROCESS + PROCESS_REGION] = region


def remove_region(k: Linked, form: Format, pid: int, before: int, region: int) -> None:
    """Unmap a region: free its pages, its slots, then its row.

    `before` is the region before it in the list.
    """
    row = region * REGION
    drop_pages(k, form, pid, k.m.region[row + REGION_START], k.m.region[row + REGION_END])
    put_behind(k, pid, before, k.m.region[row + REGION_NEXT])
    free_region(k, form, region)


def free_region(k: Linked, form: Format, region: int) -> None:
    """Give back the row of a region that has no page and is in no list any more."""
    m, row = k.m, region * REGION
    if m.region[row + REGION_OBJECT]:
        release(k, form, m.region[row + REGION_OBJECT])
    for column in range(REGION):
        m.region[row + column] = 0
    m.region[row + REGION_NEXT] = m.kernel[KERNEL_REGION_FREE]
    m.kernel[KERNEL_REGION_FREE] = region


def split_region(k: Linked, form: Format, pid: int, va: int) -> None:
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
    if m.region[row + REGION_OBJECT]:
        m.region[at + REGION_CACHED] += (va - m.region[row + REGION_START]) >> form.page_bits
        retain(k, m.region[row + REGION_OBJECT])
    m.region[row + REGION_END] = va
    m.region[row + REGION_NEXT] = new


def merge_regions(k: Linked, form: Format, pid: int, start: int, end: int) -> None:
    """Join regions from the one before `start` to the one at `end` that could be one (Linux: vma_merge)."""
    m, before = k.m, 0
    for region in regions_of(k, pid):
        row, at = before * REGION, region * REGION
        if m.region[at + REGION_START] > end:
            return
        if m.region[at + REGION_START] >= start and before and one_goes_on(k, form, row, at):
            m.region[row + REGION_END] = m.region[at + REGION_END]
            m.region[row + REGION_NEXT] = m.region[at + REGION_NEXT]
            free_region(k, form, region)
        else:
            before = region


def one_goes_on(k: Linked, form: Format, row: int, at: int) -> bool:
    """Does the region at offset `at` begin where that at `row` ends, with all other columns alike?"""
    m = k.m
    same = (REGION_RIGHTS, REGION_KIND, REGION_SIZE, REGION_OBJECT, REGION_SHARE)
    grows = m.region[at + REGION_LIMIT] < m.region[at + REGION_START]
    if grows or m.region[row + REGION_END] != m.region[at + REGION_START]:
        return False
    if any(m.region[row + column] != m.region[at + column] for column in same):
        return False
    pages = (m.region[at + REGION_START] - m.region[row + REGION_START]) >> form.page_bits
    return not m.region[row + REGION_OBJECT] or (
        m.region[row + REGION_CACHED] + pages == m.region[at + REGION_CACHED]
    )


def page_around(k: Linked, form: Format, pid: int, row: int, va: int) -> int:
    """The bytes of the page around an address of the region at offset `row`, which may have been promoted."""
    index = k.m.region[row + REGION_SIZE]
    kind = k.walk(k.m, k.m.process[pid * PROCESS + PROCESS_ROOT], va)
    if kind == ENTRY_LEAF:
        index = max(index, len(form.levels) - k.m.control[CONTROL_STEPS])
    return 1 << form.page_shifts[index]


def checked_range(k: Linked, form: Format, pid: int, start: int, size: int) -> tuple[int, int]:
    """The range as start and end, rounded up to pages.  Regions that cross its ends are split there.

    UserError if the range is not valid.
    """
    end = start + -(-size // form.grain) * form.grain
    if start % form.grain or size <= 0:
        raise UserError(f"Range {start & WORD_MASK:#x}, {size:#x} is empty or does not start at a page.")
    if not (k.canonical(k.m, start) and k.canonical(k.m, end - 1) and in_user_half(form, start, end)):
        raise UserError(f"Range {start & WORD_MASK:#x}, {size:#x} is not all a process's.")
    for region in regions_of(k, pid):
        row = region * REGION
        for border in (start, end):
            page = 1 if form.bounded else page_around(k, form, pid, row, border)
            if k.m.region[row + REGION_START] < border < k.m.region[row + REGION_END] and border % page:
                raise UserError(f"{border:#x} is not a border of the pages of {page:#x} bytes there.")
    split_region(k, form, pid, start)
    split_region(k, form, pid, end)
    return start, end


def unmap(k: Linked, form: Format, pid: int, start: int, size: int) -> int:
    """Unmap a range: its pages, slots and regions go.  Returns how many regions it held (POSIX munmap)."""
    start, end = checked_range(k, form, pid, start, size)
    m, gone, before = k.m, 0, 0
    for region in regions_of(k, pid):
        if start <= m.region[region * REGION + REGION_START] < end:
            remove_region(k, form, pid, before, region)
            gone += 1
        else:
            before = region
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
    for found in list(entries(k, form, pid, start, end)):
        if found.kind == ENTRY_LEAF:
            leaf = leaf_with(k, pid, found, rights)
            k.store_entry(m, found.address, leaf)
            k.emit(m, ENTRY_WRITE, found.address, found.entry, leaf)
            k.shoot_down(m, pid, found.va)
    merge_regions(k, form, pid, start, end)
    k.emit(m, MPROTECT, start, end, rights)


def leaf_with(k: Linked, pid: int, found: Entry, rights: int) -> int:
    """The leaf with other rights; it stays protected if the page is to be copied on the next write."""
    m = k.m
    frame = k.frame_at(m, found.target)
    leaf: int = k.make_leaf(found.target, rights, found.depth)
    leaf = k.keep_ad(leaf, found.entry)
    alone = frame < 0 or (
        m.frame[frame * FRAME + FRAME_MAPS] == 1 and m.frame[frame * FRAME + FRAME_SLOT] >= 0
    )
    if not alone and not m.region[k.region_find(m, pid, found.va) * REGION + REGION_SHARE]:
        leaf = k.protected(leaf)
    return leaf


def set_break(k: Linked, form: Format, pid: int, end: int) -> None:
    """Move the end of the heap region (POSIX brk).  UserError if there is none, or no room."""
    m = k.m
    rows = regions_of(k, pid)
    heaps = [r for r in rows if REGION_KINDS[m.region[r * REGION + REGION_KIND]] == "heap"]
    if not heaps:
        raise UserError(f"Process {pid} has no heap.")
    row = heaps[-1] * REGION
    old, wanted = m.region[row + REGION_END], -(-end // form.grain) * form.grain
    if wanted <= m.region[row + REGION_START]:
        raise UserError(f"The heap of process {pid} starts at {m.region[row + REGION_START]:#x}.")
    last = 1 << (form.va_bits - 1 if form.sign_extended else form.va_bits)
    after = m.region[row + REGION_NEXT]
    if after:
        stack = REGION_KINDS[m.region[after * REGION + REGION_KIND]] == "stack"
        last = m.region[after * REGION + REGION_START] - (form.grain if stack else 0)
    if wanted > max(last, old):
        raise UserError(f"The heap of process {pid} cannot grow over {last:#x}.")
    if wanted < old:
        unmap(k, form, pid, wanted, old - wanted)
    else:
        m.region[row + REGION_END] = wanted
    k.emit(m, BRK, old, wanted, 0)
