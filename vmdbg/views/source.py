"""Lines of a program with the roles of their parts, for `list`."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.views.result import Fragments

PARTS = re.compile(
    r'(?P<comment>#.*)|(?P<string>"[^"]*")|(?P<address>0[xX][0-9A-Fa-f]+)|(?P<number>[0-9][0-9A-Za-z]*)'
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|."
)


def source_line(number: int, text: str, coloured: bool) -> Fragments | str:
    """`26<TAB>write 0x406000, 0x11` with roles if it is to be coloured."""
    lead = f"{number}\t"
    if not coloured:
        return (lead + text).rstrip()
    out: list[tuple[str, str]] = [("metadata", lead)]
    first = True
    for found in PARTS.finditer(text.rstrip()):
        kind = found.lastgroup or ""
        if kind == "word":
            kind = "command" if first else ""
            first = False
        out.append((kind, found[0]))
    return out
