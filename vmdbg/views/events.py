"""One line for each kind of event.

`TEXTS` says for every kind what its arguments mean to a person; a kind without an entry is shown by
its arguments' names.
"""

from __future__ import annotations

from vmdbg.formats.contract import ACCESS_LETTERS, ENTRY_LEAF, ENTRY_TABLE, FAULT_KINDS, FAULT_REFILL
from vmdbg.hardware.mmu import FILL_ACCESS, HIT_SIZE
from vmdbg.hardware.tlb import WORD_PFN
from vmdbg.hardware.walk import STEP_A, STEP_D
from vmdbg.hardware.walk_cache import STALE_TABLE
from vmdbg.inspect.notation import code_text, rights_text
from vmdbg.state.events import BY_NAME
from vmdbg.units import WORD_MASK, format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.views.event_words import Teller

SIGNAL_NAMES = {
    7: ("SIGBUS", "Bus error"),
    9: ("SIGKILL", "Killed"),
    11: ("SIGSEGV", "Segmentation fault"),
}
SEGV_CODES = {1: "MAPERR", 2: "ACCERR"}
ACCESSES = {"r": "read", "w": "write", "x": "fetch"}
WHY_MINOR = ("demand-zero", "shared")  # reasons of fault-minor


def text(teller: Teller, row: LoggedEvent) -> str:
    """What an event was."""
    tell = TEXTS.get(row.name)
    if tell is not None:
        return tell(teller, row)
    return ", ".join(f"{name} {value}" for name, value in row.arguments.items())


def tell_entry(teller: Teller, row: LoggedEvent) -> str:
    """entry-write: short entries old and new, long ones as the room allows."""
    form = teller.machine.format
    known = teller.table_of(row.a, row)
    old, new, at = teller.show.entry(row.b), teller.show.entry(row.c), teller.show.pa(row.a)
    if known is None:
        return f"{at}: {old} -> {new}"
    depth, index = known
    flags = teller.entry_text(row.c, depth)
    name = f"{form.levels[depth].name}[{index}] " if len(form.levels) > 1 else ""
    kind = teller.machine.k.classify(row.c, depth)
    if form.entry_bytes > 2 and kind in (ENTRY_LEAF, ENTRY_TABLE):
        return f"{name}{at}: {new} {flags}"
    return f"{name}{at}: {old} -> {new}" + (f" {flags}" if row.c else "")


def tell_step(teller: Teller, row: LoggedEvent) -> str:
    """walk-step and table-read: one entry that was read."""
    form = teller.machine.format
    depth, index = row.a & 255, (row.a >> 8) & 0xFFFFFFFF
    entry, at = teller.show.entry(row.c), teller.show.pa(row.b)
    said = teller.entry_text(row.c, depth)
    if len(form.levels) == 1:
        table = teller.show.pa(row.b - index * form.entry_bytes)
        text = f"{at} = {table} + {index}*{form.entry_bytes}: {entry}, {said}"
    else:
        text = f"{teller.step_name(row.a)} {at}: {entry} {said}"
    marks = marks_text(row.a)
    return f"{text}, {marks}" if marks else text


def marks_text(step: int) -> str:
    """`A set`, `D set`, `A D set`, or nothing: what the walker set."""
    names = [name for bit, name in ((STEP_A, "A"), (STEP_D, "D")) if step & bit]
    return f"{' '.join(names)} set" if names else ""


def tell_walk(teller: Teller, rows: list[LoggedEvent]) -> str:
    """A whole walk in a line: `PML4[0] PDPT[0] PD[2] PT[6]: A set`."""
    last = rows[-1]
    depth, k = last.a & 255, teller.machine.k
    step = 0
    for row in rows:
        step |= row.a & (STEP_A | STEP_D)
    said = marks_text(step)
    if not said:
        said = teller.entry_text(last.c, depth)
        if k.classify(last.c, depth) == ENTRY_LEAF:
            said = f"pfn {teller.show.pfn(k.leaf_frame(last.c, depth) >> teller.machine.format.page_bits)}"
    return " ".join(teller.step_name(row.a) for row in rows) + f": {said}"


def tell_trap(teller: Teller, row: LoggedEvent) -> str:
    """trap: why the kernel was entered."""
    if row.a == FAULT_REFILL:
        return "software-filled TLB: the kernel's handler runs"
    form = teller.machine.format
    return f"{FAULT_KINDS[row.a]}, {code_text(form, row.b)}, {form.fault_register} {teller.show.va(row.c)}"


def tell_minor(teller: Teller, row: LoggedEvent) -> str:
    """fault-minor."""
    why = WHY_MINOR[row.c] if 0 <= row.c < len(WHY_MINOR) else f"reason {row.c}"
    return f"{why}, region {teller.region(row.b)}"


def tell_evict(teller: Teller, row: LoggedEvent) -> str:
    """evict: which page; one of an object may be mapped by nobody."""
    page = f"vpn {teller.vpn(row.b)}" if row.b != -1 else "mapped by nobody"
    return f"pfn {teller.show.pfn(row.a)}, {page}, {'dirty' if row.c else 'clean'}"


def tell_signal(teller: Teller, row: LoggedEvent) -> str:
    """signal: `SIGSEGV (MAPERR) to process 1, 0x5000`."""
    name = SIGNAL_NAMES.get(row.a, (f"signal {row.a}", ""))[0]
    code = f" ({SEGV_CODES[row.b]})" if row.a == 11 and row.b in SEGV_CODES else ""
    return f"{name}{code} to process {row.pid}, {teller.show.va(row.c)}"


def tell_handler(teller: Teller, row: LoggedEvent) -> str:
    """handler: `process 1 handles SIGSEGV, line 9`."""
    return f"process {row.pid} handles {SIGNAL_NAMES[row.a][0]}, line {row.b}"


def tell_limit(teller: Teller, row: LoggedEvent) -> str:
    """limit-check."""
    return f"process {row.pid} holds {row.a} of {row.b} frames: {'allowed' if row.c else 'refused'}"


def tell_alloc(teller: Teller, row: LoggedEvent) -> str:
    """frame-alloc."""
    return f"pfn {teller.show.pfn(row.a)}, first free" + (
        ", zeroed" if teller.machine.config["machine.payload"] else ""
    )


def tell_access(teller: Teller, row: LoggedEvent) -> str:
    """fetch, read."""
    payload = teller.machine.config["machine.payload"]
    return teller.show.pa(row.a) + (f": {teller.value(row.b)}" if payload else "")


def tell_write(teller: Teller, row: LoggedEvent) -> str:
    """write."""
    payload = teller.machine.config["machine.payload"]
    return teller.show.pa(row.a) + (f": {teller.value(row.b)} -> {teller.value(row.c)}" if payload else "")


def tell_switch(teller: Teller, row: LoggedEvent) -> str:
    """switch."""
    if not row.b:
        return f"process {row.a} leaves cpu {row.cpu}, which is idle"
    before = f" after {row.a}" if row.a else ""
    return f"cpu {row.cpu} runs process {row.b}{before}: {teller.root_text(row.c)}"


def tell_flush(teller: Teller, row: LoggedEvent) -> str:
    """tlb-flush."""
    what = "every space" if row.a < 0 else f"asid {row.a}"
    return f"{what}: {row.b} entr{'y' if row.b == 1 else 'ies'} dropped"


def tell_cached(teller: Teller, row: LoggedEvent) -> str:
    """walk-cache-hit: `PD of 0x400000: 0x106000, 3 entries not read`."""
    level = teller.machine.format.levels[row.b]
    saved = f"{row.b + 1} entr{'y' if row.b == 0 else 'ies'} not read"
    return f"{level.name} of {teller.show.va(row.a & -1 << level.shift)}: {teller.show.pa(row.c)}, {saved}"


def tell_exit(teller: Teller, row: LoggedEvent) -> str:
    """exit."""
    how = f"killed by signal {row.b - 128}" if row.b > 128 else f"status {row.b}"
    return f"process {row.a}, {how}"


def page_and_slot(teller: Teller, row: LoggedEvent, template: str) -> str:
    """swap-in, swap-out, swap-drop: slot, frame, page."""
    size = format_size(teller.machine.format.page_size)
    return template.format(slot=row.a, pfn=teller.show.pfn(row.b), vpn=teller.vpn(row.c), size=size)


def shot_at(teller: Teller, row: LoggedEvent) -> str:
    """shootdown, shootdown-done: a page of a space, a space, or everything."""
    if row.b < 0:
        return "every space"
    return f"vpn {teller.vpn(row.a)}, asid {row.b}" if row.a != -1 else f"asid {row.b}"


def range_text(teller: Teller, row: LoggedEvent) -> str:
    """mmap, munmap, mprotect: `0x406000..0x407000`."""
    return f"{teller.show.va(row.a)}..{teller.show.va(row.b)}"


def tell_hit(teller: Teller, row: LoggedEvent) -> str:
    """tlb-hit: page, frame, where.  The frame of a large page is the one of the address."""
    form = teller.machine.format
    frame, size = (row.c & (1 << HIT_SIZE) - 1) >> WORD_PFN, row.c >> HIT_SIZE
    if size:
        frame += (row.a >> form.page_bits) & ((1 << (form.page_shifts[size] - form.page_bits)) - 1)
    return f"vpn {teller.vpn(row.a)} -> pfn {teller.show.pfn(frame)}, {teller.way(row.b)}"


def tell_fill(teller: Teller, row: LoggedEvent) -> str:
    """tlb-fill: what, where there is one array; else where."""
    access, word = row.c >> FILL_ACCESS, row.c & (1 << FILL_ACCESS) - 1
    where = teller.filled(row, access)
    return f"{teller.key_text(row.b, word)}, {where}" if len(teller.arrays) == 1 else where


TEXTS: dict[str, Callable[[Teller, Any], str]] = {
    "fetch": tell_access,
    "read": tell_access,
    "write": tell_write,
    "tlb-hit": tell_hit,
    "tlb-l2-hit": tell_hit,
    "tlb-stale": lambda t, e: (
        f"{t.table_text(e.b, e.c) if e.c & STALE_TABLE else t.key_text(e.b, e.c)}; the tables disagree"
    ),
    "tlb-miss": lambda t, e: f"vpn {t.vpn(e.a)}, asid {e.b}: {t.searched(e.a, e.c)}",
    "tlb-fill": tell_fill,
    "tlb-evict": lambda t, e: f"{t.key_text(e.a, e.b)}, {t.way(e.c)}",
    "tlb-drop": lambda t, e: f"{t.key_text(e.a, e.b)}, {t.way(e.c)}",
    "tlb-flush": tell_flush,
    "walk-cache-hit": tell_cached,
    "walk-cache-flush": tell_flush,
    "walk-step": tell_step,
    "table-read": tell_step,
    "trap": tell_trap,
    "retry": lambda t, e: f"{ACCESSES[ACCESS_LETTERS[e.b]]} {t.show.va(e.a)}",
    "bus-error": lambda t, e: f"{t.show.pa(e.a)} is outside memory",
    "limit-check": tell_limit,
    "frame-alloc": tell_alloc,
    "frame-free": lambda t, e: (
        f"pfn {t.show.pfn(e.a)}" + (f" .. {t.show.pfn(e.a + e.b - 1)}, {e.b} frames" if e.b > 1 else "")
    ),
    "table-alloc": lambda t, e: f"pfn {t.show.pfn(e.a)}, a {t.machine.format.levels[e.b].name}",
    "entry-write": tell_entry,
    "poke": lambda t, e: f"{t.show.pa(e.a)}: {e.b & WORD_MASK:#x} -> {e.c & WORD_MASK:#x}",
    "fault-minor": tell_minor,
    "fault-major": lambda t, e: f"region {t.region(e.b)}; slot {e.c} stays valid while clean",
    "fault-cow": lambda t, e: (
        f"pfn {t.show.pfn(e.b)} is its own now"
        if e.b == e.c
        else f"pfn {t.show.pfn(e.b)} copied to pfn {t.show.pfn(e.c)}"
    ),
    "fault-file": lambda t, e: f"region {t.region(e.b)}, page {e.c} of its file",
    "fault-access": lambda t, e: f"{t.show.entry(e.b)}: {'D' if e.c else 'A'} set by the kernel",
    "stack-grow": lambda t, e: f"from {t.show.va(e.a)} to {t.show.va(e.b)}",
    "signal": tell_signal,
    "handler": tell_handler,
    "return": lambda t, e: f"process {e.pid} repeats its access of line {e.a}",
    "reclaim": lambda t, e: f"{e.a} user frames free, {e.b} wanted",
    "reclaim-background": lambda t, e: f"{e.a} user frames free, {e.b} wanted",
    "age": lambda t, e: f"pfn {t.show.pfn(e.a)}, vpn {t.vpn(e.b)}: A cleared",
    "evict": tell_evict,
    "swap-out": lambda t, e: page_and_slot(t, e, "pfn {pfn} -> slot {slot}, {size} written"),
    "swap-drop": lambda t, e: page_and_slot(t, e, "pfn {pfn} dropped; slot {slot} is still valid"),
    "swap-in": lambda t, e: page_and_slot(t, e, "slot {slot} -> pfn {pfn}, {size} read"),
    "file-read": lambda t, e: (
        f"page {e.a} -> pfn {t.show.pfn(e.b)}, {format_size(t.machine.format.page_size)} read"
    ),
    "file-drop": lambda t, e: f"pfn {t.show.pfn(e.b)} dropped; page {e.a} of the file has it",
    "file-write": lambda t, e: f"pfn {t.show.pfn(e.b)} kept as page {e.a} of the file",
    "switch": tell_switch,
    "fork": lambda t, e: f"process {e.b} from {e.a}, {e.c} pages shared",
    "mmap": lambda t, e: f"{range_text(t, e)}, {rights_text(e.c)}",
    "munmap": range_text,
    "mprotect": lambda t, e: f"{range_text(t, e)}, {rights_text(e.c)}",
    "brk": lambda t, e: f"from {t.show.va(e.a)} to {t.show.va(e.b)}",
    "shootdown": lambda t, e: f"{shot_at(t, e)}: cpu {e.c} is told to invalidate",
    "shootdown-done": lambda t, e: f"{shot_at(t, e)}, told in operation {e.c}",
    "asid-rollover": lambda t, e: f"generation {e.a}: all {e.b} numbers were given; TLBs are flushed",
    "refused": lambda t, e: f"{t.show.va(e.a)}: process {e.pid} holds {e.b} of {e.c} frames",
    "oom-pages": lambda t, e: f"process {e.a}: {e.b} frames resident, {e.c} swapped",
    "oom-score": lambda t, e: f"process {e.a}: {e.b} in tables, score {e.c}",
    "exit": tell_exit,
    "oom": lambda t, e: f"process {e.a} has the highest score, {e.b}",
}
assert TEXTS.keys() <= BY_NAME.keys()
