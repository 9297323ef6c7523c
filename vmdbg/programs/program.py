"""Programs as plain data, which every reader makes and from which a machine starts processes."""

from __future__ import annotations

from vmdbg.kernel.calls.syscalls import MMAP_OBJECT, OBJECT_MASK
from vmdbg.machine.verify_program import is_plain, kinds_of
from vmdbg.state.tables import OP, OP_MORE, OP_VA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence
    from typing import Any

    from vmdbg.kernel.calls.objects import Wanted


class RegionSpec:
    """A region that a process starts with.

    `start` is kept as tables keep addresses (64-bit signed); `size` and `page_size` are bytes, and
    `page_size` 0 means base pages; `rights` is r 1, w 2, x 4, u 8; `populate`: all pages get frames
    at once.  `object` is a file or shared memory that is mapped from byte `offset` on; None: private zeros.
    `share`: writes go to the object.  `content` is the first bytes of the region at its first access; zeros
    follow.  `line` counts from 1, 0 = none.
    """

    __slots__ = (
        "content",
        "kind",
        "line",
        "object",
        "offset",
        "page_size",
        "populate",
        "rights",
        "share",
        "size",
        "start",
    )

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
        object: Wanted | None = None,
        offset: int = 0,
        share: bool = False,
    ) -> None:
        self.kind, self.start, self.size, self.rights = kind, start, size, rights
        self.page_size, self.populate, self.line, self.content = page_size, populate, line, content
        self.object, self.offset, self.share = object, offset, share

    @property
    def end(self) -> int:
        """One past the last address."""
        return self.start + self.size


class ProcessSpec:
    """A process to start.

    `limit` is in frames, None = the machine's setting; `cpu` -1 = any.  `rows` has OP words a row,
    as the table `op` takes them, and ends with an exit; rows that name another row (`references`)
    name it in OP_VA, counted from the process's first row.  `lines` are the first and last line of
    the process in the source; `labels` are rows; `oom` is added to its out-of-memory score, in frames.
    Rows that name an object (`mappings`) name it in OP_MORE, counted from 1 in `objects`.
    """

    __slots__ = (
        "_kinds",
        "cpu",
        "labels",
        "limit",
        "lines",
        "mappings",
        "name",
        "objects",
        "oom",
        "references",
        "regions",
        "rows",
    )

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
        objects: list[Wanted] | None = None,
        mappings: list[int] | None = None,
    ) -> None:
        self.name, self.limit, self.cpu, self.regions, self.rows = name, limit, cpu, regions, rows
        self.oom = oom
        self.lines = lines
        self.labels = labels or {}
        self.references = references or []
        self.objects, self.mappings = objects or [], mappings or []
        self._kinds = b""

    @property
    def kinds(self) -> bytes:
        """The low byte of each row, wherever the rows are."""
        if not self._kinds:
            self._kinds = kinds_of(self.rows)
        return self._kinds

    def relocated(self, first: int, objects: Sequence[int] = ()) -> array[int]:
        """The rows for a process whose first row is row `first` of the table `op`; a copy where they differ.

        `objects` are the machine's numbers of the process's objects.
        """
        if not self.mappings and not self.references:
            return self.rows
        rows = self.rows[:]
        for row in self.mappings:
            index = (rows[row * OP + OP_MORE] >> MMAP_OBJECT & OBJECT_MASK) - 1
            rows[row * OP + OP_MORE] += (objects[index] - index - 1) << MMAP_OBJECT
        for row in self.references:
            rows[row * OP + OP_VA] += first
        return rows


class Program:
    """Processes, the text that they came from (empty for traces), and the names in it.

    `feeds` give the processes their operations, if these come bit by bit (`machine.feeds`).  `symbols` are
    numbers; `declared_at` has the lines at which names are declared, labels too; `remarks` are lines for
    whoever loads it.  Nothing of it changes, unless it has feeds: machines may share one.
    """

    feeds: Any = ()  # of `machine.feeds.Feed`

    __slots__ = (
        "__weakref__",
        "declared_at",
        "file",
        "name",
        "processes",
        "remarks",
        "source_lines",
        "symbols",
    )

    def __init__(
        self,
        name: str,
        file: str,
        source_lines: list[str],
        processes: list[ProcessSpec],
        symbols: dict[str, int] | None = None,
        declared_at: dict[str, int] | None = None,
        remarks: list[str] | None = None,
    ) -> None:
        self.name, self.file, self.source_lines, self.processes = name, file, source_lines, processes
        self.symbols = symbols or {}
        self.declared_at = declared_at or {}
        self.remarks = remarks or []

    @property
    def length(self) -> int | None:
        """How many operations it executes; None if it has rows that are more than one access or an exit."""
        if all(is_plain(process.kinds) for process in self.processes):
            return sum(len(process.rows) // OP for process in self.processes)
        return None
