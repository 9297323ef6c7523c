"""The formulas of textbooks, on numbers alone: levels of a walk, TLB reach, access time, sizes of tables.

Bits count those of an address, sizes are bytes, times are in one unit of the caller's, ratios are parts of 1.
Times and ratios are exact (`fractions.Fraction`).
"""

from __future__ import annotations

from collections import namedtuple
from fractions import Fraction

from vmdbg.errors import UserError
from vmdbg.inspect.overhead import flat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: A walk: bits of the offset, entries that a table of one page has, index bits that these give, and the index
#: bits of each level, the root's first.
Levels = namedtuple("Levels", "bits page entry offset entries index split")
#: Tables of one level: with pages that lie together from the begin of a table, as far apart as they can, with
#: everything mapped.
LevelTables = namedtuple("LevelTables", "level together apart all")
#: Tables of each kind, with `pages` mapped; `inverted` entries, one a frame of `ram` (None: not asked).
Tables = namedtuple("Tables", "walk flat mapped pages levels ram inverted")
#: TLB entries that hold pages of one size.  `sets` is 0 for a number of entries that was given as such.
Reach = namedtuple("Reach", "sets ways entries page size")
#: Access time: of a hit and a miss of the TLB (None without one), of an access (`access`), of one with the
#: faults in it (`effective`), and `goal` with what it takes: the hit ratio, or the faults that it allows.
AccessTime = namedtuple(
    "AccessTime", "ratio tlb memory levels hit miss access faults service effective goal needed"
)
MOST_LEVELS = 64


def levels(bits: int, page: int, entry: int) -> Levels:
    """The levels that addresses of so many bits need if a table takes one page.  UserError."""
    rest = flat(bits, page, entry).entry_bits
    offset, entries = bits - rest, page // entry
    if entries < 2:
        raise UserError(f"A page of {page} bytes has no room for two entries of {entry} bytes.")
    if rest == 0:
        raise UserError(f"Addresses of {bits} bits have one page of {page} bytes: there is nothing to walk.")
    index = entries.bit_length() - 1
    first = rest % index
    return Levels(
        bits, page, entry, offset, entries, index, [first] * (first > 0) + [index] * (rest // index)
    )


def tables(bits: int, page: int, entry: int, mapped: int, ram: int | None) -> Tables:
    """What tables take with `mapped` bytes mapped, in whole pages, and an inverted one.  UserError."""
    walk = levels(bits, page, entry)
    pages = -(-mapped // page)
    if not 0 < mapped <= 1 << bits:
        raise UserError(f"{mapped} bytes mapped: expected 1 to 2^{bits}.")
    if ram is not None and (ram <= 0 or ram % page):
        raise UserError(f"Memory of {ram} bytes is no multiple of a page.")
    rows, above = [], 0
    for level, index in enumerate(walk.split, 1):
        every = 1 << above
        below = sum(walk.split) - above  # bits of a page's number that one table of this level covers
        rows.append(LevelTables(level, -(-pages >> below), min(pages, every), every))
        above += index
    inverted = None if ram is None else ram // page
    return Tables(walk, flat(bits, page, entry), mapped, pages, rows, ram, inverted)


def reach(sets: int, ways: int, page: int) -> Reach:
    """The memory that TLB entries cover; `sets` 0: there are `ways` entries.  UserError."""
    entries = sets * ways if sets else ways
    if entries <= 0:
        raise UserError("A TLB has at least one entry.")
    if page <= 0 or page & (page - 1):
        raise UserError(f"A page of {page} bytes is no power of two.")
    return Reach(sets, ways, entries, page, entries * page)


def access_time(
    memory: Fraction,
    walk: int,
    ratio: Fraction | None,
    tlb: Fraction,
    faults: Fraction | None,
    service: Fraction | None,
    goal: Fraction | None,
) -> AccessTime:
    """The effective access time.

    A walk of so many levels reads memory as often, and the access itself once more.  `ratio` None: there is
    no TLB.  A fault takes `service`, all in all, in place of an access.  UserError for what cannot be.
    """
    if not 0 <= walk <= MOST_LEVELS:
        raise UserError(f"{walk} levels: expected 0 to {MOST_LEVELS}.")
    if memory == 0:
        raise UserError("A memory access takes some time: expected more than 0.")
    hit = miss = None
    access = walk * memory + memory
    if ratio is not None:
        hit, miss = tlb + memory, tlb + access
        access = ratio * hit + (1 - ratio) * miss
    effective = access
    if faults is not None and service is not None:
        effective = (1 - faults) * access + faults * service
    needed = None
    if goal is not None:
        needed = fault_rate(goal, access, service) if service is not None else hit_ratio(goal, hit, miss)
    return AccessTime(ratio, tlb, memory, walk, hit, miss, access, faults, service, effective, goal, needed)


def hit_ratio(goal: Fraction, hit: Fraction | None, miss: Fraction | None) -> Fraction:
    """The least hit ratio with which an access takes `goal` at most.  UserError if none does."""
    if hit is None or miss is None:
        raise UserError("Without a TLB and without faults the access time is what it is.")
    if goal < hit:
        raise UserError(f"No hit ratio gives {float(goal):g}: a hit alone takes {float(hit):g}.")
    return Fraction(0) if goal >= miss else (miss - goal) / (miss - hit)


def fault_rate(goal: Fraction, access: Fraction, service: Fraction) -> Fraction:
    """The highest rate of faults with which an access takes `goal` at most.  UserError if none does."""
    if goal < access:
        raise UserError(f"No fault rate gives {float(goal):g}: an access alone takes {float(access):g}.")
    return Fraction(1) if goal >= service else (goal - access) / (service - access)


def total_reach(found: Sequence[Reach]) -> int:
    """Bytes that several arrays cover together, if no page is in two of them."""
    return sum(each.size for each in found)
