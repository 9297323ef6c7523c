"""What operations cost, by the events that they told: the parts of a machine that took the cycles."""

from __future__ import annotations

from collections import Counter

from vmdbg.inspect.counts import instructions, per_thousand
from vmdbg.state.events import EVENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

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


def cost_by_part(words: EventWords, events: Sequence[Happened]) -> dict[str, int]:
    """The cycles of some events, for each of PARTS."""
    spent = dict.fromkeys(PARTS, 0)
    for event in events:
        key = EVENTS[event.kind].cost
        if key:
            spent[PART_OF[key]] += words.cost(event) or 0
    return spent


def instruction_rate(operations: Sequence[Sequence[Happened]]) -> tuple[int, float | None]:
    """Instructions among operations, of which the events are given, and MPKI: operations whose first look-up
    no TLB array answered, for 1000 of them."""
    counts: Counter[str] = Counter()
    missed = 0
    for events in operations:
        names = [EVENTS[event.kind].name for event in events]
        counts.update(names)
        missed += first_lookup(names) == ["tlb-miss"]
    found = instructions(counts)
    return found, per_thousand(missed, found)


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
