"""One point of a sweep: a machine is booted, its program runs to the end, and what happened is counted."""

from __future__ import annotations

from collections import deque

from vmdbg.errors import UserError, VmdbgError
from vmdbg.inspect.counts import (
    accesses,
    counted,
    first_misses,
    instructions,
    lookups,
    page_faults,
    per_thousand,
)
from vmdbg.inspect.target import boot
from vmdbg.inspect.translation_cost import TranslationCost
from vmdbg.kernel.calls.processes import live_processes
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.long_run import NO_END, run_until
from vmdbg.state.tables import PROCESS, PROCESS_RSS, PROCESS_TABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from vmdbg.machine.machine import Machine
    from vmdbg.programs.program import Program

#: Keeps the programs of the last points alive: the next point in this process need not read its trace again.
#: Two, for a policy that knows the future takes it in another way.
_last: deque[Program | None] = deque(maxlen=2)


def run_point(values: dict[str, Any], name: str, program: str) -> dict[str, Any]:
    """The measures of a machine with these values of settings.  What goes wrong is the value of `error`.

    It runs in a process of its own, so that what it takes and gives is plain data.
    """
    try:
        machine = boot(MachineConfig(values, name), program, fed=True).machine
        _last.append(machine.program)
        before = warm_up(machine)
        found = memory_at_end(machine)
        run_until(machine, NO_END)
        return {**measures(machine, before), **found}
    except VmdbgError as error:
        return {"error": str(error)}


def run_accesses(machine: Machine, wanted: int) -> int:
    """Run until so many accesses are made in all; returns how many are missing if no process can run any
    more, else 0."""
    left, alive = wanted - accesses(machine.counts()), True
    while left > 0 and alive:
        alive = run_until(machine, machine.operations + left)  # operations of the kernel count too
        left = wanted - accesses(machine.counts())
    return max(0, left)


def warm_up(machine: Machine) -> dict[str, int]:
    """Run the warm-up of a trace; returns the counts of events then (none: {}).  UserError if the trace is
    shorter.
    """
    wanted = machine.config["trace.warm_up"]
    if not wanted or machine.program is None or machine.program.length is None:
        return {}
    lacking = run_accesses(machine, wanted)
    if lacking:
        raise UserError(f"The warm-up is {wanted} accesses, but there are only {wanted - lacking}.")
    return machine.counts()


def memory_at_end(machine: Machine) -> dict[str, Any]:
    """Run a trace to its last access: the bytes of its pages in memory then, and of its page tables.

    Of other programs nothing is run, and nothing known.  `error` if the process does not get so far.
    """
    program = machine.program
    if program is None or program.length is None or len(program.processes) != 1:
        return {"resident": None, "tables": None}
    wanted = program.length - 1
    left = run_accesses(machine, wanted)
    page, found = machine.format.page_size, dict.fromkeys(("resident", "tables"), 0)
    for pid in live_processes(machine.k):
        found["resident"] += machine.m.process[pid * PROCESS + PROCESS_RSS] * page
        found["tables"] += machine.m.process[pid * PROCESS + PROCESS_TABLES] * page
    if left:
        return {
            **found,
            "error": f"it ended after {wanted - left} of {wanted} accesses: no memory",
        }
    return found


def measures(machine: Machine, before: Mapping[str, int]) -> dict[str, Any]:
    """What is counted of a run since the counts were those of `before`.

    `l1_misses` are of the first try of each access, `l1_mpki` are those per 1000 instructions.  `walks`,
    `entries_read`, `traps` and cycles are of all tries: an access is repeated after a fault.  `traps` are
    those of a kernel that fills the TLB itself.
    """
    counts = counted(machine, before)
    cost = TranslationCost(machine, counts)
    missed = first_misses(machine, counts)
    return {
        "accesses": cost.accesses,
        "instructions": instructions(counts),
        "faults": page_faults(counts),
        "swapped_out": counts.get("swap-out", 0),
        "l1_misses": missed[0],
        "l1_mpki": per_thousand(missed[0], instructions(counts)),
        "tlb_misses": missed[1],
        "mpki": per_thousand(missed[1], instructions(counts)),
        "lookups": lookups(counts),
        "walks": cost.walks,
        "entries_read": cost.steps,
        "traps": cost.traps,
        "cycles_per_access": round(cost.per_access, 3),
        "formula": cost.formula(),
    }
