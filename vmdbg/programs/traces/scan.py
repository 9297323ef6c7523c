"""Records of a trace to rows of operations: the hot code that all formats share.

The entry is `scan_records`; what a record is says the function that a format binds as `trace_record`.  It
takes where a record begins in the table `text1` (bytes; whole records, and for text a line end behind the
last one) and the number of that record, puts the record's accesses with `put_access`, and returns where the
next record begins, or what `wrong` returns.

The tables are not those of a machine: `text1`, and `text8`, the same as words; `digit`, the value of each
byte as a hex digit (16: none); `op`, rows as the machine's table of that name; `scan`, one row of what
follows.
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.kernel.access import CROSSES
from vmdbg.kernel.scheduler import OP_FETCH, OP_LINE, OP_MODIFY, OP_READ, OP_WIDTH, OP_WRITE
from vmdbg.state.tables import OP, OP_VA

(
    SCAN_AT,  # byte at which the next record begins
    SCAN_END,  # one past the last byte
    SCAN_ROW,  # word of `op` that the next row begins at
    SCAN_ROOM,  # no record is begun when SCAN_ROW is above
    SCAN_RECORD,  # records (of text: lines) before the next one
    SCAN_LIMIT,  # one past the last address of processes in the lower half
    SCAN_TOP,  # one past the last address of the lower half
    SCAN_BOTTOM,  # first address of the upper half, negative; 0 = there is none
    SCAN_UPPER,  # 1: the upper half is the processes' too
    SCAN_LEFT_OUT,  # accesses left out, for their address is the kernel's
    SCAN_WRONG,  # what is wrong with the record at SCAN_AT: one of the WRONG_ constants; 0 = nothing
    SCAN_PLACE,  # byte at which it is wrong
    SCAN_NEXT,  # behind the number that was read last
    SCAN_SHIFT,  # bits of a page's offset
    SCAN_STRADDLE,  # 1: an access that goes on in the next page says so
    SCAN_FIRST,  # from here on: what the format has found in the head of the file
) = range(16)
SCAN_WORDS = 25

(
    WRONG_NOTHING,
    WRONG_ADDRESS,
    WRONG_BEGIN,
    WRONG_HEX,
    WRONG_COMMA,
    WRONG_SIZE,
    WRONG_DECIMAL,
    WRONG_NUMBER,
    WRONG_KIND,
    WRONG_REST,
    WRONG_COLUMN,
    WRONG_FLAG,
    WRONG_LINK,
    WRONG_TARGET,
    WRONG_OBJECT,
) = range(15)
#: What to say; `{begin}` is how a record of the format begins, `{bits}` the machine's bits of an address.
EXPECTED = {
    WRONG_ADDRESS: "the address does not fit in {bits} bits",
    WRONG_BEGIN: "expected {begin}",
    WRONG_HEX: "expected an address in hex",
    WRONG_COMMA: 'expected a hex digit or ","',
    WRONG_SIZE: "expected a size in bytes, from 1",
    WRONG_DECIMAL: "expected an address in decimal",
    WRONG_NUMBER: "expected an address, in decimal or 0x and hex",
    WRONG_KIND: "expected the kind of access, such as R or W",
    WRONG_REST: "expected the end of the line",
    WRONG_COLUMN: "expected a field for each column of the first line",
    WRONG_FLAG: "expected 0 or 1 as the flags of a branch",
    WRONG_LINK: "expected when the object is next used, or -1",
    WRONG_OBJECT: "the object's number is none of a page, which has at most {pages} bits",
    WRONG_TARGET: 'expected "N byte(s) @ 0xADDRESS"',
}
NO_ADDRESS = 1 << 62  # for a number of more than 64 bits
TAB, NEWLINE, RETURN, BLANK, HASH, COMMA, ZERO, NINE = 9, 10, 13, 32, 35, 44, 48, 57
MOST_DIGITS = 15  # of hex that fit in a word without a sign


@writes
def trace_record(m, at, record):
    """Read a record: see the head of this file.  A format binds its own."""
    return wrong(m, WRONG_BEGIN, at)


@writes
def scan_records(m):
    """Read records to the end of the text, to a wrong one, or until the rows are full."""
    at = m.scan[SCAN_AT]
    end = m.scan[SCAN_END]
    room = m.scan[SCAN_ROOM]
    record = m.scan[SCAN_RECORD]
    row = m.scan[SCAN_ROW]
    while at < end and row <= room:
        following = trace_record(m, at, record + 1)
        if following < 0:
            m.scan[SCAN_ROW] = row
            break
        row = m.scan[SCAN_ROW]
        record += 1
        at = following
    m.scan[SCAN_AT] = at
    m.scan[SCAN_RECORD] = record
    return 0


@writes(cold=True)
def wrong(m, what, place):
    """Something is wrong with the record, at a byte; returns -1."""
    m.scan[SCAN_WRONG] = what
    m.scan[SCAN_PLACE] = place
    return -1


@writes
def put_access(m, kind, va, record):
    """Append a row, or count it as left out.  0 if the address is none of the machine's."""
    if va < 0 or va >= m.scan[SCAN_LIMIT]:
        return put_strange(m, kind, va, record)
    return put_row(m, kind, va, record)


@writes
def put_page(m, kind, page, record):
    """As `put_access`, for the first address of a page."""
    if page < 0 or page >= NO_ADDRESS >> (m.scan[SCAN_SHIFT] & 63):
        return 0
    return put_access(m, kind, page << (m.scan[SCAN_SHIFT] & 63), record)


@writes
def put_row(m, kind, va, record):
    """Append a row; the other words of the rows are zero and stay so."""
    row = m.scan[SCAN_ROW]
    m.op[row] = kind | record << OP_LINE
    m.op[row + OP_VA] = va
    m.scan[SCAN_ROW] = row + OP
    return 1


@writes
def put_size(m, va, size):
    """The access at `va`, which was put last if at all, has `size` bytes: mark its row if it goes on in the
    next page, and that is one of processes."""
    if m.scan[SCAN_STRADDLE]:
        page = 1 << (m.scan[SCAN_SHIFT] & 63)
        following = (va | page - 1) + 1
        row = m.scan[SCAN_ROW] - OP
        ours = row >= 0 and m.op[row + OP_VA] == va and following != 0 and following != m.scan[SCAN_LIMIT]
        if va + size > following and ours:
            m.op[row] |= CROSSES << OP_WIDTH


@writes(cold=True)
def put_strange(m, kind, va, record):
    """As `put_access`, for addresses that are not those of most processes."""
    if va < m.scan[SCAN_BOTTOM] or va >= m.scan[SCAN_TOP]:
        return 0
    if va < 0 and m.scan[SCAN_UPPER]:
        return put_row(m, kind, va, record)
    m.scan[SCAN_LEFT_OUT] += 1
    return 1


# -- text


@reads
def after_line(m, at):
    """Where the next line begins."""
    while m.text1[at] != NEWLINE:
        at += 1
    return at + 1


@reads
def after_blanks(m, at):
    """The first byte from `at` on that is no blank."""
    while m.text1[at] == BLANK or m.text1[at] == TAB:
        at += 1
    return at


@reads
def at_line_end(m, at):
    """Does the line end here, with `\\n` or `\\r\\n`?"""
    byte = m.text1[at]
    return byte == NEWLINE or (byte == RETURN and m.text1[at + 1] == NEWLINE)


@writes
def end_line(m, at):
    """Where the next line begins, if nothing but blanks is left of this one."""
    at = after_blanks(m, at)
    if m.text1[at] == NEWLINE:
        return at + 1
    if at_line_end(m, at):
        return at + 2
    return wrong(m, WRONG_REST, at)


@writes(cold=True)
def remark(m, at):
    """The line that begins at `at` is no access: a remark (`#`, `==`, `--`) or empty is passed over."""
    first = m.text1[at]
    if first == HASH or (first == m.text1[at + 1] and (first == 61 or first == 45)):
        return after_line(m, at)
    if at_line_end(m, after_blanks(m, at)):
        return after_line(m, at)
    return wrong(m, WRONG_BEGIN, at)


@writes
def hex_number(m, at):
    """The number in the hex digits from `at` on, as a signed word; SCAN_NEXT is behind the last digit."""
    value = 0
    begin = at
    digit = m.digit[m.text1[at]]
    while digit < 16 and at - begin < MOST_DIGITS:
        value = value << 4 | digit
        at += 1
        digit = m.digit[m.text1[at]]
    if digit < 16:
        return long_hex_number(m, begin)
    m.scan[SCAN_NEXT] = at
    return value


@writes(cold=True)
def long_hex_number(m, at):
    """The same, for any number of digits; NO_ADDRESS if it needs more than 64 bits."""
    while m.text1[at] == ZERO:
        at += 1
    begin = at
    value = 0
    while m.digit[m.text1[at]] < 16:
        if at - begin == MOST_DIGITS and value >= 1 << 59:
            value -= 1 << 60
        if at - begin <= MOST_DIGITS:
            value = value << 4 | m.digit[m.text1[at]]
        at += 1
    m.scan[SCAN_NEXT] = at
    if at - begin > MOST_DIGITS + 1:
        return NO_ADDRESS
    return value


@writes
def decimal_number(m, at):
    """The number in the decimal digits from `at` on, as `hex_number`."""
    value = 0
    begin = at
    digit = m.digit[m.text1[at]]
    while digit < 10 and at - begin < 18:
        value = value * 10 + digit
        at += 1
        digit = m.digit[m.text1[at]]
    if digit < 10:
        return long_decimal_number(m, begin)
    m.scan[SCAN_NEXT] = at
    return value


@writes(cold=True)
def long_decimal_number(m, at):
    """The same, for any number of digits; NO_ADDRESS if it needs more than 64 bits."""
    while m.text1[at] == ZERO:
        at += 1
    value = 0
    wide = 0
    while m.digit[m.text1[at]] < 10:
        digit = m.digit[m.text1[at]]
        if value < 0 or wide or value > 1844674407370955161 or (value == 1844674407370955161 and digit > 5):
            wide = 1
        elif value > 922337203685477580 or (value == 922337203685477580 and digit > 7):
            value = (value - 1844674407370955161) * 10 + digit - 6
        else:
            value = value * 10 + digit
        at += 1
    m.scan[SCAN_NEXT] = at
    if wide:
        return NO_ADDRESS
    return value


@writes
def any_number(m, at):
    """The number from `at` on, hex if it begins with `0x`; without digits SCAN_NEXT is `at`."""
    if m.text1[at] == ZERO and m.text1[at + 1] | 32 == 120:
        value = hex_number(m, at + 2)
        if m.scan[SCAN_NEXT] == at + 2:
            m.scan[SCAN_NEXT] = at
        return value
    return decimal_number(m, at)


@writes
def hex_or_0x(m, at):
    """The hex number from `at` on, which may begin with `0x`; without digits SCAN_NEXT is `at`."""
    if m.text1[at] == ZERO and m.text1[at + 1] | 32 == 120:
        value = hex_number(m, at + 2)
        if m.scan[SCAN_NEXT] == at + 2:
            m.scan[SCAN_NEXT] = at
        return value
    return hex_number(m, at)


@reads
def kind_of(letter):
    """The kind of access that a letter or digit stands for, as tools write it; -1 for any other byte."""
    low = letter | 32
    if low == 114 or low == 108 or low == 103 or letter == 48:  # r(ead) l(oad) g(et) 0
        return OP_READ
    if low == 119 or low == 115 or low == 112 or letter == 49:  # w(rite) s(tore) p(ut) 1
        return OP_WRITE
    if low == 105 or low == 102 or low == 120 or letter == 50:  # i(fetch) f(etch) x 2
        return OP_FETCH
    if low == 109:  # m(odify)
        return OP_MODIFY
    return -1


# -- records of a fixed size


@reads
def little_endian(m, at, width):
    """The number of `width` bytes from `at` on, lowest byte first; signed where it has 8."""
    value = 0
    at += width
    if width == 8:
        at -= 1
        value = m.text1[at]
        if value > 127:
            value -= 256
        width = 7
    while width > 0:
        at -= 1
        value = value << 8 | m.text1[at]
        width -= 1
    return value
