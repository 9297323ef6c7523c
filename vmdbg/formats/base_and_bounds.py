"""Base and bounds: no tables, a process is one run of memory of a fixed size, its partition.

A register holds where the partition of the running process starts, another one how long it is; an
address below the bound is added to the base (Dijkstra's and Corbato's machines; Tanenbaum, Modern
Operating Systems, 3.2).  A partition takes the place of a frame: `PAGE_BITS` is its size.
"""

from __future__ import annotations

from vmdbg.engine import reads
from vmdbg.formats.contract import ENTRY_LEAF, RIGHT_R, RIGHT_U, RIGHT_W, RIGHT_X
from vmdbg.formats.record import Field, Format, Level, Register


@reads(fills=True)
def classify(entry, depth):
    """What stands for an entry is the base register: it maps the partition."""
    return ENTRY_LEAF


@reads(fills=True)
def combine(rights, entry, kind, depth):
    """There are no rights: a process may do all that it wants in its partition."""
    if kind > ENTRY_LEAF:
        return 0
    return rights


@reads(fills=True)
def leaf_frame(entry, depth):
    return entry


@reads(fills=True)
def make_leaf(address, rights, depth):
    return address


def allowed(control: list[int], mode: int) -> tuple[int, int, int]:
    """Every access that the rights allow: there is one set of them, `rwxu`."""
    sets = [0, 0, 0]
    for rights in range(16):
        for place, right in enumerate((RIGHT_R, RIGHT_W, RIGHT_X)):
            sets[place] |= bool(rights & right and rights & RIGHT_U) << rights
    return sets[0], sets[1], sets[2]


def bounded(name: str, bits: int, va_bits: int = 32, manual: str = "") -> Format:
    """Base and bounds with partitions of 2 to the `bits` bytes and addresses of `va_bits` bits."""
    return Format(
        name=name,
        manual=manual or "vmdbg, base and bounds",
        va_bits=va_bits,
        levels=(Level("base", "-", bits, 0, leaf=True),),
        entry_bytes=8,
        fields=(Field("base", bits, "frame", 52 - bits, help="frame"),),
        functions=(classify, combine, leaf_frame, make_leaf),
        allowed=allowed,
        registers=(Register("bound", 0, 0, 62, 1 << bits, "first address that is not in the partition"),),
        root_register="base",
        bounded=True,
        rule_texts={"b": "an address has to be below the bound"},
    )


PARTITIONS: Format = bounded("partitions", 30)
