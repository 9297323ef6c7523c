"""Rows of a table as JSON, quickly."""

from __future__ import annotations

import json

from vmdbg.debugger.output import LineBlock
from vmdbg.units import WORD_MASK, unicode_only
from vmdbg.views.row_block import MOST_BLOCKS, RowBlock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from vmdbg.views.result import Column

dumps = json.dumps
#: A value that is always the same takes its argument of a template, and shows nothing of it.
WORDS = {type(None): "null%.0s"}
TRUTH = {True: "true", False: "false"}
MOST_WORDS = 1 << 12  # texts of which the quoted form is kept


class Plan:
    """How rows with the same types are written: `template % values`, once those at `texts` are quoted, those
    at `truths` words, and those at `addresses` without a sign.  `parts` are the template's, one a value."""

    __slots__ = ("addresses", "parts", "template", "texts", "truths")

    def __init__(self, parts: list[str], texts: list[int], truths: list[int], addresses: list[int]) -> None:
        self.template, self.parts = written(parts), parts
        self.texts, self.truths, self.addresses = texts, truths, addresses


def written(parts: list[str]) -> str:
    """The object of its keys and values."""
    return f"{{{', '.join(parts)}}}"


class RowWriter:
    """Writes rows with the same `keys` as objects, as `json.dumps` does, in a fraction of the time: there may
    be hundreds of thousands.  `addresses` are the keys of numbers without a sign, in text if
    `hex_addresses`."""

    def __init__(self, keys: Sequence[str], addresses: set[str], hex_addresses: bool) -> None:
        self.keys, self.addresses, self.hex_addresses = keys, addresses, hex_addresses
        self.quoted = json.encoder.encode_basestring_ascii
        self.plans: dict[tuple[type, ...], Plan | None] = {}
        self.words: dict[str, str] = {}  # texts, quoted
        #: Of blocks, by identity of the rows, which are held: their lines, open where numbers are added to.
        self.templates: dict[int, tuple[list[list[Any]], str, list[int]]] = {}

    def plan_of(self, kinds: tuple[type, ...]) -> Plan | None:
        """How a row of these types is written; None if it has more than words and numbers in it."""
        parts, texts, truths, numbers = [], [], [], []
        for place, (key, kind) in enumerate(zip(self.keys, kinds, strict=True)):
            shown = WORDS.get(kind, "%s")
            if kind is int and key in self.addresses:
                numbers.append(place)
                shown = '"%#x"' if self.hex_addresses else "%d"
            elif kind is int:
                shown = "%d"
            elif kind is str:
                texts.append(place)
            elif kind is bool:
                truths.append(place)
            elif kind not in WORDS:
                return None
            parts.append(self.quoted(key).replace("%", "%%") + ": " + shown)
        return Plan(parts, texts, truths, numbers)

    def word_of(self, text: str) -> str:
        """A text as a word of JSON."""
        if len(self.words) >= MOST_WORDS:
            self.words.clear()
        found = self.words[text] = self.quoted(text if text.isprintable() else unicode_only(text))
        return found

    def text(self, values: list[Any]) -> str:
        """A row, which is used up; empty if it has more than words and numbers in it."""
        plan = self.prepare(values)
        return plan.template % tuple(values) if plan is not None else ""

    def prepare(self, values: list[Any]) -> Plan | None:
        """How a row is written, whose values are made what its template takes."""
        kinds = tuple(map(type, values))
        if kinds not in self.plans:
            self.plans[kinds] = self.plan_of(kinds)
        plan = self.plans[kinds]
        if plan is None:
            return None
        for place in plan.texts:
            text = values[place]
            values[place] = self.words.get(text) or self.word_of(text)
        for place in plan.truths:
            values[place] = TRUTH[values[place]]
        for place in plan.addresses:
            values[place] &= WORD_MASK
        return plan

    def block_text(self, block: RowBlock) -> str:
        """The lines of a block, with commas between them."""
        known = self.templates.get(id(block.rows))
        if known is None:
            if len(self.templates) >= MOST_BLOCKS:
                self.templates.clear()
            numbers = [row[place] for row in block.rows for place in block.places]
            known = self.templates[id(block.rows)] = block.rows, self.template_of(block), numbers
        by = block.by
        return known[1] % tuple([number + by for number in known[2]])

    def template_of(self, block: RowBlock) -> str:
        """The lines of a block, of which only the numbers that are added to are left open."""
        lines = []
        for row in block.rows:
            values = row[:]
            plan = self.prepare(values)
            assert plan is not None, "a block has words and numbers"
            shown = [
                part if place in block.places else (part % (value,)).replace("%", "%%")
                for place, (part, value) in enumerate(zip(plan.parts, values, strict=True))
            ]
            lines.append(written(shown))
            assert lines[-1].isprintable(), "a block of lines has printable ones"
        return ",\n".join(lines)


def row_lines(
    columns: Sequence[Column],
    rows: Iterable[Sequence[Any] | RowBlock],
    addresses: set[str],
    hex_addresses: bool,
    dumps: Callable[[Any], str],
) -> Iterator[str]:
    """The array of a table's rows, one a line, those of a block together; `dumps` writes those that are more
    than words and numbers."""
    keys = [column.key for column in columns]
    writer = RowWriter(keys, addresses, hex_addresses)
    text_of, held = writer.text, ""
    for row in rows:
        if held:
            yield held + ","
        if type(row) is RowBlock:
            lines, _, last = writer.block_text(row).rpartition("\n")
            if lines:
                yield LineBlock(lines if held else "[" + lines)
            held = last if held or lines else "[" + last
            continue
        text = text_of(list(row)) or dumps(dict(zip(keys, row, strict=True)))
        held = text if held else "[" + text
    yield held + "]" if held else "[]"


def cleaner(addresses: set[str], hex_addresses: bool) -> Callable[[Any], Any]:
    """What makes data that `dumps` takes: addresses without a sign, in text if `hex_addresses`; text without
    bytes that are none."""

    def clean(value: Any, key: str = "") -> Any:
        if key in addresses and isinstance(value, int) and not isinstance(value, bool):
            return f"{value & WORD_MASK:#x}" if hex_addresses else value & WORD_MASK
        if isinstance(value, str):
            return value if value.isprintable() else unicode_only(value)
        if isinstance(value, dict):
            return {name: clean(item, name) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [clean(item, key) for item in value]
        return value

    return clean


def flat_writer(addresses: set[str], hex_addresses: bool) -> Callable[[Any], str]:
    """What writes an object of words and numbers, with a `RowWriter` for all that have the same keys.  Its
    text; empty if the object has anything else in it."""
    writers: dict[tuple[str, ...], RowWriter] = {}

    def text_of(item: Any) -> str:
        if type(item) is not dict:
            return ""
        keys = tuple(item)
        writer = writers.get(keys)
        if writer is None:
            if len(writers) >= MOST_WORDS:
                writers.clear()
            writer = writers[keys] = RowWriter(keys, addresses, hex_addresses)
        return writer.text(list(item.values()))

    return text_of
