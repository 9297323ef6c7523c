"""What scripts/bench runs: lists of accesses, made from a seed, and a plain model to compare with."""

from __future__ import annotations

import array
import itertools
import random
from typing import NamedTuple

PAGE = 4096
BASE = 0x400000
READ, WRITE, WIDTH_8 = 0, 1, 8 << 8  # as in the rows of the table `op`
GEOMETRY = (16, 4, 128, 12)  # sets and ways of the first and the second TLB level
SEED = 20240601


class Workload(NamedTuple):
    """A list of accesses and the machine for it; frames in pages, `user_frames` 0 = one pool for all."""

    name: str
    accesses: list[tuple[int, int]]  # kind, virtual address
    frames: int
    user_frames: int
    payload: int
    fifo: int = 0

    def header(self, warm_up: int, timed: int) -> array.array[int]:
        """What scripts/reference.c reads first."""
        first = self.frames - self.user_frames if self.user_frames else 256
        passes = (warm_up, timed, len(self.accesses))
        return array.array(
            "q",
            (
                self.frames,
                self.user_frames,
                first,
                self.payload,
                self.frames * 4,
                *passes,
                *GEOMETRY,
                self.fifo,
            ),
        )

    def rows(self) -> array.array[int]:
        """The operations as rows of the table `op`."""
        flat = itertools.chain.from_iterable((kind | WIDTH_8, va, 7, 0) for kind, va in self.accesses)
        return array.array("q", flat)


# --- workloads ---------------------------------------------------------------------------------


def runs(rng: random.Random, pages: list[int], weights: list[float], count: int, mean: float, writes: float):
    """`count` accesses in sequential runs of words inside one page; a run reads, or writes.

    `mean` is the mean length of a run (geometric), `writes` the part of the runs that write.
    """
    made: list[tuple[int, int]] = []
    cumulative = list(itertools.accumulate(weights))
    while len(made) < count:
        for page in rng.choices(pages, cum_weights=cumulative, k=4096):
            kind = WRITE if rng.random() < writes else READ
            va = BASE + page * PAGE + 8 * rng.randrange(PAGE // 8)
            made.append((kind, va))
            while rng.random() >= 1 / mean:
                va = va & -PAGE | (va + 8) & (PAGE - 1)
                made.append((kind, va))
    return made[:count]


def named(name: str, accesses: list[tuple[int, int]], frames: int, users: int, payload: int) -> Workload:
    """The workload, its name telling the payload."""
    return Workload(f"{name}, payload {'on' if payload else 'off'}", accesses, frames, users, payload)


def zipf(pages: int) -> list[float]:
    """Weights 1/rank."""
    return [1 / (rank + 1) for rank in range(pages)]


def hits(count: int, payload: int) -> Workload:
    """The inner working set of a program: 48 pages of which the first level holds all.

    Zipf popularity, scattered over the sets; runs of four words on average; 30 % of the runs write.
    """
    rng = random.Random(SEED)
    pages = list(range(48))
    rng.shuffle(pages)
    return named("hits", runs(rng, pages, zipf(48), count, 4, 0.3), 16384, 0, payload)


def hostile(count: int, payload: int) -> Workload:
    """Single accesses: 29 % of all walk, because they go to one of 6000 pages that no TLB level keeps."""
    rng = random.Random(SEED + 1)
    near, far = 16, 6000
    share = 0.389
    weights = [(1 - share) / near] * near + [share / far] * far
    accesses = runs(rng, list(range(near + far)), weights, count, 1, 0.3)
    return named("hostile", accesses, 16384, 0, payload)


def faults(count: int, payload: int) -> Workload:
    """Uniform over 4096 pages with 1024 frames: three accesses of four fault and evict."""
    rng = random.Random(SEED + 2)
    pages = 4096
    accesses = runs(rng, list(range(pages)), [1.0] * pages, count, 1, 0.3)
    return named("faults", accesses, 8192, pages // 4, payload)


def workloads(count: int) -> list[Workload]:
    """All of them, `count` accesses each."""
    made = [(make, payload) for make in (hits, hostile, faults) for payload in (0, 1)]
    return [make(count, payload) for make, payload in made]


def dictionary_model(accesses: list[tuple[int, int]], sets: int = 16, ways: int = 4) -> dict[str, int]:
    """What one writes in an afternoon: a TLB of dictionaries, a page table that is one, counters."""
    tlb: list[dict[int, list[int]]] = [{} for _ in range(sets)]
    second: list[dict[int, list[int]]] = [{} for _ in range(GEOMETRY[2])]
    pages: dict[int, list[int]] = {}
    count = dict.fromkeys(("hit", "hit2", "miss", "fault", "protection", "read", "write"), 0)
    memory: dict[int, int] = {}
    for kind, va in accesses:
        vpn = va >> 12
        held = tlb[vpn % sets]
        entry = held.pop(vpn, None)
        if entry is not None:
            count["hit"] += 1
            held[vpn] = entry
        else:
            behind = second[vpn % GEOMETRY[2]]
            entry = behind.pop(vpn, None)
            if entry is not None:
                count["hit2"] += 1
            else:
                count["miss"] += 1
                entry = pages.get(vpn)
                if entry is None:
                    count["fault"] += 1
                    entry = pages[vpn] = [len(pages), 7, 0, 0]  # frame, rights, accessed, dirty
                entry[2] = 1
            if len(held) >= ways:
                del held[next(iter(held))]
            if len(behind) >= GEOMETRY[3]:
                del behind[next(iter(behind))]
            held[vpn] = behind[vpn] = entry
        if not entry[1] >> kind & 1:
            count["protection"] += 1
            continue
        pa = entry[0] << 12 | va & 0xFFF
        if kind == WRITE:
            entry[3] = 1
            memory[pa] = 7
            count["write"] += 1
        else:
            memory.get(pa, 0)
            count["read"] += 1
    return count
