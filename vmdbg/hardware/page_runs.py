"""Reads a whole tree of page tables for what it maps, in runs of pages.  Cold code.

The rule is that of `page_tables`: a table is read for every entry that points to it.  But what a table says
is decoded once, into columns of machine words, and told again for each further entry: of the millions of
pages that a kernel maps again and again (espfix of Linux), no object is kept.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import compress

from vmdbg.formats.contract import ALL_RIGHTS, ENTRY_LEAF, ENTRY_TABLE
from vmdbg.hardware.page_tables import FULL, Bounded, Entry, entry_words, ignored_in, trees
from vmdbg.units import WORD_MASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from vmdbg.engine import Linked
    from vmdbg.formats.record import Format

MOST_KEPT = 1 << 20  # rows of decoded tables; then all are forgotten, and read again
LEAST_ROWS = 4  # of a block
BLOCK_ROW = 6  # what a row of a block takes, in rows of decoded tables
#: Start, end, physical address, size of pages in bytes, rights; and where the same was told before, or None.
PageRun = tuple[int, int, int, int, int, int | None]


class Block:
    """What a table of nothing but leaves says again: `runs`, whose addresses begin with 0 at its first entry;
    one list for all entries that point to it."""

    __slots__ = ("base", "runs")

    def __init__(self, base: int, runs: list[PageRun]) -> None:
        self.base, self.runs = base, runs


def counts_up(words: list[int], at: int, step: int) -> int:
    """How many words from a place on count up by `step`, at least 1; compared by as many as did so far."""
    first, count, most = words[at], 1, len(words) - at
    while count < most:
        more = min(2 * count, most)
        if words[at + count : at + more] != list(range(first + count * step, first + more * step, step)):
            break
        count = more
    while count < most and words[at + count] == first + count * step:
        count += 1
    return count


class Decoded:
    """What a table of a depth says, below entries that give some rights.

    Columns, a row for each run of leaves and for each entry that points to a table: `first` and `last`, the
    indexes of its entries; `target`, the physical address of the first page or of the table; `rights`; and
    `entry`, the word of an entry that points to a table, 0 for leaves.  `told`: how often it was told.
    """

    __slots__ = ("block", "entry", "first", "last", "rights", "target", "told")

    def __init__(self) -> None:
        self.told = 0
        self.block: list[PageRun] = []
        self.first, self.last, self.rights = array("q"), array("q"), array("B")
        self.target, self.entry = array("q"), array("q")

    def read(
        self, k: Linked, form: Format, table: int, depth: int, rights: int, begin: int, end: int, ignored: int
    ) -> Decoded:
        """Take what the entries `begin .. end - 1` of a table say, without the `ignored` bits; itself."""
        size, classify, combine, next_table = (
            1 << form.levels[depth].shift,
            k.classify,
            k.combine,
            k.next_table,
        )
        words = entry_words(k, form, table, begin, end)
        if ignored:
            words = [word & ~ignored for word in words]
        step = k.make_leaf(size, ALL_RIGHTS, depth) - k.make_leaf(0, ALL_RIGHTS, depth)
        places = list(
            compress(range(len(words)), words)
        )  # of entries that are not zero: most tables have few
        next_place, most = 0, len(places)
        while next_place < most:
            at = places[next_place]
            entry, index, count = words[at], begin + at, 1
            kind = classify(entry, depth)
            if kind == ENTRY_LEAF:
                so_far, target = combine(rights, entry, kind, depth), k.leaf_address(entry, depth, index)
                alone = k.leaf_address(entry, depth, index ^ 1) == target  # else one of several for a page
                count = counts_up(words, at, step) if step > 0 and alone else 1
                if count > 1:
                    last = index + count - 1, words[at + count - 1]
                    if not self.like(k, last, depth, rights, so_far, target + (count - 1) * size):
                        count = 1
                        step = 0
                self.pages(index, count, target, so_far, size)
            elif kind == ENTRY_TABLE:
                self.row(index, next_table(entry, depth), combine(rights, entry, kind, depth), entry)
            next_place = next_place + 1 if count == 1 else bisect_left(places, at + count, next_place)
        return self

    @staticmethod
    def like(k: Linked, row: tuple[int, int], depth: int, rights: int, so_far: int, target: int) -> bool:
        """Is an entry a leaf that gives these rights and has this target?

        Then so are those between one like it and this, if they count up frame by frame: their other bits are
        the same, and what bounds frames bounds the last of them.
        """
        index, entry = row
        if k.classify(entry, depth) != ENTRY_LEAF or k.leaf_address(entry, depth, index) != target:
            return False
        return bool(k.combine(rights, entry, ENTRY_LEAF, depth) == so_far)

    def pages(self, index: int, count: int, target: int, rights: int, size: int) -> None:
        """Leaves from an index on whose frames go on; joined with those before if they do."""
        if self.first and not self.entry[-1] and self.rights[-1] == rights and self.last[-1] == index - 1:
            if self.target[-1] + (index - self.first[-1]) * size == target:
                self.last[-1] = index + count - 1
                return
        self.row(index, target, rights, 0)
        self.last[-1] = index + count - 1

    def again(self, shift: int) -> list[PageRun]:
        """The runs for a block, if it can be one, from the second time on that it is told."""
        self.told += 1
        if self.told > 1 and not self.block and len(self.first) >= LEAST_ROWS and not any(self.entry):
            self.block = [
                (first << shift, last + 1 << shift, target, 1 << shift, rights, None)
                for first, last, target, rights in zip(
                    self.first, self.last, self.target, self.rights, strict=True
                )
            ]
        return self.block

    def row(self, index: int, target: int, rights: int, entry: int) -> None:
        """One more row."""
        self.first.append(index)
        self.last.append(index)
        self.target.append(target)
        self.rights.append(rights)
        self.entry.append(entry)


def page_runs(
    k: Linked,
    form: Format,
    root: int,
    start: int | None = None,
    end: int | None = None,
    follow: Callable[[Entry], object] | None = None,
    fold: bool = False,
    cpu: int | None = None,
) -> Iterator[PageRun]:
    """What a tree maps, by address: leaves of one table with the same rights whose frames go on are one run.

    Addresses are sign-extended where the format is.  `start`, `end`, `follow` and `cpu` as for
    `page_tables.entries`.  `fold`: what is below an entry that points to a table as one of the same level did
    before, with the same rights, is one run of what the entry translates, which says where.
    """
    return found_by(Reader(k, form, follow, fold), root, start, end, cpu)


def page_blocks(
    k: Linked,
    form: Format,
    root: int,
    follow: Callable[[Entry], object] | None = None,
    cpu: int | None = None,
) -> Iterator[PageRun | Block]:
    """`page_runs` of a whole tree, of which what a table says again may come as a Block."""
    return found_by(Reader(k, form, follow, fold=False, blocks=True), root, None, None, cpu)


def found_by(reader: Reader, root: int, start: int | None, end: int | None, cpu: int | None) -> Iterator[Any]:
    """What a reader finds between two addresses."""
    k, form = reader.k, reader.form
    mask = (1 << form.va_bits) - 1
    low = 0 if start is None else start & mask
    high = mask + 1 if end is None else ((end - 1) & mask) + 1
    for table, depth, base, first, past, rights in trees(k, form, root, False, cpu):
        wanted = max(low, first), min(high, past)
        if wanted[0] < wanted[1]:
            reader.ignore(ignored_in(k, form, base, cpu))
            yield from reader.below(table, depth, base, rights, (), wanted)


class Reader:
    """Reads tables, and keeps what they say while there is room."""

    def __init__(
        self,
        k: Linked,
        form: Format,
        follow: Callable[[Entry], object] | None,
        fold: bool,
        blocks: bool = False,
    ) -> None:
        self.k, self.form, self.follow, self.fold, self.blocks = k, form, follow, fold, blocks
        self.decoded: dict[tuple[int, int, int], Decoded] = {}
        self.kept = 0  # rows of them
        self.ignored = 0
        self.seen: set[tuple[int, int]] = set()  # tables, each with its depth
        self.told: dict[tuple[int, int, int], int] = {}  # of tables with depth and rights: the first address

    def ignore(self, ignored: int) -> None:
        """Take these bits of entries for 0 from now on."""
        if ignored != self.ignored:
            self.ignored, self.kept = ignored, 0
            self.decoded.clear()
            self.told.clear()

    def below(
        self, table: int, depth: int, base: int, rights: int, above: tuple[int, ...], wanted: tuple[int, int]
    ) -> Iterator[Any]:
        """The runs below a table that translates addresses from `base` on, of those that are `wanted`."""
        self.seen.add((table, depth))
        form, above = self.form, (*above, table)
        shift = form.levels[depth].shift
        size, shown = 1 << shift, form.signed(base) & WORD_MASK
        at_root = len(above) == 1  # a table below lies on one side of the hole in the addresses
        found = self.table(table, depth, rights, (wanted[0] - base) >> shift, (wanted[1] - base - 1) >> shift)
        if self.blocks and not at_root:
            made = len(found.block)
            if found.again(shift):
                self.kept += (len(found.block) - made) * BLOCK_ROW
                yield Block(shown, found.block)
                return
        for first, last, target, so_far, entry in zip(
            found.first, found.last, found.target, found.rights, found.entry, strict=True
        ):
            start, end = first << shift, last + 1 << shift
            if not entry and at_root:
                yield from cut(form, base + start, base + end, target, size, so_far)
            elif not entry:
                yield shown + start, shown + end, target, size, so_far, None
            else:
                page = base + start
                if self.fold:
                    place = form.signed(page) & WORD_MASK
                    before = self.told.setdefault((target, depth, so_far), place)
                    if before != place:
                        yield place, place + size, target, size, so_far, before
                        continue
                if self.follow is None or self.follows(page, depth, above, first, entry, so_far, target):
                    known = self.decoded.get((target, depth + 1, so_far)) if self.blocks else None
                    if known is not None and known.block:
                        yield Block(shown + start, known.block)
                        continue
                    yield from self.below(target, depth + 1, page, so_far, above, wanted)

    def table(self, table: int, depth: int, rights: int, first: int, last: int) -> Decoded:
        """What the entries of a table from `first` to `last` say, as far as it has these."""
        count = 1 << self.form.levels[depth].bits
        if first > 0 or last < count - 1:  # the others may lie outside memory
            return Decoded().read(
                self.k, self.form, table, depth, rights, max(0, first), min(count, last + 1), self.ignored
            )
        found = self.decoded.get((table, depth, rights))
        if found is None:
            found = Decoded().read(self.k, self.form, table, depth, rights, 0, count, self.ignored)
            self.kept += len(found.first) + 1
            if self.kept > MOST_KEPT:
                self.decoded.clear()
                self.kept = len(found.first) + 1
            self.decoded[table, depth, rights] = found
        return found

    def follows(
        self, page: int, depth: int, above: tuple[int, ...], index: int, entry: int, rights: int, target: int
    ) -> bool:
        """Is the table read that an entry points to?"""
        form, follow = self.form, self.follow
        assert follow is not None
        if isinstance(follow, Bounded):
            seen = (target, depth + 1) in self.seen
            if seen:
                known = self.decoded.get((target, depth + 1, rights))
                follow.each = FULL if known is None else 1 + len(known.first)
            return follow.allows(seen)
        address = above[-1] + index * form.entry_bytes
        one = Entry(form.signed(page), depth, above[-1], index, address, entry, ENTRY_TABLE, rights)
        one.target = target
        one.above = above.index(target) if target in above else -1
        one.seen = (target, depth + 1) in self.seen
        return bool(follow(one))


def cut(form: Format, start: int, end: int, target: int, size: int, rights: int) -> Iterator[PageRun]:
    """A run of leaves of a root table, which may go on over the hole in the addresses: then two."""
    half = 1 << form.va_bits - 1
    for first, past in ((start, min(end, half)), (max(start, half), end)):
        if first < past:
            shown = form.signed(first) & WORD_MASK
            yield shown, shown + past - first, target + first - start, size, rights, None
