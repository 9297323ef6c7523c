"""A TLB of two levels said once more, with lists: policies as textbooks have them, sizes, inclusion.

A row is [page, size, dirty]; a set is a list of rows.  lru and fifo: newest first.  random: any order
(empty places are filled from the front, removed rows are closed up).  plru: a place for each way, None
where it is empty.
"""

from __future__ import annotations

from typing import NamedTuple

Row = list[int]


class Shape(NamedTuple):
    """An array: sets, ways, the sizes (indexes) that it holds."""

    sets: int
    ways: int
    sizes: tuple[int, ...]


class Tree:
    """Pseudo-LRU over the ways [low, high): which half was used last; leaves are None."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.middle = low, (low + high) // 2
        self.right_next = False
        leaf = high - low <= 2
        self.left = None if leaf else Tree(low, self.middle)
        self.right = None if leaf else Tree(self.middle, high)

    def use(self, way: int) -> None:
        went_left = way < self.middle
        self.right_next = went_left
        below = self.left if went_left else self.right
        if below is not None:
            below.use(way)

    def victim(self, ways: int) -> int:
        right = self.right_next and self.middle < ways
        below = self.right if right else self.left
        if below is not None:
            return below.victim(ways)
        return self.middle if right else self.low


POLICIES = ("lru", "fifo", "random", "plru")  # that `Array` knows


class Array:
    def __init__(self, shape: Shape, policy: str, seed: int) -> None:
        self.shape, self.policy, self.random = shape, policy, seed
        self.rows: list[list[Row | None]] = [[] for _ in range(shape.sets)]
        self.trees = []
        if policy == "plru":
            leaves = 1 << max(1, (shape.ways - 1).bit_length())
            self.rows = [[None] * shape.ways for _ in range(shape.sets)]
            self.trees = [Tree(0, leaves) for _ in range(shape.sets)]

    def content(self) -> set[tuple[int, int, int]]:
        return {tuple(row) for rows in self.rows for row in rows if row}  # type: ignore[misc]

    def find(self, page: int, size: int, use: bool = True) -> Row | None:
        number = page % self.shape.sets
        rows = self.rows[number]
        for way, row in enumerate(rows):
            if row and row[:2] == [page, size]:
                if use and self.policy == "lru":
                    rows.insert(0, rows.pop(way))
                if use and self.policy == "plru":
                    self.trees[number].use(way)
                return row
        return None

    def put(self, page: int, size: int, dirty: int) -> Row | None:
        """The row that had to leave."""
        number = page % self.shape.sets
        rows = self.rows[number]
        own = self.find(page, size)
        if own is not None:
            own[2] = dirty
            return None
        new, gone = [page, size, dirty], None
        if self.policy == "plru":
            way = rows.index(None) if None in rows else self.trees[number].victim(self.shape.ways)
            gone, rows[way] = rows[way], new
            self.trees[number].use(way)
        elif len(rows) < self.shape.ways:
            rows.insert(len(rows) if self.policy == "random" else 0, new)
        elif self.policy == "random":
            self.random = (self.random * 1103515245 + 12345) % (1 << 31)
            way = (self.random // 256) % self.shape.ways
            gone, rows[way] = rows[way], new
        else:
            gone = rows.pop()
            rows.insert(0, new)
        return gone

    def drop(self, page: int, size: int) -> bool:
        rows = self.rows[page % self.shape.sets]
        for way, row in enumerate(rows):
            if row and row[:2] == [page, size]:
                if self.policy == "plru":
                    rows[way] = None
                else:
                    del rows[way]
                return True
        return False


class Model:
    """`arrays` has the keys l1, or l1i and l1d, and l2; any may be absent."""

    def __init__(self, shapes: dict[str, Shape], policy: str, inclusive: bool, seed: int) -> None:
        self.arrays = {name: Array(shape, policy, seed) for name, shape in shapes.items()}
        self.inclusive = inclusive and len(shapes) > 1
        self.counts = dict.fromkeys(("tlb-hit", "tlb-l2-hit", "tlb-miss", "tlb-evict", "tlb-drop"), 0)
        self.dirty: set[tuple[int, int]] = set()

    def first(self, fetch: bool) -> Array | None:
        return self.arrays.get("l1", self.arrays.get("l1i" if fetch else "l1d"))

    def put(self, array: Array | None, page: int, size: int, dirty: int) -> None:
        if array is None or size not in array.shape.sizes:
            return
        gone = array.put(page, size, dirty)
        if gone is None:
            return
        self.counts["tlb-evict"] += 1
        if self.inclusive and array is self.arrays.get("l2"):
            for name, other in self.arrays.items():
                if name != "l2" and other.drop(gone[0], gone[1]):
                    self.counts["tlb-drop"] += 1

    def access(self, page: int, size: int, how: str) -> None:
        first, second = self.first(how == "x"), self.arrays.get("l2")
        row = first.find(page, size) if first else None
        if row is not None:
            self.counts["tlb-hit"] += 1
        else:
            row = second.find(page, size) if second else None
            self.counts["tlb-l2-hit" if row else "tlb-miss"] += 1
            if row is not None:
                self.put(first, page, size, row[2])
        if how == "w":
            self.dirty.add((page, size))
        if row is None or (how == "w" and not row[2]):
            dirty = int((page, size) in self.dirty)
            self.put(first, page, size, dirty)
            self.put(second, page, size, dirty)

    def drop(self, page: int, size: int) -> None:
        for array in self.arrays.values():
            self.counts["tlb-drop"] += array.drop(page, size)
