"""Random programs for the model of demand paging: their text, and what they do, operation by operation."""

from __future__ import annotations

import random
from typing import Any

PAGE = 4096
ANON, HEAP, TEXT, STACK = 0x10000, 0x400, 0x800, 0x7FFFF0  # first pages of regions

# An operation or a label by its word and arguments, or ("loop", rounds, nodes).
Node = tuple[Any, ...]


def render(nodes: list[Node], indent: str = "") -> list[str]:
    """Lines of a .vmp program."""
    lines = []
    for word, *arguments in nodes:
        if word == "loop":
            lines += [f"{indent}loop {arguments[0]}", *render(arguments[1], indent + "  "), f"{indent}end"]
        elif word == "label":
            lines.append(f"{arguments[0]}:")
        else:
            lines.append(indent + line(word, *arguments))
    return lines


def line(word: str, *arguments: Any) -> str:
    """An operation as it is written."""
    if word in ACCESSES:
        address, width, count, step = arguments
        place = f"{address:#x}" if count == 1 else f"{address:#x} .. {address + count * step:#x} step {step}"
        return f"{word} {place}{', 1' if word in {'write', 'modify'} else ''}, {width}"
    if word == "mmap":
        pages, rights, fixed = arguments
        return f"mmap {place_of(pages)}, {rights or 'none'}{' fixed' if fixed else ''}"
    if word == "mprotect":
        return f"mprotect {place_of(arguments[0])}, {arguments[1] or 'none'}"
    if word == "munmap":
        return f"munmap {place_of(arguments[0])}"
    if word == "brk":
        return f"brk {arguments[0] * PAGE:#x}"
    return " ".join([word, *map(str, arguments)]).rstrip()


ACCESSES = {"fetch", "read", "write", "modify"}


def place_of(pages: range) -> str:
    return f"{pages.start * PAGE:#x}, {len(pages) * PAGE:#x}"


def unroll(nodes: list[Node], operations: list[Node], labels: dict[str, int]) -> None:
    """What the nodes do, one operation after the other."""
    for word, *arguments in nodes:
        if word == "loop":
            for _ in range(arguments[0]):
                unroll(arguments[1], operations, labels)
        elif word == "label":
            labels[arguments[0]] = len(operations)
        elif word in ACCESSES:
            address, width, count, step = arguments
            operations += [(word, address + step * index, width) for index in range(count)]
        else:
            operations.append((word, *arguments))


class Writer:
    """Draws one process: a heap, a mapping far from it, text, a stack, and what is done with them."""

    def __init__(self, rng: random.Random, number: int, pages: int) -> None:
        self.rng, self.number, self.pages = rng, number, pages
        rights = rng.choice(["rw", "rw", "r"])
        self.regions = [
            (HEAP, HEAP + pages, "rw", "heap"),
            (ANON, ANON + pages, rights, "anon"),
            (TEXT, TEXT + 3, "rx", "text"),
            (STACK - 6, STACK - 5, *rng.choice([("r", "data"), ("", "guard")])),
            (STACK, STACK + 2, "rw", "stack"),
        ]
        self.forks = rng.choice([0, 1, 1, 2]) if number < 3 else 0

    def address(self) -> int:
        """Mostly on a few pages of the heap; seldom where nothing is, or another region."""
        rng = self.rng
        base = rng.choice([HEAP] * 6 + [ANON] * 5 + [TEXT, STACK - 7])
        span = {HEAP: self.pages, ANON: self.pages, TEXT: 3, STACK - 7: 9}[base]
        if rng.random() < 0.01:
            return (base + span + 40) * PAGE
        page = min(rng.randrange(span), rng.randrange(span)) if rng.random() < 0.5 else rng.randrange(span)
        return (base + page) * PAGE + rng.choice([0, 8, PAGE - 1, PAGE - 8, rng.randrange(PAGE)])

    def access(self) -> Node:
        rng = self.rng
        address = self.address()
        where = address // PAGE
        if where < TEXT + 3 and where >= TEXT:
            word = rng.choice(["fetch", "fetch", "read"])
        else:
            word = rng.choice(["read"] * 5 + ["write"] * 4 + ["modify"])
        if where not in range(TEXT, TEXT + 3) and rng.random() < 0.3:
            base = HEAP if rng.random() < 0.6 else ANON
            first, last = sorted(rng.sample(range(self.pages + 1), 2))
            step = rng.choice([PAGE, PAGE, PAGE // 2, 2 * PAGE])
            count = max(1, (last - first) * PAGE // step)
            if rng.random() < 0.2:
                return (word, (base + last) * PAGE - 8, 8, count, -step)
            return (word, (base + first) * PAGE, rng.choice([1, 2, 4, 8]), count, step)
        return (word, address, rng.choice([1, 1, 2, 4, 8]), 1, 1)

    def call(self) -> Node:
        """A system call on a part of the mapping, or on the end of the heap."""
        rng = self.rng
        first, last = sorted(rng.sample(range(self.pages + 3), 2))
        pages = range(ANON + first, ANON + last)
        word = rng.choice(["mmap", "mmap", "munmap", "mprotect", "mprotect", "brk"])
        if word == "brk":
            return ("brk", HEAP + self.pages + rng.randrange(-1, 4))
        if word == "munmap":
            return (word, pages)
        rights = rng.choice(["rw", "rw", "rw", "r", ""])
        return (word, pages, rights, rng.random() < 0.6) if word == "mmap" else (word, pages, rights)

    def body(self, length: int, depth: int) -> list[Node]:
        rng = self.rng
        nodes: list[Node] = []
        for _ in range(length):
            draw = rng.random()
            if draw < 0.12 and depth < 2:
                nodes.append(("loop", rng.randrange(1, 5), self.body(rng.randrange(1, 5), depth + 1)))
            elif draw < 0.2:
                nodes.append(self.call())
            elif draw < 0.3 and self.forks and not depth:
                self.forks -= 1
                writes = ("write", HEAP * PAGE, 4, self.pages // 2, PAGE)
                nodes += [("fork", rng.choice(self.targets)), writes]
            else:
                nodes.append(self.access())
        return nodes

    def process(self) -> tuple[list[str], dict[str, Any]]:
        """The process as text, and as the model takes it."""
        rng = self.rng
        handler = rng.random() < 0.5
        self.targets = ["", "later"]
        nodes: list[Node] = [("handler", "mend")] if handler else []
        nodes += self.body(rng.randrange(4, 20), 0)
        self.targets = [""]  # who goes on here must not come here again
        nodes += [("label", "later"), *self.body(rng.randrange(2, 10), 0), ("exit", rng.randrange(3))]
        if handler:
            mend = ("mmap", range(ANON, ANON + self.pages), "rw", True)
            nodes += [("label", "mend"), mend, ("handler", "last"), ("return",)]
            nodes += [("label", "last"), mend, ("handler", ""), *([("return",)] * rng.randrange(2))]
        operations: list[Node] = []
        labels: dict[str, int] = {}
        unroll(nodes, operations, labels)
        oom = rng.choice([0, 0, -30, 7])
        head = [f"process p{self.number} oom={oom}"]
        for start, end, rights, kind in self.regions:
            head.append(f"region {kind} {start * PAGE:#x} {(end - start) * PAGE:#x} {rights or 'none'}")
        made = {"name": f"p{self.number}", "operations": operations, "labels": labels, "oom": oom}
        return head + render(nodes), {**made, "regions": self.regions}


def program(seed: int) -> tuple[str, list[dict[str, Any]]]:
    """A program of one to three processes: its text, and what the model takes."""
    rng = random.Random(seed)
    pages = rng.choice([4, 6, 9, 14])
    drawn = [Writer(rng, number, pages).process() for number in range(1, rng.randrange(2, 5))]
    return "\n".join("\n".join(text) for text, _ in drawn) + "\n", [made for _, made in drawn]
