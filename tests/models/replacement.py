"""Page replacement once more, as the papers and textbooks write it, over dictionaries and lists.

Each function takes a list of (page, whether it is written) and the number of frames, and returns the
faults, in order, as (place, page, page that left or None).  Nothing here comes from the code that is
tested.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

References = Sequence[tuple[int, bool]]
Faults = list[tuple[int, int, int | None]]


def demand(
    references: References, frames: int, leave: Callable[..., int], use: Callable[..., None]
) -> Faults:
    """Demand paging: `use(place, page, fault, written)` after each access, `leave(place, page)` evicts."""
    resident: set[int] = set()
    faults: Faults = []
    for place, (page, written) in enumerate(references):
        fault = page not in resident
        if fault:
            gone = leave(place, page) if len(resident) == frames else None
            resident.discard(gone)  # type: ignore[arg-type]
            resident.add(page)
            faults.append((place, page, gone))
        use(place, page, fault, written)
    return faults


def fifo(references: References, frames: int) -> Faults:
    queue: list[int] = []
    return demand(
        references,
        frames,
        lambda place, page: queue.pop(0),
        lambda place, page, fault, written: queue.append(page) if fault else None,
    )


def lru(references: References, frames: int) -> Faults:
    order: OrderedDict[int, None] = OrderedDict()

    def use(place: int, page: int, fault: bool, written: bool) -> None:
        order[page] = None
        order.move_to_end(page)

    return demand(references, frames, lambda place, page: order.popitem(last=False)[0], use)


def opt(references: References, frames: int) -> Faults:
    later: dict[int, int] = {}
    following = [0] * len(references)
    for place in range(len(references) - 1, -1, -1):
        following[place] = later.get(references[place][0], 1 << 60)
        later[references[place][0]] = place
    coming: dict[int, int] = {}

    def leave(place: int, page: int) -> int:
        gone = max(coming, key=coming.__getitem__)  # the first of equals is that which came first
        del coming[gone]
        return gone

    def use(place: int, page: int, fault: bool, written: bool) -> None:
        coming[page] = following[place]

    return demand(references, frames, leave, use)


def lfu(references: References, frames: int) -> Faults:
    counts: dict[int, int] = {}

    def leave(place: int, page: int) -> int:
        gone = min(counts, key=counts.__getitem__)
        del counts[gone]
        return gone

    def use(place: int, page: int, fault: bool, written: bool) -> None:
        counts[page] = counts.get(page, 0) + 1

    return demand(references, frames, leave, use)


def aging(references: References, frames: int) -> Faults:
    registers: dict[int, int] = {}
    used: set[int] = set()

    def leave(place: int, page: int) -> int:
        for other, register in registers.items():
            registers[other] = register >> 1 | (0x80 if other in used else 0)
        used.clear()
        gone = min(registers, key=registers.__getitem__)
        del registers[gone]
        return gone

    def use(place: int, page: int, fault: bool, written: bool) -> None:
        registers.setdefault(page, 0)
        used.add(page)

    return demand(references, frames, leave, use)


class Turning:
    """Frames with a hand: pages by frame, a page takes the frame of the one that left."""

    def __init__(self, frames: int) -> None:
        self.pages: list[int] = []
        self.used: set[int] = set()
        self.hand = 0
        self.hole: int | None = None
        self.frames = frames

    def put(self, page: int) -> None:
        if self.hole is None:
            self.pages.append(page)
        else:
            self.pages[self.hole], self.hole = page, None

    def take(self, frame: int) -> int:
        self.hole, self.hand = frame, (frame + 1) % self.frames
        self.used.discard(self.pages[frame])
        return self.pages[frame]


def clock(references: References, frames: int) -> Faults:
    turning = Turning(frames)

    def leave(place: int, page: int) -> int:
        while turning.pages[turning.hand] in turning.used:
            turning.used.remove(turning.pages[turning.hand])
            turning.hand = (turning.hand + 1) % frames
        return turning.take(turning.hand)

    def use(place: int, page: int, fault: bool, written: bool) -> None:
        if fault:
            turning.put(page)
        turning.used.add(page)

    return demand(references, frames, leave, use)


def wsclock(references: References, frames: int, tau: int = 1000) -> Faults:
    turning, last, dirty = Turning(frames), dict[int, int](), set[int]()

    def leave(place: int, page: int) -> int:
        turn = [(turning.hand + step) % frames for step in range(frames)]
        old = []
        for frame in turn:
            there = turning.pages[frame]
            if there in turning.used:
                turning.used.remove(there)
                last[there] = place
            elif place - last[there] > tau:
                if there not in dirty:
                    return gone(frame)
                old.append(frame)
        clean = [frame for frame in turn if turning.pages[frame] not in dirty]
        return gone((old + clean + turn)[0])

    def gone(frame: int) -> int:
        dirty.discard(turning.pages[frame])
        return turning.take(frame)

    def use(place: int, page: int, fault: bool, written: bool) -> None:
        if fault:
            turning.put(page)
            last[page] = place
        turning.used.add(page)
        dirty.update([page] if written else [])

    return demand(references, frames, leave, use)


def two_list(references: References, frames: int) -> Faults:
    inactive: list[int] = []
    active: list[int] = []
    used: set[int] = set()
    referenced: set[int] = set()

    def leave(place: int, page: int) -> int:
        while len(active) > len(inactive):
            down = active.pop(0)
            used.discard(down)
            inactive.append(down)
        while True:
            page = inactive.pop(0)
            if page not in used:
                referenced.discard(page)
                return page
            used.remove(page)
            if page in referenced:
                referenced.remove(page)
                active.append(page)
            else:
                referenced.add(page)
                inactive.append(page)
            if not inactive:
                down = active.pop(0)
                used.discard(down)
                inactive.append(down)

    def use(place: int, page: int, fault: bool, written: bool) -> None:
        if fault:
            inactive.append(page)
        used.add(page)

    return demand(references, frames, leave, use)


def arc(references: References, c: int) -> Faults:
    """Megiddo & Modha 2003, figure 4, the four cases; p is an integer."""
    t1: list[int] = []
    t2: list[int] = []
    b1: list[int] = []
    b2: list[int] = []
    p = 0
    faults: Faults = []

    def replace(page: int) -> int:
        if t1 and (len(t1) > p or (page in b2 and len(t1) == p)):
            gone = t1.pop(0)
            b1.append(gone)
        else:
            gone = t2.pop(0)
            b2.append(gone)
        return gone

    for place, (page, _) in enumerate(references):
        gone = None
        full = len(t1) + len(t2) == c
        if page in t1 or page in t2:
            (t1 if page in t1 else t2).remove(page)
            t2.append(page)
            continue
        if page in b1 or page in b2:
            if page in b1:
                p = min(c, p + max(len(b2) // len(b1), 1))
            else:
                p = max(0, p - max(len(b1) // len(b2), 1))
            gone = replace(page) if full else None
            (b1 if page in b1 else b2).remove(page)
            t2.append(page)
        else:
            if len(t1) + len(b1) == c:
                if len(t1) < c:
                    b1.pop(0)
                    gone = replace(page)
                else:
                    gone = t1.pop(0)
            elif len(t1) + len(t2) + len(b1) + len(b2) >= c:
                if len(t1) + len(t2) + len(b1) + len(b2) == 2 * c:
                    b2.pop(0)
                gone = replace(page)
            t1.append(page)
        faults.append((place, page, gone))
    return faults


def s3_fifo(references: References, frames: int) -> Faults:
    """Yang et al. 2023, algorithm 1, with one page that leaves for each that comes."""
    small: list[int] = []
    main: list[int] = []
    ghost: list[int] = []
    freq: Counter[int] = Counter()
    share = max(1, frames // 10)

    def of_main() -> int:
        while True:
            page = main.pop(0)
            if freq[page] == 0:
                return page
            freq[page] -= 1
            main.append(page)

    def leave(place: int, page: int) -> int:
        if len(small) < share:
            return of_main()
        while small:
            page = small.pop(0)
            if freq[page] <= 1:
                ghost.append(page)
                del ghost[: max(0, len(ghost) - (frames - share))]
                return page
            freq[page] = 0
            main.append(page)
            if len(main) > frames - share:
                return of_main()
        return of_main()

    def use(place: int, page: int, fault: bool, written: bool) -> None:
        if not fault:
            freq[page] = min(freq[page] + 1, 3)
            return
        freq[page] = 0
        if page in ghost:
            ghost.remove(page)
            main.append(page)
        else:
            small.append(page)

    return demand(references, frames, leave, use)


MODELS: dict[str, Callable[[Any, int], Faults]] = {
    "aging": aging,
    "arc": arc,
    "clock": clock,
    "fifo": fifo,
    "lfu": lfu,
    "lru": lru,
    "opt": opt,
    "s3-fifo": s3_fifo,
    "two-list": two_list,
    "wsclock": wsclock,
}
