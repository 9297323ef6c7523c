"""Traces as users have them: marks of editors, words, quotes, lines that are wrong or endless."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.programs.test_traces import NEEDS_ARROW, SAMPLES, accesses, read
from vmdbg.errors import InputError, UserError
from vmdbg.machine.feeds import NotReady
from vmdbg.programs import is_trace
from vmdbg.programs.traces import parser as parsing
from vmdbg.programs.traces.catalog import BY_NAME, open_trace, recognised
from vmdbg.programs.traces.convert import convert
from vmdbg.programs.traces.stream import unpacked

TEXTS = [name for name, form in BY_NAME.items() if not form.size and form.opened is None and name != "npy"]
LETTERS = {"r": "rRlLgG", "w": "wWsSpP", "x": "iIfFxX", "m": "mM"}


@pytest.mark.parametrize("name", TEXTS)
def test_a_mark_of_utf_8_is_passed_over(tmp_path: Path, name: str, engine: str) -> None:
    data, expected = SAMPLES[name]
    assert read(tmp_path / "t", b"\xef\xbb\xbf" + data, engine) == expected
    assert read(tmp_path / "t", b"\xef\xbb\xbf" + data, engine, name) == expected


def test_a_mark_does_not_move_columns(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"t:1:3: expected an address in hex"):
        read(tmp_path / "t", b"\xef\xbb\xbf0 x\n", format="dinero")


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-be"])
def test_utf_16_is_named(tmp_path: Path, coding: str) -> None:
    text = ("" if coding == "utf-16" else "\ufeff") + "R 0x1000\r\nW 0x2000\r\n"
    for name in ("", "letter-address"):
        with pytest.raises(InputError, match="t: it is text in UTF-16; expected UTF-8"):
            read(tmp_path / "t", text.encode(coding), format=name)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("letter-address", "{} 0x{:x}\n"), ("address-letter", "{1:08x} {0}\n"), ("decimal-letter", "{} {}\n")],
)
def test_each_letter_and_word_is_known(tmp_path: Path, name: str, pattern: str, engine: str) -> None:
    found = [(kind, letter) for kind, letters in LETTERS.items() for letter in letters]
    words = [("r", "READ"), ("r", "load"), ("w", "Write"), ("w", "store"), ("x", "ifetch"), ("m", "modify")]
    kinds = (found + words) * 4
    text = "".join(pattern.format(word, 4096 + 16 * at) for at, (_, word) in enumerate(kinds)).encode()
    expected = [(kind, 4096 + 16 * at) for at, (kind, _) in enumerate(kinds)]
    assert recognised(text) is BY_NAME[name]
    assert read(tmp_path / "t", text, engine) == expected
    assert read(tmp_path / "t", text.replace(b"\n", b" 8 # why\n"), engine) == expected


def test_a_label_of_dinero_is_no_address(tmp_path: Path) -> None:
    assert read(tmp_path / "t", b"2 fade\n0 f\n") == [("x", 0xFADE), ("r", 0xF)]


def test_quotes_hold_what_ends_a_field(tmp_path: Path, engine: str) -> None:
    rows = [
        ["", "", "0x10", "r"],
        ['a, "b"', "", "32", "W"],
        ['"', 'x""', "0x30", "store"],
        [",", '"', "4", "x"],
    ]
    for delimiter, quoting in ((",", csv.QUOTE_MINIMAL), (";", csv.QUOTE_ALL), ("\t", csv.QUOTE_ALL)):
        stream = io.StringIO(newline="")
        writer = csv.writer(stream, delimiter=delimiter, quoting=quoting)
        writer.writerows([["a, b", "x", "address", "op"], *rows])
        found = read(tmp_path / "t", stream.getvalue().encode(), engine)
        assert found == [("r", 0x10), ("w", 32), ("w", 0x30), ("x", 4)]
    with pytest.raises(InputError, match="t:2:11: expected a field for each column"):
        read(tmp_path / "t", b'text,address\n"open,0x10\n', engine)


def test_a_column_may_say_what_is_written(tmp_path: Path) -> None:
    assert read(tmp_path / "t", b"address,is_write\n0x10,0\n0x20,1\n") == [("r", 0x10), ("w", 0x20)]


@NEEDS_ARROW
def test_kinds_of_access_as_pandas_writes_them(tmp_path: Path, engine: str) -> None:
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "t"
    category = pyarrow.array(["r", "write", "r"]).dictionary_encode()
    for name, kinds in (("op", category), ("is_write", [False, True, False])):
        pyarrow.parquet.write_table(pyarrow.table({"va": [1, 2, 3], name: kinds}), path)
        assert accesses(open_trace(str(path), engine=engine)) == [("r", 1), ("w", 2), ("r", 3)]


def test_a_padded_number_is_hex(tmp_path: Path) -> None:
    assert read(tmp_path / "t", b"00001000\n00002000\n") == [("r", 0x1000), ("r", 0x2000)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"R 0x1000\nwhat is this\nW 0x2000\n", "2:6: expected an address in hex"),
        (b"Trace of gcc\n0041f7a0 R\n0041f7a0 W\n", '1:1: expected "ADDRESS R" or "ADDRESS W"'),
        (b"I  0401ab70,3\n L 1ffe,8\n L 1ffe 8\n S 1ffe,8\n", "3:8: expected a hex digit or"),
        (b"bin  etc\nI  0401ab70,3\n L 1ffe,8\n L 1ffe,8\n", '1:1: expected "I  "'),
        (b"99999999999999999999999\n4096\n", "1:1: the address does not fit in 64 bits"),
        (b"0 1000\n7 2000\n1 3000\n", '2:1: expected "0 ", "1 " or "2 "'),
        (b"0x1: R 0x2\n0x1: R 0x2\n0x1 R 0x2\n", '3:1: expected "0xINSTRUCTION'),
    ],
)
def test_a_wrong_record_among_the_first_is_named(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "t"
    with pytest.raises(InputError) as caught:
        read(path, text)
    assert str(caught.value).startswith(f"{path}:{said}")
    parser = open_trace(str(path), skip_bad=True)
    assert len(accesses(parser)) == text.count(b"\n") - 1
    assert parser.bad == 1


def test_a_wrong_line_does_not_make_decimal_numbers_hex(tmp_path: Path) -> None:
    lines = [b"R %d\n" % (4_308_896 + 8 * number) for number in range(400)]
    path = tmp_path / "t"
    path.write_bytes(b"".join([*lines[:100], b"what is this\n", *lines[100:]]))
    found = accesses(open_trace(str(path), skip_bad=True))
    assert found == [("r", 4_308_896 + 8 * number) for number in range(400)]


@pytest.mark.parametrize("length", [100, 103, 104, 105, 208, 209, 1000])
@pytest.mark.parametrize("end", [b"", b"\n", b"\nW 0x1\nW 0x2"])
def test_an_endless_line_is_one_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int, end: bytes
) -> None:
    monkeypatch.setattr(parsing, "TEXT", 104)
    path = tmp_path / "t"
    path.write_bytes(b"R 0x1000\n" + b"y" * length + end)
    parser = open_trace(str(path), "letter-address", skip_bad=True)
    assert accesses(parser) == [("r", 0x1000)] + ([("w", 1), ("w", 2)] if end[1:] else [])
    assert (parser.bad, parser.records) == (1, 4 if end[1:] else 2)
    with pytest.raises(InputError, match=r"t:2:?\d*: expected") as caught:
        accesses(open_trace(str(path), "letter-address"))
    assert len(caught.value.excerpt) < 300


def test_a_mistake_far_to_the_right_shows_no_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"t:1:100005: expected the end of the line") as caught:
        read(tmp_path / "t", b"10" + b" " * 100_002 + b"x\n", format="addresses")
    assert not caught.value.excerpt


def test_a_conversion_leaves_links_devices_and_other_files(tmp_path: Path) -> None:
    source, link, real = tmp_path / "s", tmp_path / "link.csv", tmp_path / "real.csv"
    source.write_bytes(b"R 0x1000\n")
    real.write_bytes(b"old")
    link.symlink_to(real)
    beside = tmp_path / "link.csv.new"
    beside.write_bytes(b"mine")
    assert convert(open_trace(str(source)), str(link), BY_NAME["csv"], 12) == 1
    assert link.is_symlink()
    assert real.read_bytes() == b"address,op\n0x1000,r\n"
    assert beside.read_bytes() == b"mine"
    with pytest.raises(UserError, match="/dev/null: Not a regular file"):
        convert(open_trace(str(source)), "/dev/null", BY_NAME["csv"], 12)
    with pytest.raises(UserError, match=r"x\.parquet\.gz: parquet is not read compressed"):
        convert(open_trace(str(source)), str(tmp_path / "x.parquet.gz"), BY_NAME["parquet"], 12)
    assert not (tmp_path / "x.parquet.gz").exists()


@pytest.mark.parametrize(
    ("text", "trace"),
    [
        (b"read 0x401000\nwrite 0x402000, 0x11\nfetch 0x401000\n", False),
        (b"mmap 0x401000, 4K, rw\nread 0x401000\nread 0x401000\n", False),
        (b"load 0x401000\nstore 0x402000\n", True),
        (b"READ 0x401000\nWRITE 0x402000\n", True),
        (b"\xef\xbb\xbfR 0x1000\nW 0x2000\n", True),
        (b"R 0x1000\nwhat is this\nW 0x2000\n", True),
        ("R 0x1000\n".encode("utf-16"), True),
        (b"hello\n", False),
        (b"\n\n", False),
    ],
)
def test_a_file_without_a_telling_name_is_a_trace_or_a_program(text: bytes, trace: bool) -> None:
    assert is_trace("t", text) is trace
    assert not is_trace("t.vmp", text)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress], ids=["plain", "gzip", "xz"])
def test_who_waits_for_a_pipe_may_be_interrupted(pack: Callable[[bytes], bytes]) -> None:
    """Nothing that came is lost, wherever in the compressed bytes that is."""
    text = b"".join(b"R %d\n" % number for number in range(20_000)) * 2
    data = pack(text[: len(text) // 2]) + pack(text[len(text) // 2 :])

    class Slow(io.RawIOBase):
        """Has something only at every second call."""

        at, turn = 0, 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            self.turn += 1
            if self.turn % 2:
                raise NotReady("")
            piece = data[self.at : self.at + min(len(buffer), 1000)]
            buffer[: len(piece)] = piece
            self.at += len(piece)
            return len(piece)

    stream, _ = unpacked(Slow(), data[:6], "t")
    found, buffer = b"", bytearray(4096)
    while True:
        with contextlib.suppress(NotReady):
            got = stream.readinto(buffer)
            if not got:
                break
            found += buffer[:got]
    assert found == text
