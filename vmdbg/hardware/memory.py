"""Physical memory: a table of banks.  `load` and `store` are the only doors to its content."""

from __future__ import annotations

from vmdbg.engine import reads, twin, writes
from vmdbg.formats.contract import BIG_ENDIAN, CHUNK_BITS, ENTRY_BYTES, PAGE_BITS
from vmdbg.state.tables import BANK, BANK_BASE, BANK_OFFSET, BANK_SIZE


@reads
def ram_offset(m, pa, width):
    """Where `width` bytes at physical address `pa` lie in the memory buffer; -1 outside every bank."""
    at = pa - m.bank[BANK_BASE]
    if at < 0 or at > m.bank[BANK_SIZE] - width:
        at = far_offset(m, pa, width)
    return at  # the first bank is the first in the buffer


@reads(cold=True)
def far_offset(m, pa, width):
    """`ram_offset` for the banks after the first."""
    row = BANK
    while row < len(m.bank):
        at = pa - m.bank[row + BANK_BASE]
        if at >= 0 and at <= m.bank[row + BANK_SIZE] - width:
            return at + m.bank[row + BANK_OFFSET]
        row += BANK
    return -1


@reads
def load(m, pa, width):
    """The word of `width` bytes (1, 2, 4 or 8) at `pa`; 8 bytes are signed.  -1 outside every bank.

    An address that is no multiple of `width` is read byte by byte, little-endian.
    """
    at = ram_offset(m, pa, width)
    return load_at(m, at, width) if at >= 0 else -1


@reads
def load_at(m, at, width):
    """`load` from an offset into the memory buffer, of any width up to 8 bytes."""
    if at & (width - 1):
        return load_bytes(m, at, width)
    if width == 8:
        return m.ram8[at >> 3]
    if width == 4:
        return m.ram4[at >> 2]
    if width == 2:
        return m.ram2[at >> 1]
    if width == 1:
        return m.ram1[at]
    return load_bytes(m, at, width)


@reads(cold=True)
def load_bytes(m, at, width):
    """A word from the memory buffer that is misaligned, or of 0, 3, 5, 6 or 7 bytes."""
    value = 0
    index = width - 1
    if width == 8:  # the top byte is signed, so that no number exceeds 64 bits
        value = (m.ram1[at + 7] ^ 128) - 128
        index = 6
    while index >= 0:
        value = (value << 8) | m.ram1[at + index]
        index -= 1
    return value


@writes
def store(m, pa, width, value):
    """Write a word of `width` bytes at `pa`; its upper bits are ignored.  False outside every bank."""
    at = ram_offset(m, pa, width)
    if at < 0:
        return False
    store_at(m, at, width, value)
    return True


@writes
def store_at(m, at, width, value):
    """`store` to an offset into the memory buffer, of any width up to 8 bytes."""
    m.dirty[at >> CHUNK_BITS] = 1
    if at & (width - 1):
        store_bytes(m, at, width, value)
    elif width == 8:
        m.ram8[at >> 3] = value
    elif width == 4:
        m.ram4[at >> 2] = value & 0xFFFFFFFF
    elif width == 2:
        m.ram2[at >> 1] = value & 0xFFFF
    elif width == 1:
        m.ram1[at] = value & 0xFF
    else:
        store_bytes(m, at, width, value)


@writes(cold=True)
def store_bytes(m, at, width, value):
    """A word into the memory buffer that is misaligned, or of 0, 3, 5, 6 or 7 bytes."""
    index = 0
    while index < width:
        m.ram1[at + index] = value & 0xFF
        m.dirty[(at + index) >> CHUNK_BITS] = 1
        value >>= 8
        index += 1


@reads
def load_entry(m, pa):
    """The entry of a page table at `pa`: `load` in the format's order of bytes."""
    entry = load(m, pa, ENTRY_BYTES)
    if BIG_ENDIAN and entry != -1:
        return turned(entry, ENTRY_BYTES)
    return entry


@writes
def store_entry(m, pa, entry):
    """Write an entry of a page table at `pa`: `store` in the format's order of bytes."""
    if BIG_ENDIAN:
        return store(m, pa, ENTRY_BYTES, turned(entry, ENTRY_BYTES))
    return store(m, pa, ENTRY_BYTES, entry)


@reads(cold=True)
def turned(value, width):
    """A word of `width` bytes with its bytes in the other order; 8 bytes are signed."""
    result = value & 255
    if width == 8:
        result = (result ^ 128) - 128
    left = width - 1
    while left:
        value >>= 8
        result = (result << 8) | (value & 255)
        left -= 1
    return result


@reads
def prefetch(table, index):
    """Have an element of a table brought to the processor, as it is soon to be read and written.

    It may be of any number: none comes where the table has none.
    """


@writes
def zero_words(target, start, count):
    """Clear `count` words of a buffer of words."""
    word = start
    while word < start + count:
        target[word] = 0
        word += 1


@writes
def copy_words(target, to, source, start, count):
    """Copy `count` words between two buffers of words."""
    word = 0
    while word < count:
        target[to + word] = source[start + word]
        word += 1


@twin  # type: ignore[no-redef]
def load(m, pa, width):  # noqa: F811
    """`load` with fewer calls, which are what costs here: a walk is made of it."""
    at = pa - m.bank[BANK_BASE]
    if at < 0 or at > m.bank[BANK_SIZE] - width:
        at = far_offset(m, pa, width)
        if at < 0:
            return -1
    if width == 8 and at & 7 == 0:
        return m.ram8[at >> 3]
    return load_at(m, at, width)


@twin  # type: ignore[no-redef]
def zero_words(target, start, count):  # noqa: F811
    """`zero_words` for memoryviews."""
    target[start : start + count].cast("B")[:] = bytes(count * 8)


@twin  # type: ignore[no-redef]
def copy_words(target, to, source, start, count):  # noqa: F811
    """`copy_words` for memoryviews."""
    target[to : to + count] = source[start : start + count]


@writes
def zero_frame(m, frame):
    """Clear a frame."""
    m.dirty[frame] = 1
    zero_words(m.ram8, frame << (PAGE_BITS - 3), 1 << (PAGE_BITS - 3))
