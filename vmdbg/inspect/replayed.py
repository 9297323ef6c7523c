"""What a replay counted: accesses, instructions, faults, hits and misses of the TLB, and their rate."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.machine.machine import Machine
    from vmdbg.programs.traces.feed import ReplayedProgram

FAULTS = ("fault-minor", "fault-major", "fault-file", "fault-cow")


def replay_counts(machine: Machine, program: ReplayedProgram) -> dict[str, Any]:
    """The counts of a machine that replayed traces, by name; None for what the traces cannot tell.

    An instruction is a fetch.  `tlb_misses` are of the first try of each access, `walks` of all tries: one
    that was repeated after a fault misses again.  `mpki` are TLB misses per 1000 instructions.  `left_out`
    accesses have addresses of the kernel's, `malformed` records were passed over.
    """
    counts = machine.counts()
    fetches, reads, writes = (counts.get(name, 0) for name in ("fetch", "read", "write"))
    accesses = fetches + reads + writes
    hits = counts.get("tlb-hit", 0)
    second = counts.get("tlb-l2-hit", 0)
    repeated = counts.get("retry", 0) if machine.format.software_walk else 0
    tries = accesses + counts.get("signal", 0)
    forgets = bool(machine.config["machine.forget"])
    misses = counts.get("tlb-miss", 0) if forgets else max(0, tries - max(0, hits + second - repeated))
    return {
        "accesses": accesses,
        "instructions": fetches,
        "reads": reads,
        "writes": writes,
        "faults": sum(counts.get(name, 0) for name in FAULTS),
        "major_faults": counts.get("fault-major", 0),
        "tlb_hits": hits,
        "tlb_l2_hits": second,
        "tlb_misses": misses,
        "walks": counts.get("tlb-miss", 0),
        "mpki": round(1000 * misses / fetches, 3) if fetches else None,
        "left_out": sum(feed.left_out for feed in program.feeds),
        "malformed": sum(feed.bad for feed in program.feeds),
    }
