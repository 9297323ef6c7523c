"""What a format of traces is: one declaration, from which listing, choice, errors and docs derive."""

from __future__ import annotations

from vmdbg.programs.traces.scan import kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from re import Pattern

    #: An access: OP_READ, OP_WRITE, OP_FETCH or OP_MODIFY, and the address, negative in the upper half.
    Access = tuple[int, int]

REMARKS = (b"==", b"--", b"#")  # lines that are none: what valgrind says, comments
LINES_ASKED = 16  # lines, or records, of the head that have to look right
#: A letter that stands for a kind of access, or a word that begins with one, in regular expressions.
KIND_WORD = b"[%s][A-Za-z]*" % bytes(
    [letter for letter in range(128) if chr(letter).isalpha() and kind_of(letter) >= 0]
)


class Head:
    """What the head of a file says: records begin at byte `offset`, behind `records` lines; `words` are what
    the format's hot function finds from SCAN_FIRST on; `size` are the bytes of a record, 0 for lines; `total`
    is the number of records, if the head says it."""

    __slots__ = ("offset", "records", "size", "total", "words")

    def __init__(
        self,
        offset: int = 0,
        records: int = 0,
        words: tuple[int, ...] = (),
        size: int = 0,
        total: int | None = None,
    ) -> None:
        self.offset, self.records, self.words, self.size, self.total = offset, records, words, size, total


class TraceFormat:
    """A format of traces.

    `sample` is what a record looks like, `begin` how one begins (for errors), `source` where the format is
    defined.  `recognise(head)` tells from the first bytes, uncompressed, whether a file has this format;
    it may be given as the regular expression that each of the first lines matches.  `line` is that, too, for
    a `recognise` that asks for something else: by it a text is known some of whose first lines are wrong.
    `record` is the hot function that reads a record (`scan`).  `size` are the bytes of a record, 0 for lines;
    `prepare(head)` replaces it where the head of the file says more, or raises UserError.  `rows` are the
    most accesses of a record.  `write(accesses, page_bits)` gives the bytes of a trace; `loses` says what
    of the accesses it has no place for.  `opened(path)` gives the records of a file that is no
    stream of bytes.  `suffixes` are ends of names of such files, besides `.NAME`.
    """

    def __init__(
        self,
        name: str,
        summary: str,
        sample: str,
        source: str,
        recognise: Callable[[bytes], bool] | Pattern[bytes],
        record: Callable[..., int],
        *,
        begin: str = "",
        line: Pattern[bytes] | None = None,
        size: int = 0,
        rows: int = 1,
        loses: str = "",
        prepare: Callable[[bytes], Head] | None = None,
        write: Callable[[Iterable[Access], int], Iterator[bytes]] | None = None,
        opened: Callable[[str], Iterator[bytes]] | None = None,
        suffixes: tuple[str, ...] = (),
    ) -> None:
        self.name, self.summary, self.sample, self.source = name, summary, sample, source
        self.line = line if callable(recognise) else recognise
        self.recognise = recognise if callable(recognise) else by_lines(recognise)
        self.record, self.begin, self.size = record, begin or sample, size
        self.rows, self.loses, self.write, self.opened = rows, loses, write, opened
        self.suffixes = (f".{name}", *suffixes)
        self._prepare = prepare

    def prepare(self, head: bytes) -> Head:
        """What the first bytes of a file say.  UserError."""
        return self._prepare(head) if self._prepare is not None else Head(size=self.size)


def sample_lines(head: bytes, most: int = LINES_ASKED) -> list[bytes]:
    """The first whole lines of a text that are no remarks, without blanks around them; none for bytes that
    are no text."""
    if b"\0" in head:
        return []
    whole = head[: head.rfind(b"\n") + 1] or head
    found = []
    for line in whole.split(b"\n"):
        if line.strip() and not line.startswith(REMARKS):
            found.append(line.rstrip())
            if len(found) == most:
                break
    return found


def by_lines(pattern: Pattern[bytes]) -> Callable[[bytes], bool]:
    """A `recognise` that asks for lines of which each matches a regular expression, as a whole."""

    def recognise(head: bytes) -> bool:
        lines = sample_lines(head)
        return bool(lines) and all(map(pattern.fullmatch, lines))

    return recognise


def lines_of(patterns: Mapping[int, str]) -> Callable[[Iterable[Access], int], Iterator[bytes]]:
    """A `write` for lines: for each kind of access a `%` pattern that takes the address."""
    encoded = {kind: pattern.encode() for kind, pattern in patterns.items()}

    def write(accesses: Iterable[Access], page_bits: int) -> Iterator[bytes]:
        for kind, va in accesses:
            yield encoded[kind] % (va & (1 << 64) - 1)

    return write
