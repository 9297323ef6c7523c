"""The `.vmp` language: rows, checks, errors that point, and the page that describes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmdbg.errors import InputError, UserError
from vmdbg.kernel.calls.syscalls import MMAP_PAGE_SHIFT, MMAP_POPULATE
from vmdbg.kernel.scheduler import (
    OP,
    OP_END,
    OP_EXIT,
    OP_FETCH,
    OP_KERNEL,
    OP_KIND,
    OP_LINE,
    OP_LOOP,
    OP_MODIFY,
    OP_RANGED,
    OP_READ,
    OP_WIDTH,
    OP_WRITE,
)
from vmdbg.programs import read_program
from vmdbg.programs.operations import (
    OP_BRK,
    OP_FORK,
    OP_HANDLER,
    OP_MMAP,
    OP_MPROTECT,
    OP_MUNMAP,
    OP_RETURN,
    OPERATIONS,
    operations_table,
)
from vmdbg.programs.options import OPTION_TEXTS
from vmdbg.programs.program import Program
from vmdbg.programs.vmp import parse_vmp

ROOT = Path(__file__).resolve().parents[2]
PRESETS = ROOT / "vmdbg" / "machine" / "presets"
PAGE = (ROOT / "docs" / "programs.md").read_text(encoding="utf-8")
WIDE, BASE = 48, 1 << 12
EXAMPLE = PAGE.split("```vmp\n")[1].split("```")[0]


def parse(text: str, va_bits: int = WIDE, page_size: int = BASE) -> Program:
    return parse_vmp(text.encode(), "t.vmp", va_bits=va_bits, page_size=page_size)


def rows(text: str, va_bits: int = WIDE, page_size: int = BASE) -> list[list[int]]:
    """The rows of the first process, without the lines, but for the last `exit`."""
    words = parse(text, va_bits, page_size).processes[0].rows.tolist()
    found = [words[at : at + OP] for at in range(0, len(words), OP)]
    assert found[-1][0] & OP_KIND == OP_EXIT
    return [[word & ((1 << OP_LINE) - 1), *rest] for word, *rest in found[:-1]]


def test_accesses() -> None:
    assert rows("fetch 0x400000\nread 4K, 8\nwrite 0, 0x2a\nmodify 8, -1, 2") == [
        [OP_FETCH | 1 << OP_WIDTH, 0x400000, 0, 0],
        [OP_READ | 8 << OP_WIDTH, 4096, 0, 0],
        [OP_WRITE | 1 << OP_WIDTH, 0, 42, 0],
        [OP_MODIFY | 2 << OP_WIDTH, 8, 0xFFFF, 0],
    ]


def test_words_are_kept_as_tables_keep_them() -> None:
    assert rows("write 0xffff800000000000, 0xffffffffffffffff, 8") == [
        [OP_WRITE | 8 << OP_WIDTH, -(1 << 47), -1, 0]
    ]


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("read 0..3", [0, 1, 2]),
        ("read 0..16, 8", [0, 8]),
        ("read 0..17 step 8", [0, 8, 16]),
        ("read 0 .. 3*4 step 4, 4", [0, 4, 8]),
        ("read 32..0 step -16", [32, 16]),
        ("read 32..-1 step -16", [32, 16, 0]),
        ("read -32..0 step 16", [-32, -16]),
        ("read -32..-24 step 4", [-32, -28]),
    ],
)
def test_ranges(text: str, addresses: list[int]) -> None:
    access, (count, step, *rest) = rows(text)
    assert access[0] & OP_RANGED
    assert [access[1] + index * step for index in range(count)] == addresses
    assert rest == [0, 0]


def test_a_range_over_millions_of_addresses_is_two_rows() -> None:
    assert len(rows("read 0..1G")) == 2


def test_loops() -> None:
    assert rows("read 0..2\nloop 3\nloop\nread 1\nend\nend")[2:] == [
        [OP_LOOP, 3, 0, 0],
        [OP_LOOP, (1 << 63) - 1, 0, 0],
        [OP_READ | 1 << OP_WIDTH, 1, 0, 0],
        [OP_END, 4, 0, 0],
        [OP_END, 3, 0, 0],
    ]


def test_rows_that_name_rows_move_with_the_process() -> None:
    # The count of the range, 9, looks like the end of a loop.
    spec = parse("read 0..9\nloop 2\nread 0\nend\nfork child\nexit\nchild:\nread 1").processes[0]
    moved = spec.relocated(100)
    changed = {
        at: new - old for at, (old, new) in enumerate(zip(spec.rows, moved, strict=True)) if new != old
    }
    assert changed == {4 * OP + 1: 100, 5 * OP + 1: 100}
    assert spec.rows[5 * OP + 1] == spec.labels["child"] == 7


def test_lines() -> None:
    spec = parse("\n# nothing\nprocess a\nread 0\nread 0..2 step 1\n\n").processes[0]
    words = spec.rows.tolist()
    assert [words[0] >> OP_LINE, words[4] >> OP_LINE, words[12] >> OP_LINE] == [4, 5, 5]
    assert spec.lines == (3, 5)


def test_system_calls() -> None:
    text = """
    mmap 0x406000, 4K, rw
    mmap 0x600000, 4M, r page=2M populate
    mprotect 0x406000, 4K, none
    munmap 0x406000, 4K
    brk 0x408010
    fork
    exit 3
    """
    assert rows(text + "read 0")[:-1] == [
        [OP_MMAP, 0x406000, 4096, 11],
        [OP_MMAP, 0x600000, 4 << 20, 9 | 21 << MMAP_PAGE_SHIFT | MMAP_POPULATE],
        [OP_MPROTECT, 0x406000, 4096, 8],
        [OP_MUNMAP, 0x406000, 4096, 0],
        [OP_BRK, 0x408010, 0, 0],
        [OP_FORK, -1, 0, 0],
        [OP_EXIT, 3, 0, 0],
    ]


def test_handlers() -> None:
    text = "handler a\nread 0\nhandler\nexit\na: return\n"
    spec = parse(text).processes[0]
    words = spec.rows.tolist()
    found = [[words[at] & OP_KIND, *words[at + 1 : at + OP]] for at in range(0, len(words), OP)]
    assert found[0] == [OP_HANDLER, 4, 0, 0]
    assert found[2] == [OP_HANDLER, -1, 0, 0]
    assert found[4] == [OP_RETURN, 0, 0, 0]
    assert found[5][0] == OP_EXIT
    assert spec.references == [0]
    assert spec.relocated(100)[1] == 104


@pytest.mark.parametrize("name", OPTION_TEXTS)
def test_words_of_options_can_be_names(name: str) -> None:
    text = f"let {name} = 4K\nregion data {name} {name} rw page={name}\nread {name}..8K step {name}, 1"
    program = parse(f"{text}\nread random({name}, {name}, step={name}, count={name})\n{name}2: exit")
    assert program.processes[0].regions[0].start == program.symbols[name] == 4096


def test_names_have_lines() -> None:
    program = parse("let a = 1\nprocess p\nb: read a\nb2:\nprocess q\nb: read 0")
    assert program.declared_at == {"a": 1, "p": 2, "b": 3, "b2": 4, "q": 5}


def test_every_kind_is_there_once() -> None:
    kinds = [operation.kind for operation in OPERATIONS.values()]
    assert len(set(kinds)) == len(kinds)
    plain = {OP_READ, OP_WRITE, OP_FETCH, OP_MODIFY}
    assert {kind for kind in kinds if kind < OP_EXIT} == plain
    assert {kind ^ OP_KERNEL for kind in kinds if kind > OP_KIND} == {OP_READ, OP_WRITE}


def test_a_process_ends_with_one_exit() -> None:
    assert len(parse("read 0").processes[0].rows) == 2 * OP
    assert len(parse("read 0\nexit 1").processes[0].rows) == 2 * OP
    assert len(parse("fork a\nexit 1\na:").processes[0].rows) == 3 * OP
    assert len(parse("process a").processes[0].rows) == OP


def test_processes() -> None:
    program = parse("process a limit=16 cpu=1\nread 0\nprocess b\nregion heap 0 4K rw\nlet n = 1\nread n")
    assert [(p.name, p.limit, p.cpu, p.lines) for p in program.processes] == [
        ("a", 16, 1, (1, 2)),
        ("b", None, -1, (3, 6)),
    ]
    assert program.symbols == {"n": 1}
    assert program.source_lines[1] == "read 0"


def test_a_program_without_a_process_is_one() -> None:
    program = parse("read 0")
    assert [spec.name for spec in program.processes] == [program.name] == ["t"]


def test_regions() -> None:
    text = "region text 0x400000 16K r-x\nregion anon 8M 2M rw-u page=2M populate\nregion stack -8K 8K none"
    regions = parse(text).processes[0].regions
    assert [(r.kind, r.start, r.size, r.rights, r.page_size, r.populate, r.line) for r in regions] == [
        ("text", 0x400000, 16384, 13, 0, False, 1),
        ("anon", 8 << 20, 2 << 20, 11, 2 << 20, True, 2),
        ("stack", -8192, 8192, 8, 0, False, 3),
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("-5 % 3", -2),
        ("-7 / 2", -3),
        ("1 << 4 | 2", 18),
        ("6 & 3 ^ 1", 3),
        ("~0 & 0xff", 255),
        ("- - 1", 1),
        ("2K + 1KiB", 3072),
        ("017 + 0b11", 18),
        ("10 - 2 - 3", 5),
        ("0xffffffffffffffff", (1 << 64) - 1),
        ("before + 1", 8),
    ],
)
def test_expressions(text: str, value: int) -> None:
    assert parse(f"let before = 7\nlet n = {text}\nread 0").symbols["n"] == value


def test_the_last_addresses_of_a_machine_are_good() -> None:
    assert rows("region heap 0xff00 256 rw\nread 0xfffe, 2\nread 0xfff0..64K", 16, 256)[0][1] == 0xFFFE
    assert rows("read 0xfffffffffffffff8, 8")[0][1] == -8


def test_a_range_stays_in_its_half() -> None:
    with pytest.raises(InputError, match="leaves its half"):
        parse("read 0..0xffff800000000001 step 0xffff800000000000 / 4")
    assert parse("read 0x7fff00000000..0x800000000000 step 4K").processes


def test_line_ends_and_marks_of_other_systems() -> None:
    data = b"\xef\xbb\xbfread 1\r\nread 2\r\n"
    assert parse_vmp(data, "t.vmp", va_bits=WIDE, page_size=BASE).source_lines == ["read 1", "read 2"]


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^nothing\.vmp: No such file or directory\.$"):
        read_program("nothing.vmp", va_bits=WIDE, page_size=BASE)
    with pytest.raises(UserError, match="Is a directory"):
        read_program(str(tmp_path), va_bits=WIDE, page_size=BASE)
    elf = tmp_path / "a.out"
    elf.write_bytes(b"\x7fELF" + b"\0" * 60)
    with pytest.raises(InputError, match="a damaged ELF file"):
        read_program(str(elf), va_bits=WIDE, page_size=BASE)


# --- what comes with vmdbg


def test_the_tutorial_is_as_its_screens_say() -> None:
    program = read_program(str(PRESETS / "tutorial16.vmp"), va_bits=16, page_size=256)
    (process,) = program.processes
    assert [line.split()[0] for line in program.source_lines[3:7]] == ["write", "read", "write", "exit"]
    assert program.source_lines[3] == "write 0x0000, 0x2a"
    assert [word >> OP_LINE for word in process.rows[0::OP]] == [4, 5, 6, 7]
    assert process.rows[1::OP].tolist() == [0, 1, 0x110, 0]
    assert [(r.kind, r.start, r.size, r.rights) for r in process.regions] == [("heap", 0, 0x8000, 11)]


def test_the_demo_has_done_twelve_operations_when_the_prompt_comes() -> None:
    program = read_program(str(PRESETS / "demo.vmp"), va_bits=WIDE, page_size=BASE)
    (process,) = program.processes
    assert [(r.kind, hex(r.start), hex(r.end), r.rights) for r in process.regions] == [
        ("text", "0x400000", "0x404000", 13),
        ("data", "0x404000", "0x406000", 11),
        ("heap", "0x406000", "0x416000", 11),
        ("file", "0x548000", "0x549000", 11),
        ("shared", "0x54a000", "0x54c000", 11),
        ("anon", "0x7f0000000000", "0x7f0000200000", 11),
        ("anon", "0x7fffffefe000", "0x7fffffeff000", 8),
        ("stack", "0x7fffffffb000", "0x7ffffffff000", 11),
    ]
    done = []
    words = process.rows.tolist()
    row = 0
    while len(done) < 12:
        word, va, value, _ = words[row * OP : row * OP + OP]
        assert word & OP_KIND < OP_LOOP
        count, step = words[row * OP + OP : row * OP + OP + 2] if word & OP_RANGED else (1, 0)
        done += [(word & 3, va + step * index, value) for index in range(count)]
        row += 2 if word & OP_RANGED else 1
    assert len(done) == 12
    assert words[row * OP] & OP_KIND != OP_EXIT
    assert {va >> 12 for how, va, _ in done if how == OP_FETCH} == {0x400, 0x401, 0x402}
    written = {va >> 12: value for how, va, value in done if how == OP_WRITE}
    assert written[0x406] == 0x11
    assert set(written) == {0x404, 0x406, 0x407, 0x54A, 0x7F0000000, 0x7FFFFFFFE}


# --- the page of the language


def test_the_page_has_the_table_of_operations() -> None:
    assert operations_table() in PAGE, "run scripts/docs"


def test_the_example_of_the_page_is_a_program() -> None:
    assert parse(EXAMPLE).symbols == {"table": 0x404000}
