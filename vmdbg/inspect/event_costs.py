"""What operations cost, by the events that they told: the parts of a machine that took the cycles."""

from __future__ import annotations

from collections import Counter, namedtuple

from vmdbg.inspect.counts import ACCESSES, accesses, first_misses, instructions, per_thousand
from vmdbg.inspect.translation_cost import access_formula
from vmdbg.state.events import EVENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from vmdbg.inspect.event_fields import Happened
    from vmdbg.inspect.event_words import EventWords

#: By key of the costs: the part of the machine that takes the cycles.
PART_OF = {
    "l1": "tlb",
    "l1+l2": "tlb",
    "trap": "trap",
    "memory": "memory",
    "minor": "fault",
    "major": "fault",
}
PARTS = ("tlb", "trap", "memory", "fault")
LOOKUPS = ("tlb-hit", "tlb-l2-hit", "tlb-miss")  # the first that happened says how the TLB did
#: The weightiest first.
SERVED = (
    "fault-major", "fault-file", "fault-minor", "fault-cow", "fault-access", "tlb-miss", "tlb-l2-hit",
    "tlb-hit",
)  # fmt: skip

#: Something that cycles are spent on: how often there was one, and the cycles of one.
Term = namedtuple("Term", "what count each")
#: What each is called, by key of the costs, in the order in which an access meets them; `walk`: an entry.
TERMS = {
    "l1": "TLB look-ups",
    "l2": "second-level look-ups",
    "walk": "entries read",
    "trap": "traps",
    "minor": "minor faults",
    "major": "major faults",
    "memory": "memory accesses",
}


class CostSum:
    """What a stretch of a run cost, by counts of its events: `terms`, and what they are shared among."""

    def __init__(self, words: EventWords, counts: Mapping[str, int]) -> None:
        found: Counter[str] = Counter()
        for event in EVENTS:
            for key in event.cost.split("+") if event.cost else ():
                walked = key == "memory" and event.name not in ACCESSES
                found["walk" if walked else key] += counts.get(event.name, 0)
        prices = {key: words.price("memory" if key == "walk" else key) or 0 for key in TERMS}
        self.terms = [Term(TERMS[key], found[key], prices[key]) for key in TERMS if found[key] * prices[key]]
        self.cycles = sum(term.count * term.each for term in self.terms)
        self.accesses = accesses(counts)
        self.instructions = instructions(counts)
        misses = first_misses(words.machine, counts)[1] if words.arrays else self.accesses
        self.mpki = per_thousand(misses, self.instructions)

    @property
    def per_access(self) -> float | None:
        """The effective access time: cycles an access, on average; None without accesses."""
        return self.cycles / self.accesses if self.accesses else None

    def formula(self) -> str:
        """`1.5 + 0.5 * 100 + 30 = 81.5 cycles an access`; empty without accesses."""
        return access_formula(((term.count, term.each) for term in self.terms), self.accesses)

    def data(self) -> dict[str, Any]:
        """All of it as JSON shows it."""
        return {
            "accesses": self.accesses,
            "instructions": self.instructions,
            "mpki": self.mpki,
            "cycles": self.cycles,
            "per_access": None if self.per_access is None else round(self.per_access, 6),
            "terms": [{**term._asdict(), "cycles": term.count * term.each} for term in self.terms],
        }


def counts_of(events: Iterable[Happened]) -> Counter[str]:
    """How often each kind is among some events, by name."""
    return Counter(EVENTS[event.kind].name for event in events)


def cost_by_part(words: EventWords, events: Sequence[Happened]) -> dict[str, int]:
    """The cycles of some events, for each of PARTS."""
    spent = dict.fromkeys(PARTS, 0)
    for event in events:
        key = EVENTS[event.kind].cost
        if key:
            spent[PART_OF[key]] += words.cost(event) or 0
    return spent


def first_lookup(names: Sequence[str]) -> list[str]:
    """The first look-up among the names of events, if there is one."""
    return [name for name in names if name in LOOKUPS][:1]


def how_done(events: Sequence[Happened]) -> str:
    """`tlb-miss, fault-minor`: the first look-up of some events, and the faults; `-` for neither."""
    names = [EVENTS[event.kind].name for event in events]
    first = first_lookup(names)
    faults = [name for name in names if name.startswith("fault-") or name == "signal"]
    return ", ".join(dict.fromkeys([*first, *faults])) or "-"


def how_served(events: Sequence[Happened]) -> str:
    """The weightiest event of an access: a fault that was served, else how the TLB did."""
    names = {EVENTS[event.kind].name for event in events}
    return next((name for name in SERVED if name in names), "no TLB")
