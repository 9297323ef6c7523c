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
    from vmdbg.engine import Linked
    from vmdbg.formats.record import Format

OP_MMAP, OP_MUNMAP, OP_MPROTECT, OP_BRK, OP_FORK, OP_HANDLER, OP_RETURN = range(OP_EXIT + 1, OP_EXIT + 8)
EXIT_UNSAID = 1  # in word 2 of an `exit` that the program does not say: it ends a handler as `return` does
#: In word 3 of an `mmap` row: rights, then these.
RIGHTS_MASK = 15
MMAP_PAGE_SHIFT = 8  # shift of the page's shift; 0 = base pages
MMAP_POPULATE, MMAP_FIXED, MMAP_SHARED = 1 << 16, 1 << 17, 1 << 18
#: Shifts of the number of an object (16 bits; 0 with MMAP_SHARED: new shared memory) and of the first page.
MMAP_OBJECT, MMAP_OFFSET = 20, 36
OBJECT_MASK, OFFSET_MASK = (1 << 16) - 1, (1 << 27) - 1


def execute(k: Linked, form: Format, asids: bool, pid: int) -> None:
    """Execute the system call at a process's program counter.  A refused one changes nothing but that
    `syscall-error` is told; the program goes on behind it."""
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
    """What is to be mapped: bytes, a rights nibble, a page size in bytes (0: base pages).

    `object` is None for memory of its own, else an object or its number, mapped from byte `offset` on;
    with `share` what is written goes to it.  `fixed`: what is mapped there is replaced.
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

    Without `fixed` (MAP_FIXED) it refuses to replace anything (MAP_FIXED_NOREPLACE).  UserError: nothing
    has changed, unless there was no memory to populate what is mapped in place of something else.
    """
    unit = mapping.page or form.grain
    start, size = mapping.start, -(-mapping.size // unit) * unit
    regions.check_place(k, form, start, start + size, mapping.page or form.page_size)
    if not mapping.fixed:
        regions.neighbours(k, pid, start, start + size)
    index = regions.page_index(form, mapping.page, mapping.object is not None)
    backing, kind = None, "anon"
    if mapping.object is not None:
        backing = backing_of(k, form, mapping.object, mapping.offset, mapping.share)
        kind = "file" if is_file(k, backing.number) else "shared"
    if backing is not None:
        retain(k, backing.number)  # what it replaces may be the last that maps it
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
    """What a region maps of an object, or of the one with that number, from a byte on.  UserError."""
    if offset % form.page_size or offset < 0:
        raise UserError(f"Offset {offset:#x} is not a multiple of the page size, {form.page_size:#x}.")
    number = wanted if isinstance(wanted, int) else open_object(k, form, wanted)
    if not is_object(k, number):
        raise UserError(f"There is no object {number}.")
    return Backing(number, offset >> form.page_bits, share)
