"""Independent readers of traces: a line or a record at a time, plain and slow.  Accesses are (kind, address),
kinds r w x m, addresses unsigned.  What objects are is said by `PAGE` bytes of a page."""

from __future__ import annotations

import csv
import io
import struct

PAGE = 4096
LETTERS = {"l": "r", "s": "w", "i": "x", "f": "x", "0": "r", "1": "w", "2": "x", "g": "r", "p": "w"}


def kind(word: str) -> str:
    return LETTERS.get(word[0].lower(), word[0].lower())


def lines(data: bytes) -> list[str]:
    text = data.decode().splitlines()
    return [line for line in text if line.strip() and line[:2] not in ("==", "--") and line[0] != "#"]


def lackey(data: bytes) -> list[tuple[str, int]]:
    return [(kind(line.strip()), int(line[3:].split(",")[0], 16)) for line in lines(data)]


def pinatrace(data: bytes) -> list[tuple[str, int]]:
    found = [line.split() for line in lines(data)]
    return [(kind(letter), int(address, 16)) for _, letter, address, *_ in found]


def dynamorio(data: bytes) -> list[tuple[str, int]]:
    words = {"ifetch": "x", "read": "r", "write": "w"}
    found = [line.split() for line in lines(data) if "byte(s) @" in line]
    return [(words[row[3]], int(row[row.index("@") + 1], 16)) for row in found]


def table(data: bytes, column: str, factor: int = 1) -> list[tuple[str, int]]:
    rows = csv.DictReader(io.StringIO(data.decode()))
    return [(kind(row.get("op") or "r"), int(row[column], 0) * factor) for row in rows]


def letter_address(data: bytes) -> list[tuple[str, int]]:
    found = [line.replace(",", " ").split() for line in lines(data)]
    return [(kind(letter), int(address, 16)) for letter, address, *_ in found]


def address_letter(data: bytes) -> list[tuple[str, int]]:
    return [(kind(line.split()[1]), int(line.split()[0], 16)) for line in lines(data)]


def decimal_letter(data: bytes) -> list[tuple[str, int]]:
    found = [line.replace(",", " ").split() for line in lines(data)]
    return [(kind(b), int(a)) if a.isdecimal() else (kind(a), int(b)) for a, b, *_ in found]


def dinero(data: bytes) -> list[tuple[str, int]]:
    found = [line.split() for line in lines(data)]
    return [(kind(row[0]), int(row[1], 16)) for row in found if row[0] in "012"]


def champsim(data: bytes) -> list[tuple[str, int]]:
    found = []
    for ip, *words in struct.iter_unpack("<Q8x6Q", data):
        found += [("x", ip), *(("r", va) for va in words[2:]), *(("w", va) for va in words[:2])]
    return [(letter, va) for letter, va in found if va]


def oracle_general(data: bytes) -> list[tuple[str, int]]:
    return [("r", number * PAGE) for _, number, _, _ in struct.iter_unpack("<IQIq", data)]


READERS = {
    "lackey": lackey,
    "pinatrace": pinatrace,
    "dynamorio": dynamorio,
    "csv": lambda data: table(data, "address"),
    "libcachesim-csv": lambda data: table(data, "object_id", PAGE),
    "letter-address": letter_address,
    "address-letter": address_letter,
    "decimal-letter": decimal_letter,
    "dinero": dinero,
    "addresses": lambda data: [("r", int(line, 0)) for line in lines(data)],
    "hex-addresses": lambda data: [("r", int(line, 16)) for line in lines(data)],
    "champsim": champsim,
    "oracle-general": oracle_general,
    "npy": lambda data: [
        ("rwxm"[op], va)
        for va, op in struct.iter_unpack("<QB", data[10 + struct.unpack_from("<H", data, 8)[0] :])
    ],
}
