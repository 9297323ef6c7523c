"""docs/json.md says what the JSON of the looking commands has: no key more, none less."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from vmdbg.shell.boot import open_target
from vmdbg.shell.startup import make_session

PAGE = Path(__file__).parent.parent.parent / "docs" / "json.md"
ARGUMENTS = {
    "translate": "0x401234",
    "walk": "0x401234",
    "split": "0x401234",
    "why": "0x401234 w",
    "tlb lookup": "0x401234",
    "rmap": "0x108",
    "info aliases": "0x401234",
    "pte": "0x108025",
}
KEY = re.compile(r"`(\w+)`")


def sections() -> dict[str, str]:
    """Command -> what the page says of it."""
    parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}


def documented(text: str) -> set[str]:
    """The keys in the first column of a section's table."""
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    return {key for row in rows for key in KEY.findall(row.split("|")[1])}


def shown(command: str) -> object:
    stream = io.StringIO()
    session = make_session(stream, stream)
    session.target = open_target(session, "default", "")
    session.interpreter.try_line(f"{command}/json {ARGUMENTS.get(command, '')}".rstrip())
    session.output.flush()
    return json.loads(stream.getvalue())


@pytest.mark.parametrize("command", sorted(sections()))
def test_the_page_has_the_keys_of_a_command(command: str) -> None:
    data = shown(command)
    row = data[0] if isinstance(data, list) else data
    assert isinstance(row, dict)
    text = sections()[command]
    assert documented(text) == set(row)
    for value in row.values():
        inner = value[0] if isinstance(value, list) and value else value
        if isinstance(inner, dict) and command != "info machine":
            named = set(KEY.findall(text)) | set(KEY.findall(sections()["translate"]))
            assert {key for key in inner if key.islower()} <= named | set(KEY.findall(sections()["tlb"]))
