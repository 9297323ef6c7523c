"""What help and logging say (items 30 and 31)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

# Name of the case, behind the items that it is about, to the command lines given with -ex, in -batch.
LINES: dict[str, list[str]] = {
    "30: what there is no help for": [
        "help nosuch",
        "help info nosuch",
        "help show history nosuch",
        "help 5",
    ],
    "30: help of classes": [
        "help user-defined",
        "help aliases",
        "define-prefix abc",
        "help abc",
        "help set history",
    ],
    "30: apropos": ["apropos", "apropos zzzzz"],
    "30: help of a group": ["help user-defined"],
    "31: logging": [
        "set logging file l.txt",
        "set logging enabled on",
        "p 1",
        "foo",
        "set logging enabled on",
        "set logging enabled off",
        "shell cat l.txt",
    ],
    "31: logging redirect": [
        "set logging redirect on",
        "set logging file m.txt",
        "set logging enabled on",
        "p 1",
        "set logging enabled off",
        "p 2",
        "shell cat m.txt",
    ],
    "31: logging old": ["set logging on", "set logging off"],
}


@pytest.mark.long
@pytest.mark.parametrize("name", LINES)
def test_lines(name: str, alike: Callable[..., None]) -> None:
    alike("-batch", *[word for line in LINES[name] for word in ("-ex", line)])
