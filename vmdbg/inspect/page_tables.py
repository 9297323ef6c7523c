"""The tree of tables below a root: its lines, what it costs, who maps a frame."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.formats.contract import ALL_RIGHTS, ENTRY_EMPTY, ENTRY_LEAF, ENTRY_SWAPPED, ENTRY_TABLE
from vmdbg.inspect.address_space import canonical_form, entries
from vmdbg.inspect.processes import mappings, processes
from vmdbg.inspect.translate import walk_tables, where
from vmdbg.kernel.calls.page_tables import words
from vmdbg.kernel.frames import FRAME_STATES
from vmdbg.state.tables import FRAME, FRAME_MAPS, FRAME_PID, FRAME_STATE, PROCESS, PROCESS_ROOT, PROCESS_RSS
from vmdbg.units import WORD_MASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.machine.machine import Machine


class Branch:
    """Entries in a row of one table that are alike: one that points to a table, or leaves whose frames
    go on, or equal ones (`equal`).  `target` is the table or first page that it points to, -1 for none;
    `above` is the depth of the same table on the way from the root, -1 if it is not on it."""

    __slots__ = (
        "above", "address", "count", "depth", "entry", "equal", "index", "kind", "rights", "slot", "target",
        "va",
    )  # fmt: skip

    def __init__(
        self, depth: int, index: int, va: int, address: int, entry: int, kind: int, rights: int, target: int
    ) -> None:
        self.depth, self.index, self.va, self.address = depth, index, va, address
        self.entry, self.kind, self.rights, self.target = entry & WORD_MASK, kind, rights, target
        self.count, self.slot, self.above = 1, 0, -1
        self.equal = False


def branches(machine: Machine, root: int) -> Iterator[Branch]:
    """The tree below a root table, each entry before what it points to; leaves are joined."""
    check_tables(machine)
    yield from below(machine, root & machine.format.root_mask, 0, 0, ALL_RIGHTS, ())


def check_tables(machine: Machine) -> None:
    """UserError if the machine has no tables."""
    if machine.format.bounded:
        raise UserError("Base and bounds: there are no tables.")


def below(
    machine: Machine, table: int, depth: int, base: int, rights: int, above: tuple[int, ...]
) -> Iterator[Branch]:
    """`branches` of one table; a table on the way to itself is named and not followed again."""
    form, k = machine.format, machine.k
    level = form.levels[depth]
    held: Branch | None = None
    for index, entry in words(k, form, table, 0, 1 << level.bits):
        kind = k.classify(entry, depth)
        va = base + (index << level.shift)
        so_far = k.combine(rights, entry, kind, depth)
        points = kind == ENTRY_TABLE and depth < len(form.levels) - 1
        target = -1
        if points:
            target = k.next_table(entry)
        elif kind in (ENTRY_LEAF, ENTRY_TABLE):
            target = k.leaf_frame(entry, depth)
        address = table + index * form.entry_bytes
        new = Branch(depth, index, canonical_form(machine, va), address, entry, kind, so_far, target)
        if kind == ENTRY_SWAPPED:
            new.slot = int(k.swapped_slot(entry))
        if held is not None and joins(machine, held, new):
            held.equal = new.entry == held.entry
            held.count += 1
            continue
        if held is not None:
            yield held
        held = new
        if points:
            way = (*above, table)
            new.above = way.index(target) if target in way else -1
            yield new
            held = None
            if new.above < 0:
                yield from below(machine, target, depth + 1, va, so_far, way)
    if held is not None:
        yield held


def joins(machine: Machine, held: Branch, new: Branch) -> bool:
    """Are two entries of one table equal, or leaves that go on from one another?"""
    if new.index != held.index + held.count:
        return False
    if held.entry == new.entry and (held.equal or held.count == 1):
        return True
    if held.equal or held.kind != ENTRY_LEAF or new.kind != ENTRY_LEAF or held.rights != new.rights:
        return False
    return new.target == held.target + (held.count << machine.format.levels[new.depth].shift)


class Cost:
    """What the tables of one level take: how many there are, bytes, entries, entries in use."""

    __slots__ = ("entries", "level", "size", "tables", "used")

    def __init__(self, level: str) -> None:
        self.level = level
        self.tables = self.size = self.entries = self.used = 0


def costs(machine: Machine, root: int, own: bool) -> list[Cost]:
    """The tables below a root, level by level.  A table that two entries point to counts once; with
    `own` those of the kernel half, which all processes share, do not count."""
    form, k = machine.format, machine.k
    found = [Cost(level.name) for level in form.levels]
    waiting = [(root & form.root_mask, 0)]
    seen = set(waiting)
    while waiting:
        table, depth = waiting.pop()
        count_table(machine, found, depth)
        for _, entry in words(k, form, table, 0, 1 << form.levels[depth].bits):
            kind = k.classify(entry, depth)
            found[depth].used += kind != ENTRY_EMPTY
            if kind != ENTRY_TABLE or depth == len(form.levels) - 1:
                continue
            below = (k.next_table(entry), depth + 1)
            if below not in seen and not (own and is_shared(machine, below[0])):
                seen.add(below)
                waiting.append(below)
    return found


def is_shared(machine: Machine, table: int) -> bool:
    """Is it a table of no process: one of the kernel half?"""
    frame = int(machine.k.frame_at(machine.m, table))
    if frame < 0:
        return False
    row = frame * FRAME
    return (
        FRAME_STATES[machine.m.frame[row + FRAME_STATE]] == "table" and not machine.m.frame[row + FRAME_PID]
    )


def count_table(machine: Machine, found: list[Cost], depth: int) -> None:
    """One more table at a depth."""
    form = machine.format
    found[depth].tables += 1
    found[depth].size += max(form.table_bytes(depth), form.page_size)
    found[depth].entries += 1 << form.levels[depth].bits


def resident_bytes(machine: Machine, pid: int) -> int:
    """What a process has in memory, without its tables."""
    return int(machine.m.process[pid * PROCESS + PROCESS_RSS]) * machine.format.page_size


def flat_size(form: Any) -> int:
    """Bytes of one flat table for the whole address space."""
    return int(1 << (form.va_bits - form.page_bits)) * int(form.entry_bytes)


def frame_number(machine: Machine, pfn: int) -> int:
    """The frame in the memory buffer of a frame number.  UserError outside every bank."""
    frame = int(machine.k.frame_at(machine.m, pfn << machine.format.page_bits))
    if frame < 0:
        raise UserError(f"No frame {pfn:#x}: outside memory.")
    return frame


def mappers(machine: Machine, frame: int) -> list[dict[str, Any]]:
    """A row for each entry that maps a frame; for a page of several frames those of its first."""
    form, m, k = machine.format, machine.m, machine.k
    rows = []
    for found in sorted(mappings(machine, frame), key=lambda found: (found["pid"], found["va"])):
        entry = k.load(m, found["entry_address"], form.entry_bytes) & WORD_MASK
        rows.append(
            {
                "pfn": k.frame_address(m, frame) >> form.page_bits,
                "pid": found["pid"],
                "va": found["va"],
                "entry_address": found["entry_address"],
                "entry": entry,
                "flags": form.flags(entry, leaf_letter(machine, found)),
            }
        )
    return rows


def tree_mappers(machine: Machine, root: int, pfn: int | None) -> list[dict[str, Any]]:
    """As `mappers`, by the entries of the tree below a root: those that map a frame, if only as one of a
    large page; without a frame those that map one which another of them maps, too."""
    form, k = machine.format, machine.k
    found: dict[int, list[dict[str, Any]]] = {}
    for va, depth, address, entry, kind, _ in entries(machine, root):
        if kind != ENTRY_LEAF:
            continue
        first = k.leaf_frame(entry, depth) >> form.page_bits
        count = 1 << (form.levels[depth].shift - form.page_bits)
        if pfn is not None and not first <= pfn < first + count:
            continue
        at = first if pfn is None else pfn
        row = {
            "pfn": at,
            "pid": None,
            "va": va + (at - first << form.page_bits),
            "entry_address": address,
            "entry": entry & WORD_MASK,
            "flags": form.flags(entry & WORD_MASK, where(machine, depth, kind)),
        }
        found.setdefault(at, []).append(row)
    groups = (found[at] for at in sorted(found))
    return [row for rows in groups if pfn is not None or len(rows) > 1 for row in rows]


def leaf_letter(machine: Machine, mapping: dict[str, Any]) -> str:
    """Which fields the entry of a mapping has: those of a leaf above the last level, or at it."""
    root = int(machine.m.process[mapping["pid"] * PROCESS + PROCESS_ROOT])
    last = walk_tables(machine, root, mapping["va"]).last
    return where(machine, last.depth, last.kind)


def shared_frames(machine: Machine, least: int) -> Iterator[int]:
    """The frames that at least so many entries map."""
    for frame, maps in enumerate(machine.m.frame[FRAME_MAPS::FRAME].tolist()):
        if maps >= least:
            yield frame


def aliases(machine: Machine, pa: int, root: int | None = None) -> Iterator[dict[str, Any]]:
    """Every address of every process, or of the tree below a root, that leads to a physical address."""
    form, k = machine.format, machine.k
    trees = [(row["pid"], row["root"]) for row in processes(machine)] if root is None else [(None, root)]
    for pid, tree in trees:
        for va, depth, address, entry, kind, rights in entries(machine, tree):
            if kind != ENTRY_LEAF:
                continue
            size = 1 << form.levels[depth].shift
            page = k.leaf_frame(entry, depth)
            if page <= pa < page + size:
                yield {
                    "pid": pid,
                    "va": va + pa - page,
                    "entry_address": address,
                    "entry": entry & WORD_MASK,
                    "page_size": size,
                    "rights": rights,
                }


def valid_entries(machine: Machine, root: int) -> Iterator[tuple[int, int, int, int]]:
    """Depth, index, entry and the address it names, of every entry that a walk could use, in order."""
    check_tables(machine)
    form, k = machine.format, machine.k
    for va, depth, _, entry, kind, _ in entries(machine, root, tables=True):
        if kind in (ENTRY_TABLE, ENTRY_LEAF):
            points = kind == ENTRY_TABLE and depth < len(form.levels) - 1
            named = k.next_table(entry) if points else k.leaf_frame(entry, depth)
            yield depth, form.index(va, depth), entry & WORD_MASK, named


def overhead_data(machine: Machine, pid: int | None, found: list[Cost]) -> dict[str, Any]:
    """What `overhead` shows as JSON; sizes in bytes, `ratio` is tables to what is resident, `share` a
    full last level's part of table and pages together."""
    size = sum(cost.size for cost in found)
    resident = 0 if pid is None else resident_bytes(machine, pid)
    entry, page = machine.format.entry_bytes, machine.format.page_size
    return {
        "levels": [
            {"level": c.level, "tables": c.tables, "size": c.size, "used": c.used, "entries": c.entries}
            for c in found
        ],
        "tables": sum(cost.tables for cost in found),
        "size": size,
        "resident": resident,
        "ratio": size / resident if resident else None,
        "flat": flat_size(machine.format),
        "entry": entry,
        "page": page,
        "share": entry / (entry + page),
    }
