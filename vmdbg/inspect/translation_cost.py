"""What translation costs an access on average: the textbook's effective access time, without the access."""

from __future__ import annotations

from vmdbg.inspect.counts import accesses
from vmdbg.inspect.tlb_rows import array_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.machine.machine import Machine


class TranslationCost:
    """Counts of a run, and what they cost by the settings `cost.*`, in cycles.

    `l1_misses` are accesses that no first-level TLB array served, `walks` those that no level did, `steps`
    the entries that the walker read for them.  A level that the machine lacks costs nothing.
    """

    __slots__ = ("accesses", "l1", "l1_misses", "l2", "memory", "steps", "walks")

    def __init__(self, machine: Machine) -> None:
        counts, config = machine.counts(), machine.config
        levels = {name[1] for name in array_names(machine)}
        self.accesses = accesses(counts)
        self.walks = counts.get("tlb-miss", 0)
        self.l1_misses = self.walks + counts.get("tlb-l2-hit", 0)
        self.steps = counts.get("walk-step", 0)
        self.l1 = int(config["cost.l1"]) if "1" in levels else 0
        self.l2 = int(config["cost.l2"]) if "2" in levels else 0
        self.memory = int(config["cost.memory"])

    @property
    def per_access(self) -> float:
        """Cycles an access, on average."""
        if not self.accesses:
            return 0.0
        extra = self.l1_misses * self.l2 + self.steps * self.memory
        return self.l1 + extra / self.accesses

    def formula(self) -> str:
        """`1 + 0.003256 * 7 + 0.001076 * 30 = 1.055 cycles an access`: look-up, second level, walk."""
        if not self.accesses:
            return ""
        parts = [str(self.l1)]
        if self.l2:
            parts.append(f"{self.l1_misses / self.accesses:.6f} * {self.l2}")
        parts.append(f"{self.steps / self.accesses:.6f} * {self.memory}")
        return f"{' + '.join(parts)} = {self.per_access:.3f} cycles an access"
