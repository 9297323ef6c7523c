"""What a replay counted: accesses, instructions, faults, hits and misses of the TLB, and their rate."""

from __future__ import annotations

from vmdbg.inspect.counts import (
    accesses,
    counted,
    first_misses,
    instructions,
    made,
    page_faults,
    per_thousand,
    straddling,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.machine.machine import Machine
    from vmdbg.programs.traces.feed import ReplayedProgram


def replay_counts(machine: Machine, program: ReplayedProgram) -> dict[str, Any]:
    """The counts of a machine that replayed traces, by name; None for what the traces cannot tell.

    What the warm-up counted is not in them, except in the last two.  An instruction is a fetch.
    `straddling` accesses looked two pages up.  `tlb_misses` are of the first try of each access, `walks` of
    all tries: one that was repeated after a fault misses again.  `mpki` are TLB misses per 1000 instructions.
    `left_out` accesses have addresses of the kernel's, `malformed` records were passed over.
    """
    counts = counted(machine, program.warm_counts or {})
    forgets = bool(machine.config["machine.forget"])
    misses = counts.get("tlb-miss", 0) if forgets else first_misses(machine, counts)[1]
    return {
        "accesses": accesses(counts),
        "instructions": instructions(counts),
        "reads": made(counts, "read"),
        "writes": made(counts, "write"),
        "straddling": straddling(counts),
        "faults": page_faults(counts),
        "major_faults": counts.get("fault-major", 0),
        "tlb_hits": counts.get("tlb-hit", 0),
        "tlb_l2_hits": counts.get("tlb-l2-hit", 0),
        "tlb_misses": misses,
        "walks": counts.get("tlb-miss", 0),
        "mpki": per_thousand(misses, instructions(counts)),
        "left_out": sum(feed.left_out for feed in program.feeds),
        "malformed": sum(feed.bad for feed in program.feeds),
    }
