"""What counts of events say together: accesses, page faults that were served, misses at the first try."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmdbg.machine.machine import Machine

ACCESSES = ("fetch", "read", "write")
#: Not `fault-access`: that only lets the kernel set A or D where no walker does.
PAGE_FAULTS = ("fault-minor", "fault-major", "fault-file", "fault-cow")


def accesses(counts: Mapping[str, int]) -> int:
    """Accesses that were executed, by `Machine.counts`."""
    return sum(counts.get(kind, 0) for kind in ACCESSES)


def page_faults(counts: Mapping[str, int]) -> int:
    """Page faults that were served, by `Machine.counts`."""
    return sum(counts.get(kind, 0) for kind in PAGE_FAULTS)


def faults_between(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Page faults by kind, and evictions, that happened between two times (`Machine.counts` of both)."""
    return {kind: after.get(kind, 0) - before.get(kind, 0) for kind in (*PAGE_FAULTS, "evict")}


def first_misses(machine: Machine, counts: Mapping[str, int]) -> tuple[int, int]:
    """How many accesses the first level of the TLB did not serve at their first try, and how many no level.

    An access that is repeated after a fault looks again: where a walker fills the TLB it misses once more,
    where the kernel does it hits.  Neither counts here.
    """
    repeated = counts.get("retry", 0) if machine.format.software_walk else 0
    tries = accesses(counts) + counts.get("signal", 0)
    first = counts.get("tlb-hit", 0) - repeated
    return max(0, tries - max(0, first)), max(0, tries - max(0, first + counts.get("tlb-l2-hit", 0)))
