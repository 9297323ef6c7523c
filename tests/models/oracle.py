"""What a machine with x86-64 paging has to do, said once more with dictionaries, lists and raw bytes.

Nothing here comes from the code that is tested: bit positions are those of Intel's manual (SDM 3A,
tables 4-14 to 4-20), replacement is as in the textbooks.
"""

from __future__ import annotations

from typing import NamedTuple


class Walk(NamedTuple):
    """`outcome` is translated, not-present, reserved or bus; `steps` are addresses of entries."""

    outcome: str
    pa: int
    size: int
    rights: str
    accessed: bool
    dirty: bool
    steps: list[int]


def word(memory: bytes, base: int, address: int) -> int | None:
    at = address - base
    if at < 0 or at + 8 > len(memory):
        return None
    return int.from_bytes(memory[at : at + 8], "little")


def canonical(va: int) -> bool:
    return -(1 << 47) <= va < 1 << 47


def walk(memory: bytes, base: int, root: int, va: int, nxe: bool = True) -> Walk:
    """Intel SDM 3A, 4.5: four levels; a page of 1 GiB or 2 MiB where PS is set."""
    table = root & 0x000F_FFFF_FFFF_F000
    bits = va & 0xFFFF_FFFF_FFFF
    writable = user = executable = True
    steps: list[int] = []
    for shift in (39, 30, 21, 12):
        address = table + 8 * (bits >> shift & 511)
        steps.append(address)
        entry = word(memory, base, address)
        if entry is None:
            return Walk("bus", 0, 0, "", False, False, steps)
        if not entry & 1:
            return Walk("not-present", 0, 0, "", False, False, steps)
        if entry >> 63 and not nxe:
            return Walk("reserved", 0, 0, "", False, False, steps)
        large = bool(entry & 0x80)
        if shift == 39 and large:
            return Walk("reserved", 0, 0, "", False, False, steps)
        if large and shift == 30 and entry & 0x3FFF_E000:
            return Walk("reserved", 0, 0, "", False, False, steps)
        if large and shift == 21 and entry & 0x001F_E000:
            return Walk("reserved", 0, 0, "", False, False, steps)
        writable &= bool(entry & 2)
        user &= bool(entry & 4)
        executable &= not entry >> 63
        if shift == 12 or large:
            frame = entry & 0x000F_FFFF_FFFF_F000 & -(1 << shift)
            rights = "r" + ("w" if writable else "-") + ("x" if executable else "-") + ("u" if user else "-")
            pa = frame | bits & (1 << shift) - 1
            return Walk("translated", pa, 1 << shift, rights, bool(entry & 0x20), bool(entry & 0x40), steps)
        table = entry & 0x000F_FFFF_FFFF_F000
    raise AssertionError


def may(rights: str, access: str, user: bool, wp: bool = True, smep: bool = True, smap: bool = False) -> bool:
    """Intel SDM 3A, 4.6.1."""
    user_page = rights[3] == "u"
    if user:
        return user_page and (access == "r" or rights["rwx".index(access)] == access)
    if access == "x":
        return rights[2] == "x" and not (user_page and smep)
    if user_page and smap:
        return False
    return access == "r" or rights[1] == "w" or not wp


class Cache:
    """A set-associative TLB array with true LRU: a list for each set, most recent first."""

    def __init__(self, sets: int, ways: int) -> None:
        self.sets: list[list[int]] = [[] for _ in range(sets)]
        self.ways = ways

    def has(self, page: int) -> bool:
        row = self.sets[page % len(self.sets)]
        if page not in row:
            return False
        row.remove(page)
        row.insert(0, page)
        return True

    def put(self, page: int) -> None:
        row = self.sets[page % len(self.sets)]
        if page in row:
            row.remove(page)
        row.insert(0, page)
        del row[self.ways :]

    def drop(self, page: int) -> None:
        row = self.sets[page % len(self.sets)]
        if page in row:
            row.remove(page)


POLICIES = ("fifo", "clock", "clock-cached")  # that `Machine` knows


class Machine:
    """One process with demand paging over `frames` frames and a TLB of two levels.

    `counts` has the names of events; `pages` is frame -> page, `accessed` and `dirty` are sets of pages.
    """

    def __init__(self, policy: str, frames: int, l1: tuple[int, int], l2: tuple[int, int]) -> None:
        self.policy = policy
        self.pages: list[int | None] = [None] * frames
        self.free = list(range(frames))
        self.queue: list[int] = []
        self.hand = 0
        self.accessed: set[int] = set()
        self.dirty: set[int] = set()
        self.swapped: set[int] = set()
        self.slots: set[int] = set()  # pages that swap has, in memory or not
        self.known_dirty: set[int] = set()  # pages whose cached translation says so
        self.l1, self.l2 = Cache(*l1), Cache(*l2)
        self.counts: dict[str, int] = {}

    def tell(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def forget(self, page: int) -> None:
        self.l1.drop(page)
        self.l2.drop(page)
        self.known_dirty.discard(page)

    def access(self, page: int, write: bool) -> None:
        while not self.translate(page, write):
            self.bring_in(page)

    def translate(self, page: int, write: bool) -> bool:
        if self.l1.has(page):
            self.tell("tlb-hit")
        elif self.l2.has(page):
            self.tell("tlb-l2-hit")
            self.l1.put(page)
        else:
            self.tell("tlb-miss")
            if page not in self.pages:
                return False
            self.fill(page, write)
            return True
        if write and page not in self.known_dirty:
            self.fill(page, write)
        return True

    def fill(self, page: int, write: bool) -> None:
        self.accessed.add(page)
        if write:
            self.dirty.add(page)
        if page in self.dirty:
            self.known_dirty.add(page)
        else:
            self.known_dirty.discard(page)
        self.tell("tlb-fill")
        self.l1.put(page)
        self.l2.put(page)

    def bring_in(self, page: int) -> None:
        if not self.free:
            self.evict()
        frame = self.free.pop(0)
        self.pages[frame] = page
        self.queue.append(frame)
        self.accessed.discard(page)
        self.dirty.discard(page)
        self.tell("fault-major" if page in self.swapped else "fault-minor")
        self.swapped.discard(page)

    def evict(self) -> None:
        frame = self.queue[0] if self.policy == "fifo" else self.turn()
        self.queue.remove(frame)
        page = self.pages[frame]
        assert page is not None
        self.tell("evict")
        self.pages[frame] = None
        self.free.append(frame)
        if page in self.dirty:
            self.slots.add(page)
        if page in self.slots:  # else it was never written, and is zeros again
            self.swapped.add(page)
        self.forget(page)

    def turn(self) -> int:
        """The hand of the clock: it clears what is set and takes the first page that is clear."""
        while True:
            frame, self.hand = self.hand, (self.hand + 1) % len(self.pages)
            page = self.pages[frame]
            if page is None:
                continue
            if page not in self.accessed:
                return frame
            self.accessed.discard(page)
            if self.policy == "clock":  # clock-cached: the TLB keeps it, and hits do not set A again
                self.forget(page)
            self.tell("age")
