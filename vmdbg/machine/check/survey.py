"""What the page tables in memory and the TLBs hold, read once: for `check` and lists of stale entries."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, namedtuple

from vmdbg.formats.contract import ENTRY_LEAF, ENTRY_SWAPPED, ENTRY_TABLE, RIGHT_U
from vmdbg.hardware.page_tables import Entry, entries, table_entries
from vmdbg.hardware.tlb import ASID_MASK, KEY_ASID, KEY_SIZE, KEY_TAG, WORD_DIRTY, WORD_KEY, WORD_PFN
from vmdbg.kernel.calls.processes import live_processes
from vmdbg.kernel.frames import FRAME_IS_TABLE
from vmdbg.kernel.policies import facts_of
from vmdbg.kernel.shootdown import owed_since
from vmdbg.state.tables import (
    ARRAY,
    ARRAY_BASE,
    ARRAY_DEPTH,
    ARRAY_MASK,
    ARRAY_PRESENT,
    ARRAY_SIZES,
    ARRAY_SPAN,
    ARRAY_STRIDE,
    CPU,
    CPU_IGNORED,
    CPU_IGNORED_HIGH,
    CPU_PID,
    CPU_REACH_HIGH,
    CPU_REACH_LOW,
    FRAME,
    FRAME_DEPTH,
    FRAME_PID,
    FRAME_RMAP,
    FRAME_STATE,
    KERNEL_ROOT,
    PROCESS,
    PROCESS_ASID,
    PROCESS_REGION,
    PROCESS_ROOT,
    REGION,
    REGION_END,
    REGION_NEXT,
    REGION_START,
    RMAP,
    RMAP_ENTRY,
    RMAP_NEXT,
    TLB,
    TLB_KEY,
    TLB_WORD,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TypeAlias

    Pages: TypeAlias = "dict[tuple[int, int, int], Leaf]"  # by process, page-size index and page
    Pointers: TypeAlias = "dict[tuple[int, int, int], tuple[int, int]]"

    from vmdbg.machine.machine import Machine

#: A leaf of a process: `frame` is -1 outside of memory, `rights` count the whole path, `size` is a
#: page-size index, `kernel` is true of pages that are no user's.
Leaf = namedtuple("Leaf", "pid va size address entry frame rights kernel")
#: A TLB row (an offset into the table) that disagrees with the tables.  `owed`: the operation since which
#: its CPU owes to drop it; None: the CPU was not asked to drop it.
Stale = namedtuple("Stale", "cpu row kind message owed")
#: The columns of a CPU that say how it reads tables.
READING = (CPU_IGNORED, CPU_IGNORED_HIGH, CPU_REACH_LOW, CPU_REACH_HIGH)
#: What `Stale.kind` may be.
STALE_KINDS = {
    "dead-page": "the tables map nothing there any more",
    "wrong-asid": "no process has that address-space number",
    "overlapping-size": "the tables map a page of another size there",
    "stale-frame": "the tables map another frame there",
    "stale-right": "the tables give other rights",
    "stale-dirty": "the entry is marked dirty, the tables' is clean",
    "stale-accessed": "the accessed bit of the tables' entry is clear",
}


def column(rows: Any, width: int, offset: int) -> list[int]:
    """One column of a table."""
    return list(rows[offset::width]) if len(rows) >= width else []


def chain(
    rows: Any, width: int, link: int, first: int, last: int, links: list[int] | None = None
) -> tuple[list[int], str]:
    """The rows of a linked list, and what is wrong with it: `leaves the table`, `is a circle`, or nothing.

    `links` is the column of links, if the caller has read it already: that is faster for long lists.
    """
    members: list[int] = []
    seen: set[int] = set()
    total = len(rows) // width
    row = first
    while row != last:
        if not 0 <= row < total:
            return members, f"leaves the table at {row}"
        if row in seen:
            return members, f"is a circle at {row}"
        seen.add(row)
        members.append(row)
        row = rows[row * width + link] if links is None else links[row]
    return members, ""


class Survey:
    """One reading of a machine.  Nothing is written, not even scratch tables."""

    def __init__(self, machine: Machine) -> None:
        self.clear(machine)
        if self.form.kernel_base is not None:
            self.read_tree(0, self.kernel_root)
        for pid in [] if self.form.bounded else live_processes(self.k):
            self.read_tree(pid, self.m.process[pid * PROCESS + PROCESS_ROOT])
        for frame, state in enumerate(self.states):
            if state == FRAME_IS_TABLE and frame not in self.tables:
                self.problems.append(f"frame {frame} is a table that no process's root leads to")

    def clear(self, machine: Machine) -> None:
        """Forget what was read."""
        self.machine, self.k, self.m, self.form = machine, machine.k, machine.m, machine.format
        self.states = column(self.m.frame, FRAME, FRAME_STATE)
        self.problems: list[str] = []
        self.leaves: dict[int, Leaf] = {}
        self.kernel_leaves: list[Leaf] = []
        self.swapped: dict[int, tuple[int, int, int]] = {}
        self.tables: dict[int, int] = {}  # frame of a table -> its process
        self.pointers: Pointers = {}  # (process, depth, page) of a
        # table entry -> the table that it points to, and the rights so far
        self.table_frames: Counter[int] = Counter()
        self.table_tails: set[int] = set()
        self.readings: dict[tuple[int, ...], tuple[Pages, Pointers]] = {}  # by READING of a CPU
        self.regions: dict[int, list[tuple[int, int]]] = {}  # process -> first addresses and rows
        self.kernel_root = self.m.kernel[KERNEL_ROOT]

    def region_of(self, pid: int, va: int) -> int:
        """The region of a process that holds an address; 0 if none does, or its list is garbage there."""
        if pid not in self.regions:
            m = self.m
            rows = chain(m.region, REGION, REGION_NEXT, m.process[pid * PROCESS + PROCESS_REGION], 0)[0]
            starts = [m.region[row * REGION + REGION_START] for row in rows]
            self.regions[pid] = sorted(zip(starts, rows, strict=True))
        place = bisect_right(self.regions[pid], (va, len(self.m.region)))
        row = self.regions[pid][place - 1][1] if place else 0
        return row if va < self.m.region[row * REGION + REGION_END] else 0

    def frames_of_size(self, index: int) -> int:
        """Frames of a page of a size index (1 for an index that is none)."""
        shifts = self.form.page_shifts
        return 1 << (shifts[index] - shifts[0]) if 0 <= index < len(shifts) else 1

    def read_tree(self, pid: int, root: int) -> None:
        """Note what the tables below a root hold; only frames of tables are followed, each once."""
        form, last = self.form, len(self.form.levels) - 1

        def follow(found: Entry) -> bool:
            if not self.read_table(pid, found.target, found.depth + 1):
                return False
            page = self.tag(found.va, last - found.depth)
            self.pointers[pid, found.depth, page] = found.target, found.rights
            return True

        if not self.read_table(pid, root, 0):
            return
        start = form.user_end if form.split and not pid else None
        for found in entries(self.k, form, root, start, form.user_end if pid else None, follow, whole=True):
            if found.kind != ENTRY_TABLE:
                self.read_entry(pid, found)
        if pid:
            end = 1 << form.levels[0].bits
            own, kernel = (
                set(table_entries(self.k, form, table & form.root_mask, form.user_entries, end))
                for table in (root, self.kernel_root)
            )
            for index in sorted({index for index, _ in own ^ kernel}):
                name = self.table_name(pid, root, 0)
                self.problems.append(f"{name} has a kernel half of its own at index {index}")

    def table_name(self, pid: int, address: int, depth: int) -> str:
        """A table in words."""
        return f"process {pid}: the table at {address:#x} (depth {depth})"

    def read_table(self, pid: int, address: int, depth: int) -> bool:
        """Note a table; False if it is none, or was noted before."""
        frame = self.k.frame_at(self.m, address)
        name = self.table_name(pid, address, depth)
        if frame < 0 or self.states[frame] != FRAME_IS_TABLE:
            self.problems.append(f"{name} is no frame of a table")
            return False
        if frame in self.tables:
            self.problems.append(f"{name} is reached twice")
            return False
        row = frame * FRAME
        if (self.m.frame[row + FRAME_PID], self.m.frame[row + FRAME_DEPTH]) != (pid, depth):
            self.problems.append(f"{name} belongs to another process or depth")
        self.tables[frame] = pid
        count = self.k.table_frames(depth)
        self.table_frames[pid] += count
        self.table_tails.update(range(frame + 1, frame + count))
        return True

    def read_entry(self, pid: int, found: Entry) -> None:
        """Note what one entry that points to no table holds."""
        address, entry, kind, rights = found.address, found.entry, found.kind, found.rights
        last = len(self.form.levels) - 1
        size = last - found.depth
        if pid == 0:
            if kind != ENTRY_LEAF or rights & RIGHT_U:
                self.problems.append(f"the kernel's entry at {address:#x} for {found.va:#x} is garbage")
            else:
                self.kernel_leaves.append(Leaf(0, found.va, size, address, entry, -1, rights, True))
        elif kind == ENTRY_LEAF:
            frame = self.k.frame_at(self.m, found.target)
            self.leaves[address] = Leaf(pid, found.va, size, address, entry, frame, rights, False)
        elif kind == ENTRY_SWAPPED and found.depth == last:
            self.swapped[address] = pid, found.va, self.k.swapped_slot(entry)
        else:
            self.problems.append(f"process {pid}: the entry at {address:#x} for {found.va:#x} is garbage")

    def differs(self, frame: int, kept: Any, page: int) -> bool:
        """Is a frame clean in all entries that map it, although it differs from the words `kept`?"""
        m, words = self.m, self.form.page_size // 8
        if not self.machine.config["machine.payload"]:
            return False
        rows, _ = chain(m.rmap, RMAP, RMAP_NEXT, m.frame[frame * FRAME + FRAME_RMAP], 0)
        for row in rows:
            leaf = self.leaves.get(m.rmap[row * RMAP + RMAP_ENTRY])
            if leaf is None or self.k.is_dirty(leaf.entry):
                return False
        copy = kept[page * words : (page + 1) * words]
        return bytes(m.ram8[frame * words : (frame + 1) * words]) != bytes(copy)

    # -- TLB

    def cached(self) -> Iterator[tuple[int, int, int, int, int]]:
        """All TLB rows in use: (cpu, array, row, key, word)."""
        yield from self.rows(range(0, len(self.m.array) - self.walk_caches, ARRAY))

    @property
    def walk_caches(self) -> int:
        """Words that the page-walk caches have in the table of arrays, at its end."""
        return int(self.machine.bindings["WALK_CACHES"]) * ARRAY

    def rows(self, arrays: range) -> Iterator[tuple[int, int, int, int, int]]:
        """All rows in use of some arrays."""
        m = self.m
        for array in arrays:
            count = (m.array[array + ARRAY_MASK] + 1) * m.array[array + ARRAY_SPAN]
            for cpu in range(len(m.cpu) // CPU):
                base = m.array[array + ARRAY_BASE] + cpu * m.array[array + ARRAY_STRIDE]
                for row in range(base, min(base + count, len(m.tlb)), TLB):
                    key = m.tlb[row + TLB_KEY]
                    if key >= 0:
                        yield cpu, array, row, key, m.tlb[row + TLB_WORD]

    def misplaced(self) -> Iterator[str]:
        """Rows of the TLB that a look-up cannot find, or that are twice in their set."""
        m = self.m
        known: set[tuple[int, int, int]] = set()
        holes = self.machine.bindings["KEEPS_WAYS"]
        for cpu, array, row, key, _ in self.rows(range(0, len(m.array), ARRAY)):
            span = m.array[array + ARRAY_SPAN]
            base = m.array[array + ARRAY_BASE] + cpu * m.array[array + ARRAY_STRIDE]
            start = base + ((key >> KEY_TAG) & m.array[array + ARRAY_MASK]) * span
            name = f"CPU {cpu}: row {row} of the TLB"
            if not start <= row < start + span:
                yield f"{name} is in the wrong set"
            elif not holes and any(m.tlb[before + TLB_KEY] < 0 for before in range(start, row, TLB)):
                yield f"{name} comes after an empty one"
            if (cpu, array, key) in known:
                yield f"{name} is there twice"
            known.add((cpu, array, key))
            if not (m.array[array + ARRAY_SIZES] & m.array[array + ARRAY_PRESENT]) >> (key & KEY_SIZE) & 1:
                yield f"{name} has a size that its array does not hold"
        if self.machine.bindings["INCLUSIVE"]:
            yield from self.excluded(known)

    def excluded(self, known: set[tuple[int, int, int]]) -> Iterator[str]:
        """First-level entries that an inclusive second level lacks."""
        second = self.machine.bindings["SECOND"]
        sizes = self.m.array[second + ARRAY_SIZES] if second >= 0 else 0
        for cpu, array, key in known:
            if array < second and sizes >> (key & KEY_SIZE) & 1 and (cpu, second, key) not in known:
                yield f"CPU {cpu}: the second level of the TLB lacks a page that the first level holds"

    def stale(self) -> Iterator[Stale]:
        """Rows of the TLB that disagree with the tables."""
        spaces = {self.m.process[pid * PROCESS + PROCESS_ASID]: pid for pid in live_processes(self.k)}
        tagged = self.machine.config["tlb.asids"]
        for cpu, _, row, key, word in self.cached():
            space, size = key >> KEY_ASID & ASID_MASK, key & KEY_SIZE
            pid = self.m.cpu[cpu * CPU + CPU_PID]
            if tagged and space:
                pid = spaces.get(space, 0)
            kind = self.stale_kind(self.as_a_cpu_reads(cpu)[0], pid, size, key >> KEY_TAG, word)
            if space and not pid:
                kind = "wrong-asid"
            if kind:
                shift = self.form.page_shifts[min(size, len(self.form.levels) - 1)]
                address = self.form.signed(key >> KEY_TAG << shift)
                place = f"CPU {cpu}, row {row}, {address:#x} of space {space}"
                owed = owed_since(self.m, cpu, key, shift - self.form.page_bits)
                yield Stale(cpu, row, kind, f"{place}: {STALE_KINDS[kind]}", owed)
        yield from self.stale_tables(spaces)

    def as_a_cpu_reads(self, cpu: int) -> tuple[Pages, Pointers]:
        """Pages and pointers with the rights that a CPU gives them: without the bits that it ignores."""
        says = tuple(self.m.cpu[cpu * CPU + column] for column in READING)
        if says not in self.readings:
            whole = self.leaves, self.pointers
            own, pointers = self.read_again(cpu) if says[0] or says[1] else whole
            leaves = (*own.values(), *self.kernel_leaves)
            pages = {(leaf.pid, leaf.size, self.tag(leaf.va, leaf.size)): leaf for leaf in leaves}
            self.readings[says] = pages, pointers
        return self.readings[says]

    def read_again(self, cpu: int) -> tuple[dict[int, Leaf], Pointers]:
        """Leaves and pointers by the registers of a CPU."""
        leaves, pointers, last = dict(self.leaves), dict(self.pointers), len(self.form.levels) - 1
        for pid in {leaf.pid for leaf in self.leaves.values()}:
            root, end = self.m.process[pid * PROCESS + PROCESS_ROOT], self.form.user_end
            for found in entries(self.k, self.form, root, None, end, self.own_table, cpu=cpu):
                if found.kind == ENTRY_TABLE:
                    page = self.tag(found.va, last - found.depth)
                    pointers[pid, found.depth, page] = found.target, found.rights
                elif found.kind == ENTRY_LEAF and found.address in leaves:
                    leaves[found.address] = leaves[found.address]._replace(rights=found.rights)
        return leaves, pointers

    def own_table(self, found: Entry) -> bool:
        """Does an entry point to a table of a process, which is read for the first time?"""
        return not found.seen and self.k.frame_at(self.m, found.target) in self.tables

    def stale_tables(self, spaces: dict[int, int]) -> Iterator[Stale]:
        """Rows of the page-walk caches that disagree with the tables."""
        m = self.m
        caches = range(len(m.array) - self.walk_caches, len(m.array), ARRAY)
        for cpu, array, row, key, word in self.rows(caches):
            space, depth = key >> KEY_ASID & ASID_MASK, m.array[array + ARRAY_DEPTH]
            pid = m.cpu[cpu * CPU + CPU_PID]
            if self.machine.config["tlb.asids"]:
                pid = spaces.get(space, 0)
            half = 0 if (key >> KEY_TAG) >> (self.table_bits(depth)) >= self.form.user_entries else pid
            told = self.as_a_cpu_reads(cpu)[1].get((half, depth, key >> KEY_TAG), (-1, 0))
            kind = "wrong-asid" if not pid else ""
            target = word >> WORD_PFN << self.form.page_bits
            if not kind and told != (target, word & self.machine.bindings["RIGHTS"]):
                same = told[0] == target
                kind = "dead-page" if told[0] < 0 else "stale-right" if same else "stale-frame"
            if kind:
                place = f"CPU {cpu}, row {row}, a table of {self.form.levels[depth].name}, space {space}"
                owed = owed_since(m, cpu, key, None)
                yield Stale(cpu, row, kind, f"{place}: {STALE_KINDS[kind]}", owed)

    def table_bits(self, depth: int) -> int:
        """Index bits between the root's entries and those of a depth."""
        return self.form.levels[0].shift - self.form.levels[depth].shift

    def tag(self, va: int, size: int) -> int:
        """The page number of a virtual address, in pages of a size."""
        return (va & ((1 << self.form.va_bits) - 1)) >> self.form.page_shifts[size]

    def frame_of(self, leaf: Leaf, depth: int) -> int:
        """Number of the frame that a leaf of a table at a depth maps."""
        index = leaf.address // self.form.entry_bytes
        return int(self.k.leaf_address(leaf.entry, depth, index)) >> self.form.page_bits

    def stale_kind(self, pages: Pages, pid: int, size: int, tag: int, word: int) -> str:
        """How a cached word for a page disagrees with the tables: a key of STALE_KINDS, or empty."""
        if size >= len(self.form.levels):
            return "wrong-asid"
        leaf = pages.get((pid, size, tag)) or pages.get((0, size, tag))
        if leaf is None:
            va = tag << self.form.page_shifts[size]
            for other in range(len(self.form.levels)):
                if (pid, other, self.tag(va, other)) in pages:
                    return "overlapping-size"
            return "dead-page"
        last = len(self.form.levels) - 1
        if self.frame_of(leaf, last - size) != word >> WORD_PFN:
            return "stale-frame"
        bindings = self.machine.bindings
        key = leaf.entry >> bindings["KEY_LOW"] & bindings["KEY_MASK"]
        if (leaf.rights, key) != (word & bindings["RIGHTS"], word >> WORD_KEY & bindings["KEY_MASK"]):
            return "stale-right"
        if word & WORD_DIRTY and not self.k.is_dirty(leaf.entry):
            return "stale-dirty"
        cleared = self.k.is_accessed(self.k.touched(leaf.entry, 0)) and not self.k.is_accessed(leaf.entry)
        policy = facts_of(self.machine.config["kernel.policy"])
        kept = policy is not None and not policy.drops  # it lets the TLB keep such entries
        return "stale-accessed" if cleared and not kept else ""
