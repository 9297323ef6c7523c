"""Traces of Valgrind's lackey: the counts that independent programs got, and what is refused."""

from __future__ import annotations

import gzip
import json
import lzma
from collections import OrderedDict
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdbg.errors import InputError, UserError
from vmdbg.inspect.target import boot
from vmdbg.kernel.scheduler import OP, OP_EXIT, OP_FETCH, OP_KIND, OP_LINE, OP_MODIFY, OP_READ, OP_WRITE
from vmdbg.machine.config import load_config
from vmdbg.machine.long_run import run_until
from vmdbg.programs import read_program
from vmdbg.programs.program import Program
from vmdbg.programs.traces import contents
from vmdbg.programs.traces import parser as parsing
from vmdbg.programs.traces.whole import read_trace

pytestmark = pytest.mark.long

DATA = Path(__file__).resolve().parents[1] / "data"
EXPECTED = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))
TRACES = ["ls.lackey", "sqlite.lackey"]
SHIFT = 12
TEXT = b"==7== Lackey\nI  0401ab70,3\n L 1fff000658,8\n\n S 04033ad0,16\r\n M 04033e06,1\n--7-- bye\n"


@cache
def trace(name: str) -> Program:
    return read_program(str(DATA / f"{name}.xz"), va_bits=48, page_size=1 << SHIFT)


@cache
def pages(name: str) -> list[int]:
    """The page of each access."""
    return [va >> SHIFT for va in trace(name).processes[0].rows[1:-OP:OP]]


def fifo_faults(string: list[int], frames: int) -> int:
    held: OrderedDict[int, None] = OrderedDict()
    faults = 0
    for page in string:
        if page not in held:
            faults += 1
            if len(held) == frames:
                held.popitem(last=False)
            held[page] = None
    return faults


def lru_faults(string: list[int], frames: int) -> int:
    held: OrderedDict[int, None] = OrderedDict()
    faults = 0
    for page in string:
        if page in held:
            held.move_to_end(page)
            continue
        faults += 1
        if len(held) == frames:
            held.popitem(last=False)
        held[page] = None
    return faults


@pytest.mark.parametrize("name", TRACES)
def test_accesses_pages_and_writes(name: str) -> None:
    words = trace(name).processes[0].rows
    kinds = [word & OP_KIND for word in words[0::OP]]
    assert kinds.pop() == OP_EXIT
    assert len(kinds) == EXPECTED[name]["accesses"]
    assert kinds.count(OP_WRITE) + kinds.count(OP_MODIFY) == EXPECTED[name]["writes"]
    assert len(set(pages(name))) == EXPECTED[name]["pages"]


@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize("frames", ["16", "64"])
def test_faults_of_a_model_over_the_rows(name: str, frames: str) -> None:
    expected = EXPECTED[name]["frames"][frames]
    assert fifo_faults(pages(name), int(frames)) == expected["FIFO"]
    assert lru_faults(pages(name), int(frames)) == expected["LRU"]


@pytest.mark.parametrize("name", TRACES)
def test_lines_are_numbered(name: str) -> None:
    lines = [word >> OP_LINE for word in trace(name).processes[0].rows[0:-OP:OP]]
    assert lines == list(range(1, len(lines) + 1))


@pytest.mark.parametrize("name", TRACES)
def test_regions_cover_the_pages_and_nothing_else(name: str) -> None:
    (process,) = trace(name).processes
    regions = process.regions
    covered = [p for r in regions for p in range(r.start >> SHIFT, r.end >> SHIFT)]
    assert covered == sorted(set(pages(name)))
    assert all(before.end < after.start for before, after in pairwise(regions))
    assert {(r.kind, r.rights, r.populate) for r in regions} == {("trace", 15, False)}
    assert process.name == name.removesuffix(".lackey")


def read(path: Path, data: bytes, va_bits: int = 48, resident: bool = False) -> Program:
    path.write_bytes(data)
    return read_program(str(path), va_bits=va_bits, page_size=1 << SHIFT, resident=resident)


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("t.lackey", bytes),
        ("t.lackey.xz", lzma.compress),
        ("t.lackey.gz", gzip.compress),
        ("unnamed", bytes),
        ("unnamed", lzma.compress),
    ],
)
def test_plain_and_compressed(tmp_path: Path, name: str, pack: type[bytes]) -> None:
    words = read(tmp_path / name, pack(TEXT)).processes[0].rows.tolist()
    assert [words[at : at + OP] for at in range(0, len(words), OP)] == [
        [OP_FETCH | 2 << OP_LINE, 0x401AB70, 0, 0],
        [OP_READ | 3 << OP_LINE, 0x1FFF000658, 0, 0],
        [OP_WRITE | 5 << OP_LINE, 0x4033AD0, 0, 0],
        [OP_MODIFY | 6 << OP_LINE, 0x4033E06, 0, 0],
        [OP_EXIT | 7 << OP_LINE, 0, 0, 0],
    ]


def test_resident_pages(tmp_path: Path) -> None:
    regions = read(tmp_path / "t.lackey", TEXT, resident=True).processes[0].regions
    assert [(r.start >> SHIFT, r.size >> SHIFT, r.populate) for r in regions] == [
        (0x401A, 1, True),
        (0x4033, 1, True),
        (0x1FFF000, 1, True),
    ]


def test_too_many_runs_become_the_user_half(tmp_path: Path) -> None:
    text = b"".join(b" L %x,1\n" % (page << SHIFT) for page in range(0, 600, 2))
    regions = read(tmp_path / "t.lackey", text).processes[0].regions
    assert [(r.start, r.size) for r in regions] == [(0, 1 << 47)]
    regions = read(tmp_path / "t.lackey", text, va_bits=32).processes[0].regions
    assert [(r.start, r.size) for r in regions] == [(0, 1 << 32)]
    assert len(read(tmp_path / "t.lackey", text, resident=True).processes[0].regions) == 300
    regions = read(tmp_path / "t.lackey", text + b"I  ffffffffff600000,1\n").processes[0].regions
    assert [(r.start, r.size) for r in regions] == [(-(1 << 47), 1 << 47), (0, 1 << 47)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"X  0401ab70,3", '3:1: expected "I  ", " L ", " S " or " M " (lackey)'),
        (b"I 0401ab70,3", '3:1: expected "I  ", " L ", " S " or " M " (lackey)'),
        (b"I  ,3", "3:4: expected an address in hex (lackey)"),
        (b"I  04g1ab70,3", '3:6: expected a hex digit or "," (lackey)'),
        (b"I  0401ab70", '3:12: expected a hex digit or "," (lackey)'),
        (b"I  0x401ab70,3", '3:5: expected a hex digit or "," (lackey)'),
        (b"I  0401ab70,", "3:13: expected a size in bytes, from 1 (lackey)"),
        (b"I  0401ab70,-3", "3:13: expected a size in bytes, from 1 (lackey)"),
        (b"I  0401ab70,0", "3:13: expected a size in bytes, from 1 (lackey)"),
        (b"I  800000000000,1", "3:4: the address does not fit in 48 bits (lackey)"),
        (b"I  " + b"1" * 17 + b",1", "3:4: the address does not fit in 48 bits (lackey)"),
        (b"\x1b[31m\xff", '3:1: expected "I  ", " L ", " S " or " M " (lackey)'),
    ],
)
def test_lines_that_are_refused(tmp_path: Path, line: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path / "t.lackey", b"I  0401ab70,3\n==1== x\n" + line + b"\n L 10,1\n")
    assert str(caught.value) == f"{tmp_path}/t.lackey:{message}"
    assert caught.value.excerpt.replace("\n", "").isprintable()


@pytest.mark.parametrize("data", [b"", b"==1== nothing\n", lzma.compress(TEXT)[:40], b"\x1f\x8b\x08broken"])
def test_files_without_a_trace(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InputError, match=r"there is no access|nothing in it|cannot be decompressed"):
        read(tmp_path / "t.lackey", data)


def test_a_file_without_line_ends_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "TEXT", 104)
    with pytest.raises(InputError, match=":1: expected the end of the line within 104 B"):
        read(tmp_path / "t.lackey", b"z" * 1000)


def test_a_missing_file() -> None:
    with pytest.raises(UserError, match=r"^none\.lackey: No such file or directory\.$"):
        read_trace("none.lackey", va_bits=48, page_size=1 << SHIFT)


@given(st.integers(0, len(TEXT)), st.integers(0, 3), st.binary(max_size=4), st.booleans())
def test_a_mutated_trace_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, cut: int, new: bytes, packed: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "mutated.lackey"
    data = gzip.compress(TEXT, mtime=0) if packed else TEXT
    at = min(at, len(data))
    message = ""
    try:
        program = read(path, data[:at] + new + data[at + cut :])
    except UserError as error:  # a trace in a format that needs a package that is not here, too
        message = str(error)
    if message:
        assert message.startswith(str(path))
    else:
        assert program.processes[0].rows[-OP] & OP_KIND == OP_EXIT


def test_few_bytes_do_not_become_many(tmp_path: Path) -> None:
    path = tmp_path / "long.xz"
    path.write_bytes(lzma.compress(b" L 1000,4\n" * (7 << 20), preset=0))
    assert path.stat().st_size < 64 << 10
    with pytest.raises(InputError, match="it unpacks to more than 64 MiB"):
        read_program(str(path), va_bits=48, page_size=1 << SHIFT)


@pytest.mark.parametrize("fed", [False, True])
@pytest.mark.parametrize("name", ["x86_32", "sv32", "x86_64", "sv39"])
def test_many_runs_of_pages_become_all_addresses_of_processes(
    name: str, fed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine whose lower half is not all theirs as well."""
    monkeypatch.setattr(contents, "LONG", 100)
    trace = tmp_path / "t.lackey"
    trace.write_text("".join(f" L {page << 13:x},1\n" for page in range(1, 300)))
    machine = boot(load_config("trace").with_({"machine.format": name}), str(trace), fed=fed).machine
    run_until(machine, 299)
    assert machine.counts()["read"] == 299


def test_accesses_of_the_kernel_are_left_out_and_told(tmp_path: Path) -> None:
    """Traces of x86-64 may have fetches of the vsyscall page."""
    trace = tmp_path / "t.lackey"
    trace.write_text(" L 1000,8\nI  ffffffffff600000,3\n")
    program = read_trace(str(trace), va_bits=48, page_size=4096, user_end=1 << 47)
    assert program.remarks == ["1 access of kernel or vsyscall addresses left out."]
    assert len(program.processes[0].rows) == 2 * OP
    assert len(read_trace(str(trace), va_bits=48, page_size=4096).processes[0].rows) == 3 * OP
