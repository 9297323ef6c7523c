"""A machine in a file: `save machine` and `load machine` (docs/files.md describes the format).

    vmdbg machine 2\\n
    {"config": ..., "shape": ..., "tables": {name: [[chunk, bytes], ...]}, "program": ..., "digest": ...}\\n
    the chunks, one after the other, compressed by zlib
    16 bytes: BLAKE2b of everything before

Nothing of a file is used before all of it has been read and its checksum is right.
"""

from __future__ import annotations

import json
import os
import zlib
from types import NoneType

from vmdbg import progress
from vmdbg.errors import InputError, UserError
from vmdbg.files import write_whole
from vmdbg.hardware.tlb import WORD_KEYED, WORD_PFN, WORD_RIGHTS
from vmdbg.machine import boot
from vmdbg.machine.check.lists import refuse
from vmdbg.machine.check.numbers import spans
from vmdbg.machine.config import BY_NAME, MachineConfig, expected
from vmdbg.machine.machine import WATCHING, Machine
from vmdbg.machine.snapshot import Chunks, Snapshot, packed
from vmdbg.state.tables import CONTROLS, CPU, TABLES, TLB, TLB_KEY, TLB_WORD, buffer_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

MAGIC, OLD_MAGIC = b"vmdbg machine 2\n", b"vmdbg machine 1\n"
HASH_BYTES = 16
#: Rows that may be more than at boot.
POOLS = ("rmaps", "regions", "ops", "processes", "objects", "cached", "file_pages", "tlb_rows", "futures")
#: Tables, and their rows, that files of version 0.1 do not have: they are as they are at boot.
LATER = {"node": "nodes", "list": "lists", "bucket": "buckets", "future": "futures"}
#: Settings that files of version 0.1 do not have, where the default is not what those machines did.
BEFORE = {"kernel.zero_drop": False}
CONFIGURED = ("ram1", "swap8")  # tables that are as large as the configuration says
LARGEST = 1 << 32  # bytes that the tables of a file may have, besides memory and swap area
PIECE = 1 << 16  # bytes of a file that are unpacked at a time


def checksum(data: bytes) -> bytes:
    """BLAKE2b, 16 bytes."""
    import hashlib

    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


def save_machine(machine: Machine, path: str) -> int:
    """Write a machine to a file, all of it or nothing, even if the process is killed.  Returns the bytes.

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
        "shape": snapshot.shape | {rows: boot.shape(machine.config)[rows] for rows in WATCHING},
        "tables": tables,
        "program": None
        if program is None
        else {
            "name": program.name,
            "file": program.file,
            "lines": program.source_lines,
            "symbols": program.symbols,
            "places": program.declared_at,
        },
        "digest": machine.digest(),
    }
    data = MAGIC + json.dumps(header).encode() + b"\n" + bytes(body)
    data += checksum(data)
    write_whole(path, data)
    return len(data)


def load_machine(path: str, approve: Callable[[MachineConfig], None] = lambda config: None) -> Machine:
    """The machine in a file.  UserError if it cannot be read, InputError if it is damaged or no such file.

    `approve(config)` may raise a UserError for a configuration that is not allowed; it is called before the
    machine is made.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(len(MAGIC))
            if data not in (MAGIC, OLD_MAGIC):  # a file of gigabytes that is none is not read
                raise InputError(f'byte 0: expected "{MAGIC.decode().strip()}"', path)
            data += file.read()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from None
    if len(data) < len(MAGIC) + HASH_BYTES or checksum(data[:-HASH_BYTES]) != data[-HASH_BYTES:]:
        raise InputError("the file is damaged or cut short: its checksum is another one", path)
    try:
        return read_machine(data, path, approve)
    except InputError:
        raise
    except (UserError, ValueError) as error:
        raise InputError(str(error), path) from None


def read_machine(data: bytes, path: str, approve: Callable[[MachineConfig], None]) -> Machine:
    """The machine in the bytes of a file whose checksum is right.

    ValueError or UserError says what was expected.
    """
    end = data.find(b"\n", len(MAGIC))
    try:
        header = json.loads(data[len(MAGIC) : end])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"byte {len(MAGIC) + getattr(error, 'pos', 0)}: expected a line of JSON") from None
    check_kinds("header", header, HEADER)
    config = read_config(header, path)
    approve(config)
    machine = Machine(config)
    resize(machine, header["shape"])
    chunks = read_chunks(machine, header["tables"], data[end + 1 : -HASH_BYTES], path)
    machine.restore(Snapshot(chunks, dict(machine.shape)))
    digest = machine.digest()
    if data.startswith(OLD_MAGIC):
        upgrade(machine)
    refuse(machine)
    machine.program = make_program(header["program"])
    if digest != header["digest"]:
        raise ValueError(f"digest: expected {digest}, which the machine in it has")
    return machine


#: Fields of control registers that files of version 1 have; the others are as they are at boot.
OLD_FIELDS = ("cr0.wp", "cr4.pge", "cr4.smep", "cr4.smap", "efer.nxe", "sstatus.sum", "sstatus.mxr", "bound")


def upgrade(machine: Machine) -> None:
    """Make the tables of a file of version 1, as they were read, those of this version.

    Words of the TLB were pfn << 7 | global << 6 | dirty << 5 | suspect << 4 | rights.
    """
    m, form = machine.m, machine.format
    for start, end in spans(machine, TABLES["tlb"]):
        for row in range(start // 8, end // 8, TLB):
            word = m.tlb[row + TLB_WORD]
            m.tlb[row + TLB_WORD] = word >> 7 << WORD_PFN | (word >> 4 & 7) << 5 | word & WORD_RIGHTS
            if m.tlb[row + TLB_KEY] >= 0 and machine.bindings["KEY_MASK"]:
                m.tlb[row + TLB_WORD] |= WORD_KEYED
    for cpu in range(len(m.cpu) // CPU):
        for register in form.registers:
            if register.name not in OLD_FIELDS:
                m.cpu[cpu * CPU + CONTROLS[register.word]] |= (
                    boot.initial(register, machine.config) << register.low
                )
        boot.set_allowed(m, cpu, form)


#: What the header holds, and what its program holds.
HEADER = {
    "config": dict,
    "name": str,
    "shape": dict,
    "tables": dict,
    "program": (dict, NoneType),
    "digest": str,
}
PROGRAM = {"name": str, "file": str, "lines": list, "symbols": dict, "places": dict}


def check_kinds(name: str, found: Any, kinds: Mapping[str, Any]) -> None:
    """ValueError unless `found` is a table of these keys and kinds of values."""
    if not isinstance(found, dict):
        raise ValueError(f"{name}: expected a table")
    for key, kind in kinds.items():
        if key not in found or not isinstance(found[key], kind):
            kind = kind[0] if isinstance(kind, tuple) else kind
            raise ValueError(f"{name}.{key}: expected {KIND_NAMES[kind]}")


KIND_NAMES = {dict: "a table", list: "a list", str: "a string"}


def read_config(header: dict[str, Any], path: str) -> MachineConfig:
    """The configuration in a header: every value is one that its setting may have."""
    for name, value in header["config"].items():
        setting = BY_NAME.get(name)
        if setting is None:
            raise ValueError(f"config.{name}: there is no such setting")
        if type(value) is not type(setting.default) or not setting.allows(value):
            shown = json.dumps(value)
            raise ValueError(f"config.{name}: expected {expected(setting)}, not {shown[:40]}")
    return MachineConfig({**BEFORE, **header["config"], "machine.swap.file": ""}, header["name"])


def resize(machine: Machine, shape: dict[str, Any]) -> None:
    """Give the tables the rows that a file says.  ValueError if such a machine cannot have them."""
    for rows in machine.shape.keys() | shape.keys():
        usual = machine.shape.get(rows)
        count = shape.get(rows, usual if rows in LATER.values() else None)
        if usual is None:
            raise ValueError(f"shape.{rows}: there are no such rows")
        if type(count) is not int or count < 0 or (count != usual and rows not in POOLS):
            raise ValueError(f"shape.{rows}: expected {usual} rows" + (" or more" if rows in POOLS else ""))
        sizes = {**machine.shape, rows: count}
        held = (table for table in TABLES.values() if table.name not in CONFIGURED)
        if rows in POOLS and sum(buffer_size(table, sizes) for table in held) > LARGEST:
            raise ValueError(f"shape.{rows}: {count} rows are more than fit into {LARGEST} bytes")
        if count != usual:
            machine.resize(rows, count)


def unpacked(body: bytes, total: int, path: str) -> bytearray:
    """The bytes of all chunks, of which there have to be `total`.  ValueError."""
    unpacker = zlib.decompressobj()
    data = bytearray()
    try:
        with progress.task(f"Loading {os.path.basename(path)}", "B", len(body)) as task:
            for start in range(0, len(body), PIECE):
                data += unpacker.decompress(body[start : start + PIECE], total + 1 - len(data))
                if len(data) > total:
                    break
                task.at(start)
    except zlib.error as error:
        raise ValueError(f"the chunks: {error}") from None
    if len(data) != total or not unpacker.eof:
        raise ValueError(f"the chunks: expected {total} bytes")
    return data


def read_chunks(machine: Machine, tables: dict[str, Any], body: bytes, path: str) -> dict[str, Chunks]:
    """The chunks of every table.  ValueError if they do not fit."""
    old: dict[str, Any] = {name: [] for name in LATER}
    tables = {**old, **tables}
    wanted = {
        name: list(stored_chunks(machine, name, tables.get(name))) for name in machine.recorder.tables()
    }
    total = sum(length for chunks in wanted.values() for _, length in chunks)
    data, at = memoryview(unpacked(body, total, path)), 0
    chunks: dict[str, Chunks] = {}
    for name, pairs in wanted.items():
        size = machine.recorder.chunk_size(name)
        found: list[bytes | None] = [None] * -(-len(machine.buffers[name]) // size)
        for number, length in pairs:
            found[number] = packed(bytes(data[at : at + length]))
            at += length
        chunks[name] = Chunks.of(found)
    return chunks


def stored_chunks(machine: Machine, name: str, pairs: Any) -> Iterator[tuple[int, int]]:
    """Number and bytes of the chunks that a file has of a table.  ValueError if the table has no such."""
    size, total = machine.recorder.chunk_size(name), len(machine.buffers[name])
    before = -1
    if not isinstance(pairs, list):
        raise ValueError(f"tables.{name}: expected a list of chunks")
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or any(type(word) is not int for word in pair):
            raise ValueError(f"tables.{name}: expected [chunk, bytes], not {json.dumps(pair)[:40]}")
        number, length = pair
        if not before < number < -(-total // size) or length != min(size, total - number * size):
            raise ValueError(f"tables.{name}: chunk {number} of {length} bytes is out of place")
        before = number
        yield number, length


class SavedProgram:
    """The part of a program that a file of a machine keeps: its source and its names."""

    def __init__(
        self, name: str, file: str, lines: list[str], symbols: dict[str, int], declared_at: dict[str, int]
    ) -> None:
        self.name, self.file, self.source_lines = name, file, lines
        self.symbols, self.declared_at = symbols, declared_at
        self.processes: list[Any] = []
        self.length: int | None = None


def make_program(saved: dict[str, Any] | None) -> SavedProgram | None:
    """The program that the header describes.  ValueError if it is none."""
    if saved is None:
        return None
    check_kinds("program", saved, PROGRAM)
    if not all(isinstance(line, str) for line in saved["lines"]):
        raise ValueError("program.lines: expected strings")
    for key in ("symbols", "places"):
        if not all(type(value) is int for value in saved[key].values()):
            raise ValueError(f"program.{key}: expected a number for every name")
    return SavedProgram(*(saved[key] for key in PROGRAM))
