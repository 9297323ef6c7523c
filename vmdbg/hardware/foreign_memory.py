"""The doors to memory that is not the machine's own: an object, `m.memory`, answers in place of a buffer.

They stand in for `load`, `ram_offset` and `store` of `hardware.memory`, in the interpreted engine.  The
object has `load(pa, width)`, the word at an address (8 bytes signed; -1 where there is no memory);
`holds(pa, width)`, is there memory; and `store(pa, width, value)`.
"""

from __future__ import annotations

from vmdbg.engine import stand_in
from vmdbg.hardware import memory as own

assert own.load, "what is stood in for is declared first"


@stand_in
def ram_offset(m, pa, width):
    """0 if there is memory, else -1: there is no buffer that an offset would lead into."""
    return 0 if m.memory.holds(pa, width) else -1


@stand_in
def load(m, pa, width):
    """The word of `width` bytes at `pa`."""
    return m.memory.load(pa, width)


@stand_in
def store(m, pa, width, value):
    """Write a word of `width` bytes at `pa`."""
    m.memory.store(pa, width, value)
    return True
