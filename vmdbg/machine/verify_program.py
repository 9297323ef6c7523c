"""Checks of the rows of a program, made once before they run.

Compiled code does not check rows.  Those that the readers of programs make are right; rows that were made by
hand or read from a saved machine may be wrong.
"""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.kernel.access_patterns import (
    MAX_PLACES,
    PATTERN_BITS,
    PATTERN_DEPTH,
    PATTERN_RANDOM,
    PATTERN_STRIDE,
)
from vmdbg.kernel.scheduler import OP_END, OP_EXIT, OP_KIND, OP_LOOP, OP_PATTERNED, OP_RANGED
from vmdbg.machine.feeds import OP_FEED
from vmdbg.state.op_rows import OP_BODY, OP_COUNT, OP_PLACES, OP_ROUNDS, OP_STEP
from vmdbg.state.tables import OP, OP_MORE, OP_VA, PROCESS_LOOP0, PROCESS_LOOP7

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LOOPS = PROCESS_LOOP7 - PROCESS_LOOP0 + 1
FIRST, LAST = -(1 << 63), (1 << 63) - 1
#: Low bytes of rows that need a second look: plain accesses, exits and ends of parts do not.
PLAIN = bytes([*range(4), OP_EXIT, OP_FEED])


NO_ROW = 255  # for a row that belongs to the operation before it


def kinds_of(rows: Sequence[int]) -> bytes:
    """The low byte of each row."""
    return bytes(memoryview(rows).cast("B")[:: 8 * OP])  # type: ignore[arg-type]


def is_plain(kinds: bytes) -> bool:
    """Is each of these rows an access or an exit?"""
    return not kinds.translate(None, PLAIN)


def check_rows(rows: Sequence[int], first: int = 0, kinds: bytes = b"") -> bytes:
    """UserError for a range beyond the last address, a loop without an end, or a program without an exit.

    `rows` has OP words a row; rows that name another row count from `first`; `kinds` are their low bytes, if
    somebody has them.  Returns for each row the number
    of loops around it, or NO_ROW.
    """
    kinds = kinds or kinds_of(rows)
    if kinds and kinds[-1] & OP_KIND != OP_EXIT:
        raise UserError("The program's last row is no exit.")
    if is_plain(kinds):
        return bytes(len(kinds))
    row, loops, depths = 0, list[int](), bytearray([NO_ROW]) * len(kinds)
    while row < len(kinds):
        kind, at = kinds[row] & OP_KIND, row * OP
        depths[row] = len(loops)
        if kind == OP_LOOP:
            loops.append(row)
            if len(loops) > MAX_LOOPS:
                raise UserError(f"Row {row} of the program: more than {MAX_LOOPS} loops inside one another.")
            if rows[at + OP_ROUNDS] < 1:
                raise UserError(f"Row {row} of the program: a loop of {rows[at + OP_ROUNDS]} rounds.")
        elif kind == OP_END:
            opened = loops.pop() if loops else row
            if rows[at + OP_BODY] != first + opened + 1 or opened == row - 1:
                raise UserError(f"Row {row} of the program: the end of no loop, or of an empty one.")
        elif kinds[row] & OP_RANGED and kind < OP_LOOP:
            check_range(rows, at, row, len(loops))
        row += rows_taken(kinds[row])
        if row >= len(kinds) and kind != OP_EXIT:
            raise UserError("The program's last row is no exit.")
    if loops:
        raise UserError(f"Row {loops[-1]} of the program: the loop has no end.")
    return bytes(depths)


def rows_taken(word: int) -> int:
    """The rows of an operation whose first word is `word`."""
    if word & OP_KIND >= OP_LOOP or not word & OP_RANGED:
        return 1
    return 3 if word & OP_PATTERNED else 2


def spread(rows: Sequence[int], at: int) -> tuple[int, int]:
    """How many addresses the access at index `at` of the rows may have, and their distance in bytes."""
    word = rows[at]
    if rows_taken(word) == 1:
        return 1, 0
    return rows[at + (OP_PLACES if word & OP_PATTERNED else OP_COUNT)], rows[at + OP_STEP]


def check_range(rows: Sequence[int], at: int, row: int, loops: int) -> None:
    """UserError if a range leaves the 64-bit addresses or its pattern is wrong; `loops` are around it."""
    count, step = spread(rows, at)
    start = rows[at + OP_VA]
    if not FIRST <= start + (count - 1) * step <= LAST or count < 1 or rows[at + OP_COUNT] < 1:
        raise UserError(
            f"Row {row} of the program: {count} accesses from {start:#x} by {step:#x} "
            "do not stay inside 64-bit addresses."
        )
    if rows[at] & OP_PATTERNED:
        more = rows[at + OP_MORE]
        pattern, bits = more & 255, more >> PATTERN_BITS & 63
        known = PATTERN_RANDOM <= pattern <= PATTERN_STRIDE and (count - 1).bit_length() <= bits <= 31
        if count > MAX_PLACES or not known or more >> PATTERN_DEPTH & 255 != loops:
            raise UserError(f"Row {row} of the program: a pattern that is none.")
