"""What there is to say about a state of a machine, in the words of memory: what `diff` compares."""

from __future__ import annotations

from collections import namedtuple

from vmdbg.formats.contract import ENTRY_LEAF, ENTRY_SWAPPED, RIGHT_W
from vmdbg.hardware.page_tables import entries
from vmdbg.hardware.tlb import ASID_MASK, KEY_ASID, KEY_SIZE, KEY_TAG, WORD_DIRTY, WORD_PFN, WORD_RIGHTS
from vmdbg.inspect.address_space import ZEROS, spaces
from vmdbg.inspect.context import MODES, shown_asid
from vmdbg.inspect.event_words import EventWords
from vmdbg.inspect.notation import rights_text
from vmdbg.inspect.processes import mappings
from vmdbg.kernel.calls.processes import live_processes, process_name
from vmdbg.kernel.frames import FRAME_IS_FREE, FRAME_IS_TABLE, FRAME_IS_TAIL, FRAME_IS_USER, FRAME_STATES
from vmdbg.kernel.scheduler import PROCESS_STATES
from vmdbg.machine.registers import names, owner, read
from vmdbg.state.tables import (
    ARRAY,
    ARRAY_BASE,
    ARRAY_MASK,
    ARRAY_SPAN,
    ARRAY_STRIDE,
    CPU,
    CPU_CODE,
    CPU_MODE,
    CPU_PID,
    CPU_ROOT,
    FRAME,
    FRAME_DEPTH,
    FRAME_PID,
    FRAME_STATE,
    PROCESS,
    PROCESS_ASID,
    PROCESS_MAJOR,
    PROCESS_MINOR,
    PROCESS_ROOT,
    PROCESS_RSS,
    PROCESS_STATE,
    PROCESS_SWAPPED,
    PROCESS_TABLES,
    PROCESS_WINDOW,
    REGION,
    REGION_RIGHTS,
    SLOT,
    SLOT_PID,
    SLOT_REFS,
    SLOT_VA,
    TLB,
    TLB_KEY,
    TLB_WORD,
)
from vmdbg.units import WORD_MASK, format_size, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.machine.machine import Machine

#: What a fact is about.  `at`: its number among those of its `sort` and `owner` that follow one another,
#: `span` of them (bytes, frames, slots); -1: it stands alone and has a name.
Key = namedtuple("Key", "sort owner at span name")
#: What is said.  `number`: of a frame or slot, between head and tail, that may go on in the next; -1: none.
Said = namedtuple("Said", "head number tail")

COUNTERS = (
    ("rss", PROCESS_RSS),
    ("swapped", PROCESS_SWAPPED),
    ("tables", PROCESS_TABLES),
    ("minor", PROCESS_MINOR),
    ("major", PROCESS_MAJOR),
)


def named(sort: str, name: str, text: str) -> tuple[Key, Said]:
    """A fact with a name of its own, about no page, process or CPU."""
    return Key(sort, "", -1, 0, name), Said(text, -1, "")


def has_process(machine: Machine, pid: int) -> bool:
    """Is there a process of that number, be it one that has ended?"""
    rows = len(machine.m.process) // PROCESS
    return 0 < pid < rows and bool(machine.m.process[pid * PROCESS + PROCESS_STATE])


class State:
    """A state of a machine: facts, and the bytes themselves.

    Of one process or one tree of tables (`whole` false) no fact has a process in it, so that two can be
    compared, and `pages` has where the content of each page lies, by its address and size: a table of
    `machine.changes.CONTENT` and the first byte.  `entries` has the addresses of the entries of facts,
    `tables` the frames of tables, each with the first of its table and the table's depth.
    """

    def __init__(self, machine: Machine, pid: int | None = None, root: int | None = None) -> None:
        self.machine, self.pid, self.root = machine, pid, root
        self.snapshot = machine.snapshot()
        self.form, self.words = machine.format, EventWords(machine)
        self.whole = pid is None and root is None
        self.facts: dict[Key, Said] = {}
        self.entries: dict[Key, int] = {}
        self.pages: dict[tuple[int, int], tuple[str, int]] = {}
        self.tables: dict[int, tuple[int, int]] = {}
        self.frames: set[int] = set()  # that are of the process or tree
        self.slots: set[int] = set()
        for source in (self.of_processes, self.of_regions, self.of_entries, self.of_frames, self.of_slots,
                       self.of_tlbs, self.of_cpus):  # fmt: skip
            self.facts.update(source())

    def chosen(self) -> Iterator[tuple[int, str]]:
        """Number and name, to be put before what is said, of all processes or of the one."""
        m = self.machine.m
        numbers = range(1, len(m.process) // PROCESS) if self.whole else [self.pid] if self.pid else []
        for number in numbers:
            if m.process[number * PROCESS + PROCESS_STATE]:
                yield number, f"{number} ({process_name(self.machine.k, number)}): " if self.whole else ""

    def of_processes(self) -> Iterator[tuple[Key, Said]]:
        """States and counts of the processes that there are."""
        m = self.machine.m
        for number, who in self.chosen():
            row = number * PROCESS
            yield named("process", f"{who}state", PROCESS_STATES[m.process[row + PROCESS_STATE]])
            for label, column in COUNTERS:
                yield named("process", who + label, str(m.process[row + column]))
            window = m.process[row + PROCESS_WINDOW]
            if window and self.form.window is not None:
                opened = window - 1 == self.form.window[1]
                yield named("process", f"{who}window", "open" if opened else "closed")

    def of_regions(self) -> Iterator[tuple[Key, Said]]:
        """The regions of the processes that live."""
        alive = live_processes(self.machine.k)
        show = self.words.show.va
        for number, who in self.chosen():
            for space in spaces(self.machine, number) if number in alive else ():
                backing = "" if space.backing == ZEROS else f", {space.backing}"
                place = f"{who}{show(space.start & WORD_MASK)}..{show(space.end & WORD_MASK)}"
                size = f", {format_size(space.page_size)}" if space.page_size > self.form.page_size else ""
                yield named("region", place, f"{space.kind}, {rights_text(space.rights)}{size}{backing}")

    def of_entries(self) -> Iterator[tuple[Key, Said]]:
        """Every entry of a process, or of the tree, that maps a page or keeps a slot."""
        machine, form = self.machine, self.form
        alive = () if form.bounded else live_processes(machine.k)
        end = form.user_entries << form.levels[0].shift
        if self.root is not None:
            yield from self.of_tree(self.root, "", 0, None)
        for number, who in self.chosen():
            if number in alive:
                root = machine.m.process[number * PROCESS + PROCESS_ROOT]
                yield from self.of_tree(root, who, number, end)

    def of_tree(self, root: int, who: str, pid: int, end: int | None) -> Iterator[tuple[Key, Said]]:
        """The entries below a root, up to an address."""
        machine, form, k = self.machine, self.form, self.machine.k
        for found in entries(k, form, root, end=end, whole=end is not None):
            va, size = found.va & WORD_MASK, 1 << form.levels[found.depth].shift
            key = Key("entry", who, va, size, "")
            if found.kind == ENTRY_LEAF:
                flags = self.words.entry_text(found.entry, found.depth)
                said = Said(
                    "pfn ",
                    found.target >> form.page_bits,
                    f", {rights_text(found.rights)}, {flags}{self.armed(pid, va, found.rights)}",
                )
                offset = k.ram_offset(machine.m, found.target, size)
                if offset >= 0:
                    self.pages[va, size] = "ram1", offset
                    self.frames.add(offset >> form.page_bits)
            elif found.kind == ENTRY_SWAPPED:
                slot = k.swapped_slot(found.entry)
                said = Said("slot ", slot, "")
                self.slots.add(slot)
                if 0 < slot < len(machine.m.slot) // SLOT:
                    self.pages[va, size] = "swap8", slot * form.page_size
            else:
                continue
            self.entries[key] = found.address
            yield key, said

    def armed(self, pid: int, va: int, rights: int) -> str:
        """Whether a write to a page that is not writable will give the writer a copy."""
        machine = self.machine
        region = machine.k.region_find(machine.m, pid, s64(va)) if pid else 0
        if not region or rights & RIGHT_W:
            return ""
        return ", copy-on-write" if machine.m.region[region * REGION + REGION_RIGHTS] & RIGHT_W else ""

    def of_frames(self) -> Iterator[tuple[Key, Said]]:
        """Every frame that is not free; of a process those that its entries map, and its tables."""
        machine, m, form = self.machine, self.machine.m, self.form
        states = m.frame[FRAME_STATE::FRAME].tolist()
        for frame, state in enumerate(states):
            if state in (FRAME_IS_FREE, FRAME_IS_TAIL):
                continue
            row, owned = frame * FRAME, ""
            count = 1
            if state == FRAME_IS_TABLE:
                depth = m.frame[row + FRAME_DEPTH]
                count = machine.k.table_frames(depth)
                self.tables.update({frame + tail: (frame, depth) for tail in range(count)})
                mine = m.frame[row + FRAME_PID] == self.pid
                owned = f" of {m.frame[row + FRAME_PID]}" if self.whole and m.frame[row + FRAME_PID] else ""
            else:
                mine = frame in self.frames
            if not (mine or self.whole):
                continue
            if state == FRAME_IS_USER:
                index = m.frame[row + FRAME_DEPTH]
                count = 1 << (form.page_shifts[index] - form.page_bits)
                owned = self.users(frame)
            pfn = machine.k.frame_address(m, frame) >> form.page_bits
            yield Key("frame", "", pfn, count, ""), Said(FRAME_STATES[state] + owned, -1, "")

    def users(self, frame: int) -> str:
        """Whose entries map a frame: ` of 1, 2`; compared with another process only how many do."""
        users = [found["pid"] for found in mappings(self.machine, frame)]
        if not self.whole:
            return f", {len(users)} maps" if len(users) > 1 else ""
        counted = [f"{pid}" + (f" ({users.count(pid)} maps)" if users.count(pid) > 1 else "")
                   for pid in sorted(set(users))]  # fmt: skip
        return f" of {', '.join(counted)}" if users else ", mapped by nobody"

    def of_slots(self) -> Iterator[tuple[Key, Said]]:
        """Every slot of the swap area that is in use, or that entries of the process keep."""
        m = self.machine.m
        for slot, references in enumerate(m.slot[SLOT_REFS::SLOT].tolist()):
            row = slot * SLOT
            if references and (self.whole or slot in self.slots):
                page = f"vpn {self.words.vpn(m.slot[row + SLOT_VA])}"
                page += f" of {m.slot[row + SLOT_PID]}" if self.whole else ""
                page += f", {references} references" if references > 1 else ""
                yield Key("slot", "", slot, 1, ""), Said(page, -1, "")

    def of_tlbs(self) -> Iterator[tuple[Key, Said]]:
        """Every entry of the TLBs, whatever way it is in; of a process those that are its own."""
        m = self.machine.m
        for place, name in enumerate(self.words.arrays):
            at = place * ARRAY
            words = (m.array[at + ARRAY_MASK] + 1) * m.array[at + ARRAY_SPAN]
            for cpu in range(len(m.cpu) // CPU):
                base = m.array[at + ARRAY_BASE] + cpu * m.array[at + ARRAY_STRIDE]
                for row in range(base, base + words, TLB):
                    space = m.tlb[row + TLB_KEY] >> KEY_ASID & ASID_MASK
                    if m.tlb[row + TLB_KEY] >= 0 and (self.whole or self.has_space(cpu, space)):
                        yield self.cached(cpu, name, m.tlb[row + TLB_KEY], m.tlb[row + TLB_WORD])

    def has_space(self, cpu: int, space: int) -> bool:
        """Are TLB entries of a CPU with an address-space number the process's?"""
        m = self.machine.m
        if not self.pid or not space:
            return False
        if not self.machine.config["tlb.asids"]:
            return bool(m.cpu[cpu * CPU + CPU_PID] == self.pid)
        return bool(m.process[self.pid * PROCESS + PROCESS_ASID] == space)

    def cached(self, cpu: int, name: str, key: int, word: int) -> tuple[Key, Said]:
        """A TLB entry."""
        form, space = self.form, (key >> KEY_ASID) & ASID_MASK
        shift = form.page_shifts[min(key & KEY_SIZE, len(form.levels) - 1)]
        who = f"{name} vpn {self.words.show.vpn((key >> KEY_TAG) << (shift - form.page_bits))}"
        if self.whole:
            who += f" asid {shown_asid(space)}" if space else " global"
        if len(self.machine.m.cpu) > CPU:
            who = f"cpu {cpu} {who}"
        size = f", {format_size(1 << shift)}" if key & KEY_SIZE else ""
        dirty = " D" if word & WORD_DIRTY else ""
        pfn = self.words.show.pfn(word >> WORD_PFN)
        return named("tlb", who, f"pfn {pfn}{size}, {rights_text(word & WORD_RIGHTS)}{dirty}")

    def of_cpus(self) -> Iterator[tuple[Key, Said]]:
        """Which process each CPU runs, by which root, and its registers."""
        machine, m = self.machine, self.machine.m
        for cpu in range(len(m.cpu) // CPU) if self.whole else ():
            row = cpu * CPU
            yield named("cpu", f"cpu {cpu}: process", str(m.cpu[row + CPU_PID] or "-"))
            name, _, value = self.words.root_text(m.cpu[row + CPU_ROOT]).partition(" = ")
            yield named("cpu", f"cpu {cpu}: {name}", value)
            yield named("cpu", f"cpu {cpu}: mode", MODES[m.cpu[row + CPU_MODE] & 1])
            yield named("cpu", f"cpu {cpu}: error_code", f"{m.cpu[row + CPU_CODE]:#x}")
            for register in dict.fromkeys(map(owner, names(self.form))):
                if register not in (self.form.root_register, name):
                    yield named("cpu", f"cpu {cpu}: {register}", f"{read(machine, cpu, register) or 0:#x}")
