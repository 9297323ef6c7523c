"""What a command of a `Session` gave: text, data, records, HTML."""

from __future__ import annotations

import re
from dataclasses import make_dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from vmdbg.views.html import html_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vmdbg.views.drawing import Drawing
    from vmdbg.views.result import Line

# How styled pieces of text are marked while they are collected: a text has no control characters of its own.
OPEN, MIDDLE, CLOSE = "\x0e", "\x1f", "\x0f"
MARKED = re.compile(f"{OPEN}([a-z]*){MIDDLE}([^{CLOSE}]*){CLOSE}")


def marked(fragments: Sequence[tuple[str, str]]) -> str:
    """A line of fragments as text that still says which is which."""
    return "".join([f"{OPEN}{role}{MIDDLE}{text}{CLOSE}" if role else text for role, text in fragments])


class CommandResult:
    """What a command gave.

    `str()` is the text that the prompt prints and `data` the object or array that `/json` prints, None for a
    command that has no JSON form; `record` is the same as frozen dataclasses.  Items, iteration and length
    are those of `data`: `result["pa"]`.  `remarks` are the lines that go beside results, such as warnings.
    A notebook shows the text in colours, and what was drawn above it: of `walk`, the tables.
    """

    def __init__(
        self,
        line: str,
        content: str,
        data: Any = None,
        remarks: tuple[str, ...] = (),
        name: str = "",
        pictures: Iterable[Drawing] = (),
    ) -> None:
        self.line, self.data, self.remarks = line, data, remarks
        self._content, self._name, self._pictures = content, name, tuple(pictures)

    @property
    def record(self) -> Any:
        """`data` as frozen dataclasses: `result.record.steps[0].entry`.  An array is a tuple of them."""
        return record_of(self._name, self.data)

    def __str__(self) -> str:
        return MARKED.sub(r"\2", self._content).removesuffix("\n")

    def __repr__(self) -> str:
        return f"<CommandResult of {self.line!r}>"

    def _repr_html_(self) -> str:
        return html_of(lines_of(self._content.removesuffix("\n")), self._pictures)

    def __getitem__(self, key: Any) -> Any:
        return self.data[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __bool__(self) -> bool:
        return True


def lines_of(content: str) -> Iterator[Line]:
    """Marked text as lines of fragments."""
    for line in content.split("\n"):
        fragments: list[tuple[str, str]] = []
        at = 0
        for found in MARKED.finditer(line):
            fragments += [("", line[at : found.start()]), (found[1], found[2])]
            at = found.end()
        yield [*fragments, ("", line[at:])]


def record_of(name: str, data: Any) -> Any:
    """Data as frozen dataclasses named `name`; an object whose keys are no names of Python's stays one."""
    if isinstance(data, list):
        return tuple(record_of(name, item) for item in data)
    if not isinstance(data, dict) or not all(key.isidentifier() for key in data):
        return data
    values = {key: record_of(name + key.title().replace("_", ""), value) for key, value in data.items()}
    return record_class(name, tuple(data))(**values)


@lru_cache(maxsize=256)
def record_class(name: str, keys: tuple[str, ...]) -> Any:
    """The dataclass of an object with these keys."""
    return make_dataclass(name or "Record", [(key, Any) for key in keys], frozen=True)
