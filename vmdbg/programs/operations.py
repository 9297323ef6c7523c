"""The operations of programs, declared once for the parser, its errors and the page about the language.

A row is four words: kind | OP_RANGED | width << OP_WIDTH | line << OP_LINE, then the arguments as
ARGUMENTS says.  An access to a range has a second row, an access by a pattern also a third
(vmdbg/state/op_rows.py, vmdbg/kernel/access_patterns.py).
"""

from __future__ import annotations

from vmdbg.formats.contract import RIGHT_R, RIGHT_W, RIGHT_X
from vmdbg.kernel.access_patterns import PATTERN_CHASE, PATTERN_RANDOM, PATTERN_STRIDE, PATTERN_ZIPF
from vmdbg.kernel.calls.regions import GUARD, REGION_KINDS
from vmdbg.kernel.calls.syscalls import (
    MMAP_FIXED,
    MMAP_PAGE_SHIFT,
    MMAP_POPULATE,
    MMAP_SHARED,
    OP_BRK,
    OP_CLOSE,
    OP_FORK,
    OP_HANDLER,
    OP_MMAP,
    OP_MPROTECT,
    OP_MUNMAP,
    OP_OPEN,
    OP_RETURN,
)
from vmdbg.kernel.scheduler import OP_EXIT, OP_FETCH, OP_KERNEL, OP_KIND, OP_MODIFY, OP_READ, OP_WRITE
from vmdbg.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Rights as they are written.
RIGHT_LETTERS = {"r": RIGHT_R, "w": RIGHT_W, "x": RIGHT_X}

#: Kinds of region that a program can ask for.
KINDS = (*(kind for kind in REGION_KINDS if kind not in ("", "trace")), GUARD)

#: Argument -> (word of the row, what it is).
ARGUMENTS: dict[str, tuple[int, str]] = {
    "PLACE": (1, "an address, a range `A..B [step S]` of them (`B` is not included), or a pattern"),
    "ADDRESS": (1, "an address"),
    "SIZE": (2, "a number of bytes, from 1"),
    "RIGHTS": (3, "letters of `rwx` (`-` is skipped, `u` is implied), or `none`"),
    "OPTIONS": (
        3,
        '`page=SIZE`, `populate`, `fixed`, `file="PATH"`, `offset=N`, `shared[=NAME]`, in any order',
    ),
    "VALUE": (2, "a number that fits the width, signed or unsigned"),
    "WIDTH": (0, "bytes of the access: 1 (the default), 2, 4 or 8"),
    "STATUS": (1, "a number from 0 (the default) to 255"),
    "LABEL": (1, "a label of the same process, outside of its loops"),
}


class Operation:
    """One operation: its kind in rows, its arguments as they are written, and what it does."""

    __slots__ = ("arguments", "help", "kind", "name", "usage")

    def __init__(self, name: str, kind: int, usage: str, help: str) -> None:
        self.name, self.kind, self.usage, self.help = name, kind, usage, help
        required = usage.partition("[")[0].replace(",", " ").split()
        words = usage.replace("[", " ").replace("]", " ").replace(",", " ").split()
        #: Name and whether it must be there, in order.
        self.arguments = [(word, index < len(required)) for index, word in enumerate(words)]


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("fetch", OP_FETCH, "PLACE[, WIDTH]", "fetch an instruction"),
        Operation("read", OP_READ, "PLACE[, WIDTH]", "load"),
        Operation("write", OP_WRITE, "PLACE, VALUE[, WIDTH]", "store"),
        Operation("mmap", OP_MMAP, "ADDRESS, SIZE, RIGHTS [OPTIONS]", "map a region"),
        Operation("munmap", OP_MUNMAP, "ADDRESS, SIZE", "unmap"),
        Operation("mprotect", OP_MPROTECT, "ADDRESS, SIZE, RIGHTS", "change rights"),
        Operation("brk", OP_BRK, "ADDRESS", "set the end of the heap"),
        Operation(
            "fork", OP_FORK, "[LABEL]", "make a child; it goes on at the label, or at the next operation"
        ),
        Operation(
            "handler", OP_HANDLER, "[LABEL]", "from now on SIGSEGV and SIGBUS run it; without a label: kill"
        ),
        Operation("return", OP_RETURN, "", "end the handler: the access that faulted is made again"),
        Operation("modify", OP_MODIFY, "PLACE, VALUE[, WIDTH]", "load and store in one access, which writes"),
        Operation("kread", OP_READ | OP_KERNEL, "PLACE[, WIDTH]", "a system call in which the kernel loads"),
        Operation(
            "kwrite",
            OP_WRITE | OP_KERNEL,
            "PLACE, VALUE[, WIDTH]",
            "a system call in which the kernel stores",
        ),
        Operation(
            "kopen", OP_OPEN, "", "the kernel may touch user pages from now on (STAC, SUM = 1, PAN = 0)"
        ),
        Operation("kclose", OP_CLOSE, "", "and no longer (CLAC, SUM = 0, PAN = 1)"),
        Operation("exit", OP_EXIT, "[STATUS]", "end the process"),
    )
}


class AccessPattern:
    """One pattern of addresses: its number in rows, its options, and how it chooses among its places."""

    __slots__ = ("help", "name", "number", "options")

    def __init__(self, name: str, number: int, options: str, help: str) -> None:
        self.name, self.number, self.options, self.help = name, number, options.split(), help


PATTERNS = {
    pattern.name: pattern
    for pattern in (
        AccessPattern(
            "random", PATTERN_RANDOM, "count seed step", "any place, all with the same probability"
        ),
        AccessPattern(
            "zipf", PATTERN_ZIPF, "count seed step", "place I with a probability proportional to 1/(I+1)"
        ),
        AccessPattern(
            "chase", PATTERN_CHASE, "count seed step", "every place once, in a random order, then again"
        ),
        AccessPattern("stride", PATTERN_STRIDE, "count step", "every place in order, then again"),
    )
}


def call_text(row: Sequence[int], address: Callable[[int], str]) -> str:
    """A system call as a program writes it, but for its label; `address` shows one."""
    operation = next((op for op in OPERATIONS.values() if op.kind == row[0] & OP_KIND), None)
    if operation is None:
        return f"system call {row[0] & OP_KIND}"
    texts = []
    for name, _ in operation.arguments:
        word = row[ARGUMENTS[name][0]]
        if name == "ADDRESS":
            texts.append(address(word))
        elif name == "SIZE":
            texts.append(unit_text(word))
        elif name == "RIGHTS":
            texts.append("".join(letter for letter, bit in RIGHT_LETTERS.items() if word & bit) or "none")
        elif name == "OPTIONS":
            shift = word >> MMAP_PAGE_SHIFT & 0xFF
            flags = [f"page={unit_text(1 << shift)}"] * (shift > 0)
            names = {"populate": MMAP_POPULATE, "fixed": MMAP_FIXED, "shared": MMAP_SHARED}
            texts[-1] = " ".join([texts[-1], *flags, *(name for name, flag in names.items() if word & flag)])
        elif name == "STATUS" and word:
            texts.append(str(word))
    return f"{operation.name} {', '.join(texts)}".rstrip()


def unit_text(size: int) -> str:
    """A size as programs write it: `4K`, `2M`, `100`."""
    text = format_size(size)
    return text.removesuffix(" B") if text.endswith(" B") else text.replace(" ", "").removesuffix("iB")


def expected_operations() -> str:
    """What an error says was expected: the first few."""
    return ", ".join([*list(OPERATIONS)[:4], "..."])


def operations_table() -> str:
    """The operations and their arguments as Markdown, for the page of the language."""
    rows = ["| operation | does | kind |", "| --- | --- | --- |"]
    for name, operation in OPERATIONS.items():
        usage = f"{name} {operation.usage}".strip()
        rows.append(f"| `{usage}` | {operation.help} | {operation.kind} |")
    rows += ["", "| argument | is | word |", "| --- | --- | --- |"]
    rows += [f"| `{name}` | {text} | {word} |" for name, (word, text) in ARGUMENTS.items()]
    rows += ["", "| pattern | accesses | number |", "| --- | --- | --- |"]
    for name, pattern in PATTERNS.items():
        options = "".join(f"[, {option}=N]" for option in pattern.options)
        rows.append(f"| `{name}(ADDRESS, SIZE{options})` | {pattern.help} | {pattern.number} |")
    return "\n".join(rows) + "\n"
