"""What counts of events say together: accesses, instructions, page faults, misses at the first try.

An access that straddles two pages is one access, and two look-ups.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmdbg.machine.machine import Machine

ACCESSES = ("fetch", "read", "write")
#: Not `fault-access`: that only lets the kernel set A or D where no walker does.
PAGE_FAULTS = ("fault-minor", "fault-major", "fault-file", "fault-cow")


def counted(machine: Machine, before: Mapping[str, int]) -> dict[str, int]:
    """Counts of events, without those until some time before (`Machine.counts` then)."""
    return {kind: count - before.get(kind, 0) for kind, count in machine.counts().items()}


def made(counts: Mapping[str, int], kind: str) -> int:
    """Accesses of one of the ACCESSES that were executed, by `Machine.counts`."""
    return counts.get(kind, 0) - counts.get(f"straddle-{kind}", 0)


def accesses(counts: Mapping[str, int]) -> int:
    """Accesses that were executed, by `Machine.counts`."""
    return sum(made(counts, kind) for kind in ACCESSES)


def straddling(counts: Mapping[str, int]) -> int:
    """Accesses that straddled two pages, by `Machine.counts`."""
    return sum(counts.get(f"straddle-{kind}", 0) for kind in ACCESSES)


def instructions(counts: Mapping[str, int]) -> int:
    """Instructions that were executed, by `Machine.counts`: each is a fetch."""
    return made(counts, "fetch")


def per_thousand(count: int, instructions: int) -> float | None:
    """So many for 1000 instructions (MPKI, if misses are counted); None without any."""
    return round(1000 * count / instructions, 3) if instructions else None


def page_faults(counts: Mapping[str, int]) -> int:
    """Page faults that were served, by `Machine.counts`."""
    return sum(counts.get(kind, 0) for kind in PAGE_FAULTS)


def faults_between(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Page faults by kind, and evictions, that happened between two times (`Machine.counts` of both)."""
    return {kind: after.get(kind, 0) - before.get(kind, 0) for kind in (*PAGE_FAULTS, "evict")}


def lookups(counts: Mapping[str, int]) -> int:
    """Look-ups at first tries, by `Machine.counts`: of each page that an access went to, or was to go to."""
    return accesses(counts) + straddling(counts) + counts.get("signal", 0)


def first_misses(machine: Machine, counts: Mapping[str, int]) -> tuple[int, int]:
    """How many look-ups the first level of the TLB did not serve at their first try, and how many no level.

    An access that is repeated after a fault looks again: where a walker fills the TLB it misses once more,
    where the kernel does it hits.  Neither counts here.
    """
    repeated = counts.get("retry", 0) if machine.format.software_walk else 0
    tries = lookups(counts)
    first = counts.get("tlb-hit", 0) - repeated
    return max(0, tries - max(0, first)), max(0, tries - max(0, first + counts.get("tlb-l2-hit", 0)))
