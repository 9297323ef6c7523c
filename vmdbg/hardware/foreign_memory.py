"""The doors to memory that is not the machine's own: an object, `m.memory`, answers in place of a buffer.

They stand in for `load`, `load_entry`, `ram_offset` and `store_entry` of `hardware.memory`, in the
interpreted engine.  The object has `load(pa, width)`, the word at an address (8 bytes signed; -1 where there
is no memory); `offset(pa, width)`, where it lies in the buffer, if there is one (0 without, -1 where there is
no memory); and `store(pa, width, entry)`.  The order of bytes in an entry is its own affair.
"""

from __future__ import annotations

from vmdbg.engine import stand_in
from vmdbg.formats.contract import ENTRY_BYTES
from vmdbg.hardware import memory as own

assert own.load_entry, "what is stood in for is declared first"


@stand_in
def ram_offset(m, pa, width):
    """Where the bytes lie in the buffer, which has them from now on; -1 without memory."""
    return m.memory.offset(pa, width)


@stand_in
def load(m, pa, width):
    """The word at `pa`."""
    return m.memory.load(pa, width)


@stand_in
def load_entry(m, pa):
    """The entry at `pa`."""
    return m.memory.load(pa, ENTRY_BYTES)


@stand_in
def store_entry(m, pa, entry):
    """Write the entry at `pa`."""
    m.memory.store(pa, ENTRY_BYTES, entry)
    return True
