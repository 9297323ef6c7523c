"""Columns of addresses in Parquet files, through pyarrow (docs/decisions/readers-of-traces.md).

The columns are found by their names, as those of a CSV file.  A kind of access is a number (0 read, 1 write,
2 fetch, 3 load and store), a boolean (true: write) or a text, of which the first letter counts.
"""

from __future__ import annotations

from array import array

from vmdbg.engine import writes
from vmdbg.errors import InputError, UserError
from vmdbg.programs.traces.formats.columns import ADDRESSES, KINDS, place_of
from vmdbg.programs.traces.record import TraceFormat
from vmdbg.programs.traces.scan import WRONG_ADDRESS, WRONG_KIND, kind_of, little_endian, put_access, wrong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from vmdbg.programs.traces.record import Access

MAGIC = b"PAR1"
SIZE = 16
ROWS = 1 << 16  # of a batch
MISSING = 'a trace in a Parquet file needs pyarrow: pip install "vmdbg[traces]"'


@writes(fills=True)
def parquet_record(m, at, record):
    """A row: address and kind, as `pieces` gives them."""
    kind = little_endian(m, at + 8, 8)
    if kind < 0 or kind > 3:
        return wrong(m, WRONG_KIND, at)
    if put_access(m, kind, little_endian(m, at, 8), record) == 0:
        return wrong(m, WRONG_ADDRESS, at)
    return at + SIZE


def pieces(path: str) -> Iterator[bytes]:
    """The rows of a file, each two words of 8 bytes.  UserError, InputError."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(f"{path}: {MISSING}.") from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = [name.lower() for name in file.schema_arrow.names]
            place, other = place_of(names, ADDRESSES), place_of(names, KINDS)
            if place < 0:
                shown = ", ".join(names)
                raise InputError(
                    f"expected a column named {', '.join(ADDRESSES[:3])}; there are {shown:.60}", path
                )
            chosen = [file.schema_arrow.names[index] for index in (place, other) if index >= 0]
            for batch in file.iter_batches(ROWS, columns=chosen):
                rows = array("q", bytes(SIZE * batch.num_rows))
                rows[0::2] = words_of(pyarrow, batch.column(chosen[0]), path, chosen[0])
                if other >= 0:
                    rows[1::2] = kinds_of(pyarrow, batch.column(chosen[1]), path, chosen[1])
                yield rows.tobytes()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        said = str(error).splitlines()[0] if str(error) else "damaged"
        raise InputError(f"no Parquet file that can be read: {said:.100}", path) from None


def words_of(pyarrow: Any, column: Any, path: str, name: str) -> array[int]:
    """A column of integers as words.  InputError for any other, with its name."""
    if not pyarrow.types.is_integer(column.type) or column.null_count:
        raise InputError(f"column {name:.40}: expected integers without gaps", path)
    wide = column.cast(pyarrow.int64(), safe=False)
    words: array[int] = array("q")
    words.frombytes(memoryview(wide.buffers()[1])[8 * wide.offset : 8 * (wide.offset + len(wide))])
    return words


def kinds_of(pyarrow: Any, column: Any, path: str, name: str) -> array[int]:
    """A column of kinds, numbers or texts, as words; -1 for what is none.  Of a boolean, true is a write."""
    if pyarrow.types.is_dictionary(column.type):  # a category of pandas
        column = column.dictionary_decode()
    if pyarrow.types.is_boolean(column.type):
        column = column.cast(pyarrow.int8())
    if pyarrow.types.is_integer(column.type):
        return words_of(pyarrow, column, path, name)
    if not (pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type)):
        raise InputError(f"column {name:.40}: expected numbers or texts as kinds of access", path)
    coded = column.dictionary_encode()
    known = [kind_of(ord(text[:1] or " ")) for text in coded.dictionary.to_pylist()]
    if column.null_count:
        raise InputError(f"column {name:.40}: expected a kind of access in each row", path)
    return array("q", [known[index] for index in coded.indices.to_pylist()])


def write(accesses: Iterable[Access], page_bits: int) -> Iterator[bytes]:
    """Columns `address` and `op`; all of it is in memory first, for its index stands behind it."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(f"{MISSING}.") from None
    words, kinds = array("Q"), array("B")
    for kind, va in accesses:
        words.append(va & (1 << 64) - 1)
        kinds.append(kind)
    columns = {"address": pyarrow.array(words, pyarrow.uint64()), "op": pyarrow.array(kinds, pyarrow.uint8())}
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table(columns), sink)
    yield sink.getvalue().to_pybytes()


PARQUET_TABLE = TraceFormat(
    "parquet",
    "Parquet with columns address, op (needs pyarrow)",
    "address: uint64, op: string",
    "Apache Parquet, through pyarrow",
    lambda head: head.startswith(MAGIC),
    parquet_record,
    size=SIZE,
    opened=pieces,
    write=write,
    suffixes=(".parquet",),
)
