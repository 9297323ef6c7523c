"""Stack distances and working sets once more, as their papers define them, with lists and sets.

Nothing here comes from the code that is tested.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def stack_distances(pages: Sequence[int]) -> tuple[Counter[int], int]:
    """How many accesses have each distance, and how many are the first of their page."""
    stack: list[int] = []
    found: Counter[int] = Counter()
    first = 0
    for page in pages:
        if page in stack:
            found[stack.index(page) + 1] += 1
            stack.remove(page)
        else:
            first += 1
        stack.insert(0, page)
    return found, first


def working_sets(pages: Sequence[int], window: int) -> tuple[list[int], list[bool]]:
    """The size of the working set after each access, and whether its page was not in the one before it."""
    sizes = [len(set(pages[max(0, at + 1 - window) : at + 1])) for at in range(len(pages))]
    missed = [page not in pages[max(0, at - window) : at] for at, page in enumerate(pages)]
    return sizes, missed
