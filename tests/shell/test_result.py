"""Results as text, JSON, CSV: one declaration, three forms."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdbg.debugger.output import line_text
from vmdbg.debugger.settings import Settings
from vmdbg.errors import UserError
from vmdbg.views.result import ADDRESS, DATA, FLAG, NUMBER, Column, Lines, Record, Table, joined, render
from vmdbg.views.theme import codes, painter, wants_colour

COLUMNS = [
    Column("pid", kind=NUMBER),
    Column("name"),
    Column("root", kind=ADDRESS),
    Column("minor_faults", "minor", kind=NUMBER),
    Column("stale", "check", kind=FLAG),
    Column("pages", kind=DATA, shown=False),
    Column("bar", "", exported=False),
]
ROWS = [
    (1, "demo", 0x103000, None, True, [1, 2], "#"),
    (22, "a, b", -1, 7, False, [], ""),
]


def text(result, form: str = "", **options: object) -> str:
    return "\n".join(map(line_text, render(result, form, **options)))


def test_a_table_as_text() -> None:
    assert text(Table(COLUMNS, ROWS, title=["above"], notes=["below"])) == (
        "above\n"
        "pid  name  root                minor  check\n"
        "  1  demo  0x103000                -  yes    #\n"
        " 22  a, b  0xffffffffffffffff      7  -\n"
        "below"
    )


def test_a_table_without_rows() -> None:
    assert text(Table(COLUMNS, [], empty="No processes.")) == "No processes."
    assert text(Table(COLUMNS, []), "json") == "[]"
    assert text(Table(COLUMNS, []), "csv") == "pid,name,root,minor_faults,stale,pages"


def test_a_table_as_json() -> None:
    data = json.loads(text(Table(COLUMNS, ROWS), "json"))
    assert data[0] == {
        "pid": 1,
        "name": "demo",
        "root": 0x103000,
        "minor_faults": None,
        "stale": True,
        "pages": [1, 2],
    }
    assert data[1]["root"] == 2**64 - 1
    assert json.loads(text(Table(COLUMNS, ROWS), "json", hex_addresses=True))[0]["root"] == "0x103000"
    assert json.loads(text(Table(COLUMNS, ROWS), "json", indent=2)) == data


def test_a_table_as_csv() -> None:
    rows = list(csv.reader(io.StringIO(text(Table(COLUMNS, ROWS), "csv"))))
    assert rows == [
        ["pid", "name", "root", "minor_faults", "stale", "pages"],
        ["1", "demo", str(0x103000), "", "true", "1 2"],
        ["22", "a, b", str(2**64 - 1), "7", "false", ""],
    ]


def test_rows_may_be_mappings() -> None:
    assert text(Table([Column("a"), Column("b")], [{"b": 2}, {"a": 1, "b": 3}])) == "a  b\n-  2\n1  3"


def test_a_long_table_starts_at_once() -> None:
    read = 0

    def rows():
        nonlocal read
        for number in range(1_000_000):
            read = number
            yield (number,)

    lines = render(Table([Column("n", kind=NUMBER)], rows()))
    assert [line[-1] for line in (next(lines), next(lines))] == [("title", "n"), ("number", "0")]
    assert read < 1000
    streamed = render(Table([Column("n", kind=NUMBER)], rows()), "json")
    assert next(streamed) == '[{"n": 0},'


def test_columns_grow_but_never_shrink() -> None:
    lines = text(Table([Column("n", kind=NUMBER)], ((10**n,) for n in range(8)), headers=False)).split("\n")
    assert {len(line) for line in lines} == {8}


def test_a_record() -> None:
    record = Record({"va": 0x1234, "outcome": "fault", "pa": None, "fault": {"va": -1}}, addresses=["va"])
    assert text(record) == "va       0x1234\noutcome  fault\npa       -\nfault    {'va': -1}"
    assert json.loads(text(record, "json")) == {
        "va": 0x1234,
        "outcome": "fault",
        "pa": None,
        "fault": {"va": 2**64 - 1},
    }
    assert json.loads(text(record, "json", hex_addresses=True))["va"] == "0x1234"
    assert text(record, "csv").startswith("va,outcome,pa,fault\n")


def test_only_the_form_that_is_asked_for_is_computed() -> None:
    def broken() -> dict[str, int]:
        raise AssertionError

    assert text(Record(broken, lines=["drawn"])) == "drawn"
    assert text(Record({"a": 1}, lines=broken), "json") == '{"a": 1}'


def test_lines() -> None:
    assert text(Lines("a\nb")) == "a\nb"
    assert json.loads(text(Lines([[("command", "x"), ("", "y")]]), "json")) == {"text": ["xy"]}
    with pytest.raises(UserError):
        list(render(Lines("a"), "csv"))


def test_several_results_are_one_array() -> None:
    assert json.loads(text(joined([Record({"a": 1}), "b"]), "json")) == [{"a": 1}, {"text": ["b"]}]
    assert json.loads(text(joined([Record({"a": 1})]), "json")) == {"a": 1}
    assert text(joined([Record({"a": 1}), "b"])) == "a  1\nb"


@given(st.lists(st.lists(st.text(max_size=8), min_size=3, max_size=3), max_size=5))
def test_csv_can_be_read_back(rows: list[list[str]]) -> None:
    table = Table([Column("a"), Column("b"), Column("c")], rows)
    assert list(csv.reader(io.StringIO(text(table, "csv"), newline="")))[1:] == rows


def test_paint() -> None:
    settings = Settings()
    settings.set("style address foreground", "blue")
    paint = painter(settings)
    assert paint([("address", "0x1"), ("", " "), ("nonsense", "x")]) == "\x1b[34m0x1\x1b[0m x"
    assert all(code.replace(";", "").isdigit() or code == "" for code in codes(settings).values())


def test_colour_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert wants_colour(Terminal())
    assert not wants_colour(io.StringIO())
    assert wants_colour(io.StringIO(), "always")
    assert not wants_colour(Terminal(), "never")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour(Terminal())
    assert wants_colour(Terminal(), "always")
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_colour(Terminal())


@pytest.mark.parametrize("hex_addresses", [False, True])
def test_rows_in_json_are_as_the_standard_library_writes_them(hex_addresses: bool) -> None:
    columns = [
        Column("va", kind=ADDRESS),
        Column("n", kind=NUMBER),
        Column('a "key"'),
        Column("any", kind=DATA),
    ]
    values = (
        -1,
        0,
        1 << 63,
        True,
        False,
        None,
        1.5,
        "",
        'q"\\',
        "ü \U0001f600",
        "\udc80\n\x1b",
        [1, "x"],
        {"va": 2},
    )
    rows = [[value, value, value, other] for value in values for other in (*values, "")]
    text = "\n".join(render(Table(columns, rows), "json", hex_addresses=hex_addresses))

    def word(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {name: word(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [word(item, key) for item in value]
        if isinstance(value, str):
            return "".join(f"\\{ord(c) - 0xDC00:03o}" if "\udc80" <= c <= "\udcff" else c for c in value)
        if key == "va" and type(value) is int:
            return f"{value & (1 << 64) - 1:#x}" if hex_addresses else value & (1 << 64) - 1
        return value

    wanted = [
        {column.key: word(value, column.key) for column, value in zip(columns, row, strict=True)}
        for row in rows
    ]
    assert text == "[" + ",\n".join(json.dumps(row) for row in wanted) + "]"
