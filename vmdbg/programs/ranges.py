"""The addresses of an access as a program writes them, one, a range or a pattern, and their rows."""

from __future__ import annotations

from vmdbg.kernel.access_patterns import (
    LOW31,
    MAX_PLACES,
    PATTERN_BITS,
    PATTERN_DEPTH,
    PATTERN_OFFSET,
    PATTERN_ZIPF,
)
from vmdbg.kernel.scheduler import OP_PATTERNED, OP_RANGED
from vmdbg.programs.operations import PATTERNS
from vmdbg.programs.options import Known, read_option
from vmdbg.state.op_rows import OP_COUNT, OP_SEED, OP_WEIGHTS
from vmdbg.state.tables import OP_MORE, OP_VA, OP_WORD
from vmdbg.units import s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmdbg.programs.addresses import Space
    from vmdbg.programs.scanner import LineCursor

RANGE_HINT = "expected A..B with B not included"
LARGEST = 1 << 62
#: Limits of the options of patterns.
LIMITS = {"count": (1, LARGEST), "seed": (0, LOW31), "step": (1, LARGEST)}


class AddressOperand:
    """The addresses of an access, as they stand from column `start` to `end` of the line.

    One address, or a range from `first` up to and without `last`, or, with a `pattern`, places in the `last`
    bytes from `first` on.  `step` 0 = the width of the access.
    """

    __slots__ = ("end", "first", "last", "options", "pattern", "ranged", "start", "step")

    def __init__(self, cursor: LineCursor, space: Space) -> None:
        self.start = cursor.at
        self.last, self.step, self.ranged = 0, 0, False
        self.pattern = PATTERNS.get(cursor.peek_word())
        self.options: dict[str, int] = {}
        if self.pattern is not None:
            self.read_pattern(cursor, space)
        else:
            self.read_range(cursor, space)
        self.end = cursor.trimmed()

    def read_range(self, cursor: LineCursor, space: Space) -> None:
        """`A` or `A..B [step S]`."""
        self.first = space.normal(cursor.expression("an address"))
        self.ranged = cursor.take("..")
        if self.ranged:
            last = cursor.expression("the end of the range")
            self.last = s64(last) if self.first < 0 else last
        if cursor.peek_word() == "step":
            if not self.ranged:
                cursor.fail(f"a step without a range; {RANGE_HINT}")
            cursor.take("step")
            at = cursor.at
            self.step = cursor.expression("a step")
            if self.step == 0 or abs(self.step) >> 62:
                cursor.fail("expected a step that is not 0 and fits in 63 bits", at, cursor.trimmed())

    def read_pattern(self, cursor: LineCursor, space: Space) -> None:
        """`NAME(ADDRESS, SIZE {, OPTION})`."""
        assert self.pattern is not None
        cursor.take(self.pattern.name)
        if not cursor.take("("):
            cursor.expected('"("')
        self.first = space.normal(cursor.expression("an address"))
        if not cursor.take(","):
            cursor.expected('"," and a size')
        at = cursor.at
        self.last = cursor.expression("a size")
        if not 0 < self.last <= LARGEST:
            cursor.fail("expected a size of at least one byte", at, cursor.trimmed())
        known: Known = {name: LIMITS[name] for name in self.pattern.options}
        while cursor.take(","):
            read_option(cursor, known, self.options, "")
        if not cursor.take(")"):
            cursor.expected('"," or ")"')

    def extend(self, row: list[int], cursor: LineCursor, space: Space, width: int) -> list[int]:
        """All rows of an access whose first row is `row`.

        InputError for addresses that the machine does not have.
        """
        space.check_address(cursor, self.first, self.start, self.end, width)
        row[OP_VA] = s64(self.first)
        if self.pattern is not None:
            return self.patterned(row, cursor, space, width)
        if not self.ranged:
            return row
        step = self.step or width
        distance = (self.last - self.first) * (1 if step > 0 else -1)
        if distance <= 0:
            cursor.fail(f"the range is empty; {RANGE_HINT}", self.start, self.end)
        count = -(-distance // abs(step))
        self.check_last(cursor, space, self.first + (count - 1) * step, width)
        row[OP_WORD] |= OP_RANGED
        return [*row, count, step, 0, 0]

    def patterned(self, row: list[int], cursor: LineCursor, space: Space, width: int) -> list[int]:
        """The three rows of a pattern outside of loops."""
        assert self.pattern is not None
        if self.last < width:
            cursor.fail(f"{self.last} bytes hold no access of {width}", self.start, self.end)
        step = self.options.get("step", width)
        places = (self.last - width) // step + 1
        if places > MAX_PLACES:
            cursor.fail(f"more than {MAX_PLACES} places; expected a larger step", self.start, self.end)
        self.check_last(cursor, space, self.first + (places - 1) * step, width)
        bits = (places if self.pattern.number == PATTERN_ZIPF else places - 1).bit_length()
        row[OP_WORD] |= OP_RANGED | OP_PATTERNED
        row[OP_MORE] = self.pattern.number | bits << PATTERN_BITS
        count, seed = self.options.get("count", places), self.options.get("seed", 0)
        return [*row, count, step, places, seed, 0, 0, 0, 0]

    def check_last(self, cursor: LineCursor, space: Space, last: int, width: int) -> None:
        """Refuse a last address that the machine does not have, or in another half than the first one."""
        space.check_address(cursor, last, self.start, self.end, width)
        if not space.same_half(self.first, last):
            cursor.fail("the range leaves its half of the address space", self.start, self.end)


def weigh(rows: list[int], rounds: Sequence[int]) -> None:
    """Complete the rows of a pattern so that it goes on from round to round of the loops around it.

    `rounds` has the number of rounds of each loop, innermost first.
    """
    weight, offset = rows[OP_COUNT] & LOW31, 0
    for number, count in enumerate(rounds):
        rows[OP_WEIGHTS + number // 2] |= weight << 32 * (number % 2)
        offset += weight * (count & LOW31)
        weight = weight * count & LOW31
    rows[OP_MORE] |= len(rounds) << PATTERN_DEPTH
    rows[OP_SEED] |= (offset & LOW31) << PATTERN_OFFSET
