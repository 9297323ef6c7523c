"""What a command returns, and how it becomes text, JSON and CSV.

A command computes; a result declares its columns or its data once, and all three forms derive from
it.  Text is an iterator of lines, so that a dump of a million rows starts at once.

    Table([Column("pid", kind=NUMBER), Column("name"), Column("root", kind=ADDRESS)], rows)
    Record({"va": 0x401234, "pa": 0x108234}, lines=["0x401234 -> 0x108234"])
    Lines(["Process 2 (demo) made from 1."])

A line is a `str` or a list of fragments `(style, text)`; styles are the names in `theme`.
"""

from __future__ import annotations

from textwrap import wrap

from vmdbg.debugger.output import line_text
from vmdbg.errors import UserError
from vmdbg.units import WORD_MASK, visible
from vmdbg.views.row_block import RowBlock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from vmdbg.views.plot import Plot

    Fragments = Sequence[tuple[str, str]]
    Line = str | Fragments
    Row = Mapping[str, Any] | Sequence[Any] | RowBlock

TEXT = "text"  # left-aligned, as it is
NUMBER = "number"  # decimal, right-aligned; None is -
ADDRESS = "address"  # hex, left-aligned; in JSON a non-negative integer
ENTRY = "entry"  # as ADDRESS, in the style of entries
RIGHTS = "rights"  # four letters
FLAG = "flag"  # true or false in JSON, shown as yes or -
DATA = "data"  # JSON only: lists and objects
GAP = "  "
WIDTH = 80
SAMPLE = 200


class Column:
    """One column: `key` in JSON and CSV, `header` in text (the key with blanks if None).

    `format` turns a value into text; `align` is `<` or `>`; `style` names a style of the theme.
    `shown=False` leaves the column out of the text, `exported=False` out of JSON and CSV.  The last
    column may have sentences that `wraps` within the screen.
    """

    __slots__ = ("align", "exported", "format", "header", "key", "kind", "shown", "style", "wraps")

    def __init__(
        self,
        key: str,
        header: str | None = None,
        kind: str = TEXT,
        *,
        align: str = "",
        format: Callable[[Any], str] | None = None,
        style: str = "",
        shown: bool = True,
        exported: bool = True,
        wraps: bool = False,
    ) -> None:
        self.key, self.kind = key, kind
        self.header = key.replace("_", " ") if header is None else header
        self.align = align or (">" if kind == NUMBER else "<")
        self.format = format or default_format(kind)
        self.style = style or (kind if kind in (ADDRESS, ENTRY, RIGHTS, NUMBER) else "")
        self.shown, self.exported, self.wraps = shown, exported, wraps


def default_format(kind: str) -> Callable[[Any], str]:
    """How a value of that kind reads."""
    if kind in (ADDRESS, ENTRY):
        return lambda value: (
            "-" if value is None else value if isinstance(value, str) else f"{value & WORD_MASK:#x}"
        )
    if kind == FLAG:
        return lambda value: "yes" if value else "-"
    return lambda value: "-" if value is None else str(value)


class Result:
    """Base of what a command returns.  `_plot` makes the picture of it, if it has one."""

    _plot: Callable[[], Plot] | None = None

    def lines(self) -> Iterator[Line]:
        """The text, line by line."""
        raise NotImplementedError

    def data(self) -> Any:
        """What JSON shows: an object or an array (an iterator of objects streams)."""
        raise UserError("This result has no JSON form.")

    def table(self) -> tuple[Sequence[Column], Iterable[Sequence[Any]]]:
        """The columns and rows that CSV shows."""
        raise UserError("This result has no CSV form.")

    def plot(self) -> Plot:
        """The picture of it.  UserError if it has none."""
        if self._plot is None:
            raise UserError("This result has no picture.")
        return self._plot()

    def columns_by_key(self) -> Mapping[str, Column]:
        """Kinds of the keys, for addresses in JSON."""
        return {}

    def keep(self) -> None:
        """Keep what an iterator gives: afterwards several forms can be made of the result."""


class Lines(Result):
    """Text only, from any iterable of lines; in JSON an object with one key."""

    def __init__(self, lines: Iterable[Line] | str, key: str = "text") -> None:
        self._lines = lines.split("\n") if isinstance(lines, str) else lines
        self._key = key

    def lines(self) -> Iterator[Line]:
        return iter(self._lines)

    def data(self) -> Any:
        return {self._key: [line_text(line) for line in self._lines]}

    def keep(self) -> None:
        self._lines = list(self._lines)


class Record(Result):
    """One JSON object and the lines that draw it.

    `values` may be a mapping or a function that makes it, `lines` an iterable or such a function:
    whichever form is not asked for is not computed.  `addresses` names the keys (at any depth) that
    are addresses, for `set json addresses hex`.  Without `lines` the text is `key  value` rows.
    """

    def __init__(
        self,
        values: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
        lines: Iterable[Line] | Callable[[], Iterable[Line]] | None = None,
        addresses: Sequence[str] = (),
    ) -> None:
        self._values, self._lines, self._addresses = values, lines, addresses

    def data(self) -> Any:
        return self._values() if callable(self._values) else self._values

    def lines(self) -> Iterator[Line]:
        if self._lines is None:
            yield from self._plain_lines()
            return
        yield from self._lines() if callable(self._lines) else self._lines

    def _plain_lines(self) -> Iterator[Line]:
        data = self.data()
        width = max((len(key) for key in data), default=0)
        show_address = default_format(ADDRESS)
        for key, value in data.items():
            text = show_address(value) if key in self._addresses else scalar_text(value)
            yield f"{key.replace('_', ' '):{width}}  {text}"

    def table(self) -> tuple[Sequence[Column], Iterable[Sequence[Any]]]:
        data = self.data()
        return [Column(key) for key in data], [[scalar_text(value) for value in data.values()]]

    def columns_by_key(self) -> Mapping[str, Column]:
        return {key: Column(key, kind=ADDRESS) for key in self._addresses}


class Table(Result):
    """Rows under headers: two blanks between columns, nothing after the last.

    `rows` are mappings by key or sequences in the order of the columns, and may be an iterator: it
    is read once, `SAMPLE` rows at a time.  `title` and `notes` are lines before and after, text
    only.  `empty` is said instead when there are no rows.  `headers=False` leaves the headers out.
    `drawn` makes the text instead, where it has no columns; `plot` makes the picture.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        rows: Iterable[Row],
        *,
        title: Iterable[Line] = (),
        notes: Iterable[Line] | Callable[[], Iterable[Line]] = (),
        empty: str = "",
        headers: bool = True,
        addresses: Sequence[str] = (),
        drawn: Callable[[], Iterable[Line]] | None = None,
        plot: Callable[[], Plot] | None = None,
    ) -> None:
        self.columns, self.rows, self.drawn, self._plot = columns, rows, drawn, plot
        self.title, self.notes, self.empty, self.headers = title, notes, empty, headers
        self._addresses = addresses

    def lines(self) -> Iterator[Line]:
        if self.drawn is not None:
            yield from self.drawn()
            return
        shown = [(index, column) for index, column in enumerate(self.columns) if column.shown]
        yield from self.title
        widths: list[int] = []
        for chunk in chunks(self.sequences(), SAMPLE):
            cells = [[visible(column.format(row[index])) for index, column in shown] for row in chunk]
            first = not widths
            if first:
                widths = [len(column.header) if self.headers else 0 for _, column in shown]
            widths = [max(width, *[len(row[i]) for row in cells]) for i, width in enumerate(widths)]
            if first and self.headers:
                header = [("title", column.header) for _, column in shown]
                yield lay_out(header, [column for _, column in shown], widths)
            room = WIDTH - sum(widths[:-1]) - len(GAP) * len(widths[:-1]) if shown[-1][1].wraps else 0
            for row in (line for whole in cells for line in folded(whole, room)):
                styled = [(column.style, text) for text, (_, column) in zip(row, shown, strict=True)]
                yield lay_out(styled, [column for _, column in shown], widths)
        if not widths and self.empty:
            yield self.empty
        yield from self.notes() if callable(self.notes) else self.notes

    def keep(self) -> None:
        self.rows = list(self.rows)

    def data(self) -> Any:
        exported = [(index, column.key) for index, column in enumerate(self.columns) if column.exported]
        return ({key: row[index] for index, key in exported} for row in self.sequences())

    def table(self) -> tuple[Sequence[Column], Iterable[Sequence[Any]]]:
        exported = [index for index, column in enumerate(self.columns) if column.exported]
        return (
            [self.columns[index] for index in exported],
            ([row[index] for index in exported] for row in self.sequences()),
        )

    def columns_by_key(self) -> Mapping[str, Column]:
        keys = {column.key: column for column in self.columns}
        return {**keys, **{key: Column(key, kind=ADDRESS) for key in self._addresses}}

    def sequences(self, whole: bool = True) -> Iterator[Any]:
        """The rows in the order of the columns; without `whole` blocks of rows stay blocks."""
        keys = [column.key for column in self.columns]
        for row in self.rows:
            if type(row) is RowBlock and whole:
                yield from row
            else:
                yield [row.get(key) for key in keys] if hasattr(row, "get") else row


def folded(cells: list[str], room: int) -> Iterator[list[str]]:
    """A row, its last cell in as many lines of `room` columns as it needs (0: in one)."""
    if room <= 0 or len(cells[-1]) <= room:
        yield cells
        return
    before = cells[:-1]
    indent = " " * (len(cells[-1]) - len(cells[-1].lstrip()))
    for part in wrap(
        cells[-1], room, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    ):
        yield [*before, part]
        before = [""] * len(before)


def lay_out(cells: Sequence[tuple[str, str]], columns: Sequence[Column], widths: Sequence[int]) -> Line:
    """One row as fragments; a blank tail is left out."""
    out: list[tuple[str, str]] = []
    for (style, text), column, width in zip(cells, columns, widths, strict=True):
        padding = " " * (width - len(text))
        gap = GAP if out else ""
        if column.align == ">":
            out += [("", gap + padding), (style, text)]
        else:
            out += [("", gap), (style, text), ("", padding)]
    while out and not out[-1][1].strip():
        out.pop()
    if out:
        out[-1] = (out[-1][0], out[-1][1].rstrip())
    return out


def chunks(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """The rows in lists of at most `size`."""
    chunk: list[Any] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def scalar_text(value: Any) -> str:
    """A value of JSON as a word of text."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " ".join(scalar_text(item) for item in value)
    return str(value)


def render(
    result: Result, form: str = "", *, hex_addresses: bool = False, indent: int | None = None
) -> Iterator[Line]:
    """The lines of a result in a form: `""` text, `"json"`, `"csv"`."""
    if form == "json":
        return json_lines(result, hex_addresses, indent)
    if form == "csv":
        return csv_lines(result)
    return result.lines()


def json_lines(result: Result, hex_addresses: bool = False, indent: int | None = None) -> Iterator[Line]:
    """One object or array; the objects of an array stream, one a line, or some in a LineBlock."""
    from vmdbg.views.json_rows import cleaner, dumps, flat_writer, row_lines

    addresses = {key for key, column in result.columns_by_key().items() if column.kind in (ADDRESS, ENTRY)}
    clean = cleaner(addresses, hex_addresses)
    if isinstance(result, Table) and indent is None:
        columns, rows = result.table()
        if len(columns) == len(result.columns):
            rows = result.sequences(whole=False)
        yield from row_lines(columns, rows, addresses, hex_addresses, lambda row: dumps(clean(row)))
        return
    data = result.data()
    if isinstance(data, dict) or not hasattr(data, "__iter__"):
        yield from dumps(clean(data), indent=indent).split("\n")
        return
    held = "["
    flat_text = flat_writer(addresses, hex_addresses)
    for count, item in enumerate(data):
        text = (flat_text(item) if indent is None else "") or dumps(clean(item), indent=indent)
        if count:
            yield from (held + ",").split("\n")
        held = text if count else "[" + text
    yield from (held + "]").split("\n")


def csv_lines(result: Result) -> Iterator[Line]:
    """RFC 4180: a header of the keys, then the rows; numbers in decimal."""
    columns, rows = result.table()
    yield ",".join(quote_csv(column.key) for column in columns)
    for row in rows:
        yield ",".join(
            quote_csv(csv_value(column, value)) for column, value in zip(columns, row, strict=True)
        )


def csv_value(column: Column, value: Any) -> str:
    """A cell: empty for None, addresses unsigned, lists joined by blanks."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value & WORD_MASK if column.kind in (ADDRESS, ENTRY) else value)
    return scalar_text(value)


def quote_csv(text: str) -> str:
    """A field, in quotes where it has to be."""
    if any(char in text for char in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text


class Joined(Result):
    """Several results as one: their texts in a row; in JSON the only one, or an array."""

    def __init__(self, parts: list[Result | str]) -> None:
        self.parts = [Lines(part) if isinstance(part, str) else part for part in parts]

    def lines(self) -> Iterator[Line]:
        for part in self.parts:
            yield from part.lines()

    def data(self) -> Any:
        if len(self.parts) == 1:
            return self.parts[0].data()
        data = [part.data() for part in self.parts]
        return [item if isinstance(item, dict) else list(item) for item in data]

    def keep(self) -> None:
        for part in self.parts:
            part.keep()

    def columns_by_key(self) -> Mapping[str, Column]:
        return {key: column for part in self.parts for key, column in part.columns_by_key().items()}


def joined(parts: Iterable[Result | str]) -> Joined:
    """Collects the results that a command yields."""
    return Joined([part for part in parts if part is not None])
