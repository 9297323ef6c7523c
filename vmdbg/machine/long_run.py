"""Running a machine far with nobody looking on: in the engine that takes less time, all in all."""

from __future__ import annotations

from vmdbg import progress
from vmdbg.kernel.exits import REASON_IDLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.engine.native import Code
    from vmdbg.machine.machine import Machine

NO_END = (1 << 62) - 1  # operations
FEW = 2_000  # operations that run interpreted before it pays to look for code that is there
PATIENCE = 20_000  # operations that run interpreted before it pays to make code


def run_until(machine: Machine, limit: int) -> bool:
    """Run until so many operations are executed; False if nobody can run any more.

    Compiled where that is possible and worth its time, else interpreted.
    """
    if machine.compiled is None:
        length = machine.program.length if machine.program is not None else None
        few = 0 if length is not None and length > FEW else FEW
        for patience, make in ((few, False), (PATIENCE, True)):
            first = min(limit, machine.operations + patience)
            if not run_on(machine, first) or first == limit:
                return machine.operations >= limit
            machine.compiled = code_of(machine, make)
            if machine.compiled is not None:
                break
    return run_on(machine, limit)


def code_of(machine: Machine, make: bool) -> Code | None:
    """The machine's compiled code, from this process or from the cache, or else, with `make`, made; None if
    there is none.  NotHotError, SourceError."""
    # Here, for the compiler's modules take longer to import than short programs run.
    from vmdbg.engine import native

    if not native.available():
        return None
    return machine.compile() if make else machine.build().cached()


def run_on(machine: Machine, limit: int) -> bool:
    """Run until so many operations are executed, compiled if there is code; False as for `run_until`."""
    begun = machine.operations
    with progress.task("Running", "operations", limit - begun if limit < NO_END else None) as task:
        while machine.operations < limit:  # a run ends early where a trace goes on
            if machine.run(limit, machine.compiled is not None) == REASON_IDLE:
                return False
            task.at(machine.operations - begun)
    return True
