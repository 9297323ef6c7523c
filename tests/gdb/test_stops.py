"""Breakpoints and displays (items 21 and 24), as far as no program runs."""

# ruff: noqa: E501 - scripts stand on one line

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.long  # each case starts gdb and vmdbg

# Name of the case, behind the items that it is about, to the command lines given with -ex, in -batch.
LINES: dict[str, list[str]] = {
    "24: display": ["info display", "undisplay 9", "undisplay", "display", "delete display 3", "info display"]
}

# Name of the case to what is piped in, without -batch.
PIPED: dict[str, str] = {
    "21: conditions": "break *0x1000\ncondition 1 5 > 3\ncondition 1\ncondition 1 1 +\ncondition\ncondition 9\ncondition 9 1\ncondition 1 $x == 1\ninfo breakpoints\n",
    "21: ignore": "break *0x1000\nignore 1 2\nignore 1 1\nignore 1 0\nignore 1 -5\nignore\nignore 1\nignore 9 1\n",
    "21: temporary and enabled": "break *0x1000\ntbreak *0x1010\ninfo breakpoints\ndisable 1\nenable once 1\ninfo breakpoints\nenable delete 1\nenable count\nenable count 2\nenable once\nenable delete\nenable once 9\nenable 1 2\ndisable 1-2\ninfo breakpoints\nenable 1-2\nenable 9\ndisable 9\ninfo breakpoints\n",
    "21: break if": "tbreak *0x1018 if $x == 3\nbreak *0x1020 if 1\nbreak *0x1028 if 1 +\ninfo breakpoints\n",
    "21: numbers are not used again": "break *0x1000\nbreak *0x1010\nbreak *0x1008\nbreak *0x1020\ndelete 2\np $bpnum\ndelete 9\ndelete 2-1\ndisable $bpnum\ninfo breakpoints\ndelete 4\nbreak *0x1030\np $bpnum\ndelete\ninfo breakpoints\n",
    "24: display": "display\ninfo display\ndisplay 1+1\ndisplay/x 255\ndisplay/c 65\ndisplay $x\ndisplay $x = 5\nset $x = 7\ndisplay\ninfo display\nundisplay 2\ninfo display\n",
    "24: display off and on": "display 1\ndisplay 2\ndisable display 1\ndisplay\ninfo display\nenable display 1\ndisplay\ndelete display 2\nundisplay 2\nundisplay 9\nundisplay 4-5\nundisplay 5-4\nundisplay 1-\ndisable display 9\ndisplay\nundisplay\ninfo display\n",
    "24: display of memory": "display/3x 1\ndisplay/2xw 0x1000\ndisplay/s 0x1000\ndisplay/4xb 0\ndisplay/q 1\ndisplay 1 +\ndisplay *(int*)0\ndisplay/x\ndisplay\ninfo display\n",
    "24: an empty line after display": "display 1\n\np 2\n\n",
}


@pytest.mark.parametrize("name", LINES)
def test_lines(name: str, alike: Callable[..., None]) -> None:
    alike("-batch", *[word for line in LINES[name] for word in ("-ex", line)])


@pytest.mark.parametrize("name", PIPED)
def test_piped_lines(name: str, alike: Callable[..., None]) -> None:
    alike(input=PIPED[name])
