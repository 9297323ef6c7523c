"""Reads a whole tree of page tables; `hardware.walk` reads the path of one address.  Cold code.

It needs linked functions `k` with the tables `bank` and `ram1` .. `ram8` of `k.m`: no kernel, no process.

Entries may point anywhere, so the "tree" may have shared tables and circles.  The rule: an entry is followed
as a walk follows it, which does not remember tables.  So a table to which many entries point is read once for
each of them, and a table that points to itself is read again as a table of the next level.  Every path ends
at the last level, where no entry points to a table (the contract of `classify`).  If the entries to read do
not all lie in memory, nothing of that table is read.

`n` tables can have up to `n` to the power of the number of levels such paths.  A caller that does not want
all of them decides for each entry, by `Entry.above` and `Entry.seen`, whether to follow it.
"""

from __future__ import annotations

from vmdbg.formats.contract import ALL_RIGHTS, ENTRY_LEAF, ENTRY_TABLE
from vmdbg.state.tables import CPU, CPU_CONTROL6, CPU_REACH_HIGH, CPU_REACH_LOW, KERNEL_CPU, KERNEL_ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmdbg.engine import Linked
    from vmdbg.formats.record import Format


MOST_REPEATS = 1024  # a table that is read again takes as long as the first time
FULL = 512  # entries of a table, as most have


class Entry:
    """An entry that is not zero.

    `va`: the first address that it translates, sign-extended where the format is.  `depth`: of its table,
    the root's is 0.  `table`, `address`: physical addresses of its table and of the entry itself; `index`:
    its place in the table.  `entry`: the word as memory holds it, 8 bytes signed.  `kind`: an ENTRY_
    constant.  `rights`: a nibble, what all entries from the root to this one give.  `target`: physical
    address of the table or page that it points to, -1 for none.

    Of an entry that points to a table, `above` is the depth of that table on the path from the root to this
    entry, -1 if it is not on it; `seen` is whether that table was already read as one of the same depth.
    """

    __slots__ = (
        "above", "address", "depth", "entry", "index", "kind", "rights", "seen", "table", "target", "va",
    )  # fmt: skip

    def __init__(
        self, va: int, depth: int, table: int, index: int, address: int, entry: int, kind: int, rights: int
    ) -> None:
        self.va, self.depth, self.table, self.index, self.address = va, depth, table, index, address
        self.entry, self.kind, self.rights = entry, kind, rights
        self.target, self.above, self.seen = -1, -1, False


def entries(
    k: Linked,
    form: Format,
    root: int,
    start: int | None = None,
    end: int | None = None,
    follow: Callable[[Entry], object] | None = None,
    tables_last: bool = False,
    whole: bool = False,
) -> Iterator[Entry]:
    """The entries below a root register's value that are not zero, by address.

    Only those for the pages from `start` to `end` (exclusive; signed or not); by default all.  An entry that
    points to a table comes before the entries of that table, with `tables_last` after them.  `follow(entry)`
    is called once for each such entry and says whether to read its table.  `whole`: see `trees`; without it
    bits that the registers make the walker ignore count for nothing, but stay in `Entry.entry`.  With base
    and bounds the only entry is the register, at address -1.  Memory may change during the iteration:
    all entries of one table are read at once.
    """
    mask = (1 << form.va_bits) - 1
    low = first_wanted = 0 if start is None else start & mask
    high = last_wanted = mask + 1 if end is None else ((end - 1) & mask) + 1
    seen, ignored = set[tuple[int, int]](), 0

    def below(table: int, depth: int, base: int, rights: int, above: tuple[int, ...]) -> Iterator[Entry]:
        seen.add((table, depth))
        level, above = form.levels[depth], (*above, table)
        first = max(0, (low - base) >> level.shift)
        last = min(1 << level.bits, ((high - base - 1) >> level.shift) + 1)
        for index, entry in table_entries(k, form, table, first, last):
            word, page = entry & ~ignored, base + (index << level.shift)
            kind = k.classify(word, depth)
            address, so_far = table + index * form.entry_bytes, k.combine(rights, word, kind, depth)
            found = Entry(form.signed(page), depth, table, index, address, entry, kind, so_far)
            if kind == ENTRY_LEAF:
                found.target = k.leaf_address(word, depth, index)
            if kind != ENTRY_TABLE:
                yield found
                continue
            target = found.target = k.next_table(word, depth)
            found.above = above.index(target) if target in above else -1
            found.seen = (target, depth + 1) in seen
            if not tables_last:
                yield found
            if follow is None or follow(found):
                yield from below(target, depth + 1, page, so_far, above)
            if tables_last:
                yield found

    if form.bounded:
        if not form.segments:
            partition = Entry(0, 0, root, 0, -1, root, ENTRY_LEAF, ALL_RIGHTS)
            partition.target = root
            yield partition
        return
    for table, depth, base, first, past, rights in trees(k, form, root, whole):
        low, high = max(first_wanted, first), min(last_wanted, past)
        if low < high:
            ignored = 0 if whole else ignored_in(k, form, base)
            yield from below(table, depth, base, rights, ())


def trees(k: Linked, form: Format, root: int, whole: bool) -> Iterator[tuple[int, int, int, int, int, int]]:
    """The trees below a root, as the registers of the CPU in use have them: of both halves, of each segment.

    `whole`: as the kernel made them, whatever the registers say.  Each is its root table, the depth of its
    entries, the address of its first entry, the first that it translates and the one past the last (in
    `va_bits`), and the rights that it begins with.
    """
    m = k.m
    cpu = int(m.kernel[KERNEL_CPU])
    if form.segments:
        size = 1 << form.segment_shift
        for base in range(0, 1 << form.va_bits, size):
            limit = int(k.segment_limit(m, cpu, base // size))
            first = base + size - limit if k.grows_down(m, cpu, base) else base
            table, rights = k.segment_table(m, cpu, root, base), k.segment_rights(m, cpu, base)
            yield table, 0, base, first, first + limit, rights
        return
    if not form.split:
        yield root & form.root_mask, 0, 0, 0, 1 << form.va_bits, ALL_RIGHTS
        return
    half, row = form.va_bits - 1, cpu * CPU
    halves = [
        (root, m.cpu[row + CPU_REACH_LOW], False),
        (m.cpu[row + CPU_CONTROL6], m.cpu[row + CPU_REACH_HIGH], True),
    ]
    if whole:
        halves = [(root, half, False), (m.kernel[KERNEL_ROOT], half, True)]
    for table, bits, upper in halves:
        depth = next((at for at, level in enumerate(form.levels) if level.shift < bits), 0)
        start = (1 << form.va_bits) - (1 << bits) if upper else 0
        if bits:
            yield table & form.root_mask, depth, start, start, start + (1 << bits), ALL_RIGHTS


def ignored_in(k: Linked, form: Format, base: int) -> int:
    """The bits of entries that the registers of the CPU in use make its walker take for 0, in the tree that
    begins at an address."""
    return int(k.ignored_bits(k.m, int(k.m.kernel[KERNEL_CPU]), form.signed(base)))


def once(found: Entry) -> bool:
    """A value for `follow`: read each table only once for each level."""
    return not found.seen


class Bounded:
    """A value for `follow`: read each table for every entry that points to it, but repeat no more of these
    readings than take as long as `most` of full tables, so that tables that point to one another come to an
    end.  `refused`: how many entries were not followed; `each`: how many the next table has at most."""

    def __init__(self, most: int = MOST_REPEATS) -> None:
        self.left, self.refused, self.each = most * FULL, 0, FULL

    def __call__(self, found: Entry) -> bool:
        return self.allows(found.seen)

    def allows(self, seen: bool) -> bool:
        """Is a table read, which was read before if it was `seen`?"""
        if seen and self.left < self.each:
            self.refused += 1
            return False
        if seen:
            self.left -= self.each
        return True


def table_entries(k: Linked, form: Format, table: int, first: int, end: int) -> list[tuple[int, int]]:
    """Index and value of the entries `first .. end - 1` of a table that are not zero.

    None of them if one lies outside memory; a table need not be aligned.
    """
    words = entry_words(k, form, table, first, end)
    return [(index, entry) for index, entry in enumerate(words, first) if entry]


def entry_words(k: Linked, form: Format, table: int, first: int, end: int) -> list[int]:
    """The entries `first .. end - 1` of a table; an empty list if one lies outside memory.  Foreign memory is
    no buffer."""
    m, width = k.m, form.entry_bytes
    at = k.ram_offset(m, table + first * width, max(1, (end - first) * width))
    if at < 0 or end <= first:
        return []
    if at % width or not len(m.ram1):
        return [k.load_entry(m, table + index * width) for index in range(first, end)]
    ram = {1: m.ram1, 2: m.ram2, 4: m.ram4, 8: m.ram8}[width]
    found: list[int] = ram[at // width : at // width + end - first].tolist()
    return [k.turned(entry, width) for entry in found] if form.big_endian else found
