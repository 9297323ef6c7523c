"""The operations of programs, declared once: the parser, its errors and the language page derive.

A row is four words: kind | OP_RANGED | width << OP_WIDTH | line << OP_LINE, then the arguments as
ARGUMENTS says.  A range of addresses is followed by a row [count, step, 0, 0].
"""

from __future__ import annotations

from vmdbg.kernel.scheduler import OP_EXIT, OP_FETCH, OP_MODIFY, OP_READ, OP_WRITE
from vmdbg.kernel.syscalls import OP_BRK, OP_FORK, OP_MMAP, OP_MPROTECT, OP_MUNMAP

#: Argument -> (word of the row, what it is).
ARGUMENTS: dict[str, tuple[int, str]] = {
    "PLACE": (1, "an address, or a range `A..B [step S]` of them; `B` is not included"),
    "ADDRESS": (1, "an address"),
    "SIZE": (2, "a number of bytes, from 1"),
    "RIGHTS": (3, "letters of `rwx` (`-` is skipped, `u` is implied), or `none`"),
    "OPTIONS": (3, "`page=SIZE`, `populate`, in any order"),
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
        self.arguments = [(word, place < len(required)) for place, word in enumerate(words)]


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("fetch", OP_FETCH, "PLACE[, WIDTH]", "fetch an instruction"),
        Operation("read", OP_READ, "PLACE[, WIDTH]", "load"),
        Operation("write", OP_WRITE, "PLACE, VALUE[, WIDTH]", "store"),
        Operation("mmap", OP_MMAP, "ADDRESS, SIZE, RIGHTS [OPTIONS]", "map an anonymous region"),
        Operation("munmap", OP_MUNMAP, "ADDRESS, SIZE", "unmap"),
        Operation("mprotect", OP_MPROTECT, "ADDRESS, SIZE, RIGHTS", "change rights"),
        Operation("brk", OP_BRK, "ADDRESS", "set the end of the heap"),
        Operation(
            "fork", OP_FORK, "[LABEL]", "make a child; it goes on at the label, or at the next operation"
        ),
        Operation("modify", OP_MODIFY, "PLACE, VALUE[, WIDTH]", "load and store in one access, which writes"),
        Operation("exit", OP_EXIT, "[STATUS]", "end the process"),
    )
}


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
    return "\n".join(rows) + "\n"
