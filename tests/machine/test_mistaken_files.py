"""Machine files with mistakes: one line that names the file, and the key if it is TOML; nothing is booted."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import pytest

from vmdbg.errors import UserError
from vmdbg.machine.config import BY_NAME
from vmdbg.machine.setting import BOOLEAN
from vmdbg.shell.boot import open_target
from vmdbg.shell.permissions import Permissions
from vmdbg.shell.startup import make_session

FORMAT: dict[str, Any] = {
    "name": "own",
    "va_bits": 14,
    "entry_bytes": 2,
    "levels": [{"name": "A", "bits": 2}, {"name": "B", "bits": 4, "leaf": True}, 3],
    "inverted": ["writable"],
    "hierarchical": True,
    "fields": {
        "valid": 15,
        "writable": {"low": 14, "name": "RO"},
        "accessed": 13,
        "dirty": 12,
        "huge": 11,
        "user": 10,
        "frame": {"low": 0, "width": 9},
        "slot_mark": 14,
        "slot": {"low": 0, "width": 9},
    },
}
VALUES: tuple[Any, ...] = (
    0, 1, -1, 2, 7, 63, 64, 1 << 31, 1 << 40, 1 << 62, 1 << 63, 10**30, 0.5, float("inf"), True, False, "",
    "x", "off", "4x4", "3x1", "1048576x1", "64G", "99999999999999999999", "fifo", "no such\nfile", "é",
    "\x00", "1:0", "7:0x1000", [], [1, 2], ["writable", 1], [[0]], {}, {"a": 1}, {"low": 3}, {"bits": 3},
    {"low": 1, "width": 70}, "tutorial16", "nothing.toml", "/", "..", "nothing.vmp", "nothing.py",
)  # fmt: skip


def document() -> dict[str, Any]:
    """A machine with a format of its own, and every setting given."""
    tables: dict[str, Any] = {"format": FORMAT}
    for name, setting in BY_NAME.items():
        if name.endswith((".program", ".file")) or name == "machine.format":
            continue
        first, _, rest = name.partition(".")
        value = setting.default if setting.kind == BOOLEAN else setting.text(setting.default)
        tables.setdefault(first, {})[rest] = value
    tables["machine"] |= {"ram": "4K", "swap.size": "4K"}
    tables["kernel"]["first_frame"] = 1
    return tables


def toml(value: Any) -> str:
    """A TOML value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key_of(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return quoted(value) if isinstance(value, str) else str(value)


def quoted(text: str) -> str:
    """A TOML string."""
    plain = [c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in text]
    return '"' + "".join(plain) + '"'


def key_of(text: str) -> str:
    """A TOML key; one with dots is a table's."""
    return text if text.isascii() and text.replace("_", "").replace(".", "").isalnum() else quoted(text)


def text_of(tables: dict[str, Any]) -> str:
    """The document as a file."""
    lines = []
    for name, table in tables.items():
        if isinstance(table, dict):
            lines.append(f"[{key_of(name)}]")
            lines += [f"{key_of(key)} = {toml(value)}" for key, value in table.items()]
        else:
            lines.insert(0, f"{key_of(name)} = {toml(table)}")
    return "\n".join(lines) + "\n"


def mistaken(chance: random.Random) -> bytes:
    """A document with something else in it, or with damaged text."""
    tables = document()
    if chance.random() < 0.4:
        del tables["format"]
        tables["kernel"]["first_frame"] = "1"
        tables["machine"]["ram"] = "1M"
    for _ in range(chance.choice((1, 1, 1, 2))):
        table: Any = tables
        while True:
            key = chance.choice(list(table) if isinstance(table, dict) else range(len(table)))
            deeper = isinstance(table[key], (dict, list)) and table[key]
            if not deeper or (table is not tables and chance.random() < 0.2):
                break
            table[key] = table[key].copy()
            table = table[key]
        how = chance.randrange(6)
        if how == 0:
            del table[key]
        elif how == 1 and isinstance(table, dict):
            table[chance.choice(("other", "Ram", "a\nb", "machine", "ram"))] = table[key]
        else:
            table[key] = chance.choice(VALUES)
    data = bytearray(text_of(tables).encode())
    if chance.random() < 0.25:
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(data))
            noise = bytes(chance.choices(b'[]{}"=.\n#0\xff\x00', k=chance.randrange(4)))
            data[place : place + chance.randrange(4)] = noise
    return bytes(data)


def boot(file: Path) -> Any:
    """The target of a session that is started with the file."""
    session = make_session(io.StringIO(), io.StringIO(), Permissions())
    return open_target(session, str(file), "", trusted=True)


def refused_files(folder: Path, seed: int, count: int) -> int:
    """Boots from files with mistakes; how many were refused."""
    chance, refused, file = random.Random(seed), 0, folder / "m.toml"
    for _ in range(count):
        data = mistaken(chance)
        file.write_bytes(data)
        said = ""
        try:
            boot(file)
        except UserError as error:
            said = str(error)
        assert not said or str(file) in said, (said, data)
        assert "\n" not in said, (said, data)
        assert len(said) < 400, (said, data)
        refused += bool(said)
    return refused


def test_the_file_without_mistakes_boots(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(text_of(document()))
    assert boot(tmp_path / "m.toml").machine.format.name == "own"


@pytest.mark.long
def test_mistaken_files(tmp_path: Path) -> None:
    assert refused_files(tmp_path, 1, 200) > 100


@pytest.mark.slow
def test_many_mistaken_files(tmp_path: Path) -> None:
    assert refused_files(tmp_path, 2, 2000) > 1000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = [" + "[" * 5000 + "]" * 5001, "not TOML"),
        ("[machine]\nram = " + "9" * 5000, "not TOML"),
        ("[machine]\nram = 9" + "0" * 30, "machine.ram: expected a size such as 64M, 64 B to 64 GiB"),
        ("[machine]\n'a\nb' = 1", "not TOML"),
        ('[machine]\n"a\\nb" = 1', r"unknown key machine.a\nb"),
        ('[machine]\nprogram = "nothing.vmp"', "nothing.vmp: No such file or directory"),
        ('machine = "x"', "unknown key machine"),
        ("[machine]\nram = {size = 1}", "unknown key machine.ram.size"),
        ("[tlb]\nl2 = [1, 2]", "tlb.l2: expected a string (SETSxWAYS), not [1, 2]"),
        ("[machine]\ncpus = true", "machine.cpus: expected an integer, 1 to 64, not True"),
        ("format = 5", "expected a table [format]"),
        ("[format]\nva_bits = 1.5", "format.va_bits: expected an integer"),
        ("[format]\nva_bits = 15", "format.entry_bytes is missing"),
    ],
    ids=range(13),
)
def test_what_is_said(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(UserError) as error:
        boot(tmp_path / "m.toml")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
