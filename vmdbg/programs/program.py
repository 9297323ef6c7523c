"""What every reader of programs makes: plain data from which a machine starts processes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array


class RegionSpec:
    """A region that a process starts with.

    `start` is kept as tables keep addresses (64-bit signed); `size` and `page_size` are bytes, and
    `page_size` 0 means base pages; `rights` is r 1, w 2, x 4, u 8; `populate`: all pages are given
    at once.  `content` is what its first bytes are when it is touched, as of a file; zeros follow.
    `line` counts from 1, 0 = none.
    """

    __slots__ = ("content", "kind", "line", "page_size", "populate", "rights", "size", "start")

    def __init__(
        self,
        kind: str,
        start: int,
        size: int,
        rights: int,
        page_size: int = 0,
        populate: bool = False,
        line: int = 0,
        content: bytes = b"",
    ) -> None:
        self.kind, self.start, self.size, self.rights = kind, start, size, rights
        self.page_size, self.populate, self.line, self.content = page_size, populate, line, content

    @property
    def end(self) -> int:
        """One past the last address."""
        return self.start + self.size


class ProcessSpec:
    """A process to start.

    `limit` is in frames, None = the machine's setting; `cpu` -1 = any.  `rows` has four words a row,
    as the table `op` takes them, and ends with an exit; rows that name another row (`references`)
    name it in word 1, counted from the process's first row.  `lines` are the first and last line of
    the process in the source; `labels` are rows; `oom` is added to its out-of-memory score, in frames.
    """

    __slots__ = ("cpu", "labels", "limit", "lines", "name", "oom", "references", "regions", "rows")

    def __init__(
        self,
        name: str,
        limit: int | None,
        cpu: int,
        regions: list[RegionSpec],
        rows: array[int],
        lines: tuple[int, int] = (0, 0),
        labels: dict[str, int] | None = None,
        references: list[int] | None = None,
        oom: int = 0,
    ) -> None:
        self.name, self.limit, self.cpu, self.regions, self.rows = name, limit, cpu, regions, rows
        self.oom = oom
        self.lines = lines
        self.labels = labels or {}
        self.references = references or []

    def relocated(self, first: int) -> array[int]:
        """The rows as they have to be where the process's first row is row `first` of the table."""
        rows = self.rows[:]
        for row in self.references:
            rows[row * 4 + 1] += first
        return rows


class Program:
    """Processes, the text that they came from (empty for traces), and the names in it.

    `symbols` are numbers, `shared` sizes in bytes of the objects that processes share.  `places`
    has the lines at which names are declared, labels too; `remarks` are lines for whoever loads it.
    """

    __slots__ = ("file", "name", "places", "processes", "remarks", "shared", "source_lines", "symbols")

    def __init__(
        self,
        name: str,
        file: str,
        source_lines: list[str],
        processes: list[ProcessSpec],
        shared: dict[str, int] | None = None,
        symbols: dict[str, int] | None = None,
        places: dict[str, int] | None = None,
        remarks: list[str] | None = None,
    ) -> None:
        self.name, self.file, self.source_lines, self.processes = name, file, source_lines, processes
        self.shared = shared or {}
        self.symbols = symbols or {}
        self.places = places or {}
        self.remarks = remarks or []
