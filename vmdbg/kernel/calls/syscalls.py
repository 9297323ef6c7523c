"""System calls: from a row of the program to the functions that do them.  Cold code."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.kernel.calls import processes, regions, signals
from vmdbg.kernel.calls.objects import Backing, Wanted, is_file, is_object, open_object, release, retain
from vmdbg.kernel.scheduler import OP_EXIT, OP_KIND, OP_LINE
from vmdbg.state.events import MMAP, SYSCALL_ERROR
from vmdbg.state.tables import OP, PROCESS, PROCESS_BACK, PROCESS_HANDLER, PROCESS_PC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vmdbg.engine import Linked
    from vmdbg.formats.record import Format

OP_MMAP, OP_MUNMAP, OP_MPROTECT, OP_BRK, OP_FORK, OP_HANDLER, OP_RETURN = range(OP_EXIT + 1, OP_EXIT + 8)
OP_OPEN, OP_CLOSE = OP_EXIT + 9, OP_EXIT + 10  # 8 is what a trace has between its parts
EXIT_UNSAID = 1  # in OP_VALUE of an `exit` that is not in the source: it ends a handler as `return` does
#: In OP_MORE of an `mmap` row: rights, then these.
RIGHTS_MASK = 15
MMAP_PAGE_SHIFT = 8  # shift of the page's shift; 0 = base pages
MMAP_POPULATE, MMAP_FIXED, MMAP_SHARED = 1 << 16, 1 << 17, 1 << 18
#: Shifts of the number of an object (16 bits; 0 with MMAP_SHARED: new shared memory) and of the first page.
MMAP_OBJECT, MMAP_OFFSET = 20, 36
OBJECT_MASK, OFFSET_MASK = (1 << 16) - 1, (1 << 27) - 1


def execute(k: Linked, form: Format, asids: bool, pid: int, open_window: Callable[[bool], None]) -> None:
    """Execute the system call at a process's program counter.

    `open_window` lets kernel mode touch user pages, or not.  A call that is refused changes nothing and emits
    the event `syscall-error`; the program goes on behind it.
    """
    m, p = k.m, pid * PROCESS
    pc = m.process[p + PROCESS_PC]
    word, va, value, more = m.op[pc * OP : pc * OP + OP]
    kind = word & OP_KIND
    if kind == OP_EXIT:
        if value == EXIT_UNSAID and m.process[p + PROCESS_BACK]:
            signals.return_from_handler(k, pid)
            return
        processes.end_process(k, form, pid, va)
        return
    try:
        if kind == OP_MMAP:
            execute_mmap(k, form, pid, pc * OP)
        elif kind == OP_MUNMAP:
            regions.unmap(k, form, pid, va, value)
        elif kind == OP_MPROTECT:
            regions.protect(k, form, pid, va, value, more & RIGHTS_MASK)
        elif kind == OP_BRK:
            regions.set_break(k, form, pid, va)
        elif kind == OP_FORK:
            child, _, _ = processes.fork(k, form, pid, asids, pc + 1)
            if va >= 0:
                signals.start_at(m, child, va)
        elif kind == OP_HANDLER:
            m.process[p + PROCESS_HANDLER] = max(va, 0)
        elif kind in (OP_OPEN, OP_CLOSE):
            open_window(kind == OP_OPEN)
        elif kind == OP_RETURN:
            signals.return_from_handler(k, pid)
            return
        else:
            raise UserError(f"Unknown operation {kind}.")
    except UserError:
        k.emit(k.m, SYSCALL_ERROR, kind, word >> OP_LINE, 0)
    k.m.process[p + PROCESS_PC] = pc + 1


def execute_mmap(k: Linked, form: Format, pid: int, row: int) -> None:
    """Execute the `mmap` in the row of operations with offset `row`."""
    _, va, size, more = k.m.op[row : row + OP]
    mapping = Mapping(va, size, more & RIGHTS_MASK)
    shift = more >> MMAP_PAGE_SHIFT & 0xFF
    mapping.page = 1 << shift if shift else 0
    mapping.populate, mapping.fixed = bool(more & MMAP_POPULATE), bool(more & MMAP_FIXED)
    number, mapping.share = more >> MMAP_OBJECT & OBJECT_MASK, bool(more & MMAP_SHARED)
    mapping.offset = (more >> MMAP_OFFSET & OFFSET_MASK) << form.page_bits
    if number or mapping.share:
        mapping.object = number or Wanted("", size)
    map_region(k, form, pid, mapping)


class Mapping:
    """A request to map: bytes, a rights nibble, a page size in bytes (0: base pages).

    `object` is None for private zeros, else an object or its number, which is mapped from byte `offset` on.
    With `share` writes go to the object.  `fixed`: a mapping that is there is replaced.
    """

    __slots__ = ("fixed", "object", "offset", "page", "populate", "rights", "share", "size", "start")

    def __init__(
        self, start: int, size: int, rights: int, page: int = 0, populate: bool = False, fixed: bool = False
    ) -> None:
        self.start, self.size, self.rights, self.page = start, size, rights, page
        self.populate, self.fixed = populate, fixed
        self.object: Wanted | int | None = None
        self.offset, self.share = 0, False


def map_region(k: Linked, form: Format, pid: int, mapping: Mapping) -> None:
    """Map a region; its size is rounded up to pages (POSIX mmap).

    Without `fixed` (MAP_FIXED) it does not replace a mapping (MAP_FIXED_NOREPLACE).  After a UserError
    nothing has changed, with one exception: a mapping that was replaced is gone if there was no memory to
    populate the new one.
    """
    unit = mapping.page or form.grain
    start, size = mapping.start, -(-mapping.size // unit) * unit
    regions.check_range(k, form, start, start + size, mapping.page or form.page_size)
    if not mapping.fixed:
        regions.neighbours(k, pid, start, start + size)
    index = regions.page_index(form, mapping.page, mapping.object is not None)
    backing, kind = None, "anon"
    if mapping.object is not None:
        backing = backing_of(k, form, mapping.object, mapping.offset, mapping.share)
        kind = "file" if is_file(k, backing.number) else "shared"
    if backing is not None:
        retain(k, backing.number)  # the region that is replaced may be the last one that maps the object
    try:
        if mapping.fixed:
            regions.unmap(k, form, pid, start, size)
        regions.add_region(k, form, pid, kind, start, size, mapping.rights, index, mapping.populate, backing)
    finally:
        if backing is not None:
            release(k, form, backing.number)
    regions.merge_regions(k, form, pid, start, start + size)
    k.emit(k.m, MMAP, start, start + size, mapping.rights)


def backing_of(k: Linked, form: Format, wanted: Wanted | int, offset: int, share: bool) -> Backing:
    """The part of an object (or of the object with that number) that a region maps from byte `offset` on.

    UserError if there is no such part.
    """
    if offset % form.page_size or offset < 0:
        raise UserError(f"Offset {offset:#x} is not a multiple of the page size, {form.page_size:#x}.")
    number = wanted if isinstance(wanted, int) else open_object(k, form, wanted)
    if not is_object(k, number):
        raise UserError(f"There is no object {number}.")
    return Backing(number, offset >> form.page_bits, share)
