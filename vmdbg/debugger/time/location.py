"""The location of a machine: the process that is next, and its next operation."""

from __future__ import annotations

import os
from types import SimpleNamespace

from vmdbg.inspect.context import current_pid
from vmdbg.kernel.calls.processes import process_name
from vmdbg.kernel.scheduler import OP_EXIT, OP_KERNEL, OP_KIND, OP_LINE, OP_RANGED, OP_WIDTH, next_operation
from vmdbg.machine.feeds import OP_FEED
from vmdbg.programs.operations import call_text
from vmdbg.state.op_rows import OP_STEP
from vmdbg.state.tables import OP, OP_VA, OP_VALUE, PROCESS
from vmdbg.units import format_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.machine.machine import Machine

ACCESS_NAMES = ("read", "write", "fetch", "modify")


class Location:
    """A process and its operation.  `line` counts from 1, 0 = none; `row` is one of the table `op`."""

    __slots__ = ("file", "line", "name", "operation", "pid", "row", "source")

    def __init__(
        self, pid: int, name: str, row: int, file: str, line: int, source: str, operation: str
    ) -> None:
        self.pid, self.name, self.row = pid, name, row
        self.file, self.line, self.source, self.operation = file, line, source, operation


def next_row(machine: Machine, pid: int) -> int:
    """The row in the program of a process's next operation; the machine does not change."""
    m, p = machine.m, pid * PROCESS
    # The scheduler executes the rows of loops before the operation: here on a copy of the process.
    copy = SimpleNamespace(op=m.op, process=m.process[p : p + PROCESS].tolist())
    return int(next_operation(copy, 0))


def operation_text(machine: Machine, row: int, pid: int = 0) -> str:
    """An operation as a program would write it; of a range the access that is next."""
    m = machine.m
    word = m.op[row * OP]
    kind = word & OP_KIND
    bits = machine.format.va_bits
    if kind == OP_FEED:
        return "the next access of the trace"
    if kind >= OP_EXIT:
        return call_text(m.op[row * OP : row * OP + OP], lambda va: format_address(va, bits))
    va = m.op[row * OP + OP_VA]
    if word & OP_RANGED and pid:
        va += machine.k.range_place(m, pid * PROCESS, row, word) * m.op[row * OP + OP_STEP]
    by = "k" if word & OP_KERNEL else ""
    text = f"{by}{ACCESS_NAMES[kind & 3]} {format_address(va, bits)}"
    width = (word >> OP_WIDTH) & 15
    if width and kind in (1, 3):
        text += f", {m.op[row * OP + OP_VALUE]:#x}"
    return text + (f", {width}" if width > 1 else "")


def locate(machine: Machine) -> Location | None:
    """The location of a machine that stands between two operations; None if no process can run."""
    pid = current_pid(machine)
    if not pid:
        return None
    row = next_row(machine, pid)
    line = machine.m.op[row * OP] >> OP_LINE
    program = machine.program
    file, source = "", ""
    if program is not None:
        feed = machine.feeds.get(pid)
        file = os.path.basename(feed.file if feed is not None else program.file)
        if 0 < line <= len(program.source_lines):
            source = program.source_lines[line - 1].split("#")[0].strip()
    name = process_name(machine.k, pid)
    return Location(pid, name, row, file, line, source, operation_text(machine, row, pid))
