"""Dumps of memory in hex: what tools and textbooks print is read back."""

from __future__ import annotations

import shutil
import subprocess

import hypothesis
import pytest
from hypothesis import strategies as st

from vmdbg.debugger.hex_dumps import read_dump
from vmdbg.errors import InputError

PAGE = 32


def pieces(text: str, start: int = 0) -> list[tuple[int, bytes]]:
    found = read_dump(text.splitlines(keepends=True), "sheet", start, PAGE)
    return [(piece.address, bytes(piece.data)) for piece in found]


ROWS = (b"\0" * 16, b" " * 16, b"deadbeefcafe ||  ", b"0123456789abcdef")
contents = st.one_of(
    st.binary(min_size=1, max_size=200), st.lists(st.sampled_from(ROWS), min_size=1).map(b"".join)
)
TOOLS = {
    "hexdump": (["hexdump", "-C"], False),
    "od": (["od", "-A", "x", "-t", "x1"], False),
    "od with a picture": (["od", "-A", "x", "-t", "x1z", "-v"], False),
    "xxd": (["xxd"], True),
    "xxd by bytes": (["xxd", "-g", "1"], True),
    "xxd plain": (["xxd", "-p"], False),
}


@pytest.mark.long
@pytest.mark.parametrize("tool", TOOLS)
def test_what_a_tool_prints_is_read_back(tool: str) -> None:
    command, _ = TOOLS[tool]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")

    @hypothesis.settings(max_examples=40)
    @hypothesis.given(contents)
    def scenario(content: bytes) -> None:
        done = subprocess.run(command, input=content, capture_output=True, check=True)
        found = pieces(done.stdout.decode("ascii"))
        assert found == [(0, content)]

    scenario()


@hypothesis.given(st.binary(min_size=1, max_size=100), st.sampled_from((1, 2, 4, 8)), st.integers(0, 1 << 40))
def test_what_a_debugger_prints_is_read_back(content: bytes, width: int, at: int) -> None:
    content += bytes(-len(content) % width)
    words = [
        int.from_bytes(content[place : place + width], "little") for place in range(0, len(content), width)
    ]
    lines = [
        f"{at + 4 * width * row:#x} <pt+{row}>:\t"
        + "\t".join(f"0x{word:0{2 * width}x}" for word in words[4 * row :][:4])
        for row in range(-(-len(words) // 4))
    ]
    assert pieces("\n".join(lines)) == [(at, content)]


@hypothesis.given(
    st.lists(st.tuples(st.integers(0, 127), st.binary(min_size=PAGE, max_size=PAGE)), min_size=1)
)
def test_pages_of_a_sheet_are_read_back(sheet: list[tuple[int, bytes]]) -> None:
    for gap in ("", " "):
        text = "\n".join(
            f"page {number:3}:{gap}{content.hex(gap) if gap else content.hex()}" for number, content in sheet
        )
        memory: dict[int, int] = {}
        for address, data in pieces(text):
            memory.update(enumerate(data, address))
        expected: dict[int, int] = {}
        for number, content in sheet:
            expected.update(enumerate(content, number * PAGE))
        assert memory == expected


def test_bytes_without_an_address_follow_those_before() -> None:
    assert pieces("# a sheet\n01 02\n\n0304\n", start=0x40) == [(0x40, b"\1\2\3\4")]
    assert pieces("0x10: 01\n02 03\n20: 04") == [(0x10, b"\1\2\3"), (0x20, b"\4")]
    assert pieces("frame 0x2: 7f") == [(0x40, b"\x7f")]
    assert pieces("") == pieces("*\n# nothing\n") == []


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("page x: 00", 1),
        ("10: 0", 1),
        ("00 01\n10: zz", 2),
        ("walk 0x1000", 1),
        ("0x10: 0x11223344556677889", 1),
    ],
)
def test_what_is_no_dump_is_refused_with_its_line(line: str, number: int) -> None:
    with pytest.raises(InputError, match=f"^sheet:{number}: expected bytes in hex"):
        pieces(line)
