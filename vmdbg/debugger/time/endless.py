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
        self._started, self._next = 0.0, float("inf")
        self._loop: str | None = None  # what `endless_loop` says; None: not asked yet, for that takes time

    def start(self) -> None:
        """A command begins to run the machine."""
        self._started = time.monotonic()
        self._next, self._loop = self._started + SOON, None

    def remark(self, machine: Machine) -> str:
        """A line to show, when the command has run for long: once; else an empty string."""
        now = time.monotonic()
        if now < self._next:
            return ""
        if self._loop is None:
            self._loop = endless_loop(machine)
            self._next = self._started + (SOON if self._loop else LATE)
            if now < self._next:
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
        for number, word in enumerate(rows[::OP]):  # of a trace there are millions
            if word & OP_KIND == OP_LOOP and rows[number * OP + OP_ROUNDS] == MAX_ROUNDS:
                return f"{program.file}:{word >> OP_LINE}"
    return ""
