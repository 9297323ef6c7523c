"""Pages larger than a base page, and pages with frames before their first access (mm/huge_memory.c in Linux).

Cold code: all functions take `k`, the linked hot functions and their tables.
"""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.formats.contract import ACCESS_READ, ACCESS_WRITE, ENTRY_LEAF, RIGHT_W
from vmdbg.kernel.calls.frame_runs import copy_run, make_run, take_run, zero_run
from vmdbg.kernel.calls.page_tables import drop_pages, drop_tables, entries
from vmdbg.kernel.frames import RMAP_SPARE
from vmdbg.state.events import ENTRY_WRITE, FAULT_COW, FAULT_MINOR, PROMOTED
from vmdbg.state.tables import (
    FRAME,
    FRAME_DEPTH,
    FRAME_MAPS,
    FRAME_SLOT,
    KERNEL_RESIDENT,
    KERNEL_RMAP_COUNT,
    PATH,
    PATH_ADDRESS,
    PATH_ENTRY,
    PROCESS,
    PROCESS_LIMIT,
    PROCESS_MINOR,
    PROCESS_ROOT,
    PROCESS_RSS,
    REGION,
    REGION_END,
    REGION_KIND,
    REGION_OBJECT,
    REGION_RIGHTS,
    REGION_SHARE,
    REGION_SIZE,
    REGION_START,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.engine import Linked
    from vmdbg.formats.record import Format


def populate(k: Linked, form: Format, pid: int, region: int) -> None:
    """Give all pages of a region their frames now.  UserError if there is no memory for one."""
    m, row = k.m, region * REGION
    start, end = m.region[row + REGION_START], m.region[row + REGION_END]
    index, rights = m.region[row + REGION_SIZE], m.region[row + REGION_RIGHTS]
    if not m.region[row + REGION_OBJECT]:
        for va in range(start, end, 1 << form.page_shifts[index]):
            check_limit(k, pid, 1 << (form.page_shifts[index] - form.page_bits))
            populate_page(k, form, pid, va, rights, index)
        return
    writes = rights & RIGHT_W and not m.region[row + REGION_SHARE]
    for va in range(start, end, form.page_size):
        if k.cache_row(k.m, region, va):
            bring_in(k, pid, region, va, ACCESS_WRITE if writes else ACCESS_READ)


def check_limit(k: Linked, pid: int, count: int) -> None:
    """UserError if a process may not have `count` more frames, even if it gives up pages of its own."""
    if not k.within_limit(k.m, pid, count) and not k.make_own_room(k.m, pid, count):
        held, limit = (k.m.process[pid * PROCESS + column] for column in (PROCESS_RSS, PROCESS_LIMIT))
        raise UserError(f"Process {pid} is at its limit: it holds {held} of {limit} frames.")


def bring_in(k: Linked, pid: int, region: int, va: int, access: int) -> None:
    """Bring a page of an object into memory as a fault would.  UserError if that fails."""
    if k.m.kernel[KERNEL_RMAP_COUNT] < RMAP_SPARE:
        k.grow_rmap()
    check_limit(k, pid, 1)
    m = k.m
    k.walk(m, m.process[pid * PROCESS + PROCESS_ROOT], va)
    if k.page_in(m, pid, region, va, access):
        raise UserError(f"No memory for the page at {va:#x} of process {pid}.")


def populate_page(k: Linked, form: Format, pid: int, va: int, rights: int, index: int) -> None:
    """Give one page of size `index` a zeroed frame (or run of frames) now."""
    m, depth = k.m, len(form.levels) - 1 - index
    count = 1 << (form.page_shifts[index] - form.page_bits)
    # The entry before the frames of the page: tables that are missing take frames, too.
    frame, address = -1, k.entry_address(m, pid, va, depth)
    if address >= 0:
        frame = make_run(k, count) if index else k.take_user_frame(m)
    if frame < 0:
        raise UserError(f"No memory for the page at {va:#x} of process {pid}.")
    if k.has_payload():
        zero_run(k, frame, count, form.page_size)
    if index:
        drop_tables(k, form, pid, va, depth)
        map_large(k, form, pid, va, frame, address, rights, index)
    else:
        m.frame[frame * FRAME + FRAME_DEPTH] = 0
        k.map_frame(m, pid, va, frame, address, k.make_leaf(k.frame_address(m, frame), rights, depth))
        k.policy_load(m, frame)
    m.kernel[KERNEL_RESIDENT] += count


def map_large(
    k: Linked, form: Format, pid: int, va: int, frame: int, address: int, rights: int, index: int
) -> None:
    """Take the frames of a page of size `index`, and write the leaf that maps it."""
    m, count = k.m, 1 << (form.page_shifts[index] - form.page_bits)
    take_run(k, frame, count, pid, index)
    depth = len(form.levels) - 1 - index
    k.map_frame(m, pid, va, frame, address, k.make_leaf(k.frame_address(m, frame), rights, depth))
    if index == 1:
        k.policy_load(m, frame)
    m.process[pid * PROCESS + PROCESS_RSS] += count - 1


def large_fault(k: Linked, form: Format, pid: int, va: int) -> None:
    """Give the large page of `va` its frames now: zeroed, or a copy of those that it shares; in a region of
    base pages, the larger page that takes their place.

    UserError if memory has no such run of frames.
    """
    m, region = k.m, k.region_find(k.m, pid, va)
    row = region * REGION
    index = m.region[row + REGION_SIZE]
    if index == 0:
        promote(k, form, pid, va, m.region[row + REGION_RIGHTS])
        m.process[pid * PROCESS + PROCESS_MINOR] += 1
        k.emit(m, FAULT_MINOR, va, m.region[row + REGION_KIND], 0)
        return
    page = va >> form.page_shifts[index] << form.page_shifts[index]
    depth = len(form.levels) - 1 - index
    kind = k.walk(m, m.process[pid * PROCESS + PROCESS_ROOT], va)
    old = fresh = -1
    if kind == ENTRY_LEAF:
        old = fresh = k.frame_at(m, k.leaf_frame(m.path[depth * PATH + PATH_ENTRY], depth))
        address = m.path[depth * PATH + PATH_ADDRESS]
        if m.frame[old * FRAME + FRAME_MAPS] == 1:
            entry = m.path[depth * PATH + PATH_ENTRY]
            leaf = k.touched(k.make_leaf(k.frame_address(m, old), m.region[row + REGION_RIGHTS], depth), 1)
            k.store_entry(m, address, leaf)
            k.emit(m, ENTRY_WRITE, address, entry, leaf)
        else:
            fresh = copy_large(k, form, pid, page, old, address, m.region[row + REGION_RIGHTS], index)
        k.shoot_down(m, pid, va)
    else:
        populate_page(k, form, pid, page, m.region[row + REGION_RIGHTS], index)
    m.process[pid * PROCESS + PROCESS_MINOR] += 1
    if kind == ENTRY_LEAF:
        frames = [k.frame_address(m, frame) >> form.page_bits for frame in (old, fresh)]
        k.emit(m, FAULT_COW, va, *frames)
    else:
        k.emit(m, FAULT_MINOR, va, m.region[row + REGION_KIND], 0)


def promote(k: Linked, form: Format, pid: int, va: int, rights: int) -> None:
    """Put a page of the next larger size in place of the base pages around `va`: a copy of them, and zeros.

    UserError if memory has no such run of frames.
    """
    m, depth, count = k.m, len(form.levels) - 2, 1 << (form.page_shifts[1] - form.page_bits)
    page = va >> form.page_shifts[1] << form.page_shifts[1]
    address = k.entry_address(m, pid, page, depth)
    frame = make_run(k, count) if address >= 0 else -1
    if frame < 0:
        raise UserError(f"No memory for the larger page at {page:#x} of process {pid}.")
    if k.has_payload():
        zero_run(k, frame, count, form.page_size)
    there, dirty = 0, 0
    for found in entries(k, form, pid, page, page + (count << form.page_bits)):
        if found.kind == ENTRY_LEAF:
            there += 1
            old = k.frame_at(m, found.target)
            dirty |= k.is_dirty(found.entry) or m.frame[old * FRAME + FRAME_SLOT] > 0
            if k.has_payload():
                copy_run(k, frame + ((found.va - page) >> form.page_bits), old, 1, form.page_size)
    drop_pages(k, form, pid, page, page + (count << form.page_bits))
    drop_tables(k, form, pid, page, depth)
    map_large(k, form, pid, page, frame, address, rights, 1)
    k.store_entry(m, address, k.touched(k.load_entry(m, address), dirty))
    m.kernel[KERNEL_RESIDENT] += count
    k.emit(m, PROMOTED, page, there, k.frame_address(m, frame) >> form.page_bits)


def copy_large(
    k: Linked, form: Format, pid: int, page: int, old: int, address: int, rights: int, index: int
) -> int:
    """Give the process its own copy of a large page that it shares, mapped by the entry at `address`."""
    m, count = k.m, 1 << (form.page_shifts[index] - form.page_bits)
    fresh = make_run(k, count)
    if fresh < 0:
        raise UserError(f"No memory for a copy of the page at {page:#x} of process {pid}.")
    if k.has_payload():
        copy_run(k, fresh, old, count, form.page_size)
    k.rmap_remove(m, old, address)
    m.process[pid * PROCESS + PROCESS_RSS] -= count
    map_large(k, form, pid, page, fresh, address, rights, index)
    m.kernel[KERNEL_RESIDENT] += count
    return fresh
