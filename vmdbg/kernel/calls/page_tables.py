"""The entries of a process's page tables, read and cleared one by one (Linux: mm/pagewalk.c).  Cold code.

All functions take `k`, the linked hot functions and their tables.
"""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.formats.contract import ENTRY_LEAF, ENTRY_SWAPPED, ENTRY_TABLE
from vmdbg.hardware import page_tables
from vmdbg.kernel.calls.frame_runs import give_run
from vmdbg.kernel.frames import FRAME_IS_USER
from vmdbg.state.events import ENTRY_WRITE
from vmdbg.state.tables import (
    FRAME,
    FRAME_DEPTH,
    FRAME_MAPS,
    FRAME_SLOT,
    FRAME_STATE,
    KERNEL_FREE,
    KERNEL_FREE_COUNT,
    KERNEL_RESIDENT,
    KERNEL_USER_POOL,
    PROCESS,
    PROCESS_ROOT,
    PROCESS_RSS,
    PROCESS_SWAPPED,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.engine import Linked
    from vmdbg.formats.record import Format
    from vmdbg.hardware.page_tables import Entry


def entries(
    k: Linked, form: Format, pid: int, start: int | None = None, end: int | None = None
) -> Iterator[Entry]:
    """The entries of a process's tables that are not empty; an entry comes after those in the table it names.

    Only entries for the pages from `start` to `end`, or all of the user's half.  The caller may change
    entries that it has already got.  Entries may be garbage: only tables of the process are followed, each
    one once.
    """
    last = form.user_end if end is None else min(form.user_end, ((end - 1) & (1 << form.va_bits) - 1) + 1)
    root = k.m.process[pid * PROCESS + PROCESS_ROOT] & form.root_mask

    def is_own(table: int, depth: int) -> bool:
        return bool(k.is_table(k.m, k.frame_at(k.m, table), pid, depth))

    def follow(found: Entry) -> bool:
        return not found.seen and is_own(found.target, found.depth + 1)

    if is_own(root, 0):
        yield from page_tables.entries(k, form, root, start, last, follow, tables_last=True, whole=True)


def tables_of(k: Linked, form: Format, pid: int) -> int:
    """How many frames the tables of a copy of the process need: those below which something is mapped."""
    needed = {(0, 0)}
    for found in entries(k, form, pid):
        if found.kind != ENTRY_TABLE:
            needed.update(
                (level, found.va >> form.levels[level - 1].shift) for level in range(1, found.depth + 1)
            )
    return sum(k.table_frames(level) for level, _ in needed)


def make_room_for_tables(k: Linked, count: int) -> None:
    """Evict pages until `count` frames are free for tables.  UserError if no page can leave."""
    m = k.m
    while m.kernel[KERNEL_FREE_COUNT] < count:
        shared = m.kernel[KERNEL_USER_POOL] == KERNEL_FREE
        if not shared or not m.kernel[KERNEL_RESIDENT] or k.reclaim(m, count):
            free = m.kernel[KERNEL_FREE_COUNT]
            raise UserError(f"Frames needed for tables: {count}, free: {free}, and no page can leave.")


def drop_pages(k: Linked, form: Format, pid: int, start: int, end: int) -> None:
    """Clear every entry of the pages from `start` to `end`, and give back the frames and slots."""
    for found in list(entries(k, form, pid, start, end)):
        if found.kind != ENTRY_TABLE:
            drop_entry(k, form, pid, found)


def drop_space(k: Linked, form: Format, pid: int) -> None:
    """Clear every entry of a process and give back its tables, all but the root."""
    for found in list(entries(k, form, pid)):
        if found.kind == ENTRY_TABLE:
            k.table_give(k.m, pid, found.target, found.depth + 1)
        else:
            drop_entry(k, form, pid, found)


def drop_entry(k: Linked, form: Format, pid: int, found: Entry) -> None:
    """Clear a leaf or swapped entry; its frame or slot goes back if nobody else refers to it."""
    m, address, entry = k.m, found.address, found.entry
    if found.kind == ENTRY_LEAF:
        frame = k.frame_at(m, found.target)
        k.store_entry(m, address, 0)
        k.emit(m, ENTRY_WRITE, address, entry, 0)
        k.shoot_down(m, pid, found.va)
        if frame >= 0 and m.frame[frame * FRAME + FRAME_STATE] == FRAME_IS_USER:
            release_frame(k, form, pid, found.va, frame, address, entry)
    elif found.kind == ENTRY_SWAPPED:
        k.store_entry(m, address, 0)
        k.emit(m, ENTRY_WRITE, address, entry, 0)
        k.slot_release(m, k.swapped_slot(entry))
        m.process[pid * PROCESS + PROCESS_SWAPPED] -= 1


def release_frame(k: Linked, form: Format, pid: int, va: int, frame: int, address: int, entry: int) -> None:
    """The entry at `address` no longer maps a user frame.  A page of an object stays in the page cache."""
    m, row = k.m, frame * FRAME
    index = m.frame[row + FRAME_DEPTH]
    count = 1 << (form.page_shifts[index] - form.page_bits)
    maps = m.frame[row + FRAME_MAPS]
    k.rmap_remove(m, frame, address)
    if m.frame[row + FRAME_MAPS] == maps:
        return  # the entry was garbage: the frame belongs to another page
    m.process[pid * PROCESS + PROCESS_RSS] -= count
    slot = m.frame[row + FRAME_SLOT]
    if slot < 0 and k.is_dirty(entry):
        k.write_back(m, -slot, frame, va)
    if m.frame[row + FRAME_MAPS] == 0 and slot >= 0:
        give_frame(k, form, frame)


def give_frame(k: Linked, form: Format, frame: int) -> None:
    """Give back the frames of a page that nothing maps, and its slot."""
    m, row = k.m, frame * FRAME
    index = m.frame[row + FRAME_DEPTH]
    count = 1 << (form.page_shifts[index] - form.page_bits)
    m.kernel[KERNEL_RESIDENT] -= count
    if m.frame[row + FRAME_SLOT] > 0:
        k.slot_release(m, m.frame[row + FRAME_SLOT])
    if index <= 1:
        k.policy_unload(m, frame)
    if index == 0:
        k.pool_give(m, m.kernel[KERNEL_USER_POOL], frame)
        return
    give_run(k, frame, count)


def drop_tables(k: Linked, form: Format, pid: int, va: int, depth: int) -> None:
    """Give back the empty tables below the entry for `va` at a depth, which is to map a page."""
    for found in list(entries(k, form, pid, va, va + (1 << form.levels[depth].shift))):
        if found.kind == ENTRY_TABLE and found.depth >= depth:
            k.table_give(k.m, pid, found.target, found.depth + 1)
