"""Remarks about a run without a limit that takes long, for output that nobody watches at a terminal."""

from __future__ import annotations

import time

from vmdbg.kernel.calls.processes import live_processes
from vmdbg.kernel.scheduler import OP_KIND, OP_LINE, OP_LOOP
from vmdbg.programs.vmp import MAX_ROUNDS
from vmdbg.state.op_rows import OP_ROUNDS
from vmdbg.state.tables import OP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.machine.machine import Machine

SOON, LATE = 2.0, 10.0  # seconds after which a run is mentioned: in a loop without a count, and any other
HOW_TO_END = 'bound it with "step N" or a stop, or end it with Ctrl-C.'


class RunClock:
    """Measures for how long a command has run the machine without a limit."""

    def __init__(self) -> None:
        self._next = float("inf")

    def start(self, machine: Machine) -> None:
        """A command begins to run the machine."""
        self._loop = endless_loop(machine)
        self._next = time.monotonic() + (SOON if self._loop else LATE)

    def remark(self, machine: Machine) -> str:
        """A line to show, when the command has run for long: once; else an empty string."""
        if time.monotonic() < self._next:
            return ""
        self._next = float("inf")
        where = f"The run goes on, at {machine.operations}:0"
        if not self._loop:
            return f"{where}: {HOW_TO_END}"
        return f'{where}: {self._loop}: this loop has no count and never ends.  Write "loop N", {HOW_TO_END}'


def endless_loop(machine: Machine) -> str:
    """`FILE:LINE` of a loop without a count of a process that lives; nothing if there is none."""
    program = machine.program
    if program is None or not live_processes(machine.k):
        return ""
    for process in program.processes:
        rows = process.rows
        for row in range(0, len(rows), OP):
            if rows[row] & OP_KIND == OP_LOOP and rows[row + OP_ROUNDS] == MAX_ROUNDS:
                return f"{program.file}:{rows[row] >> OP_LINE}"
    return ""
