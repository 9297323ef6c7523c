"""The page that plays: one HTML file with all moments of a stretch of the record, and nothing from elsewhere.

The data are the JSON of commands at each moment.  Rows and tables that come again are kept once: a moment
has the number of a state of each section, a state the numbers of its rows.
"""

from __future__ import annotations

import json
import os
from html import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

TEMPLATE = os.path.join(os.path.dirname(__file__), "player.html")
EXACT = 1 << 53  # from here on a number of JavaScript is rounded: such ones are hex in a string


class Section:
    """What one command says at all moments.  `shown` are the keys that the page shows; none: all."""

    def __init__(
        self, name: str, title: str, command: str, shown: Sequence[str] = (), addresses: Sequence[str] = ()
    ) -> None:
        self.name, self.title, self.command = name, title, command
        self.shown, self.addresses = list(shown), sorted(addresses)
        self.keys: list[str] = []
        self.rows: list[list[Any]] = []
        self.states: list[list[int]] = []
        self._row_numbers: dict[str, int] = {}
        self._state_numbers: dict[tuple[int, ...], int] = {}

    def add(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """The number of the state with these rows."""
        state = tuple(self._row(row) for row in rows)
        if state not in self._state_numbers:
            self._state_numbers[state] = len(self.states)
            self.states.append(list(state))
        return self._state_numbers[state]

    def _row(self, row: Mapping[str, Any]) -> int:
        for key in row:
            if key not in self.keys:
                self.keys.append(key)
        values = [exact(row.get(key)) for key in self.keys]
        text = json.dumps(values)
        if text not in self._row_numbers:
            self._row_numbers[text] = len(self.rows)
            self.rows.append(values)
        return self._row_numbers[text]

    def data(self) -> dict[str, Any]:
        """The section as the page has it."""
        return {
            "name": self.name,
            "title": self.title,
            "command": self.command,
            "keys": self.keys,
            "shown": [key for key in self.shown if key in self.keys] or self.keys,
            "addresses": self.addresses,
            "rows": self.rows,
            "states": self.states,
        }


def exact(value: Any) -> Any:
    """A value that JavaScript does not round."""
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    return hex(value) if isinstance(value, int) and abs(value) >= EXACT else value


def player_page(
    title: str, program: str, source: Sequence[str], sections: Iterable[Section], moments: Sequence[Any]
) -> str:
    """The page.  A moment has time, event, words, cycles, line, and the number of each section's state."""
    data = {
        "program": program,
        "source": list(source),
        "sections": [section.data() for section in sections],
        "moments": moments,
    }
    with open(TEMPLATE, encoding="utf-8") as file:
        page = file.read()
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return page.replace("@TITLE@", escape(title)).replace("@DATA@", text)
