"""A machine in a file: `save machine` and `load machine` (docs/files.md describes the format).

    vmdbg machine 1\\n
    {"config": ..., "shape": ..., "tables": {name: [[chunk, bytes], ...]}, "program": ..., "digest": ...}\\n
    the chunks, one after the other, compressed by zlib
    16 bytes: BLAKE2b of everything before

Nothing of a file is used before all of it was read and found whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib

from vmdbg.errors import InputError, UserError
from vmdbg.machine.arrays import misplaced_arrays
from vmdbg.machine.config import BY_NAME, MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.machine.snapshot import Chunks, Snapshot, packed
from vmdbg.state.tables import STATE, TABLES, buffer_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MAGIC = b"vmdbg machine 1\n"
HASH_BYTES = 16
#: Rows that may be more than at boot.
POOLS = ("rmaps", "regions", "ops", "processes", "objects", "cached", "file_pages", "tlb_rows")
LARGEST = 1 << 36  # bytes that the tables of a file may have


def checksum(data: bytes) -> bytes:
    """BLAKE2b, 16 bytes."""
    import hashlib

    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


def save_machine(machine: Machine, path: str) -> int:
    """Write a machine to a file: all of it, or nothing, whatever happens meanwhile.  Returns the bytes.

    UserError if the file cannot be written.
    """
    snapshot = machine.snapshot()
    packer = zlib.compressobj(1)
    body = bytearray()
    tables: dict[str, list[list[int]]] = {name: [] for name in snapshot.chunks}
    for name, number, piece in snapshot.pieces():
        size = machine.recorder.chunk_size(name)
        length = min(size, len(machine.buffers[name]) - number * size)
        tables[name].append([number, length])
        body += packer.compress(piece.ljust(length, b"\0"))
    body += packer.flush()
    program = machine.program
    header = {
        "config": machine.config.values,
        "name": machine.config.name,
        "shape": snapshot.shape,
        "tables": tables,
        "program": None
        if program is None
        else {
            "name": program.name,
            "file": program.file,
            "lines": program.source_lines,
            "symbols": program.symbols,
            "places": program.places,
        },
        "digest": machine.digest(),
    }
    data = MAGIC + json.dumps(header).encode() + b"\n" + bytes(body)
    data += checksum(data)
    write_whole(path, data)
    return len(data)


def write_whole(path: str, data: bytes) -> None:
    """Put a file in place of the old one at once, after it has reached the disk."""
    temporary = f"{path}.{os.getpid()}.new"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise UserError(f"{path}: {error.strerror}.") from None


def load_machine(path: str, approve: Callable[[MachineConfig], None] = lambda config: None) -> Machine:
    """The machine in a file.  UserError if it cannot be read, InputError if it is damaged or none.

    `approve` may raise a UserError at a configuration that is not allowed, before anything is made of it.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from None
    if not data.startswith(MAGIC):
        raise InputError("not a saved machine of a version that is known", path)
    if len(data) < len(MAGIC) + HASH_BYTES or checksum(data[:-HASH_BYTES]) != data[-HASH_BYTES:]:
        raise InputError("the file is damaged or cut short", path)
    end = data.find(b"\n", len(MAGIC))
    try:
        header = json.loads(data[len(MAGIC) : end])
        machine = make_machine(header, approve)
        chunks = read_chunks(machine, header["tables"], data[end + 1 : -HASH_BYTES])
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
        raise InputError(f"not a saved machine: {error}", path) from None
    machine.restore(Snapshot(chunks, dict(machine.shape)))
    if misplaced_arrays(machine):
        raise InputError("not a saved machine: its TLB is none of such a machine", path)
    machine.program = make_program(header["program"])
    if machine.digest() != header["digest"]:
        raise InputError("the machine in it has another digest than it says", path)
    return machine


def make_machine(header: dict[str, Any], approve: Callable[[MachineConfig], None]) -> Machine:
    """A machine of the header's configuration and sizes.  ValueError, UserError if they cannot be."""
    values = header["config"]
    for name, value in values.items():
        setting = BY_NAME.get(name)
        if setting is None or type(value) is not type(setting.default):
            raise ValueError(f"setting {name}")
        if isinstance(value, int) and not isinstance(value, bool):
            low, high = setting.low, setting.high
            if (low is not None and value < low) or (high is not None and value > high):
                raise ValueError(f"setting {name}")
    config = MachineConfig({**values, "machine.swap.file": ""}, str(header["name"]))
    approve(config)
    machine = Machine(config)
    for rows, count in header["shape"].items():
        if type(count) is not int or (count != machine.shape[rows] and rows not in POOLS) or count < 0:
            raise ValueError(f"{rows}: {count}")
        sizes = {**machine.shape, rows: count}
        if sum(buffer_size(table, sizes) for table in TABLES.values()) > LARGEST:
            raise ValueError(f"{rows}: {count}")
        if count != machine.shape[rows]:
            machine.resize(rows, count)
    return machine


def read_chunks(machine: Machine, tables: dict[str, Any], body: bytes) -> dict[str, Chunks]:
    """The chunks of every table.  ValueError if they do not fit."""
    unpacker = zlib.decompressobj()
    data, at = memoryview(unpacker.decompress(body)), 0
    chunks: dict[str, Chunks] = {}
    for name, table in TABLES.items():
        if table.group != STATE:
            continue
        size = machine.recorder.chunk_size(name)
        total = len(machine.buffers[name])
        found: list[bytes | None] = [None] * -(-total // size)
        for number, length in tables[name]:
            if not 0 <= number < len(found) or length != min(size, total - number * size):
                raise ValueError(f"chunk {number} of {name}")
            found[number] = packed(bytes(data[at : at + length]))
            at += length
        chunks[name] = Chunks.of(found)
    if at != len(data) or not unpacker.eof:
        raise ValueError("chunks are missing")
    return chunks


class SavedProgram:
    """What a machine from a file knows of its program: enough to list it and to know its names."""

    def __init__(
        self, name: str, file: str, lines: list[str], symbols: dict[str, int], places: dict[str, int]
    ) -> None:
        self.name, self.file, self.source_lines = name, file, lines
        self.symbols, self.places = symbols, places
        self.processes: list[Any] = []


def make_program(saved: dict[str, Any] | None) -> SavedProgram | None:
    """The program that the header describes."""
    if saved is None:
        return None
    names = [dict(saved.get(key, {})) for key in ("symbols", "places")]
    return SavedProgram(str(saved["name"]), str(saved["file"]), list(saved["lines"]), *names)
