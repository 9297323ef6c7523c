"""Policies as libCacheSim 0.3.5 defines them, where that is not as vmdbg does: LFU, ARC, S3-FIFO.

Each function takes page numbers and the number of frames, and returns the number of faults.  docs/policies.md
names the differences; these models show that they are all.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence

Pages = OrderedDict[int, None]


def lfu(pages: Sequence[int], frames: int) -> int:
    """Of equal counts the page leaves that has had its count for longest."""
    held: dict[int, int] = {}
    by_count: dict[int, Pages] = {}
    faults = 0
    for page in pages:
        count = held.get(page, 0)
        if count:
            del by_count[count][page]
            if not by_count[count]:
                del by_count[count]
        else:
            faults += 1
            if len(held) == frames:
                lowest = min(by_count)
                gone, _ = by_count[lowest].popitem(last=False)
                del held[gone]
                if not by_count[lowest]:
                    del by_count[lowest]
        held[page] = count + 1
        by_count.setdefault(count + 1, OrderedDict())[page] = None
    return faults


def arc(pages: Sequence[int], c: int) -> int:
    """The target of T1 is a real number."""
    t1, t2, b1, b2 = Pages(), Pages(), Pages(), Pages()
    p, faults = 0.0, 0

    def replace(page: int) -> None:
        if t1 and (len(t1) > p or (page in b2 and len(t1) == p)):
            gone, _ = t1.popitem(last=False)
            b1[gone] = None
        else:
            gone, _ = t2.popitem(last=False)
            b2[gone] = None

    for page in pages:
        if page in t1 or page in t2:
            (t1 if page in t1 else t2).pop(page)
            t2[page] = None
            continue
        faults += 1
        full = len(t1) + len(t2) == c
        if page in b1 or page in b2:
            if page in b1:
                p = min(float(c), p + max(len(b2) / len(b1), 1.0))
            else:
                p = max(0.0, p - max(len(b1) / len(b2), 1.0))
            if full:
                replace(page)
            (b1 if page in b1 else b2).pop(page)
            t2[page] = None
            continue
        if len(t1) + len(b1) == c:
            if len(t1) < c:
                b1.popitem(last=False)
                replace(page)
            else:
                t1.popitem(last=False)
        elif len(t1) + len(t2) + len(b1) + len(b2) >= c:
            if len(t1) + len(t2) + len(b1) + len(b2) == 2 * c:
                b2.popitem(last=False)
            replace(page)
        t1[page] = None
    return faults


def s3_fifo(pages: Sequence[int], frames: int) -> int:
    """The main queue gives up a page only if it is above its share; until the first eviction it is filled
    with what the small queue has no room for."""
    share = frames // 10
    small, main, ghost = Pages(), Pages(), Pages()
    freq: Counter[int] = Counter()
    faults, evicted = 0, False

    def of_small() -> bool:
        while small:
            page, _ = small.popitem(last=False)
            if freq[page] >= 2:
                main[page] = None
                freq[page] = 0
                continue
            ghost[page] = None
            if len(ghost) > int(frames * 0.9):
                ghost.popitem(last=False)
            return True
        return False

    def of_main() -> bool:
        while main:
            page, _ = main.popitem(last=False)
            if freq[page] == 0:
                return True
            freq[page] = min(freq[page], 3) - 1
            main[page] = None
        return False

    for page in pages:
        if page in small or page in main:
            freq[page] += 1
            continue
        faults += 1
        known = page in ghost
        if known:
            del ghost[page]
        while len(small) + len(main) >= frames:
            evicted = True
            if len(main) > frames - share or not small:
                of_main()
            else:
                of_small()
        freq[page] = 0
        if known or (not evicted and len(small) >= share):
            main[page] = None
        else:
            small[page] = None
    return faults


MODELS: dict[str, Callable[[Sequence[int], int], int]] = {"arc": arc, "lfu": lfu, "s3-fifo": s3_fifo}
