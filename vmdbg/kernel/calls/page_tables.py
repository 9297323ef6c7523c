"""The entries of a process's page tables, read and cleared one by one (Linux: mm/pagewalk.c).  Cold code.

All functions take `k`, the linked hot functions and their tables.
"""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.formats.contract import ENTRY_LEAF, ENTRY_SWAPPED, ENTRY_TABLE
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

    #: va (unsigned), depth, entry address, entry, kind
    Found = tuple[int, int, int, int, int]


def signed(form: Format, va: int) -> int:
    """A virtual address of `va_bits` bits as tables keep it: sign-extended where the format is."""
    if form.sign_extended and va >> (form.va_bits - 1):
        return va - (1 << form.va_bits)
    return va


def words(k: Linked, form: Format, table: int, first: int, end: int) -> list[tuple[int, int]]:
    """Index and value of the entries `first .. end - 1` of a table that are not zero."""
    m, width = k.m, form.entry_bytes
    at = k.ram_offset(m, table + first * width, max(1, (end - first) * width))
    if at < 0 or end <= first:
        return []
    if at % width:
        found = [(index, k.load(m, table + index * width, width)) for index in range(first, end)]
    else:
        ram = {1: m.ram1, 2: m.ram2, 4: m.ram4, 8: m.ram8}[width]
        found = list(enumerate(ram[at // width : at // width + end - first].tolist(), first))
    return [(index, entry) for index, entry in found if entry]


def entries(
    k: Linked, form: Format, pid: int, start: int | None = None, end: int | None = None
) -> Iterator[Found]:
    """The entries of a process's tables that are not empty, tables after what they hold.

    Those of the pages from `start` to `end`, or all of the user's half; the tree may change behind the
    iteration.  Entries may be garbage: only tables of the process are followed, each once.
    """
    space = 1 << form.va_bits
    low = 0 if start is None else start & (space - 1)
    high = space if end is None else ((end - 1) & (space - 1)) + 1
    root = k.m.process[pid * PROCESS + PROCESS_ROOT]
    yield from below(k, form, pid, root, 0, 0, low, high, set())


def below(
    k: Linked, form: Format, pid: int, table: int, depth: int, base: int, low: int, high: int, seen: set[int]
) -> Iterator[Found]:
    """`entries` of one table, whose first page is `base`; `seen` are the frames of those before it."""
    frame = k.frame_at(k.m, table)
    if frame in seen or not k.is_table(k.m, frame, pid, depth):
        return
    seen.add(frame)
    level = form.levels[depth]
    size = 1 << level.shift
    first = max(0, (low - base) >> level.shift)
    last = min(1 << level.bits if depth else form.user_entries, (high - base + size - 1) >> level.shift)
    for index, entry in words(k, form, table, first, last):
        kind, va = k.classify(entry, depth), base + index * size
        if kind == ENTRY_TABLE:
            yield from below(k, form, pid, k.next_table(entry), depth + 1, va, low, high, seen)
        yield va, depth, table + index * form.entry_bytes, entry, kind


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
        new = k.make_table(table, level)
        k.store(m, address, form.entry_bytes, new)
        k.emit(m, ENTRY_WRITE, address, entry, new)
    return address


def tables_of(k: Linked, form: Format, pid: int) -> int:
    """Frames of the tables that a copy of a process's space needs: no table that leads to nothing."""
    needed = {(0, 0)}
    for va, depth, _, _, kind in entries(k, form, pid):
        if kind != ENTRY_TABLE:
            needed.update((level, va >> form.levels[level - 1].shift) for level in range(1, depth + 1))
    return sum(k.table_frames(level) for level, _ in needed)


def make_room_for_tables(k: Linked, count: int) -> None:
    """Let pages leave until so many frames are free for tables.  UserError if no page can leave."""
    m = k.m
    while m.kernel[KERNEL_FREE_COUNT] < count:
        shared = m.kernel[KERNEL_USER_POOL] == KERNEL_FREE
        if not shared or not m.kernel[KERNEL_RESIDENT] or k.reclaim(m, count):
            free = m.kernel[KERNEL_FREE_COUNT]
            raise UserError(f"Frames needed for tables: {count}, free: {free}, and no page can leave.")


def drop_pages(k: Linked, form: Format, pid: int, start: int, end: int) -> None:
    """Clear every entry of the pages from `start` to `end`: what they map or hold goes back."""
    for found in list(entries(k, form, pid, start, end)):
        if found[4] != ENTRY_TABLE:
            drop_entry(k, form, pid, *found)


def drop_space(k: Linked, form: Format, pid: int) -> None:
    """Clear every entry of a process and give back its tables, all but the root."""
    for va, depth, address, entry, kind in list(entries(k, form, pid)):
        if kind == ENTRY_TABLE:
            k.table_give(k.m, pid, k.next_table(entry), depth + 1)
        else:
            drop_entry(k, form, pid, va, depth, address, entry, kind)


def drop_entry(
    k: Linked, form: Format, pid: int, va: int, depth: int, address: int, entry: int, kind: int
) -> None:
    """Clear a leaf or swapped entry; its frame or slot goes back if nobody else refers to it."""
    m = k.m
    if kind == ENTRY_LEAF:
        frame = k.frame_at(m, k.leaf_frame(entry, depth))
        k.store(m, address, form.entry_bytes, 0)
        k.emit(m, ENTRY_WRITE, address, entry, 0)
        k.shoot_down(m, pid, signed(form, va))
        if frame >= 0 and m.frame[frame * FRAME + FRAME_STATE] == FRAME_IS_USER:
            release_frame(k, form, pid, signed(form, va), frame, address, entry)
    elif kind == ENTRY_SWAPPED:
        k.store(m, address, form.entry_bytes, 0)
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
        return  # the entry was garbage: it is another one's frame
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
    if index == 0:
        k.policy_unload(m, frame)
        k.pool_give(m, m.kernel[KERNEL_USER_POOL], frame)
        return
    give_run(k, frame, count)


def drop_table(k: Linked, form: Format, pid: int, address: int, depth: int) -> None:
    """Give back the tables, empty by now, that the entry at `address` points to: a page takes its place."""
    m = k.m
    old = k.load(m, address, form.entry_bytes)
    if k.classify(old, depth) != ENTRY_TABLE:
        return
    table = k.next_table(old)
    space = 1 << form.va_bits
    for _, under, _, entry, kind in list(below(k, form, pid, table, depth + 1, 0, 0, space, set())):
        if kind == ENTRY_TABLE:
            k.table_give(m, pid, k.next_table(entry), under + 1)
    k.table_give(m, pid, table, depth + 1)
