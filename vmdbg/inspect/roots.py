"""Where the root of page tables may lie: a scan of physical memory, and what speaks for each candidate.

A root is told from other pages by what its entries say: tables of the next level inside memory, no reserved
bit, and so on down to pages.  That is a guess, since any bytes may look like a table; so the reasons are
shown.
"""

from __future__ import annotations

from vmdbg import progress
from vmdbg.errors import UserError
from vmdbg.formats.contract import ENTRY_LEAF, ENTRY_RESERVED, ENTRY_TABLE
from vmdbg.hardware.page_tables import entries
from vmdbg.inspect.dump import COUNTERS, first_of
from vmdbg.inspect.extents import banks_by_address, extents
from vmdbg.inspect.notation import size_text
from vmdbg.inspect.walk import walk_tables
from vmdbg.state.tables import CPU, CPU_ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.hardware.page_tables import Entry
    from vmdbg.machine.machine import Machine

STRETCH = 1 << 20  # bytes; one of zeros is passed over at once
LARGEST_TABLE = 1 << 17  # bytes; more, and any page may be the begin of one
MOST_TABLES = 5000  # of a candidate that are read
MOST_CANDIDATES = 1 << 16
BAD = 4  # entries that a table may have which make no sense: a broken table is looked for
ENOUGH_BAD = 8  # one bad entry in so many is borne


class Candidate:
    """A page that may be a root.

    How many tables and pages are below it, how many of its tables make no sense, the tables of the next
    level, and the index of an entry that points to the page itself (-1: none).
    """

    __slots__ = ("bad", "below", "itself", "pages", "root", "tables")

    def __init__(self, root: int) -> None:
        self.root, self.tables, self.pages, self.bad, self.itself = root, 0, 0, 0, -1
        self.below: set[int] = set()


def find_roots(machine: Machine) -> list[dict[str, Any]]:
    """Candidates for the root of tables of the machine's format, the likeliest first, with the reasons.

    UserError for base and bounds, and for tables so large that a machine has few of them.  Memory that a
    sparse file does not have is not read.
    """
    if machine.format.bounded:
        raise UserError("Base and bounds: there are no tables.")
    size = machine.format.table_bytes(0)
    if size > LARGEST_TABLE:
        name = machine.format.name
        raise UserError(f"A root table of {name} has {size_text(size)}: nothing tells it from data.")
    found: dict[int, Candidate] = {}
    known = {int(machine.m.cpu[cpu * CPU + CPU_ROOT]) for cpu in range(machine.config["machine.cpus"])}
    for root in scanned(machine):
        candidate = examined(machine, root)
        if candidate is not None:
            found[root] = candidate
            if len(found) >= MOST_CANDIDATES:
                break
    pointed = {table for candidate in found.values() for table in candidate.below - {candidate.root}}
    kept = [one for one in found.values() if one.root not in pointed or one.itself >= 0 or one.root in known]
    kept.sort(key=lambda one: (one.root not in known, one.bad, -one.pages, one.root))
    return [row(machine, one, kept) for one in kept]


def row(machine: Machine, candidate: Candidate, others: list[Candidate]) -> dict[str, Any]:
    """A candidate as JSON shows it; `reasons` are sentences for it, and against it."""
    root, form = candidate.root, machine.format
    reasons = []
    cpus = [
        cpu
        for cpu in range(machine.config["machine.cpus"])
        if machine.m.cpu[cpu * CPU + CPU_ROOT] & form.root_mask == root
    ]
    if cpus:
        reasons.append(f"{form.root_register} of CPU {', '.join(map(str, cpus))}")
    for number, saved in enumerate(machine.saved_registers):
        counter = first_of(saved, COUNTERS)
        if counter and walk_tables(machine, root, counter).maps:
            reasons.append(f"maps what CPU {number} executes")
    if candidate.itself >= 0:
        reasons.append(f"maps itself by entry {candidate.itself}")
    alike = sum(1 for other in others if other is not candidate and other.below & candidate.below)
    if alike:
        reasons.append(f"shares tables with {alike} other{'' if alike == 1 else 's'}")
    if candidate.bad:
        tables = "1 table makes" if candidate.bad == 1 else f"{candidate.bad} tables make"
        reasons.append(f"but {tables} no sense")
    return {"root": root, "tables": candidate.tables, "pages": candidate.pages, "reasons": reasons}


def scanned(machine: Machine) -> Iterator[int]:
    """The pages of memory that could be a root at first sight."""
    form, k, m = machine.format, machine.k, machine.m
    step = max(form.page_size, form.root_mask & -form.root_mask)
    stretch, size = max(step, STRETCH), form.table_bytes(0)
    zeros = bytes(stretch + size)
    pieces = [
        (start, min(start + length, base + whole - size + 1))  # a table may go on behind what was written
        for base, whole in banks_by_address(machine)
        for start, length in extents(machine, base, whole)
    ]
    with progress.task("Looking for roots", "B", sum(max(0, end - start) for start, end in pieces)) as task:
        done = 0
        for start, end in pieces:
            for first in range(-(-start // step) * step, end, stretch):
                task.at(done + first - start)
                last = min(first + stretch, end)
                at = k.ram_offset(m, first, last - first + size - 1)
                content = bytes(m.ram1[at : at + last - first + size - 1])
                if zeros.startswith(content):
                    continue
                for pa in range(first, last, step):
                    page = content[pa - first : pa - first + size]
                    if not zeros.startswith(page) and is_table(machine, pa):
                        yield pa
            done += max(0, end - start)


def judged(machine: Machine, found: Entry) -> int:
    """1 for an entry that makes sense, -1 for one that does not, 0 for one that maps nothing."""
    if found.kind == ENTRY_LEAF:
        return 1
    if found.kind == ENTRY_TABLE:
        size = machine.format.table_bytes(found.depth + 1)
        return 1 if machine.k.ram_offset(machine.m, found.target, size) >= 0 else -1
    return -1 if found.kind == ENTRY_RESERVED else 0


def is_wrong(good: int, bad: int) -> bool:
    """Do too many entries of a table make no sense?"""
    return bad > BAD or bad * ENOUGH_BAD > max(good, ENOUGH_BAD)


def is_table(machine: Machine, table: int) -> bool:
    """Does a page look like a root table?"""
    good = bad = 0
    for found in entries(machine.k, machine.format, table, follow=lambda found: False):
        if found.table == table:  # not of another root, which the CPU has for the upper half
            verdict = judged(machine, found)
            good, bad = good + (verdict > 0), bad + (verdict < 0)
            if bad > BAD:
                return False
    return good > 0 and not is_wrong(good, bad)


def examined(machine: Machine, root: int) -> Candidate | None:
    """A candidate with what is below it; None if no page is, or too much makes no sense."""
    candidate, seen = Candidate(root), {root}
    good: dict[int, int] = {}
    bad: dict[int, int] = {}

    def follow(found: Entry) -> bool:
        if found.seen or found.target == root or len(seen) > MOST_TABLES or found.table not in seen:
            return False
        if judged(machine, found) < 0 or (len(bad) > BAD and is_wrong(len(good), len(bad))):
            return False
        seen.add(found.target)
        return True

    for found in entries(machine.k, machine.format, root, follow=follow):
        if found.table not in seen:
            continue
        verdict = judged(machine, found)
        count = good if verdict > 0 else bad
        if verdict:
            count[found.table] = count.get(found.table, 0) + 1
        candidate.pages += found.kind == ENTRY_LEAF
        if found.depth == 0 and found.kind == ENTRY_TABLE and verdict > 0:
            candidate.below.add(found.target)
            if found.target == root:
                candidate.itself = found.index
    candidate.tables = len(seen)
    candidate.bad = sum(is_wrong(good.get(table, 0), wrong) for table, wrong in bad.items())
    return candidate if candidate.pages and candidate.bad * 2 <= candidate.tables else None
