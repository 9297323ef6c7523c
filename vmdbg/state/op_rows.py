"""Columns of the table `op` that mean something else than in a plain access: of loops, ranges, patterns.

Every operation begins with one row (OP_WORD, OP_VA, OP_VALUE, OP_MORE).  An access to a range has a second
row, an access by a pattern also a third one.  All columns here are counted from the operation's first row:
`m.op[row * OP + OP_STEP]` is the step of the range at `row`.
"""

from __future__ import annotations

from vmdbg.state.tables import OP, OP_MORE, OP_VA, OP_VALUE, OP_WORD

# Of the start and the end of a loop: one row.
OP_ROUNDS = OP_VA  # how often the loop runs
OP_BODY = OP_VA  # at its end: the row of the first operation inside

# Of an access to a range: the second row.
OP_COUNT = OP + OP_WORD  # number of accesses
OP_STEP = OP + OP_VA  # bytes from one address to the next
# Second row of an access by a pattern: the two above and these two.
OP_PLACES = OP + OP_VALUE  # number of addresses among which the pattern chooses
OP_SEED = OP + OP_MORE  # seed | offset << PATTERN_OFFSET (kernel/access_patterns.py)
OP_WEIGHTS = 2 * OP  # third row: its four columns hold two weights each (kernel/access_patterns.py)
