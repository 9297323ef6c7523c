"""Are the numbers in a machine's tables in their ranges?

Compiled code does not check an index.  So every number has to be in the range that `state/tables.py` declares
for its column, and every row of a program that a process or an operation names has to exist.  `check` lists
what is wrong; a machine from a file with such numbers is refused (`lists.refuse`).
"""

from __future__ import annotations

from itertools import pairwise

from vmdbg.hardware.tlb import ASID_MASK, KEY_TAG, WORD_PFN
from vmdbg.kernel.calls.processes import live_processes
from vmdbg.kernel.calls.syscalls import OP_FORK, OP_HANDLER
from vmdbg.kernel.scheduler import OP_KIND
from vmdbg.machine.banks import banks_of
from vmdbg.machine.boot import asid_count
from vmdbg.machine.tlb_arrays import misplaced_arrays, present_arrays
from vmdbg.machine.verify_program import MAX_LOOPS, NO_ROW, PLAIN, check_rows, rows_taken
from vmdbg.state.op_rows import OP_COUNT
from vmdbg.state.tables import (
    ARRAY,
    ARRAY_PRESENT,
    ARRAY_SIZES,
    BANK,
    KERNEL_FREE,
    KERNEL_USER_FREE,
    OP,
    OP_VA,
    PROCESS,
    PROCESS_BACK,
    PROCESS_BACK_CURSOR,
    PROCESS_BACK_DEPTH,
    PROCESS_CURSOR,
    PROCESS_DEPTH,
    PROCESS_END,
    PROCESS_HANDLER,
    PROCESS_PC,
    STATE,
    TABLES,
    TLB,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from vmdbg.machine.machine import Machine
    from vmdbg.state.tables import Table

PIECE = 1 << 16  # bytes that are read at once; pieces of zeros are passed over
ZERO = bytes(PIECE)
WORD_BITS = 63  # of a number that is not negative


def limits(machine: Machine) -> dict[str, int]:
    """The values of the names in the ranges of columns: of the shape and of the configuration."""
    form, config = machine.format, machine.config
    vpn_bits = form.va_bits - form.page_bits
    return {
        **machine.shape,
        "levels": len(form.levels),
        "asids": ASID_MASK + 1 if config["tlb.asids"] else 2,
        "asid_count": asid_count(config, form),
        "user_pool": KERNEL_USER_FREE if config["kernel.user_frames"] else KERNEL_FREE,
        "tlb_words": machine.shape["tlb_rows"] * TLB,
        "keys": 1 << min(WORD_BITS, vpn_bits + KEY_TAG),
        "words": 1 << min(WORD_BITS, WORD_BITS - form.page_bits + WORD_PFN),
    }


def range_end(text: str, known: Mapping[str, int]) -> int:
    """The value of a sum such as `1-cached`, `frames+1` or `2^62`."""
    total = 0
    for part in text.replace("-", "+-").split("+"):
        name = part.lstrip("-")
        if not name:
            continue
        base, power, exponent = name.partition("^")
        value = int(base) ** int(exponent or 1) if base.isdigit() else known[base]
        assert base.isdigit() or not power
        total += -value if part.startswith("-") else value
    return total


def ranges_of(declared: Table, known: Mapping[str, int]) -> dict[int, tuple[int, int]]:
    """By the offset of a column: its lowest and highest number.  Words without a column are 0."""
    found = {}
    for offset, column in enumerate(declared.columns):
        if column in declared.ranges:
            low, colon, high = declared.ranges[column].partition(":")
            least = range_end(low, known)
            found[offset] = least, (range_end(high, known) - 1 if colon else least)
    return found | dict.fromkeys(range(len(declared.columns), declared.width), (0, 0))


def wild_numbers(machine: Machine) -> Iterator[str]:
    """The numbers in the tables that are out of range, and the named rows of programs that do not exist."""
    known = limits(machine)
    for declared in TABLES.values():
        ranges = ranges_of(declared, known)
        if declared.group == STATE and ranges:
            yield from wild_columns(machine, declared, ranges)
    for array in range(0, len(machine.m.array), ARRAY):
        if machine.m.array[array + ARRAY_PRESENT] & ~machine.m.array[array + ARRAY_SIZES]:
            yield f"row {array // ARRAY} of array: a page is present that it may not hold"
    yield from wild_banks(machine)
    if misplaced_arrays(machine):
        yield "array: the TLB of another machine"
    yield from wild_rows(machine)


def wild_banks(machine: Machine) -> Iterator[str]:
    """The banks that are not those of the configuration: all of each has to lie in the memory buffer."""
    for number, bank in enumerate(banks_of(machine.config)):
        for offset, (column, wanted) in enumerate(zip(TABLES["bank"].columns, bank, strict=True)):
            found = machine.m.bank[number * BANK + offset]
            if found != wanted:
                yield f"row {number} of bank: {column} is {found}, not {wanted}"


def wild_columns(machine: Machine, declared: Table, ranges: Mapping[int, tuple[int, int]]) -> Iterator[str]:
    """The first number of each column of a table that is outside its range."""
    names = list(declared.columns)
    wrong: set[int] = set()
    for first, piece in pieces(machine, declared):
        for offset, (low, high) in ranges.items():
            numbers = piece[offset :: declared.width].tolist()
            if offset in wrong or not numbers or low <= min(numbers) <= max(numbers) <= high:
                continue
            row = next(row for row, number in enumerate(numbers) if not low <= number <= high)
            column = names[offset] if offset < len(names) else f"word {offset}"
            allowed = f"{low}" if low == high else f"{low} to {high}"
            yield f"row {first + row} of {declared.name}: {column} is {numbers[row]}, not {allowed}"
            wrong.add(offset)


def pieces(machine: Machine, declared: Table) -> Iterator[tuple[int, Any]]:
    """The number of the first row, and the words, of each piece of a table that is not all zero."""
    buffer, row = machine.buffers[declared.name], 8 * declared.width
    for start, end in spans(machine, declared):
        for at in range(start, end, PIECE):
            piece = bytes(buffer[at : min(at + PIECE, end)])
            if piece != (ZERO if len(piece) == PIECE else bytes(len(piece))):
                yield at // row, memoryview(piece).cast("q")


def spans(machine: Machine, declared: Table) -> Iterator[tuple[int, int]]:
    """Where the rows of a table lie, as bytes; in the TLB not what plru keeps behind each CPU's entries."""
    size = len(machine.buffers[declared.name])
    if declared.name != "tlb":
        yield 0, size
        return
    arrays = present_arrays(machine)
    entries = sum(max(0, row.sets * row.ways) for row in arrays.rows)
    stride = machine.shape["tlb_rows"] * TLB * 8
    for start in range(0, size if stride else 0, stride or 1):
        yield start, start + min(entries * TLB * 8, stride)


# -- programs


def wild_rows(machine: Machine) -> Iterator[str]:
    """What is wrong with the rows that processes and operations name.

    UserError if the rows are not valid.
    """
    m = machine.m
    depths = b"\xff" + check_rows(m.op[OP:-OP], 1) + b"\xff"
    ends = {1, *m.process[PROCESS_END::PROCESS].tolist(), len(depths) - 1}
    for start, end in pairwise(sorted(ends)):
        kinds = bytes(m.op[start * OP : end * OP].cast("B")[:: 8 * OP])
        if not kinds.translate(None, PLAIN):
            continue
        named = [row for row, kind in enumerate(kinds, start) if kind & OP_KIND in (OP_FORK, OP_HANDLER)]
        named = [row for row in named if depths[row] != NO_ROW]
        for row in named:
            target = m.op[row * OP + OP_VA]
            if target >= 0 and (target >= len(depths) or depths[target]):
                yield f"row {row} of op: it names row {target}, which is none outside of loops"
        handles = any(m.op[row * OP] & OP_KIND == OP_HANDLER for row in named)
        deepest = max((depth for depth in depths[start:end] if depth != NO_ROW), default=0) if handles else 0
        if deepest > MAX_LOOPS // 2:
            yield f"row {start} of op: {deepest} loops inside one another, and a handler"
    for pid in live_processes(machine.k):
        row = m.process[pid * PROCESS : (pid + 1) * PROCESS]
        if row[PROCESS_PC] or row[PROCESS_END]:
            yield from wild_row(m, pid, row, depths)


def wild_row(m: Any, pid: int, row: Any, depths: bytes) -> Iterator[str]:
    """What is wrong with the program counter of a process.  `row` is the row of the process in its table,
    `depths` has the number of loops around each operation."""
    outside = row[PROCESS_BACK_DEPTH] if row[PROCESS_BACK] else 0
    if row[PROCESS_HANDLER] and depths[row[PROCESS_HANDLER]]:
        yield f"process {pid}: its handler is row {row[PROCESS_HANDLER]}, which is none outside of loops"
    for name, at, cursor, depth in (
        ("stands at", row[PROCESS_PC], row[PROCESS_CURSOR], row[PROCESS_DEPTH] - outside),
        ("returns to", row[PROCESS_BACK], row[PROCESS_BACK_CURSOR], outside),
    ):
        if at == 0 and name == "returns to":
            continue
        if depths[at] == NO_ROW or depths[at] != depth:
            yield f"process {pid} {name} row {at} of its program, inside {depth} loops"
        elif cursor and cursor >= accesses(m.op, at):
            yield f"process {pid} {name} access {cursor} of row {at}, which has not as many"


def accesses(rows: Any, row: int) -> int:
    """How many accesses the operation of a row makes."""
    return rows[row * OP + OP_COUNT] if rows_taken(rows[row * OP] & 255) > 1 else 1
