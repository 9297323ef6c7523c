"""Style names and their colours.  Views speak of `address` or `fault`; only this file knows ANSI."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    Fragments = Sequence[tuple[str, str]]

STYLES: dict[str, str] = {
    "address": "34",  # blue, as GDB's addresses
    "entry": "35",
    "rights": "32",
    "flags": "32",
    "fault": "31;1",
    "error": "31;1",
    "warning": "33",
    "ok": "32;1",
    "event": "36",
    "command": "36;1",
    "number": "",
    "header": "1",
    "title": "1",
    "time": "33",
    "comment": "2",
    "string": "32",
    "variable": "35",
    "option": "36",
    "changed": "33;1",
    "highlight": "31;1",
}
RESET = "\x1b[0m"


def paint(fragments: Fragments) -> str:
    """Fragments as text with ANSI colours; unknown styles are plain."""
    out = []
    for style, text in fragments:
        code = STYLES.get(style, "")
        out.append(f"\x1b[{code}m{text}{RESET}" if code and text else text)
    return "".join(out)


def wants_colour(stream: IO[str], choice: str = "auto") -> bool:
    """Whether a stream is to be coloured: `always`, `never`, or `auto`: a terminal that can, and no
    NO_COLOR (https://no-color.org) in the environment."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return stream.isatty()
