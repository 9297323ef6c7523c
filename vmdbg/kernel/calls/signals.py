"""Handlers of signals: a process whose access has no translation may repair it (POSIX sigaction).  Cold code.

The handler begins at a row of the process's program.  It runs as operations of the process; `return` ends it,
and the access that faulted is repeated.  A signal while it runs kills, as one that is blocked does.
"""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.kernel.calls.processes import end_process
from vmdbg.kernel.faults import SIGBUS, SIGSEGV
from vmdbg.kernel.scheduler import OP_LINE
from vmdbg.state.events import HANDLER, RETURN
from vmdbg.state.tables import (
    OP,
    PROCESS,
    PROCESS_BACK,
    PROCESS_BACK_CURSOR,
    PROCESS_BACK_DEPTH,
    PROCESS_CURSOR,
    PROCESS_DEPTH,
    PROCESS_HANDLER,
    PROCESS_PC,
    PROCESS_STATUS,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.engine import Linked
    from vmdbg.formats.record import Format

HANDLED = (SIGBUS, SIGSEGV)  # a process cannot catch the others


def handles(m: Any, pid: int, number: int) -> bool:
    """Would a handler of the process run if the process got that signal now?"""
    row = pid * PROCESS
    return number in HANDLED and m.process[row + PROCESS_HANDLER] > 0 and m.process[row + PROCESS_BACK] == 0


def deliver(k: Linked, form: Format, pid: int) -> None:
    """Let the handler run after the signal that PROCESS_STATUS names, or end the process."""
    m, row = k.m, pid * PROCESS
    number = m.process[row + PROCESS_STATUS] - 128
    if not handles(m, pid, number):
        end_process(k, form, pid, 128 + number)
        return
    handler = m.process[row + PROCESS_HANDLER]
    m.process[row + PROCESS_STATUS] = 0
    m.process[row + PROCESS_BACK] = m.process[row + PROCESS_PC]
    m.process[row + PROCESS_BACK_CURSOR] = m.process[row + PROCESS_CURSOR]
    m.process[row + PROCESS_BACK_DEPTH] = m.process[row + PROCESS_DEPTH]
    m.process[row + PROCESS_PC] = handler
    m.process[row + PROCESS_CURSOR] = 0
    k.emit(m, HANDLER, number, m.op[handler * OP] >> OP_LINE, 0)


def return_from_handler(k: Linked, pid: int) -> None:
    """Go back to the access that faulted.  UserError if no handler runs."""
    m, row = k.m, pid * PROCESS
    back = m.process[row + PROCESS_BACK]
    if not back:
        raise UserError(f"Process {pid} is not in its handler.")
    m.process[row + PROCESS_PC] = back
    m.process[row + PROCESS_CURSOR] = m.process[row + PROCESS_BACK_CURSOR]
    m.process[row + PROCESS_DEPTH] = m.process[row + PROCESS_BACK_DEPTH]
    for column in (PROCESS_BACK, PROCESS_BACK_CURSOR, PROCESS_BACK_DEPTH):
        m.process[row + column] = 0
    k.emit(m, RETURN, m.op[back * OP] >> OP_LINE, 0, 0)


def start_at(m: Any, pid: int, row: int) -> None:
    """Let a process go on at a row outside of loops and handlers."""
    p = pid * PROCESS
    m.process[p + PROCESS_PC] = row
    for column in (PROCESS_DEPTH, PROCESS_BACK, PROCESS_BACK_CURSOR, PROCESS_BACK_DEPTH):
        m.process[p + column] = 0
