"""A trace on a machine with memory for all of it: pages of two sizes, promotion, two TLB levels.

Accesses are (kind, address, size), kinds r w x m.  Nothing of vmdbg is used.
"""

from __future__ import annotations

from collections import Counter

SMALL, LARGE = 12, 21  # shifts of the two page sizes
Key = tuple[int, int]  # shift and number of a page


def lackey(text: str) -> list[tuple[str, int, int]]:
    """The accesses in text of Valgrind's lackey."""
    found = []
    for line in text.splitlines():
        address, size = line[3:].split(",")
        found.append(
            ({"I": "x", "L": "r", "S": "w", "M": "m"}[line[:3].strip()], int(address, 16), int(size))
        )
    return found


class Array:
    """Sets of ways, most recently used first; a row is a page and whether it is dirty."""

    def __init__(self, sets: int, ways: int) -> None:
        self.sets, self.ways = [list[list[object]]() for _ in range(sets)], ways

    def of(self, key: Key) -> list[list[object]]:
        return self.sets[key[1] % len(self.sets)]

    def find(self, va: int) -> list[object] | None:
        for shift in (SMALL, LARGE):
            rows = self.of((shift, va >> shift))
            for row in rows:
                if row[0] == (shift, va >> shift):
                    rows.remove(row)
                    rows.insert(0, row)
                    return row
        return None

    def put(self, key: Key, dirty: bool) -> None:
        self.drop(key)
        rows = self.of(key)
        del rows[self.ways - 1 :]
        rows.insert(0, [key, dirty])

    def drop(self, key: Key) -> None:
        rows = self.of(key)
        rows[:] = [row for row in rows if row[0] != key]


class Traced:
    """`shapes`: sets and ways of l1, or l1i and l1d, and l2.  `page`: the shift of all pages, or with a
    `threshold` so many small pages become a large one.  `straddle`: do accesses go on in the next page?"""

    def __init__(
        self, shapes: dict[str, tuple[int, int]], page: int, threshold: int = 0, straddle: bool = True
    ) -> None:
        self.arrays = {name: Array(*shape) for name, shape in shapes.items()}
        self.page, self.threshold, self.straddle = page, threshold, straddle
        self.mapped: set[Key] = set()
        self.dirty: set[Key] = set()
        self.count: Counter[str] = Counter()

    def first(self, kind: str) -> Array:
        return self.arrays["l1" if "l1" in self.arrays else "l1i" if kind == "x" else "l1d"]

    def served(self, kind: str) -> list[Array]:
        return [self.first(kind), *([self.arrays["l2"]] if "l2" in self.arrays else [])]

    def key(self, va: int) -> Key | None:
        return next((key for s in (SMALL, LARGE) if (key := (s, va >> s)) in self.mapped), None)

    def translate(self, kind: str, va: int) -> bool:
        """One try; False where the page is not there."""
        writes = kind in "wm"
        for level, array in enumerate(self.served(kind)):
            row = array.find(va)
            if row is not None:
                self.count["tlb-l2-hit" if level else "tlb-hit"] += 1
                key = row[0]
                if level:
                    self.first(kind).put(key, bool(row[1]))  # type: ignore[arg-type]
                if writes and not row[1]:
                    self.fill(kind, key)  # type: ignore[arg-type]
                return True
        self.count["tlb-miss"] += 1
        found = self.key(va)
        if found is None:
            return False
        self.fill(kind, found)
        return True

    def fill(self, kind: str, key: Key) -> None:
        if kind in "wm":
            self.dirty.add(key)
        for array in self.served(kind):
            array.put(key, key in self.dirty)

    def fault(self, va: int) -> bool:
        """Bring the page; True if the access begins again, with its first page."""
        self.count["fault-minor"] += 1
        small, large = (SMALL, va >> SMALL), (LARGE, va >> LARGE)
        if not self.threshold:
            self.mapped.add((self.page, va >> self.page))
            return self.page == LARGE
        there = {key for key in self.mapped if key[0] == SMALL and key[1] >> (LARGE - SMALL) == large[1]}
        if len(there) + 1 < self.threshold:
            self.mapped.add(small)
            return False
        self.count["promoted"] += 1
        for key in there:
            for array in self.arrays.values():
                array.drop(key)
        if there & self.dirty:
            self.dirty.add(large)
        self.mapped -= there
        self.mapped.add(large)
        return True

    def access(self, kind: str, va: int, size: int) -> None:
        pages = [va]
        if self.straddle and va >> SMALL != (va + size - 1) >> SMALL:
            pages.append((va >> SMALL) + 1 << SMALL)
            self.count["straddling"] += 1
        at = 0
        while at < len(pages):
            if self.translate(kind, pages[at]):
                at += 1
            elif self.fault(pages[at]):
                at = 0

    def run(self, accesses: list[tuple[str, int, int]]) -> Counter[str]:
        for access in accesses:
            self.access(*access)
        return self.count
