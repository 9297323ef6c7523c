"""What translation costs an access on average: the textbook's effective access time, without the access."""

from __future__ import annotations

from vmdbg.inspect.counts import accesses, straddling
from vmdbg.inspect.tlb_rows import array_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vmdbg.machine.machine import Machine


class TranslationCost:
    """Counts of a run, and what they cost by the settings `cost.*`, in cycles.

    `l1_misses` are look-ups that no first-level TLB array served, `walks` those that no level did, `steps`
    the entries that the walker, or the kernel's TLB handler, read for them, `traps` how often that handler
    was entered.  A level that the machine lacks costs nothing.  `lookups` are those of the first level: an
    access that straddles two pages makes two.
    """

    __slots__ = (
        "accesses", "l1", "l1_misses", "l2", "lookups", "memory", "steps", "trap", "traps", "walks",
    )  # fmt: skip

    def __init__(self, machine: Machine, counts: Mapping[str, int] | None = None) -> None:
        """`counts`: of the part of the run that is meant; None: all of it."""
        counts = machine.counts() if counts is None else counts
        config = machine.config
        levels = {name[1] for name in array_names(machine)}
        self.accesses = accesses(counts)
        self.lookups = self.accesses + straddling(counts)
        self.walks = counts.get("tlb-miss", 0)
        self.l1_misses = self.walks + counts.get("tlb-l2-hit", 0)
        self.steps = counts.get("walk-step", 0) + counts.get("table-read", 0)
        self.traps = counts.get("trap", 0) if machine.format.software_walk else 0
        self.l1 = int(config["cost.l1"]) if "1" in levels else 0
        self.l2 = int(config["cost.l2"]) if "2" in levels else 0
        self.memory, self.trap = int(config["cost.memory"]), int(config["cost.trap"])

    @property
    def parts(self) -> list[tuple[int, int]]:
        """What there was, how often in all, and the cycles of one."""
        found = [(self.lookups, self.l1)] if self.l1 else []
        found += [(self.l1_misses, self.l2)] if self.l2 else []
        found += [(self.traps, self.trap)] if self.traps else []
        return [*found, (self.steps, self.memory)]

    @property
    def per_access(self) -> float:
        """Cycles an access, on average."""
        if not self.accesses:
            return 0.0
        return sum(count * cycles for count, cycles in self.parts) / self.accesses

    def formula(self) -> str:
        """`1 + 0.003256 * 7 + 0.001076 * 30 = 1.055 cycles an access`: look-up, second level, walk."""
        return access_formula(self.parts, self.accesses)


def access_formula(parts: Iterable[tuple[int, int]], accesses: int) -> str:
    """The effective access time: `parts` are how often in all there was something that costs cycles, and the
    cycles of one.  Empty without accesses."""
    if not accesses:
        return ""
    said, cycles = [], 0
    for count, each in parts:
        share = f"{count / accesses:.6f}".rstrip("0").rstrip(".")
        said.append(str(each) if count == accesses else f"{share} * {each}")
        cycles += count * each
    return f"{' + '.join(said) or '0'} = {cycles / accesses:.3f} cycles an access"
