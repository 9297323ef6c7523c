# Long: a model is one module, for it is loaded by its path.
"""Demand paging by the textbook, from the pages of docs alone: what a program makes the machine count.

Four levels of tables, two TLB arrays with LRU sets, one CPU.  A program is what `unroll` of
paging_programs makes: for each process a name, regions (start, end, rights, kind) and a flat list of
operations (word, arguments...).  Pages are numbers, never addresses.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

BITS = 9  # of a table's index
SEGV = 11
POLICIES = ("fifo", "lru", "clock", "clock-cached")  # that `Machine` knows


class Refused(Exception):
    """A system call that the kernel refuses."""


class Again(Exception):
    """Memory and swap were full, and a process was killed: the access is made again, if it was another's."""


@dataclass(eq=False)
class Frame:
    """A page in memory: who maps it, and the slot that has the same content while it is clean."""

    number: int
    maps: list[tuple[Process, int]] = field(default_factory=list)
    slot: int = 0


@dataclass
class Entry:
    """A leaf of the tables: a frame, or the slot that the page went to."""

    frame: Frame | None
    slot: int = 0
    rights: str = ""
    accessed: bool = False
    dirty: bool = False


@dataclass(eq=False)
class Process:
    """An address space and what it does; `tables` names each table but the root by level and prefix."""

    pid: int
    name: str
    operations: list[tuple[Any, ...]]
    labels: dict[str, int]
    rights: dict[int, str]
    stack: int = 0
    stack_end: int = 0
    heap: list[int] = field(default_factory=lambda: [0, 0])
    entries: dict[int, Entry] = field(default_factory=dict)
    tables: set[tuple[int, int]] = field(default_factory=set)
    at: int = 0
    asid: int = 0
    handler: str = ""
    handling: int = -1
    minor: int = 0
    major: int = 0
    status: int = -1
    oom: int = 0

    @property
    def swapped(self) -> int:
        return sum(entry.slot > 0 for entry in self.entries.values())

    @property
    def resident(self) -> int:
        return sum(entry.frame is not None for entry in self.entries.values())


class Tlb:
    """Arrays of sets, most recently used first: (asid, page), rights, whether it is dirty."""

    def __init__(self, shapes: list[tuple[int, int]], count: Counter[str]) -> None:
        self.count = count
        self.arrays = [([[] for _ in range(sets)], ways) for sets, ways in shapes]

    def sets(self, page: int) -> list[tuple[list[list[Any]], int]]:
        """The set of each array that may hold the page, and how many it holds."""
        return [(array[page % len(array)], ways) for array, ways in self.arrays]

    def find(self, asid: int, page: int) -> list[Any] | None:
        """Look a page up; one that only the second level has comes to the first."""
        for level, (rows, _) in enumerate(self.sets(page)):
            row = next((row for row in rows if row[0] == (asid, page)), None)
            if row is not None:
                self.count["tlb-l2-hit" if level else "tlb-hit"] += 1
                rows.remove(row)
                rows.insert(0, row)
                if level:
                    self.put(0, list(row))
                return row
        self.count["tlb-miss"] += 1
        return None

    def put(self, level: int, row: list[Any]) -> None:
        """Put a row first in its set of one array, in place of the same page's or of the last."""
        rows, ways = self.sets(row[0][1])[level]
        same = [old for old in rows if old[0] == row[0]]
        for old in same:
            rows.remove(old)
        if len(rows) == ways:
            rows.pop()
            self.count["tlb-evict"] += 1
        rows.insert(0, row)

    def fill(self, asid: int, page: int, entry: Entry) -> None:
        """A walk ended in a page."""
        for level in range(len(self.arrays)):
            self.put(level, [(asid, page), entry.rights, entry.dirty])
        self.count["tlb-fill"] += 1

    def drop(self, asid: int, page: int) -> None:
        """The page's translation is no longer true."""
        for rows, _ in self.sets(page):
            for row in [row for row in rows if row[0] == (asid, page)]:
                rows.remove(row)
                self.count["tlb-drop"] += 1

    def flush(self, asid: int | None) -> None:
        """All of an address space, or all."""
        self.count["tlb-flush"] += 1
        for array, _ in self.arrays:
            for rows in array:
                kept = [row for row in rows if asid is not None and row[0][0] != asid]
                self.count["tlb-drop"] += len(rows) - len(kept)
                rows[:] = kept


class Machine:
    """The machine and its kernel, at the first operation of a program.

    Settings: policy, asids, numbers (of spaces; 0: 4095), quantum, frames (that the kernel hands out),
    kernel_tables (of them, at boot), user_frames (0: pages and tables share frames), slots, zero_drop, tlb
    (sets and ways of each array), stack_pages.
    """

    def __init__(self, program: list[dict[str, Any]], **settings: Any) -> None:
        self.set = settings
        self.count: Counter[str] = Counter()
        self.tlb = Tlb(settings["tlb"], self.count)
        roots, users = len(program), settings["user_frames"]
        free = settings["frames"] - settings["kernel_tables"] - roots
        self.user_free = list(range(free, free - users, -1))
        self.table_free = list(range(free - users, 0, -1))
        self.frames: dict[int, Frame] = {}
        self.table_frames: dict[tuple[int, int, int], int] = {}
        self.queue: list[Frame] = []
        self.hand = 1 - roots
        self.slots: Counter[int] = Counter()
        self.processes: list[Process] = []
        self.asids = self.kept = 0
        self.time = self.slice = 0
        self.current: Process | None = None
        for each in program:
            self.table_frames[len(self.processes) + 1, 0, 0] = len(self.processes) + 1 - roots
            self.spawn(each)
        self.ready = self.processes[1:]  # who waits longest is first
        self.count["table-alloc"] = settings["kernel_tables"] + roots
        self.switch(self.processes[0])

    def spawn(self, each: dict[str, Any]) -> None:
        """A process with its regions, none of whose pages has come."""
        process = Process(len(self.processes) + 1, each["name"], each["operations"], each["labels"], {})
        process.oom = each.get("oom", 0)
        for start, end, rights, kind in each["regions"]:
            process.rights.update(dict.fromkeys(range(start, end), rights))
            if kind == "heap":
                process.heap = [start, end]
            if kind == "stack":
                process.stack, process.stack_end = start, end
        self.processes.append(process)
        self.give_asid(process)

    def give_asid(self, process: Process) -> None:
        """A number for the address space, if it has none; when all are given, all but the CPU's go back."""
        if process.asid:
            return
        last = self.set["numbers"] if self.set["asids"] else 0
        self.asids += 1 + (self.asids + 1 == self.kept)
        if self.asids > (last or 4095):
            self.count["asid-rollover"] += 1
            self.tlb.flush(None)
            self.kept = self.current.asid if self.current is not None else 0
            for each in self.processes:
                each.asid *= each is self.current
            self.asids = 1 + (self.kept == 1)
        process.asid = self.asids

    # Frames and slots.

    @property
    def pages_free(self) -> list[int]:
        """The stack that pages take their frames from; the one that was freed last is given first."""
        return self.user_free if self.set["user_frames"] else self.table_free

    def take_page(self) -> Frame:
        """A frame for a page; if none is free, a page leaves."""
        self.make_room(self.pages_free)
        frame = Frame(self.pages_free.pop())
        self.frames[frame.number] = frame
        return frame

    def take_table(self, process: Process, level: int, prefix: int) -> None:
        self.make_room(self.table_free)
        self.table_frames[process.pid, level, prefix] = self.table_free.pop()
        self.count["table-alloc"] += 1

    def make_room(self, stack: list[int]) -> None:
        """Pages leave until a frame is free; if none can, a process dies."""
        while not stack:
            self.count["reclaim"] += 1
            victim = self.victim()
            if victim is None:
                self.out_of_memory()
            else:
                self.leave(victim)

    def make_room_for_tables(self, needed: int) -> None:
        """Pages leave until so many frames are free for tables; Refused if none can."""
        while len(self.table_free) < needed:
            if self.table_free is not self.pages_free or not self.frames:
                raise Refused
            self.count["reclaim"] += 1
            victim = self.victim()
            if victim is None:
                raise Refused
            self.leave(victim)

    def free_table(self, process: Process, level: int, prefix: int) -> None:
        self.table_free.append(self.table_frames.pop((process.pid, level, prefix)))
        self.count["frame-free"] += 1

    def load(self, process: Process, page: int, frame: Frame) -> None:
        """The page is in the frame from now on, mapped with its region's rights."""
        frame.maps.append((process, page))
        self.queue.append(frame)
        process.entries[page] = Entry(frame, rights=process.rights[page])
        self.count["entry-write"] += 1

    def free_frame(self, frame: Frame) -> None:
        self.queue.remove(frame)
        self.release_slot(frame.slot)
        del self.frames[frame.number]
        self.pages_free.append(frame.number)
        self.count["frame-free"] += 1

    def release_slot(self, slot: int) -> None:
        """One reference less: of an entry, or of a frame with the same content."""
        if slot:
            self.slots[slot] -= 1
            if not self.slots[slot]:
                del self.slots[slot]

    def new_slot(self) -> int:
        return next(slot for slot in range(1, self.set["slots"] + 1) if slot not in self.slots)

    # Replacement.

    def entries_of(self, frame: Frame) -> list[Entry]:
        return [process.entries[page] for process, page in frame.maps]

    def may_leave(self, frame: Frame) -> bool:
        """Swap has room for the page, or it needs none."""
        if self.is_zero(frame) or (frame.slot and (self.slots[frame.slot] == 1 or not self.is_dirty(frame))):
            return True
        return len(self.slots) < self.set["slots"]

    def is_zero(self, frame: Frame) -> bool:
        """Was the page never written, and may be zeroed again?"""
        return self.set["zero_drop"] and not frame.slot and not self.is_dirty(frame)

    def is_dirty(self, frame: Frame) -> bool:
        return any(entry.dirty for entry in self.entries_of(frame))

    def victim(self) -> Frame | None:
        """The page that the policy names; None if none can leave."""
        if not any(map(self.may_leave, self.frames.values())):
            return None
        if self.set["policy"] in {"fifo", "lru"}:
            return next(frame for frame in self.queue if self.may_leave(frame))
        order = sorted(self.frames)
        while True:
            number = next((number for number in order if number >= self.hand), order[0])
            self.hand = number + 1
            frame = self.frames[number]
            if self.may_leave(frame) and not self.age(frame):
                return frame

    def age(self, frame: Frame) -> bool:
        """Clear the accessed bits of a page's entries; were any set?"""
        found = False
        for process, page in frame.maps:
            entry = process.entries[page]
            if entry.accessed:
                entry.accessed, found = False, True
                self.count["age"] += 1
                if self.set["policy"] == "clock":
                    self.tlb.drop(process.asid, page)
        return found

    def leave(self, frame: Frame) -> None:
        """The page goes to swap; all its entries keep its slot.  One that was never written only goes."""
        self.count["evict"] += 1
        slot = frame.slot
        if self.is_zero(frame):
            self.count["zero-drop"] += 1
            for process, page in frame.maps:
                del process.entries[page]
                self.count["entry-write"] += 1
                self.tlb.drop(process.asid, page)
            self.free_frame(frame)
            return
        if slot and not self.is_dirty(frame):
            self.count["swap-drop"] += 1
        else:
            if not slot or self.slots[slot] > 1:
                self.release_slot(slot)
                slot = frame.slot = self.new_slot()
                self.slots[slot] = 1
            self.count["swap-out"] += 1
        for process, page in frame.maps:
            process.entries[page] = Entry(None, slot)
            self.slots[slot] += 1
            self.count["entry-write"] += 1
            self.tlb.drop(process.asid, page)
        self.free_frame(frame)

    def out_of_memory(self) -> None:
        """The process with the highest score is killed."""
        alive = [process for process in self.processes if process.status < 0]
        self.count["oom-pages"] += len(alive)
        self.count["oom-score"] += len(alive)
        self.count["oom"] += 1
        loser = max(alive, key=lambda process: (self.score(process), process.pid))
        self.end(loser, 128 + 9)
        raise Again

    def score(self, process: Process) -> int:
        return process.resident + process.swapped + len(process.tables) + 1 + process.oom

    # Faults.

    def make_tables(self, process: Process, page: int) -> None:
        """The tables that lead to the entry of a page, from the root down."""
        for level in (3, 2, 1):
            table = (level, page >> (BITS * level))
            if table not in process.tables:
                self.take_table(process, *table)
                process.tables.add(table)
                self.count["entry-write"] += 1

    def fault(self, process: Process, page: int, kind: str) -> bool:
        """The kernel serves a fault, or sends a signal and says False."""
        self.count["trap"] += 1
        if page not in process.rights and not self.grow_stack(process, page):
            return False
        if kind not in process.rights[page]:
            return False
        entry = process.entries.get(page)
        if entry is None:
            self.make_tables(process, page)
            self.load(process, page, self.take_page())
            self.count["frame-alloc"] += 1
            self.count["fault-minor"] += 1
            process.minor += 1
        elif entry.frame is None:
            frame = self.take_page()
            self.load(process, page, frame)
            frame.slot = entry.slot  # the entry's reference is the frame's now
            self.count["swap-in"] += 1
            self.count["fault-major"] += 1
            process.major += 1
        else:
            self.copy_on_write(process, page, entry, entry.frame)
        self.count["retry"] += 1
        return True

    def copy_on_write(self, process: Process, page: int, entry: Entry, old: Frame) -> None:
        """A write to a shared page: a copy, or the page itself if nobody else has it any more.

        If the entry changed while room was made for the copy, the access is only repeated.
        """
        if len(old.maps) > 1:
            before = (entry.accessed, entry.dirty)
            frame = self.take_page()
            if process.entries.get(page) is not entry or before != (entry.accessed, entry.dirty):
                del self.frames[frame.number]
                self.pages_free.append(frame.number)
                return
            old.maps.remove((process, page))
            self.load(process, page, frame)
        else:
            entry.rights = process.rights[page]
            self.count["entry-write"] += 1
        self.tlb.drop(process.asid, page)
        self.count["fault-cow"] += 1
        process.minor += 1

    def grow_stack(self, process: Process, page: int) -> bool:
        """A fault below the stack: may it grow down to there?"""
        low, end = process.stack, process.stack_end
        if not end - self.set["stack_pages"] <= page < low:
            return False
        if any(other in process.rights for other in range(page, low)) or process.rights.get(page - 1):
            return False  # a page stays free between them, unless a guard is below
        process.rights.update(dict.fromkeys(range(page, low), process.rights[low]))
        process.stack = page
        self.count["stack-grow"] += 1
        return True

    # Accesses.

    def walk(self, process: Process, page: int) -> Entry | None:
        """Read entries from the root down to the first that leads nowhere."""
        for level in (3, 2, 1):
            self.count["walk-step"] += 1
            if (level, page >> (BITS * level)) not in process.tables:
                return None
        self.count["walk-step"] += 1
        entry = process.entries.get(page)
        return entry if entry is not None and entry.frame is not None else None

    def translate(self, process: Process, page: int, kind: str) -> Entry | None:
        """One try: the TLB, else the tables; None where the hardware faults."""
        row = self.tlb.find(process.asid, page)
        if row is not None:
            if kind not in row[1]:
                return None
            if kind != "w" or row[2]:
                return process.entries[page]
        entry = self.walk(process, page)
        if entry is None or kind not in entry.rights:
            return None
        entry.accessed = True
        entry.dirty |= kind == "w"
        self.tlb.fill(process.asid, page, entry)
        return entry

    def access(self, process: Process, word: str, page: int) -> bool:
        """An access of one page until it succeeds; False if it got a signal."""
        kind = {"fetch": "x", "read": "r"}.get(word, "w")
        while (entry := self.translate(process, page, kind)) is None:
            if not self.fault(process, page, kind):
                return False
        frame = entry.frame
        assert frame is not None
        if self.set["policy"] == "lru":
            self.queue.remove(frame)
            self.queue.append(frame)
        self.count["write" if kind == "w" else word] += 1
        return True

    # System calls.

    def unmap(self, process: Process, pages: range) -> None:
        for page in pages:
            process.rights.pop(page, None)
            entry = process.entries.pop(page, None)
            if entry is None:
                continue
            self.count["entry-write"] += 1
            if entry.frame is None:
                self.release_slot(entry.slot)
                continue
            self.tlb.drop(process.asid, page)
            entry.frame.maps.remove((process, page))
            if not entry.frame.maps:
                self.free_frame(entry.frame)

    def mmap(self, process: Process, pages: range, rights: str, fixed: bool) -> None:
        if not fixed and any(page in process.rights for page in pages):
            raise Refused
        if fixed:
            self.munmap(process, pages)
        process.rights.update(dict.fromkeys(pages, rights))
        self.count["mmap"] += 1

    def munmap(self, process: Process, pages: range) -> None:
        self.unmap(process, pages)
        self.count["munmap"] += 1

    def mprotect(self, process: Process, pages: range, rights: str) -> None:
        if not all(page in process.rights for page in pages):
            raise Refused
        for page in pages:
            process.rights[page] = rights
            entry = process.entries.get(page)
            if entry is not None and entry.frame is not None:
                shared = len(entry.frame.maps) > 1
                entry.rights = rights.replace("w", "") if shared else rights
                self.count["entry-write"] += 1
                self.tlb.drop(process.asid, page)
        self.count["mprotect"] += 1

    def brk(self, process: Process, end: int) -> None:
        start, old = process.heap
        if end < start or any(page in process.rights for page in range(old, end)):
            raise Refused
        process.rights.update(dict.fromkeys(range(old, end), process.rights[start]))
        if end < old:
            self.munmap(process, range(end, old))
        process.heap[1] = end
        self.count["brk"] += 1

    def fork(self, parent: Process, label: str) -> None:
        at = parent.labels[label] if label else parent.at + 1
        child = Process(
            len(self.processes) + 1,
            parent.name,
            parent.operations,
            parent.labels,
            dict(parent.rights),
            parent.stack,
            parent.stack_end,
            list(parent.heap),
            at=at,
            handler=parent.handler,
        )
        child.oom = parent.oom
        below = {(level, page >> (BITS * level)) for page in parent.entries for level in (3, 2, 1)}
        self.make_room_for_tables(1 + len(below))
        self.processes.append(child)
        self.give_asid(child)
        self.take_table(child, 0, 0)
        for page in sorted(parent.entries):
            self.make_tables(child, page)
            self.share(parent, child, page)
        self.tlb.flush(parent.asid)
        self.ready.append(child)
        self.count["fork"] += 1

    def share(self, parent: Process, child: Process, page: int) -> None:
        """The child has what the parent has there; neither may write a page that both have."""
        entry = parent.entries[page]
        child.entries[page] = Entry(entry.frame, entry.slot, entry.rights, dirty=entry.dirty)
        self.count["entry-write"] += 1
        if entry.frame is None:
            self.slots[entry.slot] += 1
            return
        entry.frame.maps.append((child, page))
        if "w" in entry.rights:
            entry.rights = child.entries[page].rights = entry.rights.replace("w", "")
            self.count["entry-write"] += 1

    # Time.

    def end(self, process: Process, status: int) -> None:
        """A process ends; what it had goes back, and if it ran, the next one runs."""
        self.count["exit"] += 1
        process.status = status
        ends = sorted(((prefix + 1) << (BITS * level), level, prefix) for level, prefix in process.tables)
        for end, level, prefix in ends:
            if level == 1:
                self.unmap(process, range(prefix << BITS, end))
            self.free_table(process, level, prefix)
        process.rights.clear()
        self.free_table(process, 0, 0)
        process.tables.clear()
        if process is self.current:
            self.switch(self.ready.pop(0) if self.ready else None)
        elif process in self.ready:
            self.ready.remove(process)
        if process.asid and (self.set["asids"] or self.current is None):
            self.tlb.flush(process.asid)

    def switch(self, process: Process | None) -> None:
        """Another process has the CPU; without numbers in the TLB nothing of it stays."""
        if process is not None:
            self.give_asid(process)  # while the other one is still on the CPU
        self.current = process
        self.slice = 0
        self.count["switch"] += 1
        if process is not None and not self.set["asids"]:
            self.tlb.flush(None)

    def signal(self, process: Process) -> None:
        """SIGSEGV: the handler runs, or the process ends."""
        self.count["signal"] += 1
        if process.handler and process.handling < 0:
            self.count["handler"] += 1
            process.handling, process.at = process.at, process.labels[process.handler]
        else:
            self.end(process, 128 + SEGV)

    def operate(self, process: Process) -> None:
        """The next operation of the process; `return` and `exit` are operations where none is written."""
        over = ("exit", 0) if process.handling < 0 else ("return",)
        written = process.at < len(process.operations)
        word, *arguments = process.operations[process.at] if written else over
        if word == "exit":
            self.end(process, arguments[0])
            return
        if word == "return":
            self.count["return"] += 1
            process.at, process.handling = process.handling, -1
            return
        if word == "handler":
            process.handler = arguments[0]
        elif word in {"fetch", "read", "write", "modify"}:
            address, width = arguments
            for page in range(address >> 12, ((address + width - 1) >> 12) + 1):
                if page > address >> 12:
                    self.count[f"straddle-{'write' if word == 'modify' else word}"] += 1
                if not self.access(process, word, page):
                    self.signal(process)
                    return
        else:
            try:
                getattr(self, word)(process, *arguments)
            except Refused:
                self.count["syscall-error"] += 1
        process.at += 1

    def step(self) -> None:
        """One operation, and the end of a turn."""
        process = self.current
        assert process is not None
        self.time += 1
        self.slice += 1
        while process.status < 0:
            try:
                self.operate(process)
                break
            except Again:
                pass
        if process is self.current and self.set["quantum"] and self.slice >= self.set["quantum"]:
            self.slice = 0
            if self.ready:
                self.ready.append(process)
                self.switch(self.ready.pop(0))

    def run(self, until: int | None = None) -> None:
        """Run up to that time, or until all processes have ended."""
        while self.current is not None and (until is None or self.time < until):
            self.step()

    def facts(self) -> dict[str, Any]:
        """All counters, and what is in use now."""
        facts: dict[str, Any] = dict(self.count)
        facts["free frames"] = len(self.user_free) + len(self.table_free)
        facts["table frames"] = len(self.table_frames) + self.set["kernel_tables"]
        facts["user frames"] = len(self.frames)
        facts["operations"] = self.time
        facts["slots in use"] = len(self.slots)
        facts["references of slots"] = sorted(self.slots.values())
        for each in self.processes:
            pages = [each.resident, each.swapped, len(each.tables) + 1 if each.status < 0 else 0]
            status = each.status if each.status >= 0 else None
            facts[f"process {each.pid}"] = [*pages, each.minor, each.major, status]
        return facts
