"""The tree of page tables below a root: its entries in runs, its cost, and who maps a frame."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.formats.contract import ENTRY_EMPTY, ENTRY_LEAF, ENTRY_SWAPPED, ENTRY_TABLE
from vmdbg.hardware.page_tables import Bounded, entries, once
from vmdbg.inspect.notation import kind_word
from vmdbg.inspect.processes import mappings, processes
from vmdbg.inspect.walk import walk_tables, where
from vmdbg.kernel.frames import FRAME_STATES
from vmdbg.state.tables import FRAME, FRAME_MAPS, FRAME_PID, FRAME_STATE, PROCESS, PROCESS_ROOT, PROCESS_RSS
from vmdbg.units import WORD_MASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from vmdbg.formats.record import Format
    from vmdbg.hardware.page_tables import Entry
    from vmdbg.machine.machine import Machine


class EntryRun:
    """Neighbouring entries of one table that are shown as one line.

    They are one entry that points to a table, or leaves whose frames follow one another, or equal entries
    (`equal`).  `target` is the table or first page that it points to, -1 for none; `above` is the depth of
    the same table on the way from the root, -1 if it is not on it.  `word` says what they are; `size` is how
    many bytes of addresses one of them translates.
    """

    __slots__ = (
        "above", "address", "count", "depth", "entry", "equal", "index", "is_last", "kind", "page_bits",
        "rights", "size", "slot", "target", "va",
    )  # fmt: skip

    def __init__(self, form: Format, first: Entry, slot: int) -> None:
        self.depth, self.index, self.address = first.depth, first.index, first.address
        self.va, self.entry = first.va & WORD_MASK, first.entry & WORD_MASK
        self.kind, self.rights, self.target, self.above = first.kind, first.rights, first.target, first.above
        self.count, self.slot, self.equal = 1, slot, False
        self.size, self.page_bits = 1 << form.levels[first.depth].shift, form.page_bits
        self.is_last = first.depth + 1 == len(form.levels)

    @property
    def word(self) -> str:
        """One of ENTRY_KINDS, or `not-valid`."""
        return kind_word(self.kind, self.entry)

    @property
    def points(self) -> bool:
        """Does it point to a table of the next level?"""
        return self.kind == ENTRY_TABLE and not self.is_last

    @property
    def frames(self) -> tuple[int, int] | None:
        """The numbers of the first and the last frame that it maps; None if it maps no page."""
        if self.points or self.kind not in (ENTRY_LEAF, ENTRY_TABLE):
            return None
        end = self.target + (1 if self.equal else self.count) * self.size >> self.page_bits
        return self.target >> self.page_bits, end - 1


def entry_runs(machine: Machine, root: int, cpu: int | None = None) -> Iterator[EntryRun]:
    """The tree below a root, each entry before what it points to; entries that are alike are joined.

    By the registers of a CPU (None: of the one in use).  A table on the way to itself is named and not
    followed again, nor one that was read very often.
    """
    check_tables(machine)
    k, held, follow = machine.k, None, Bounded()
    read = entries(k, machine.format, root, follow=lambda found: found.above < 0 and follow(found), cpu=cpu)
    for found in read:
        new = EntryRun(
            machine.format, found, k.swapped_slot(found.entry) if found.kind == ENTRY_SWAPPED else 0
        )
        if held is not None and joins(machine, held, new):
            held.equal = new.entry == held.entry
            held.count += 1
            continue
        if held is not None:
            yield held
        held = new
    if held is not None:
        yield held


def check_tables(machine: Machine) -> None:
    """UserError if the machine has no tables."""
    if machine.format.bounded:
        scheme = "Segments" if machine.format.segments else "Base and bounds"
        raise UserError(f"{scheme}: there are no tables.")


def joins(machine: Machine, held: EntryRun, new: EntryRun) -> bool:
    """Does an entry belong to a run: is it equal to its entries, or the leaf that follows them?"""
    if new.depth != held.depth or new.index != held.index + held.count or new.kind == ENTRY_TABLE:
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


def table_costs(machine: Machine, root: int, own: bool, cpu: int | None = None) -> list[Cost]:
    """The tables below a root, level by level.  A table that two entries point to counts once; with
    `own` those of the kernel half, which all processes share, do not count."""
    form = machine.format
    costs = [Cost(level.name) for level in form.levels]

    def follow(found: Entry) -> bool:
        if found.seen or (own and is_shared(machine, found.target)):
            return False
        count_table(machine, costs, found.depth + 1)
        return True

    count_table(machine, costs, 0)
    for found in entries(machine.k, form, root, follow=follow, cpu=cpu):
        costs[found.depth].used += found.kind != ENTRY_EMPTY
    return costs


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
        entry = k.load_entry(m, found["entry_address"]) & WORD_MASK
        rows.append(
            {
                "pfn": k.frame_address(m, frame) >> form.page_bits,
                "pid": found["pid"],
                "va": found["va"],
                "entry_address": found["entry_address"],
                "entry": entry,
                "flags": form.flags(entry, *fields_of_leaf(machine, found)),
            }
        )
    return rows


def all_mappers(machine: Machine, pfn: int | None, root: int | None = None) -> list[dict[str, Any]]:
    """A row for each entry that maps a frame; without one, of every frame that several entries map.

    By the kernel's reverse map, or by the entries of the tree below a root.
    """
    if root is not None:
        return tree_mappers(machine, root, pfn)
    frames = shared_frames(machine, 2) if pfn is None else [frame_number(machine, pfn)]
    return [row for frame in frames for row in mappers(machine, frame)]


def tree_mappers(machine: Machine, root: int, pfn: int | None) -> list[dict[str, Any]]:
    """As `mappers`, by the entries of the tree below a root: those that map a frame, if only as one of a
    large page; without a frame those that map one which another of them maps, too.  An entry has one row,
    with the first address that leads to it, for each level that its table is used at."""
    form = machine.format
    rows: dict[int, list[dict[str, Any]]] = {}
    for found in entries(machine.k, form, root, follow=once):
        if found.kind != ENTRY_LEAF:
            continue
        first = found.target >> form.page_bits
        count = 1 << (form.levels[found.depth].shift - form.page_bits)
        if pfn is not None and not first <= pfn < first + count:
            continue
        at = first if pfn is None else pfn
        row = {
            "pfn": at,
            "pid": None,
            "va": (found.va & WORD_MASK) + (at - first << form.page_bits),
            "entry_address": found.address,
            "entry": found.entry & WORD_MASK,
            "flags": form.flags(found.entry, where(machine.format, found.depth, found.kind), found.depth),
        }
        rows.setdefault(at, []).append(row)
    groups = (rows[at] for at in sorted(rows))
    return [row for rows in groups if pfn is not None or len(rows) > 1 for row in rows]


def fields_of_leaf(machine: Machine, mapping: dict[str, Any]) -> tuple[str, int]:
    """Which fields the entry of a mapping has: the letter of `formats.record.Field`, and the depth."""
    root = int(machine.m.process[mapping["pid"] * PROCESS + PROCESS_ROOT])
    last = walk_tables(machine, root, mapping["va"]).last
    return where(machine.format, last.depth, last.kind), last.depth


def shared_frames(machine: Machine, least: int) -> Iterator[int]:
    """The frames that at least so many entries map."""
    for frame, maps in enumerate(machine.m.frame[FRAME_MAPS::FRAME].tolist()):
        if maps >= least:
            yield frame


def aliases(
    machine: Machine, pa: int, root: int | None = None, cpu: int | None = None
) -> Iterator[dict[str, Any]]:
    """Every address of every process, or of the tree below a root, that leads to a physical address.

    `cpu`: by whose registers tables are read (None: by those of the one in use).
    """
    form = machine.format

    def maps(found: Entry) -> bool:
        return found.kind == ENTRY_LEAF and 0 <= pa - found.target < 1 << form.levels[found.depth].shift

    trees = [(row["pid"], row["root"]) for row in processes(machine)] if root is None else [(None, root)]
    for pid, tree in trees:
        for found in paths(machine, tree, maps, cpu):
            yield {
                "pid": pid,
                "va": (found.va & WORD_MASK) + pa - found.target,
                "entry_address": found.address,
                "entry": found.entry & WORD_MASK,
                "page_size": 1 << form.levels[found.depth].shift,
                "rights": found.rights,
            }


def paths(machine: Machine, root: int, wanted: Callable[[Entry], bool], cpu: int | None) -> Iterator[Entry]:
    """The entries below a root for which `wanted` holds, once for each path to them, of which there may be
    too many to follow them all.

    Each table is searched once for each level; then only those that lead to such an entry are read.
    """
    k, form, leading = machine.k, machine.format, set()
    for found in entries(k, form, root, follow=once, tables_last=True, cpu=cpu):
        if wanted(found) or (found.kind == ENTRY_TABLE and (found.target, found.depth + 1) in leading):
            leading.add((found.table, found.depth))
    if leading:
        often = Bounded()

        def leads(found: Entry) -> bool:
            return (found.target, found.depth + 1) in leading and often(found)

        lead = entries(k, form, root, follow=leads, cpu=cpu)
        yield from filter(wanted, lead)


def valid_entries(machine: Machine, root: int, cpu: int | None = None) -> Iterator[tuple[int, int, int, int]]:
    """Depth, index, entry and the address it names, of every entry that a walk could use, in order."""
    check_tables(machine)
    for found in entries(machine.k, machine.format, root, follow=Bounded(), cpu=cpu):
        if found.kind in (ENTRY_TABLE, ENTRY_LEAF):
            yield found.depth, found.index, found.entry & WORD_MASK, found.target


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
