"""One point of a sweep: a machine is booted, its program runs to the end, and what happened is counted."""

from __future__ import annotations

from vmdbg.engine import native
from vmdbg.errors import VmdbgError
from vmdbg.inspect.counts import first_misses, page_faults
from vmdbg.inspect.target import boot
from vmdbg.inspect.translation_cost import TranslationCost
from vmdbg.machine.config import MachineConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.machine.machine import Machine
    from vmdbg.programs.program import Program

NO_END = (1 << 62) - 1  # operations
#: The program of the last point: a process that runs the next one does not read a trace again.
_last: list[Program | None] = []


def run_point(values: dict[str, Any], name: str, program: str, resident: bool) -> dict[str, Any]:
    """The measures of a machine with these values of settings.  What goes wrong is the value of `error`.

    It runs in a process of its own, so that what it takes and gives is plain data.
    """
    try:
        machine = boot(MachineConfig(values, name), program, resident).machine
        _last[:] = [machine.program]
        run_to_end(machine)
        return measures(machine)
    except VmdbgError as error:
        return {"error": str(error)}


def run_to_end(machine: Machine) -> None:
    """Run compiled where that is possible, else interpreted."""
    compiled = native.available()
    if compiled:
        machine.compile()
    machine.run(NO_END, compiled)


def measures(machine: Machine) -> dict[str, Any]:
    """What is counted of a run; `l1_misses` are of the first try of each access, `l1_mpki` are those per
    1000 instructions.  `walks` and cycles are of all tries: an access is repeated after a fault."""
    counts, cost = machine.counts(), TranslationCost(machine)
    instructions, missed = counts.get("fetch", 0), first_misses(machine, counts)[0]
    return {
        "accesses": cost.accesses,
        "instructions": instructions,
        "faults": page_faults(counts),
        "swapped_out": counts.get("swap-out", 0),
        "l1_misses": missed,
        "l1_mpki": round(1000 * missed / instructions, 3) if instructions else None,
        "walks": cost.walks,
        "cycles_per_access": round(cost.per_access, 3),
        "formula": cost.formula(),
    }
