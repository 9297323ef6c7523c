"""Words for what one machine's events speak of: pages, frames, TLB rows, entries; and what they cost."""

from __future__ import annotations

from vmdbg.formats.contract import ACCESS_FETCH, ENTRY_EMPTY, ENTRY_SWAPPED, ENTRY_TABLE
from vmdbg.hardware.replacement import facts_of
from vmdbg.hardware.tlb import KEY_SIZE, KEY_TAG, WORD_PFN, WORD_RIGHTS
from vmdbg.hardware.walk_cache import STALE_TABLE
from vmdbg.inspect.event_fields import sentence, walk_sentence
from vmdbg.inspect.notation import Notation, rights_text
from vmdbg.inspect.tlb_rows import array_names
from vmdbg.kernel.frames import FRAME_IS_TABLE
from vmdbg.state.events import ENTRY_WRITE, EVENTS, UNSIGNED, WALK_STEP
from vmdbg.state.tables import (
    ARRAY,
    ARRAY_BASE,
    ARRAY_DATA,
    ARRAY_FETCHES,
    ARRAY_MASK,
    ARRAY_SPAN,
    ARRAY_STRIDE,
    FRAME,
    FRAME_DEPTH,
    FRAME_STATE,
    TLB,
)
from vmdbg.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmdbg.inspect.event_fields import Happened
    from vmdbg.machine.machine import Machine


#: The arguments of events, by name, that are 64 bits without a sign.
UNSIGNED_NAMES = frozenset(
    name
    for event in EVENTS
    for name, kind in zip(event.arguments, event.kinds, strict=True)
    if kind in UNSIGNED
)


class EventWords:
    """Says what events of one machine were, and what they cost."""

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine
        self.show: Notation = Notation(machine.format)
        self.arrays = array_names(machine)
        self.costs = {event.kind: self.price(event.cost) for event in EVENTS}
        self.has_levels: bool = len(machine.format.levels) > 1
        self.has_content: bool = bool(machine.config["machine.payload"])

    # -- sentences

    def what(self, event: Happened) -> str:
        """What is said of an event."""
        return sentence(self, event)

    def walk(self, events: Sequence[Happened]) -> str:
        """What is said of the steps of a walk, together."""
        return walk_sentence(self, events)

    # -- cost

    def price(self, key: str) -> int | None:
        """The cycles of a cost key such as `l1+l2`; None if the key is empty."""
        if not key:
            return None
        total = 0
        for part in key.split("+"):
            if part in ("l1", "l2") and not any(name[1] == part[1] for name in self.arrays):
                continue
            total += self.machine.config[f"cost.{part}"]
        return total

    def cost(self, row: Happened) -> int | None:
        """The cycles of an event; None if it has no cost of its own."""
        return self.costs[row.kind]

    def total(self, rows: Sequence[Happened]) -> int:
        """The cycles of some events."""
        return sum(self.costs[row.kind] or 0 for row in rows)

    # -- words

    def vpn(self, va: int) -> str:
        """The page number of an address."""
        form = self.machine.format
        return self.show.vpn((va & ((1 << form.va_bits) - 1)) >> form.page_bits)

    def key_text(self, key: int, word: int) -> str:
        """`vpn 0x406 -> pfn 0x10b, rw-u`; a large page with its size, a foreign space with its number."""
        form = self.machine.format
        shift = form.page_shifts[key & KEY_SIZE]
        page = (key >> KEY_TAG) << (shift - form.page_bits)
        size = f", {format_size(1 << shift)}" if key & KEY_SIZE else ""
        frame = self.show.pfn(word >> WORD_PFN)
        return f"vpn {self.show.vpn(page)} -> pfn {frame}{size}, {rights_text(word & WORD_RIGHTS)}"

    def table_text(self, key: int, word: int) -> str:
        """`PD cache, 0x400000 -> table 0x106000, rwxu`: an entry of a page-walk cache."""
        form = self.machine.format
        level = form.levels[len(form.levels) - 1 - (key & KEY_SIZE)]
        table = (word & ~STALE_TABLE) >> WORD_PFN << form.page_bits
        start = form.signed(key >> KEY_TAG << level.shift)
        rights = rights_text(word & WORD_RIGHTS)
        return f"{level.name} cache, {self.show.va(start)} -> table {self.show.pa(table)}, {rights}"

    def way(self, row: int) -> str:
        """Which set and way a row of the table `tlb` is."""
        m = self.machine.m
        for place, name in enumerate(self.arrays):
            at = place * ARRAY
            span, sets = m.array[at + ARRAY_SPAN], m.array[at + ARRAY_MASK] + 1
            offset = row - m.array[at + ARRAY_BASE]
            if m.array[at + ARRAY_STRIDE]:
                offset %= m.array[at + ARRAY_STRIDE]
            if 0 <= offset < sets * span:
                return self.set_text(name, sets, offset // span) + f"way {offset % span // TLB}"
        return f"row {row}"

    def set_text(self, name: str, sets: int, number: int) -> str:
        """`L1 set 6 `; nothing where there is one array of one set."""
        if sets == 1 and len(self.arrays) == 1:
            return ""
        return f"{name} set {number} " if sets > 1 else f"{name} "

    def serving(self, access: int) -> list[int]:
        """The arrays (places in `arrays`) that an access asks and fills."""
        column = ARRAY_FETCHES if access == ACCESS_FETCH else ARRAY_DATA
        return [place for place in range(len(self.arrays)) if self.machine.m.array[place * ARRAY + column]]

    def searched(self, va: int, access: int) -> str:
        """Where a look-up of an address that failed has looked."""
        m, form = self.machine.m, self.machine.format
        vpn = (va & ((1 << form.va_bits) - 1)) >> form.page_bits
        if not self.arrays:
            return "no TLB"
        if len(self.arrays) == 1 and m.array[ARRAY_MASK] == 0:
            return f"none of {m.array[ARRAY_SPAN] // TLB} entries"
        parts = []
        for place in self.serving(access):
            mask = m.array[place * ARRAY + ARRAY_MASK]
            parts.append(self.set_text(self.arrays[place], mask + 1, vpn & mask).strip())
        return ", ".join(parts)

    def filled(self, row: Happened, access: int) -> str:
        """Where a translation went: its set in each array that took it, and the way."""
        m, tag = self.machine.m, row.b >> KEY_TAG
        parts = []
        for place in self.serving(access):
            at = place * ARRAY
            if self.machine.k.tlb_holds(m, at, row.b & KEY_SIZE):
                sets = m.array[at + ARRAY_MASK] + 1
                text = self.set_text(self.arrays[place], sets, tag & (sets - 1))
                parts.append((text + self.way_filled(row, at)).strip())
        return ", ".join(parts)

    def way_filled(self, row: Happened, array: int) -> str:
        """`way 0`: where a set is kept in order; else the way as the TLB has it now, if it still does."""
        m, k = self.machine.m, self.machine.k
        if facts_of(self.machine.config["tlb.replacement"]).ordered:
            return "way 0"
        start = k.tlb_set(m, array, row.cpu, row.b)
        at = k.tlb_place(m, array, start, row.b)
        return f"way {(at - start) // TLB}" if m.tlb[at] == row.b else ""

    def root_text(self, root: int) -> str:
        """`cr3 = 0x103000`; where the root register has fields, the one that names the table."""
        form = self.machine.format
        if form.root_fields:
            named = form.root_fields[-1].name
            at = self.show.pa(root) if form.split else self.show.pfn(root >> form.page_bits)
            return f"{named} = {at}"
        return f"{form.root_register} = {self.show.pa(root)}"

    def step_name(self, step: int) -> str:
        """`PT[6]`, for the first argument of walk-step."""
        return f"{self.machine.format.levels[step & 255].name}[{(step >> 8) & 0xFFFFFFFF}]"

    def entry_text(self, entry: int, depth: int) -> str:
        """What an entry says: `P RW US A`, `slot 2`, `empty`, `not valid`."""
        k, form = self.machine.k, self.machine.format
        kind = k.classify(entry, depth)
        if kind == ENTRY_EMPTY:
            return "not valid" if entry else "empty"
        if kind == ENTRY_SWAPPED:
            return f"slot {k.swapped_slot(entry)}"
        where = "t" if kind == ENTRY_TABLE else "l" if depth == len(form.levels) - 1 else "h"
        return " ".join(form.flags(entry, where, depth))

    def watched_text(self, event: Happened, value: int) -> str:
        """A value that a watchpoint saw at an event; that of an entry with what it says."""
        if event.kind not in (ENTRY_WRITE, WALK_STEP):
            return f"{value:#x}"
        known = self.table_of(event.a if event.kind == ENTRY_WRITE else event.b)
        depth = known[0] if known else len(self.machine.format.levels) - 1
        return f"{self.show.entry(value)}  {self.entry_text(value, depth)}"

    def table_of(self, address: int, row: Happened | None = None) -> tuple[int, int] | None:
        """Depth and index of the entry at a physical address, at the time of an event; None if no table is
        there."""
        m, k, form = self.machine.m, self.machine.k, self.machine.format
        frame = k.frame_at(m, address)
        for first in range(frame, max(-1, frame - 64), -1):
            depth = self.table_depth(first, row)
            if depth >= 0:
                offset = address - k.frame_address(m, first)
                if offset < form.table_bytes(depth):
                    return depth, offset // form.entry_bytes
                break
        return None

    def entry_name(self, address: int) -> str:
        """`PT[6]`: the entry at a physical address; the address itself if no table is there."""
        known = self.table_of(address)
        return f"{self.machine.format.levels[known[0]].name}[{known[1]}]" if known else self.show.pa(address)

    def table_depth(self, frame: int, row: Happened | None) -> int:
        """The depth of the table that a frame holds, or begins, at the time of an event; -1 if it is none."""
        at = frame * FRAME
        held = self.machine.m.frame[at + FRAME_STATE] == FRAME_IS_TABLE
        return int(self.machine.m.frame[at + FRAME_DEPTH]) if held else -1

    def value(self, value: int) -> str:
        """A value in memory, two digits at least."""
        return f"0x{value & ((1 << 64) - 1):02x}"
