"""Formats of traces: hand-written samples, an independent reader, both engines, conversions, pieces."""

from __future__ import annotations

import gzip
import importlib.util
import lzma
import random
import struct
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from vmdbg.errors import InputError, UserError
from vmdbg.programs.addresses import Space
from vmdbg.programs.traces import parser as parsing
from vmdbg.programs.traces.catalog import BY_NAME, FORMATS, named, open_trace, recognised, trace_name
from vmdbg.programs.traces.convert import convert
from vmdbg.programs.traces.parser import Parser
from vmdbg.programs.traces.summary import summary
from vmdbg.state.tables import OP, OP_VA

HAVE = {name: importlib.util.find_spec(name) is not None for name in ("pyarrow", "zstandard")}
NEEDS_ARROW = pytest.mark.skipif(not HAVE["pyarrow"], reason="needs pyarrow")
NEEDS_ZSTD = pytest.mark.skipif(not HAVE["zstandard"], reason="needs zstandard")
LETTERS = "rwxm"
WORD = (1 << 64) - 1
VIEW = b"""Output format:
<--record#-> <--instr#->: <---tid---> <record details>
------------------------------------------------------------
           1           0:     3264571 <marker: version 3>
           2           0:     3264571 <marker: filetype 0x240>
           3           1:     3264571 ifetch       3 byte(s) @ 0x00007f86f5e0c003 48 89 e7 mov %rsp -> %rdi
           4           1:     3264571 write        8 byte(s) @ 0x00007ffeb7ff6698 by PC 0x00007f86f5e0c006
           5           1:     3264571 read         8 byte(s) @ 0x00007ffeb7ff6698 by PC 0x00007f86f5e0c00a
View tool results:
               3 : total instructions
"""
SAMPLES: dict[str, tuple[bytes, list[tuple[str, int]]]] = {
    "lackey": (
        b"==7== Lackey\nI  0401ab70,3\n L 1fff000658,8\n\n S 04033ad0,16\r\n M 04033e06,1\n--7-- bye\n",
        [("x", 0x401AB70), ("r", 0x1FFF000658), ("w", 0x4033AD0), ("m", 0x4033E06)],
    ),
    "pinatrace": (
        b"0x7f53c7a3f093: R 0x7ffc2d6a1b58\n0x7f53c7a3f097: W 0x7ffc2d6a1b50 8 0x1\n#eof\n",
        [("r", 0x7FFC2D6A1B58), ("w", 0x7FFC2D6A1B50)],
    ),
    "dynamorio": (VIEW, [("x", 0x7F86F5E0C003), ("w", 0x7FFEB7FF6698), ("r", 0x7FFEB7FF6698)]),
    "csv": (
        b'time,pid,"Address",op,size\n1,7,0x401000,r,8\n2,7,4198400,Write,1\n3,8,"0x10",IFETCH,4',
        [("r", 0x401000), ("w", 4198400), ("x", 16)],
    ),
    "libcachesim-csv": (
        b"time,object_id,object_size,next_access_vtime\n1,5,100,7\n1,6,100,-1\n",
        [("r", 5 * 4096), ("r", 6 * 4096)],
    ),
    "letter-address": (
        b"l 0x1000\ns 0x2000,4\nR 0x3fff\nW 7ff0\nI 0x4000 8\n",
        [("r", 0x1000), ("w", 0x2000), ("r", 0x3FFF), ("w", 0x7FF0), ("x", 0x4000)],
    ),
    "address-letter": (
        b"0041f7a0 R\n13f5e2c0 W\n31348900 r\n",
        [("r", 0x41F7A0), ("w", 0x13F5E2C0), ("r", 0x31348900)],
    ),
    "decimal-letter": (
        b"# decimal\nR 4308896\n4308904 W\nread 0, 8\r\n7 Store\nI 99 8\nm 5\n",
        [("r", 4308896), ("w", 4308904), ("r", 0), ("w", 7), ("x", 99), ("m", 5)],
    ),
    "dinero": (b"2 0 a fetch\n0 1000\n1 70f60888\n4 0\n", [("x", 0), ("r", 0x1000), ("w", 0x70F60888)]),
    "addresses": (b"4096\n0x2000\n 12288 \n", [("r", 4096), ("r", 0x2000), ("r", 12288)]),
    "hex-addresses": (b"0041f7a0\n13f5e2c0\n", [("r", 0x41F7A0), ("r", 0x13F5E2C0)]),
    "champsim": (
        struct.pack("<Q8B6Q", 0x401000, 1, 1, *[3] * 6, 0x7000, 0, 0x8000, 0x9000, 0, 0)
        + struct.pack("<Q8B6Q", 0x401004, 0, 0, *[0] * 6, *[0] * 6),
        [("x", 0x401000), ("r", 0x8000), ("r", 0x9000), ("w", 0x7000), ("x", 0x401004)],
    ),
    "oracle-general": (
        struct.pack("<IQIq", 3, 17, 4096, 9) + struct.pack("<IQIq", 3, 2, 100, -1),
        [("r", 17 * 4096), ("r", 2 * 4096)],
    ),
}  # fmt: skip


def array_file(descr: str, shape: str, body: bytes, version: int = 1) -> bytes:
    said = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    size = struct.pack("<H" if version == 1 else "<I", len(said))
    return b"\x93NUMPY" + bytes([version, 0]) + size + said + body


SAMPLES["npy"] = (
    array_file("'<i8'", "(3,)", struct.pack("<3q", 1, -4096, 7)),
    [("r", 1), ("r", 2**64 - 4096), ("r", 7)],
)
ARRAYS = [
    ("'<u4'", struct.pack("<2I", 1, 0xFFFFFFFF), 2, [("r", 1), ("r", 0xFFFFFFFF)]),
    ("'>u8'", struct.pack(">2Q", 1, 4096), 2, [("r", 1), ("r", 4096)]),
    ("'<i2'", struct.pack("<2h", 1, -1), 2, [("r", 1), ("r", WORD)]),
    ("[('pid', '<u4'), ('addr', '<u8'), ('op', 'S1')]", struct.pack("<IQc", 7, 64, b"W"), 1, [("w", 64)]),
    ("[('op', '>i4'), ('x', '<f8', (2,)), ('va', '>u4')]", struct.pack(">i16xI", 2, 96), 1, [("x", 96)]),
]


def accesses(parser: Parser) -> list[tuple[str, int]]:
    found = []
    while count := parser.chunk():
        rows = parser.op[: OP * count].tolist()
        found += [
            (LETTERS[word & 0x7F], va & WORD) for word, va in zip(rows[::OP], rows[OP_VA::OP], strict=True)
        ]
    parser.trace.close()
    return found


def read(
    path: Path, data: bytes, engine: str = "interpreted", format: str = "", **more: object
) -> list[tuple[str, int]]:
    path.write_bytes(data)
    return accesses(open_trace(str(path), format, engine=engine, **more))  # type: ignore[arg-type]


def random_trace(chance: random.Random, name: str, count: int) -> bytes:
    """A trace of a format as its writer makes it, with addresses near and far."""
    bases = [chance.randrange(1 << 40) << 3 for _ in range(4)]
    found = []
    for _ in range(count):
        va = chance.choice(bases) + chance.randrange(1 << 13)
        found.append((chance.randrange(4), chance.choice((va, va, va, chance.randrange(1 << 46)))))
    write = BY_NAME[name].write
    assert write is not None
    return b"".join(write(iter(found), 12))


@pytest.mark.parametrize("name", SAMPLES)
def test_samples(tmp_path: Path, name: str, engine: str) -> None:
    data, expected = SAMPLES[name]
    found = recognised(data)
    assert found is BY_NAME[name]
    assert read(tmp_path / "t", data, engine) == expected
    assert read(tmp_path / "t", data, engine, name) == expected


@pytest.mark.parametrize(("descr", "body", "count", "expected"), ARRAYS)
@pytest.mark.parametrize("version", [1, 2])
def test_arrays(
    tmp_path: Path, descr: str, body: bytes, count: int, expected: list[tuple[str, int]], version: int
) -> None:
    assert read(tmp_path / "t", array_file(descr, f"({count},)", body, version)) == expected


@pytest.mark.parametrize("name", [form.name for form in FORMATS if form.name != "parquet"])
def test_an_independent_reader_finds_the_same(
    tmp_path: Path, name: str, engine: str, model: Callable[[str], ModuleType]
) -> None:
    readers = model("trace_readers").READERS
    data = random_trace(random.Random(name), name, 3000)
    expected = readers[name](data)
    assert len(expected) == 3000
    assert read(tmp_path / f"t.{name}", data, engine) == expected


@NEEDS_ARROW
def test_parquet(tmp_path: Path, engine: str) -> None:
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "t"
    columns = {"Pid": [1, 1], "VA": pyarrow.array([4096, 2**64 - 1], pyarrow.uint64()), "op": ["R", "store"]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    assert accesses(open_trace(str(path), engine=engine)) == [("r", 4096), ("w", WORD)]
    data = random_trace(random.Random(1), "parquet", 100_000)
    assert len(read(path, data, engine)) == 100_000
    for wrong in ({"x": [1]}, {"va": ["a"]}, {"va": [1, None]}, {"va": [1], "op": [1.5]}):
        pyarrow.parquet.write_table(pyarrow.table(wrong), path)
        with pytest.raises(InputError):
            accesses(open_trace(str(path)))
    with pytest.raises(InputError, match="no Parquet file that can be read"):
        read(path, data[:1000])


def zstd(data: bytes) -> bytes:
    import zstandard

    half = len(data) // 2
    pack = zstandard.ZstdCompressor().compress
    return pack(data[:half]) + pack(data[half:])  # two frames


@pytest.mark.parametrize("name", ["lackey", "champsim"])
@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, pytest.param(zstd, marks=NEEDS_ZSTD)])
def test_compressed(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    data, expected = SAMPLES[name]
    assert read(tmp_path / "t", pack(data)) == expected
    for cut in (1, 9):
        with pytest.raises(InputError, match="cannot be decompressed"):
            read(tmp_path / "t", pack(data)[:-cut], format=name)


def test_pieces_of_a_file_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lackey", "csv", "champsim", "npy"):
        data = random_trace(random.Random(2), name, 60)
        expected = read(tmp_path / "t", data, format=name)
        for text in (128, 200, 336):
            monkeypatch.setattr(parsing, "TEXT", text)
            for rows in (8, 9, 15):
                monkeypatch.setattr(parsing, "ROWS", rows)
                assert read(tmp_path / "t", data, format=name) == expected
        monkeypatch.undo()


def test_a_chunk_can_be_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "ROWS", 16)
    for pack in (bytes, lzma.compress):
        path = tmp_path / "t"
        path.write_bytes(pack(random_trace(random.Random(2), "lackey", 100)))
        parser = open_trace(str(path))
        parts = []
        while True:
            place, records = parser.place, parser.records
            count = parser.chunk()
            if not count:
                break
            parts.append((place, records, parser.op[: OP * count].tolist()))
        for place, records, rows in random.Random(3).sample(parts, len(parts)):
            parser.go(place, records)
            assert parser.chunk() * OP == len(rows)
            assert parser.op[: len(rows)].tolist() == rows


@pytest.mark.parametrize("target", [form.name for form in FORMATS])
def test_round_trips(tmp_path: Path, target: str) -> None:
    if target == "parquet" and not HAVE["pyarrow"]:
        pytest.skip("needs pyarrow")
    first, second, back = tmp_path / "a", tmp_path / "b", tmp_path / "c"  # no name says a format
    first.write_bytes(random_trace(random.Random(target), "lackey", 500))
    form = BY_NAME[target]
    assert convert(open_trace(str(first)), str(second), form, 12) == 500
    assert convert(open_trace(str(second)), str(back), BY_NAME["lackey"], 12) == 500
    before, after = accesses(open_trace(str(first))), accesses(open_trace(str(back)))
    if target in ("oracle-general", "libcachesim-csv"):
        before = [(kind, va // 4096 * 4096) for kind, va in before]
    assert [va for _, va in before] == [va for _, va in after]
    if not form.loses:
        same = {"m": "w"} if target in ("champsim", "dinero", "dynamorio") else {}
        assert [same.get(kind, kind) for kind, _ in before] == [kind for kind, _ in after]


def test_a_file_stays_if_it_cannot_be_converted(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b.csv"
    source.write_bytes(SAMPLES["lackey"][0] + b"I  zz,3\n")
    target.write_bytes(b"old")
    with pytest.raises(InputError):
        convert(open_trace(str(source), "lackey"), str(target), BY_NAME["csv"], 12)
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b.csv"]


def test_a_summary(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_bytes(SAMPLES["lackey"][0])
    facts = summary(open_trace(str(path)), 12)
    assert [facts[kind] for kind in ("accesses", "reads", "writes", "fetches", "modifies")] == [4, 1, 1, 1, 1]
    assert (facts["format"], facts["pages"]) == ("lackey", 3)
    assert (facts["first"], facts["last"]) == (0x401AB70, 0x1FFF000658)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("pinatrace", b"0x1: R 0x2\n0x1 R 0x2\n", ':2:1: expected "0xINSTRUCTION: R 0xADDRESS" (pinatrace)'),
        ("pinatrace", b"0x1: X0 0x2\n", ":1:6: "),
        ("dynamorio", VIEW + b" 9 9: 1 read 8 byte(s) 0x10\n", ':11:28: expected "N byte(s) @ 0xADDRESS"'),
        ("csv", b"address,op\n0x10,q\n", ":2:6: expected the kind of access, such as R or W (csv)"),
        ("csv", b"op,address\nr\n", ":2:2: expected a field for each column of the first line (csv)"),
        ("csv", b"address\n1f\n", ":2:1: expected an address, in decimal or 0x and hex (csv)"),
        ("csv", b"x,y\n1,2\n", ":1:1: expected names of columns, one of them address, addr, va (csv)"),
        ("libcachesim-csv", b"id\n99999999999999\n", ":2:1: the object's number is none of a page"),
        ("letter-address", b"R 0x10\nR 0x10z\n", ":2:7: expected the end of the line (letter-address)"),
        ("letter-address", b"R 0x10\nQ 0x10\n", ":2:1: expected the kind of access"),
        ("address-letter", b"10 R\n10 R8\n", ":2:5: expected the end of the line (address-letter)"),
        ("dinero", b"0 10\n9 10\n", ':2:1: expected "0 ", "1 " or "2 ", and an address (dinero)'),
        ("dinero", b"0 x\n", ":1:3: expected an address in hex (dinero)"),
        ("addresses", b"10\n-1\n", ":2:1: expected an address, in decimal or 0x and hex (addresses)"),
        ("addresses", b"18446744073709551616\n", ":1:1: the address does not fit in 48 bits (addresses)"),
        ("hex-addresses", b"10\n800000000000\n", ":2:1: the address does not fit in 48 bits (hex-addresses)"),
        ("decimal-letter", b"R 10\nR 1a\n", ":2:4: expected the end of the line (decimal-letter)"),
        ("decimal-letter", b"R 10\nR 0x10\n", ":2:4: expected the end of the line (decimal-letter)"),
        ("decimal-letter", b"R 10\n10\n", ":2:3: expected an address in decimal"),
        ("decimal-letter", b"R 10\nR\n", ":2:2: expected an address in decimal"),
        ("decimal-letter", b"10 Q\n", ":1:4: expected the kind of access"),
        ("champsim", SAMPLES["champsim"][0] + b"12345", ": offset 128: expected a record of 64 bytes"),
        ("champsim", bytes(8) + b"\2" + bytes(55), ": offset 8: expected 0 or 1 as the flags"),
        ("oracle-general", struct.pack("<IQIq", 1, 2, 3, -9), ": offset 16: expected when the object is"),
        ("oracle-general", struct.pack("<IQIq", 1, 1 << 40, 3, 9), ": offset 4: the object's number is"),
        ("npy", array_file("'<u8'", "(3,)", bytes(16)), ": offset 84: the header says 3 records, but"),
        ("npy", array_file("'<f8'", "(3,)", bytes(24)), ": offset 10: expected integers as addresses"),
        ("npy", array_file("'<u8'", "(3, 2)", bytes(48)), ": offset 10: expected an array of one dimension"),
        ("npy", array_file(f"[('x', '<u8', ({10**40},)), ('va', '<u8')]", "(1,)", b""), ": offset 10: "),
        ("npy", array_file(f"'<u{'9' * 5000}'", "(1,)", b""), ": offset 10: expected integers, letters or"),
        ("npy", array_file("[('va', 7)]", "(1,)", b""), ": offset 10: expected the name and the type of"),
        ("npy", b"\x93NUMPY\1\0\xff\xff{", ": offset 10: expected the header of a .npy file (npy)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, name: str, data: bytes, message: str, engine: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path / "t", data, engine, name, space=Space(48, 4096))
    assert str(caught.value).startswith(f"{tmp_path}/t{message}")
    assert "\n" not in str(caught.value)
    assert "-skip-bad" in caught.value.hint or "Traces that can be read" in caught.value.hint


def test_decimal_numbers_with_letters_are_seen_if_they_are_many() -> None:
    """Hex numbers without 0x may have no digit above 9; of many some have."""
    for pattern, hexadecimal in (("R %d\n", "letter-address"), ("%d W\n", "address-letter")):
        lines = [(pattern % (4_308_896 + 8 * number)).encode() for number in range(400)]
        assert recognised(b"".join(lines)) is BY_NAME["decimal-letter"]
        assert recognised(b"".join(lines[:63])) is BY_NAME[hexadecimal]
        assert recognised(b"".join(lines[:63]) * 9) is BY_NAME[hexadecimal]
        for other in ("1a", "007"):
            mixed = b"".join([*lines[:300], pattern.replace("%d", other).encode()])
            assert recognised(mixed) is BY_NAME[hexadecimal]
    assert recognised(b"# decimal\r\nR 20000\r\n") is BY_NAME["decimal-letter"]


def test_formats_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this is no trace that can be read") as caught:
        read(tmp_path / "t", b"hello\n")
    assert all(form.name in caught.value.hint for form in FORMATS)
    with pytest.raises(InputError, match="there is nothing in it"):
        read(tmp_path / "t", b"")
    with pytest.raises(UserError, match='No format of traces is named "foo"'):
        read(tmp_path / "t", b"", format="foo")


def test_bad_records_are_counted(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "t"
    text = b"I  0401ab70,3\nwhat\n L 10,0\n L 20,8\n" * 500 + b" S 30"
    path.write_bytes(text)
    parser = open_trace(str(path), "lackey", skip_bad=True, engine=engine)
    assert accesses(parser) == [("x", 0x401AB70), ("r", 0x20)] * 500
    assert parser.bad == 1001
    path.write_bytes(SAMPLES["champsim"][0] + bytes(8) + b"\7" + bytes(55) + SAMPLES["champsim"][0] + b"rest")
    parser = open_trace(str(path), "champsim", skip_bad=True, engine=engine)
    assert accesses(parser) == 2 * SAMPLES["champsim"][1]
    assert parser.bad == 2


@pytest.mark.parametrize("name", ["lackey", "addresses", "champsim"])
def test_kernel_addresses_are_left_out(tmp_path: Path, name: str, engine: str) -> None:
    texts = {
        "lackey": b"I  ffffffffff600000,3\n L 10,1\n S ffff800000000000,8\n",
        "addresses": b"0xffffffffff600000\n16\n18446603336221196288\n",
        "champsim": struct.pack("<Q8x6Q", WORD, 0, 0, 16, WORD - 7, 0, 0),
    }
    path = tmp_path / "t"
    path.write_bytes(texts[name])
    parser = open_trace(str(path), name, space=Space(48, 4096, 1 << 47), engine=engine)
    assert [va for _, va in accesses(parser)] == [16]
    assert parser.left_out == 2
    with pytest.raises(InputError, match="does not fit in 48 bits"):
        read(path, b"0x800000000000\n", engine, "addresses", space=Space(48, 4096, 1 << 47))


@pytest.mark.parametrize("digits", range(1, 24))
def test_numbers_of_any_length(tmp_path: Path, digits: int, engine: str) -> None:
    for text in ("1" * digits, "f" * digits, "0" * digits + "1", "8" + "0" * (digits - 1)):
        value = int(text, 16)
        if value < 1 << 62 or 1 << 63 <= value <= WORD:
            assert read(tmp_path / "t", f"{text}\n".encode(), engine, "hex-addresses") == [("r", value)]
        else:
            with pytest.raises(InputError):
                read(tmp_path / "t", f"{text}\n".encode(), engine, "hex-addresses")
    for text in ("9" * digits, "1" * digits, "18446744073709551615", "9223372036854775808"):
        value = int(text)
        if value < 1 << 62 or 1 << 63 <= value <= WORD:
            assert read(tmp_path / "t", f"{text}\n".encode(), engine, "addresses") == [("r", value)]
        else:
            with pytest.raises(InputError):
                read(tmp_path / "t", f"{text}\n".encode(), engine, "addresses")


def test_names(tmp_path: Path) -> None:
    assert trace_name("/x/ls.lackey.xz") == "ls"
    assert trace_name("600.perlbench_s-210B.champsimtrace.xz") == "600.perlbench_s-210B"
    assert trace_name("-") == "stdin"
    assert named("a.din.gz") is BY_NAME["dinero"]
    assert named("a.txt") is None
    assert len({form.name for form in FORMATS}) == len(FORMATS)
    assert all(form.summary and form.sample and form.source for form in FORMATS)


def test_a_chunk_of_a_long_trace_is_compiled(tmp_path: Path, both: None) -> None:
    path = tmp_path / "t"
    path.write_bytes(b" L 1fff000658,8\nI  0401ab70,3\n" * 20_000)
    parser = open_trace(str(path))
    assert accesses(parser) == [("r", 0x1FFF000658), ("x", 0x401AB70)] * 20_000
    assert parser._code is not None
