"""Rows of a table that come again and again, as those of page tables that are mapped in many places."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MOST_BLOCKS = 256  # of which what was made of them is kept


class RowBlock:
    """Rows of words and numbers that stand elsewhere too, with other numbers in some columns: `rows`, one
    list for all, with `by` added to what is at `places`.  Sums are neither negative nor more than 64 bits."""

    __slots__ = ("by", "places", "rows")

    def __init__(self, rows: list[list[Any]], places: tuple[int, ...], by: int) -> None:
        self.rows, self.places, self.by = rows, places, by

    def __iter__(self) -> Iterator[list[Any]]:
        for row in self.rows:
            own = row[:]
            for place in self.places:
                own[place] += self.by
            yield own
