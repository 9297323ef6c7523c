"""The doors to memory that is not the machine's own: an object, `m.memory`, answers in place of a buffer.

They stand in for `load_entry`, `ram_offset` and `store_entry` of `hardware.memory`, in the interpreted
engine.  The object has `load(pa, width)`, the entry at an address (8 bytes signed; -1 where there is no
memory); `holds(pa, width)`, is there memory; and `store(pa, width, entry)`.  The order of bytes is its own
affair.
"""

from __future__ import annotations

from vmdbg.engine import stand_in
from vmdbg.formats.contract import ENTRY_BYTES
from vmdbg.hardware import memory as own

assert own.load_entry, "what is stood in for is declared first"


@stand_in
def ram_offset(m, pa, width):
    """0 if there is memory, else -1: there is no buffer that an offset would lead into."""
    return 0 if m.memory.holds(pa, width) else -1


@stand_in
def load_entry(m, pa):
    """The entry at `pa`."""
    return m.memory.load(pa, ENTRY_BYTES)


@stand_in
def store_entry(m, pa, entry):
    """Write the entry at `pa`."""
    m.memory.store(pa, ENTRY_BYTES, entry)
    return True
