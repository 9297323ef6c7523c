"""Mistakes in `.vmp` programs: one error that points at its place; nothing else ever."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdbg.errors import InputError
from vmdbg.kernel.scheduler import OP, OP_END, OP_EXIT, OP_KIND, OP_LOOP, OP_RANGED
from vmdbg.programs import read_program
from vmdbg.programs.operations import KINDS, OPERATIONS
from vmdbg.programs.options import OPTION_TEXTS
from vmdbg.programs.program import Program
from vmdbg.programs.vmp import KEYWORDS, parse_vmp

ROOT = Path(__file__).resolve().parents[2]
PRESETS = ROOT / "vmdbg" / "machine" / "presets"
PAGE = (ROOT / "docs" / "programs.md").read_text(encoding="utf-8")
WIDE, BASE = 48, 1 << 12
EXAMPLE = PAGE.split("```vmp\n")[1].split("```")[0]
BITS = "does not fit in 16 bits (0x0000..0xffff)"


def parse(text: str, va_bits: int = WIDE, page_size: int = BASE) -> Program:
    return parse_vmp(text.encode(), "t.vmp", va_bits=va_bits, page_size=page_size)


def refused(text: str, va_bits: int = WIDE, page_size: int = BASE) -> str:
    """`LINE:COLUMN: message` and what the carets are below of, of a text that is no program."""
    with pytest.raises(InputError) as caught:
        parse(text, va_bits, page_size)
    error = caught.value
    shown, carets = error.excerpt.split("\n")
    return f"{str(error).removeprefix('t.vmp:')} <{shown[carets.index('^') : carets.rindex('^') + 1]}>"


def test_screen_of_an_unknown_operation(tmp_path: Path) -> None:
    path = tmp_path / "bad.vmp"
    path.write_text("let buf = 4K\n\n\n\n\nloop\n  wirte buf+8, 1\nend\n")
    with pytest.raises(InputError) as caught:
        read_program(str(path), va_bits=WIDE, page_size=BASE)
    assert str(caught.value).removeprefix(f"{tmp_path}/") == (
        'bad.vmp:7:3: unknown operation "wirte"; expected fetch, read, write, mmap, ...'
    )
    assert caught.value.excerpt == "  wirte buf+8, 1\n  ^^^^^"
    assert f"{caught.value.message}\n{caught.value.excerpt}" in PAGE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", None),
        ("# nothing", None),
        ("4 read", '1:1: expected an operation, a declaration or a label, not "4" <4>'),
        ("read", "1:5: expected an address, but the line ends <>"),
        ("read 0,", "1:8: expected a width, but the line ends <>"),
        ("read 0 1", '1:8: expected "," or the end of the line, not "1" <1>'),
        ("read 0, 1, 2", '1:10: expected the end of the line, not "," <,>'),
        ("read 0, 3", "1:9: expected a width of 1, 2, 4 or 8 bytes <3>"),
        ("write 0", '1:8: expected "," and a value, but the line ends <>'),
        ("write 0, 256", "1:10: the value does not fit in 1 byte <256>"),
        ("write 0, -129", "1:10: the value does not fit in 1 byte <-129>"),
        ("read buf", '1:6: unknown name "buf"; expected a number or a name that "let" has made <buf>'),
        ("read 0x", '1:6: invalid number "0x" <0x>'),
        ("read 09", '1:6: invalid number "09" <09>'),
        ("read 12Q", '1:6: invalid number "12Q" <12Q>'),
        ("read 1 +", "1:9: expected a number, but the line ends <>"),
        ("read (1", '1:8: expected an operator or ")", but the line ends <>'),
        ("read 1/0", "1:7: division by zero </0>"),
        ("read 1<<64", "1:9: expected a shift from 0 to 63 <64>"),
        ("read 1E*1E", "1:6: the value does not fit in 64 bits <1E*1E>"),
        ("read " + "(" * 40, "1:39: more than 32 parentheses inside one another <(>"),
        ("read 1 step 2", "1:8: a step without a range; expected A..B with B not included <step>"),
        ("read 5..5", "1:6: the range is empty; expected A..B with B not included <5..5>"),
        ("read 5..9 step -1", "1:6: the range is empty; expected A..B with B not included <5..9 step -1>"),
        ("read 5..9 step 0", "1:16: expected a step that is not 0 and fits in 63 bits <0>"),
        ("loop 3\nread 0", '1:1: this loop has no "end" <loop>'),
        ("  loop 3\nend", "1:3: the loop has no operation <loop>"),
        ("loop 0\nread 0\nend", "1:6: expected a number of rounds from 1 <0>"),
        ("end", '1:1: "end" without a loop <end>'),
        ("loop\n" * 9, "9:1: more than 8 loops inside one another <loop>"),
        ("let read = 1", '1:5: "read" is a word of the language; expected a name <read>'),
        ("let zipf = 1", '1:5: "zipf" is a word of the language; expected a name <zipf>'),
        ("let a = 1\nlet a = 2", '2:5: "a" is there already <a>'),
        ("a:\na: read 0", '2:1: "a" is there already <a>'),
        ("let a 1", '1:7: expected "=", not "1" <1>'),
        ("fork b\nc: read 0", '1:6: no label "b" in this process; labels: c <b>'),
        ("fork b\nloop\nb: read 0\nend", '1:6: the label "b" is inside a loop <b>'),
        ("handler b\nc: read 0", '1:9: no label "b" in this process; labels: c <b>'),
        ("handler b\nexit\nloop\nb: return\nend", '1:9: the label "b" is inside a loop <b>'),
        ("return 1", '1:8: expected the end of the line, not "1" <1>'),
        (
            "handler h\n" + "loop\n" * 5 + "read 0\n" + "end\n" * 5 + "h: return",
            "6:1: more than 4 loops inside one another in a process with a handler <loop>",
        ),
        ("exit 256", "1:6: expected a status from 0 to 255 <256>"),
        ("process a limit=0", "1:17: expected a number from 1 to 2147483647 <0>"),
        (
            "process a size=1",
            '1:11: expected limit=N, cpu=N, oom=N or the end of the line, not "size" <size>',
        ),
        ("process a cpu=1 cpu=2", "1:17: cpu is there already <cpu>"),
        ("process a-b", '1:10: expected limit=N, cpu=N, oom=N or the end of the line, not "-" <->'),
        ("process " + "a" * 17, "1:9: expected a name of at most 16 characters <aaaaaaaaaaaaaaaaa>"),
        (
            "region heep 0 4K rw",
            '1:8: unknown kind of region "heep"; expected ' + f"{', '.join(KINDS)} <heep>",
        ),
        ("region heap 16 4K rw", "1:13: 16 is not a multiple of the page size, 4 KiB <16>"),
        ("region heap 4K 100 rw", "1:16: 100 is not a multiple of the page size, 4 KiB <100>"),
        ("region heap 4K 4K rw page=2M", "1:13: 4K is not a multiple of the page size, 2 MiB <4K>"),
        ("region heap 4K 0 rw", "1:16: expected a size of at least one page <0>"),
        ("region heap 4K 4K rq", '1:19: expected rights such as rw, r-x or none, not "rq" <rq>'),
        ("region heap 4K 4K rr", '1:19: expected rights such as rw, r-x or none, not "rr" <rr>'),
        ("region heap 4K 4K", "1:18: expected rights such as rw, r-x or none <>"),
        ("region heap 4K 4K rw page=3K", "1:27: expected a power of two from 4 KiB <3K>"),
        ("region heap 4K 4K rw page=1K", "1:27: expected a power of two from 4 KiB <1K>"),
        ("region heap 0 8K rw\nregion anon 4K 4K r", "2:13: the region overlaps the one of line 1 <4K 4K>"),
        (
            "read 0\nregion heap 0 4K rw",
            "2:1: regions come before the first operation of a process <region heap 0 4K rw>",
        ),
        (
            "region heap 0x7ffffffff000 8K rw",
            "1:13: the region does not end at 0x7fffffffffff, where user addresses end <0x7ffffffff000 8K>",
        ),
        ("munmap 0x10, 4K", "1:8: 0x10 is not a multiple of the page size, 4 KiB <0x10>"),
        (
            "mmap 0, 4K, rw, populate",
            (
                '1:15: expected page=SIZE, populate, file="PATH", offset=N, shared[=NAME], fixed '
                'or the end of the line, not "," <,>'
            ),
        ),
        ("read 0\x1b[31m", "1:7: unexpected character U+001B <?>"),
        ("read 1²", '1:7: expected "," or the end of the line, not "²" <²>'),
    ],
)
def test_mistakes_point_at_their_place(text: str, message: str | None) -> None:
    if message is None:
        with pytest.raises(InputError, match="expected a process or an operation"):
            parse(text)
    else:
        assert refused(text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("read 0x12345", f"1:6: address 0x12345 {BITS} <0x12345>"),
        ("read -1", f"1:6: address 0xffffffffffffffff {BITS} <-1>"),
        ("read 0xffff, 2", f"1:6: the last of 2 bytes at 0xffff {BITS} <0xffff>"),
        ("read 0..64K+1", f"1:6: address 0x10000 {BITS} <0..64K+1>"),
        ("brk 64K", f"1:5: address 0x10000 {BITS} <64K>"),
        ("region heap 0xff00 512 r", f"1:13: the last of 512 bytes at 0xff00 {BITS} <0xff00 512>"),
    ],
)
def test_addresses_fit_the_machine(text: str, message: str) -> None:
    assert refused(text, va_bits=16, page_size=256) == message


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(InputError, match=r"t\.vmp:2:6: expected text in UTF-8"):
        parse_vmp(b"read 0\nread \xff\xfe", "t.vmp", va_bits=WIDE, page_size=BASE)
    with pytest.raises(InputError, match="at most 1000 characters"):
        parse("read " + "0" * 1000)


# --- mutated programs

TOKENS = sorted(
    {
        *OPERATIONS,
        *KEYWORDS,
        *OPTION_TEXTS,
        "..",
        ",",
        ":",
        "=",
        "0x406000",
        "4K",
        "-1",
        "rw",
        "r-x",
        "(",
        ")",
        "<<",
    }
    | {"~", "/", "%", "0", "64K", "heap", "stack", "table", "#", "\n", " ", "\t", "\0", "é", "9" * 30, "1E"}
)
SEEDS = [
    EXAMPLE,
    (PRESETS / "demo.vmp").read_text(encoding="utf-8"),
    (PRESETS / "tutorial16.vmp").read_text(encoding="utf-8"),
    (
        "process a\nmmap 0x400000, 4M, rw page=2M\nfork child\nexit 1\n"
        "child: brk 8K\nloop\nread 1..9 step 2, 4\nend\n"
    ),
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A program with up to eight pieces replaced, doubled, cut out or put in."""
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.integers(0, 12)))
        new = draw(st.one_of(st.sampled_from(TOKENS), st.text(max_size=4), st.just(text[at:end] * 2)))
        text = text[:at] + new + text[end:]
    data = text.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=4)) + data[at:]
    return data


def check_program(program: Program) -> None:
    """What a machine relies on."""
    for process in program.processes:
        count = len(process.rows) // OP
        words = process.rows.tolist()
        assert len(words) == count * OP
        row, depth, kind = 0, 0, 0
        while row < count:
            word = words[row * OP]
            kind = word & OP_KIND
            depth += (kind == OP_LOOP) - (kind == OP_END)
            assert 0 <= depth <= 8
            assert kind in (OP_LOOP, OP_END) or kind in {op.kind for op in OPERATIONS.values()}
            if kind == OP_END:
                assert 0 < words[row * OP + 1] < row
            if word & OP_RANGED:
                assert words[row * OP + OP] > 0
            row += 2 if word & OP_RANGED else 1
        assert (depth, kind, row) == (0, OP_EXIT, count)
        assert all(0 <= process.rows[at * OP + 1] < count for at in process.references)


@pytest.mark.long
@given(mutated(), st.sampled_from([(16, 256), (32, 4096), (48, 4096), (15, 32), (64, 1 << 16)]))
def test_a_mutated_program_is_read_or_refused(data: bytes, machine: tuple[int, int]) -> None:
    refusal = None
    try:
        program = parse_vmp(data, "m.vmp", va_bits=machine[0], page_size=machine[1])
    except InputError as error:
        refusal = error
    if refusal is None:
        check_program(program)
        return
    assert str(refusal).startswith("m.vmp:")
    assert "\n" not in str(refusal)
    assert not refusal.line or 1 <= refusal.line <= data.count(b"\n") + 1
    assert not refusal.excerpt or refusal.excerpt.count("\n") == 1
