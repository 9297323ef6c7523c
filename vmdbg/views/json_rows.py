"""Rows of a table as JSON, quickly."""

from __future__ import annotations

from vmdbg.units import WORD_MASK, unicode_only

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

JSON_WORDS = {None: "null", True: "true", False: "false"}


def flat_writer(
    addresses: set[str], hex_addresses: bool, quoted: Callable[[str], str]
) -> Callable[[Any], str]:
    """What writes an object of words and numbers as `json.dumps` does, in a third of the time: there may be
    hundreds of thousands.  Its text; empty if the object has anything else in it."""
    heads: dict[str, str] = {}  # of each key what is before its value

    def text_of(item: Any) -> str:
        if type(item) is not dict:
            return ""
        parts = []
        for key, value in item.items():
            kind = type(value)
            head = heads.get(key)
            if head is None:
                head = heads[key] = f"{quoted(key)}: "
            if kind is int:
                if key in addresses:
                    value &= WORD_MASK
                    parts.append(f'{head}"{value:#x}"' if hex_addresses else f"{head}{value}")
                else:
                    parts.append(f"{head}{value}")
            elif kind is str:
                parts.append(head + quoted(value if value.isprintable() else unicode_only(value)))
            elif value is None or kind is bool:
                parts.append(head + JSON_WORDS[value])
            else:
                return ""
        return f"{{{', '.join(parts)}}}"

    return text_of
