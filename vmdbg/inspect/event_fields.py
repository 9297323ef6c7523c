"""Events in sentences: what stands in the braces of a declaration's `says` (`vmdbg/state/events.py`).

A field is an argument of the event, its `pid` or `cpu`, or one of FIELDS, which are computed of them.  After
a colon stands one of NOTATIONS, or words of which the field chooses one by its number.
"""

from __future__ import annotations

from vmdbg.formats.contract import ENTRY_LEAF, ENTRY_TABLE, FAULT_KINDS, FAULT_REFILL
from vmdbg.hardware.mmu import FILL_ACCESS, HIT_SIZE
from vmdbg.hardware.tlb import WORD_PFN
from vmdbg.hardware.walk import STEP_A, STEP_D
from vmdbg.hardware.walk_cache import STALE_TABLE
from vmdbg.inspect.context import shown_asid
from vmdbg.inspect.notation import code_text, rights_text
from vmdbg.inspect.signals import signal_name, signal_text
from vmdbg.kernel.calls.regions import REGION_KINDS
from vmdbg.state.events import EVENTS
from vmdbg.units import WORD_MASK, format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    from vmdbg.inspect.event_words import EventWords

    class Happened(Protocol):
        """An event that happened: `vmdbg.debugger.time.event_log.LoggedEvent`."""

        a: int
        b: int
        c: int
        cpu: int
        kind: int
        number: int
        operation: int
        pid: int


def sentence(words: EventWords, event: Happened) -> str:
    """What an event was, as its declaration says it."""
    return EVENTS[event.kind].says.format_map(Fields(words, event))


class Fields:
    """The fields of one event, by name; each is computed when it is asked for."""

    __slots__ = ("event", "words")

    def __init__(self, words: EventWords, event: Happened) -> None:
        self.words, self.event = words, event

    def __getitem__(self, name: str) -> str | Number:
        event, names = self.event, EVENTS[self.event.kind].arguments
        if name in names:
            return Number(self.words, (event.a, event.b, event.c)[names.index(name)])
        found = FIELDS[name](self.words, event)
        return found if isinstance(found, str) else Number(self.words, found)


class Number:
    """A number in a sentence, which is written as the text after the colon says."""

    __slots__ = ("value", "words")

    def __init__(self, words: EventWords, value: int) -> None:
        self.words, self.value = words, value

    def __format__(self, how: str) -> str:
        choice = how.split("|")
        if len(choice) > 1:
            return choice[min(self.value, len(choice) - 1)]
        return NOTATIONS[how](self.words, self.value) if how else str(self.value)


def space_text(carried: int) -> str:
    """`asid 1`, or which entries else a flush is about."""
    if carried <= 0:
        return "every space" if carried else "global"
    return f"asid {shown_asid(carried)}"


def entries_text(number: int) -> str:
    """`1 entry`, `3 entries`."""
    return f"{number} entr{'y' if number == 1 else 'ies'}"


#: How a number is written.
NOTATIONS: dict[str, Callable[[EventWords, int], str]] = {
    "va": lambda words, value: words.show.va(value),
    "vpn": lambda words, value: words.vpn(value),
    "mapping": lambda words, value: "mapped by nobody" if value == -1 else f"vpn {words.vpn(value)}",
    "pa": lambda words, value: words.show.pa(value),
    "pfn": lambda words, value: words.show.pfn(value),
    "entry": lambda words, value: words.show.entry(value),
    "hex": lambda words, value: f"{value & WORD_MASK:#x}",
    "rights": lambda words, value: rights_text(value),
    "level": lambda words, value: words.machine.format.levels[value].name,
    "way": lambda words, value: words.way(value),
    "space": lambda words, value: space_text(value),
    "asid": lambda words, value: str(shown_asid(value)),
    "entries": lambda words, value: entries_text(value),
    "region": lambda words, value: REGION_KINDS[value],
    "signal": lambda words, value: signal_name(value),
}


# -- what the program does


def loaded(words: EventWords, event: Happened) -> str:
    """`: 0x2a`: what was read; nothing on a machine whose memory has no content."""
    return f": {words.value(event.b)}" if words.has_content else ""


def stored(words: EventWords, event: Happened) -> str:
    """`: 0x00 -> 0x2a`: what was overwritten by what, as `loaded`."""
    return f": {words.value(event.b)} -> {words.value(event.c)}" if words.has_content else ""


# -- what the hardware does


def hit_frame(words: EventWords, event: Happened) -> int:
    """The frame that a look-up found; of a large page that which the address lies in."""
    form = words.machine.format
    frame, size = (event.c & (1 << HIT_SIZE) - 1) >> WORD_PFN, event.c >> HIT_SIZE
    if size:
        frame += (event.a >> form.page_bits) & ((1 << (form.page_shifts[size] - form.page_bits)) - 1)
    return frame


def stale_entry(words: EventWords, event: Happened) -> str:
    """An entry of the TLB, or of a page-walk cache."""
    tell = words.table_text if event.c & STALE_TABLE else words.key_text
    return tell(event.b, event.c)


def filled(words: EventWords, event: Happened) -> str:
    """What was put into the TLB, where there is one array; else where."""
    access, word = event.c >> FILL_ACCESS, event.c & (1 << FILL_ACCESS) - 1
    where = words.filled(event, access)
    return f"{words.key_text(event.b, word)}, {where}" if len(words.arrays) == 1 else where


def level_start(words: EventWords, event: Happened) -> int:
    """Where the addresses begin that an entry of a page-walk cache serves."""
    return event.a & -1 << words.machine.format.levels[event.b].shift


def reading(words: EventWords, event: Happened) -> str:
    """One entry that was read, and what the walker set in it."""
    form = words.machine.format
    depth, index = event.a & 255, (event.a >> 8) & 0xFFFFFFFF
    entry, at = words.show.entry(event.c), words.show.pa(event.b)
    said = words.entry_text(event.c, depth)
    if len(form.levels) == 1:
        table = words.show.pa(event.b - index * form.entry_bytes)
        text = f"{at} = {table} + {index}*{form.entry_bytes}: {entry}, {said}"
    else:
        text = f"{words.step_name(event.a)} {at}: {entry} {said}"
    marks = marks_text(event.a)
    return f"{text}, {marks}" if marks else text


def marks_text(step: int) -> str:
    """`A set`, `D set`, `A D set`, or nothing: what the walker set."""
    names = [name for bit, name in ((STEP_A, "A"), (STEP_D, "D")) if step & bit]
    return f"{' '.join(names)} set" if names else ""


def walk_sentence(words: EventWords, events: Sequence[Happened]) -> str:
    """A whole walk in a line: `PML4[0] PDPT[0] PD[2] PT[6]: A set`."""
    last = events[-1]
    depth, k = last.a & 255, words.machine.k
    step = 0
    for event in events:
        step |= event.a & (STEP_A | STEP_D)
    said = marks_text(step)
    if not said:
        said = words.entry_text(last.c, depth)
        if k.classify(last.c, depth) == ENTRY_LEAF:
            said = f"pfn {words.show.pfn(k.leaf_frame(last.c, depth) >> words.machine.format.page_bits)}"
    return " ".join(words.step_name(event.a) for event in events) + f": {said}"


def trap(words: EventWords, event: Happened) -> str:
    """Why the kernel was entered."""
    if event.a == FAULT_REFILL:
        return "software-filled TLB: the kernel's handler runs"
    form = words.machine.format
    return (
        f"{FAULT_KINDS[event.a]}, {code_text(form, event.b)}, {form.fault_register} {words.show.va(event.c)}"
    )


# -- what the kernel does


def tail(words: EventWords, event: Happened) -> str:
    """` .. 0x3ff, 512 frames`: the others of a large page."""
    return f" .. {words.show.pfn(event.a + event.b - 1)}, {event.b} frames" if event.b > 1 else ""


def change(words: EventWords, event: Happened) -> str:
    """An entry that the kernel wrote: short ones old and new, long ones as the room allows."""
    form = words.machine.format
    known = words.table_of(event.a, event)
    old, new, at = words.show.entry(event.b), words.show.entry(event.c), words.show.pa(event.a)
    if known is None:
        return f"{at}: {old} -> {new}"
    depth, index = known
    flags = words.entry_text(event.c, depth)
    name = f"{form.levels[depth].name}[{index}] " if len(form.levels) > 1 else ""
    kind = words.machine.k.classify(event.c, depth)
    if form.entry_bytes > 2 and kind in (ENTRY_LEAF, ENTRY_TABLE):
        return f"{name}{at}: {new} {flags}"
    return f"{name}{at}: {old} -> {new}" + (f" {flags}" if event.c else "")


def copy(words: EventWords, event: Happened) -> str:
    """The frame that a writer got a copy in, or has for itself by now."""
    if event.b == event.c:
        return f"pfn {words.show.pfn(event.b)} is its own now"
    return f"pfn {words.show.pfn(event.b)} copied to pfn {words.show.pfn(event.c)}"


def switch(words: EventWords, event: Happened) -> str:
    """Which process a CPU runs after which."""
    if not event.b:
        return f"process {event.a} leaves cpu {event.cpu}, which is idle"
    before = f" after {event.a}" if event.a else ""
    return f"cpu {event.cpu} runs process {event.b}{before}: {words.root_text(event.c)}"


def target(words: EventWords, event: Happened) -> str:
    """What a CPU is to invalidate: a page of a space, a space, or everything."""
    if event.b < 0:
        return "every space"
    space = f"asid {shown_asid(event.b)}"
    return f"vpn {words.vpn(event.a)}, {space}" if event.a != -1 else space


def ending(words: EventWords, event: Happened) -> str:
    """How a process ended."""
    return f"killed by signal {event.b - 128}" if event.b > 128 else f"status {event.b}"


#: What is computed of the arguments: a text, or a number.
FIELDS: dict[str, Callable[[EventWords, Any], str | int]] = {
    "pid": lambda words, event: int(event.pid),
    "cpu": lambda words, event: int(event.cpu),
    "page_size": lambda words, event: format_size(words.machine.format.page_size),
    "loaded": loaded,
    "stored": stored,
    "hit": hit_frame,
    "stale": stale_entry,
    "searched": lambda words, event: words.searched(event.a, event.c),
    "filled": filled,
    "translation": lambda words, event: words.key_text(event.a, event.b),
    "start": level_start,
    "spared": lambda words, event: int(event.b) + 1,
    "reading": reading,
    "trap": trap,
    "zeroed": lambda words, event: ", zeroed" if words.has_content else "",
    "tail": tail,
    "change": change,
    "copy": copy,
    "signal": lambda words, event: signal_text(event.a, event.b),
    "switch": switch,
    "target": target,
    "ending": ending,
}
