"""Memory in files: raw bytes, Intel HEX, Motorola S-records, as `dump` writes and `restore` reads them.

Hex formats have addresses of up to 32 bits.  What is written equals what GNU BFD writes (bfd/ihex.c,
bfd/srec.c): 16 bytes a record, lines that end in CR LF.
"""

from __future__ import annotations

from vmdbg.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BINARY, IHEX, SREC = "binary", "ihex", "srec"
TITLES = {IHEX: "Intel Hex", SREC: "S-record"}
RECORD = 16  # bytes in a record
LONGEST_RECORD = 1 << 10  # characters of a line: 255 bytes and what belongs to them
LONGEST_NAME = 40  # of the file, in an S-record header
HIGHEST = (1 << 32) - 1
S_DIGITS = {"1": 4, "2": 6, "3": 8}  # of addresses, by the type of a record


def check_range(kind: str, start: int, length: int) -> None:
    """UserError if a format has no room for the addresses of `length` bytes from `start` on."""
    last = start + length - 1
    if kind != BINARY and last > HIGHEST:
        raise UserError(f"Address {last:#x} is out of range for {TITLES[kind]} files.")


def written(kind: str, name: str, start: int, length: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The content of the file `name` that holds `length` bytes at an address, made as they come."""
    if kind == BINARY:
        return iter(pieces)
    return ihex(start, pieces) if kind == IHEX else srec(name, start, length, pieces)


def sixteens(start: int, pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The bytes in records that do not cross a multiple of 64 KiB, with their addresses."""
    kept, address = b"", start
    for piece in pieces:
        kept += piece
        at = 0
        while len(kept) - at >= RECORD:
            size = min(RECORD, 0x10000 - (address & 0xFFFF))
            yield address, kept[at : at + size]
            address, at = address + size, at + size
        kept = kept[at:]
    while kept:
        size = min(len(kept), 0x10000 - (address & 0xFFFF))
        yield address, kept[:size]
        address, kept = address + size, kept[size:]


def ihex(start: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Intel HEX: data (00), segment (02) and linear (04) addresses, the end (01)."""
    segment = linear = 0
    for address, data in sixteens(start, pieces):
        if address > segment + linear + 0xFFFF:
            if address <= 0xFFFFF:
                segment = address & 0xF0000
                yield ihex_record(2, 0, (segment >> 4).to_bytes(2, "big"))
            else:
                if segment:
                    segment = 0
                    yield ihex_record(2, 0, bytes(2))
                linear = address & 0xFFFF0000
                yield ihex_record(4, 0, (linear >> 16).to_bytes(2, "big"))
        yield ihex_record(0, address - segment - linear, data)
    yield ihex_record(1, 0, b"")


def ihex_record(kind: int, address: int, data: bytes) -> bytes:
    """A line of Intel hex: length, address, kind, data, checksum."""
    body = bytes([len(data), address >> 8, address & 0xFF, kind]) + data
    return b":" + (body + bytes([-sum(body) & 0xFF])).hex().upper().encode() + b"\r\n"


def srec(name: str, start: int, length: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """S-records: a header, data with addresses as wide as the last one needs, the end."""
    last = start + length - 1
    digit = 1 if last <= 0xFFFF else 2 if last <= 0xFFFFFF else 3
    yield srec_record("0", bytes(2), name.encode("utf-8", "replace")[:LONGEST_NAME])
    for address, data in sixteens(start, pieces):
        yield srec_record(str(digit), address.to_bytes(digit + 1, "big"), data)
    yield srec_record(str(10 - digit), bytes(digit + 1), b"")


def srec_record(kind: str, address: bytes, data: bytes) -> bytes:
    """A line of S-records: kind, length, address, data, checksum."""
    body = bytes([len(address) + len(data) + 1]) + address + data
    return b"S" + kind.encode() + (body + bytes([~sum(body) & 0xFF])).hex().upper().encode() + b"\r\n"


def read_records(lines: Iterable[bytes], name: str) -> list[tuple[int, bytearray]]:
    """The stretches of memory that a hex file holds, in its order; adjacent records are one.

    UserError with file and line for a record that is damaged, or if it is no hex file.
    """
    found: list[tuple[int, bytearray]] = []
    base = 0
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line:
            continue
        if line[:1] not in (b":", b"S"):
            if number == 1:
                raise UserError(
                    f"'{name}' is not an object file: file format not recognized.",
                    'Raw bytes: "restore FILE binary ADDRESS".',
                )
            raise bad(name, number, "it is no record")
        intel = line[:1] == b":"
        body = record_bytes(line[1:] if intel else line[2:], name, number)
        kind = body[3:4] if intel else line[1:2]
        if intel:
            if kind == b"\1":
                break
            address, data = base + int.from_bytes(body[1:3], "big"), body[4:-1]
            if kind in (b"\2", b"\4"):
                base = int.from_bytes(data, "big") << (4 if kind == b"\2" else 16)
                continue
            if kind != b"\0":
                continue
        else:
            width = S_DIGITS.get(kind.decode("latin-1"), 0) // 2
            if not width:
                continue
            address, data = int.from_bytes(body[1 : 1 + width], "big"), body[1 + width : -1]
        if found and found[-1][0] + len(found[-1][1]) == address:
            found[-1][1].extend(data)
        elif data:
            found.append((address, bytearray(data)))
    return found


def record_bytes(digits: bytes, name: str, number: int) -> bytes:
    """The bytes of a record, its length and checksum right.  UserError else."""
    try:
        body = bytes.fromhex(digits.decode("ascii")) if len(digits) <= LONGEST_RECORD else b""
    except ValueError:
        body = b""
    if len(body) < 3:
        raise bad(name, number, "it is no record")
    # The length counts the data (Intel, whose record is 5 bytes longer) or all that follows it (Motorola).
    if len(body) - body[0] not in (1, 5):
        raise bad(name, number, "its length is wrong")
    if sum(body) & 0xFF != (0 if len(body) - body[0] == 5 else 0xFF):
        raise bad(name, number, "its checksum is wrong")
    return body


def bad(name: str, number: int, why: str) -> UserError:
    """The error for a damaged record of the file `name` at line `number`."""
    return UserError(f"{name}:{number}: Bad record: {why}.")
