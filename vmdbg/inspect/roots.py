"""Where the root of page tables may lie: a scan of physical memory, and what speaks for each candidate.

A root is told from other pages by what its entries say: tables of the next level inside memory, no reserved
bit, and so on down to pages.  That is a guess, since any bytes may look like a table; so the reasons are
shown.
"""

from __future__ import annotations

from vmdbg import progress
from vmdbg.dumps.machine import DumpMachine
from vmdbg.errors import UserError
from vmdbg.formats.contract import ENTRY_LEAF, ENTRY_RESERVED, ENTRY_TABLE
from vmdbg.hardware.page_tables import table_entries
from vmdbg.inspect.dump import COUNTERS, first_of
from vmdbg.inspect.walk import walk_tables
from vmdbg.state.tables import BANK, BANK_BASE, BANK_OFFSET, BANK_SIZE, CPU, CPU_ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.machine.machine import Machine

MOST_TABLES = 5000  # of a candidate that are read
MOST_CANDIDATES = 1 << 16
BAD = (
    4  # entries of a table that may point outside memory or have reserved bits: a broken table is looked for
)
ENOUGH_BAD = 8  # one bad entry in so many is borne


class Candidate:
    """A page that may be a root: how many tables and pages are below it, how many of its tables make no
    sense,
    the tables of the next level, and the index of an entry that points to the page itself (-1: none)."""

    __slots__ = ("bad", "below", "itself", "pages", "root", "tables")

    def __init__(self, root: int) -> None:
        self.root, self.tables, self.pages, self.bad, self.itself = root, 0, 0, 0, -1
        self.below: set[int] = set()


def find_roots(machine: Machine) -> list[dict[str, Any]]:
    """Candidates for the root of tables of the machine's format, the likeliest first, with the reasons.

    UserError for base and bounds.  Memory that a sparse file does not have is not read.
    """
    if machine.format.bounded:
        raise UserError("Base and bounds: there are no tables.")
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
        reasons.append(f"but {candidate.bad} entries make no sense")
    return {"root": root, "tables": candidate.tables, "pages": candidate.pages, "reasons": reasons}


def scanned(machine: Machine) -> Iterator[int]:
    """The pages of memory that could be a root at first sight."""
    form, k, m = machine.format, machine.k, machine.m
    step = max(form.page_size, form.root_mask & -form.root_mask)
    size = form.table_bytes(0)
    pieces = list(extents(machine))
    zeros = bytes(size)
    with progress.task("Looking for roots", "B", sum(length for _, length in pieces)) as task:
        done = 0
        for base, length in pieces:
            for pa in range(-(-base // step) * step, base + length - size + 1, step):
                at = k.ram_offset(m, pa, size)
                if at >= 0 and bytes(m.ram1[at : at + size]) != zeros and is_table(machine, pa, 0):
                    yield pa
                if not pa & 0xFFFFF:
                    task.at(done + pa - base)
            done += length


def extents(machine: Machine) -> Iterator[tuple[int, int]]:
    """Physical address and length of what there is of each bank, without the holes of a sparse file."""
    m = machine.m
    banks = [(m.bank[row + BANK_BASE], m.bank[row + BANK_SIZE], m.bank[row + BANK_OFFSET])
             for row in range(0, len(m.bank), BANK)]  # fmt: skip
    for base, size, _ in sorted(banks):
        if isinstance(machine, DumpMachine):
            yield from machine.image.extents(base, size)
        else:
            yield base, size


def is_table(machine: Machine, table: int, depth: int) -> bool:
    """Does a page look like a table of that depth?"""
    return judged(machine, table, depth)[0]


def judged(machine: Machine, table: int, depth: int) -> tuple[bool, int, list[tuple[int, int]]]:
    """Whether a page looks like a table of that depth; how many pages it maps; index and address of the
    tables that it points to."""
    k, m, form = machine.k, machine.m, machine.format
    good = bad = pages = 0
    below: list[tuple[int, int]] = []
    for index, entry in table_entries(k, form, table, 0, 1 << form.levels[depth].bits):
        kind = k.classify(entry, depth)
        if kind == ENTRY_TABLE:
            target = k.next_table(entry)
            if k.ram_offset(m, target, form.table_bytes(depth + 1)) >= 0:
                good += 1
                below.append((index, target))
            else:
                bad += 1
        elif kind == ENTRY_LEAF:
            good, pages = good + 1, pages + 1
        elif kind == ENTRY_RESERVED:
            bad += 1
        if bad > BAD:
            return False, 0, []
    return good > 0 and bad * ENOUGH_BAD <= max(good, ENOUGH_BAD), pages, below


def examined(machine: Machine, root: int) -> Candidate | None:
    """A candidate with what is below it; None if no page is, or too much makes no sense."""
    found = Candidate(root)
    last = len(machine.format.levels) - 1
    waiting = [(root, 0)]
    seen = {(root, 0)}
    while waiting and found.tables < MOST_TABLES:
        table, depth = waiting.pop()
        good, pages, below = judged(machine, table, depth)
        if depth == 0:
            found.below = {target for _, target in below}
            found.itself = next((index for index, target in below if target == root), -1)
        empty = not good and not pages and not below and depth > 0
        if empty and table_entries(
            machine.k, machine.format, table, 0, 1 << machine.format.levels[depth].bits
        ):
            found.bad += 1
        found.tables += 1
        found.pages += pages
        for _, target in below:
            if target != root and depth < last and (target, depth + 1) not in seen:
                seen.add((target, depth + 1))
                waiting.append((target, depth + 1))
        if found.bad > BAD and found.bad * ENOUGH_BAD > found.tables:
            return None
    return found if found.pages and found.bad * 2 <= found.tables else None
