"""System calls: from a row of the program to the functions that do them.  Cold code."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.kernel import processes, regions, signals
from vmdbg.kernel.scheduler import OP_EXIT, OP_KIND, OP_LINE
from vmdbg.state.events import MMAP, SYSCALL_ERROR
from vmdbg.state.tables import OP, PROCESS, PROCESS_HANDLER, PROCESS_PC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.formats.record import Format
    from vmdbg.hot import Linked

OP_MMAP, OP_MUNMAP, OP_MPROTECT, OP_BRK, OP_FORK, OP_HANDLER, OP_RETURN = range(OP_EXIT + 1, OP_EXIT + 8)
#: In word 3 of an `mmap` row: rights, then these.
RIGHTS_MASK = 15
MMAP_PAGE_SHIFT = 8  # shift of the page's shift; 0 = base pages
MMAP_POPULATE = 1 << 16


def execute(k: Linked, form: Format, asids: bool, pid: int) -> None:
    """Execute the system call at a process's program counter.  A refused one changes nothing but that
    `syscall-error` is told; the program goes on behind it."""
    m, p = k.m, pid * PROCESS
    pc = m.process[p + PROCESS_PC]
    word, va, value, more = m.op[pc * OP : pc * OP + OP]
    kind = word & OP_KIND
    if kind == OP_EXIT:
        processes.end_process(k, form, pid, va)
        return
    try:
        if kind == OP_MMAP:
            shift = more >> MMAP_PAGE_SHIFT & 0xFF
            populate = bool(more & MMAP_POPULATE)
            map_anonymous(k, form, pid, va, value, more & RIGHTS_MASK, 1 << shift if shift else 0, populate)
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
        k.emit(m, SYSCALL_ERROR, kind, word >> OP_LINE, 0)
    m.process[p + PROCESS_PC] = pc + 1


def map_anonymous(
    k: Linked, form: Format, pid: int, start: int, size: int, rights: int, page: int, populate: bool
) -> None:
    """Map an anonymous private region; its size is rounded up to pages (POSIX mmap, MAP_FIXED_NOREPLACE)."""
    unit = page or form.grain
    size = -(-size // unit) * unit
    regions.add_region(k, form, pid, "anon", start, size, rights, page, populate)
    k.emit(k.m, MMAP, start, start + size, rights)
