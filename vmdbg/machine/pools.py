"""The tables of a machine.

Some of them are pools of rows, which grow between operations, never inside one.
"""

from __future__ import annotations

from vmdbg.kernel.calls import processes, regions
from vmdbg.kernel.frames import RMAP_SPARE
from vmdbg.machine import boot
from vmdbg.state import tables
from vmdbg.state.tables import (
    KERNEL_REGION_FREE,
    KERNEL_RMAP_COUNT,
    KERNEL_RMAP_FREE,
    PROCESS,
    PROCESS_RSS,
    REGION,
    REGION_NEXT,
    RMAP,
    RMAP_NEXT,
    TABLES,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.engine import Linked


class Pools:
    """The tables of a machine: `shape` has their rows by name, `buffers` their bytes, `k` works on them."""

    k: Linked
    shape: dict[str, int]
    buffers: dict[str, Any]

    def __init__(self) -> None:
        self._tables: Any = None  # as compiled code takes them; None: to be made

    @property
    def m(self) -> Any:
        """The tables."""
        return self.k.m

    def grow(self, rows: str, count: int) -> None:
        """Give the tables whose size is `rows` at least that many rows; the new ones are zero."""
        if count > self.shape[rows]:
            self.resize(rows, count)

    def resize(self, rows: str, count: int) -> None:
        """Give the tables whose size is `rows` exactly that many rows."""
        self.shape[rows] = count
        for declared in TABLES.values():
            if rows in declared.rows.split():
                old = self.buffers[declared.name]
                new = bytearray(tables.buffer_size(declared, self.shape))
                new[: len(old)] = old[: len(new)]
                self.buffers[declared.name] = new
        self.k.m = tables.views(self.buffers)
        self._tables = None

    def replace(self, table: str, buffer: Any) -> None:
        """Give a table another buffer of the same size."""
        self.buffers[table] = buffer
        self.k.m = tables.views(self.buffers)
        self._tables = None

    def make_room_for_process(self) -> None:
        """Make sure that there is a free row for a new process."""
        if not processes.spare_row(self.k):
            self.grow("processes", 2 * self.shape["processes"])

    def grow_rmap(self) -> None:
        """Double the reverse map."""
        old = self.shape["rmaps"]
        self.grow("rmaps", 2 * old)
        boot.chain(self.m.rmap, RMAP, RMAP_NEXT, old, 2 * old, self.m.kernel[KERNEL_RMAP_FREE])
        self.m.rmapdirty[:] = bytes([1]) * len(self.m.rmapdirty)
        self.m.kernel[KERNEL_RMAP_FREE] = old
        self.m.kernel[KERNEL_RMAP_COUNT] += old

    def grow_regions(self) -> None:
        """Double the regions."""
        old = self.shape["regions"]
        self.grow("regions", 2 * old)
        boot.chain(self.m.region, REGION, REGION_NEXT, old, 2 * old, self.m.kernel[KERNEL_REGION_FREE])
        self.m.kernel[KERNEL_REGION_FREE] = old

    def make_room_for_system_call(self, pid: int) -> None:
        """Make sure that the pools have the rows that one system call of a process may need, even a fork.

        The reverse map needs as many as `fork` shares pages, or as a populated region takes free frames.  (A
        frame that is taken from another page needs no new rows: the rows of that page become free.)
        """
        self.make_room_for_process()
        needed = len(regions.regions_of(self.k, pid)) + 2
        while self.free_regions(needed) < needed:
            self.grow_regions()
        pages = max(self.m.process[pid * PROCESS + PROCESS_RSS], self.k.user_frames_free(self.m))
        while self.m.kernel[KERNEL_RMAP_COUNT] < pages + 2 * RMAP_SPARE:
            self.grow_rmap()

    def free_regions(self, enough: int) -> int:
        """Free rows of the regions, counted up to `enough`."""
        count, row = 0, self.m.kernel[KERNEL_REGION_FREE]
        while row and count < enough:
            count, row = count + 1, self.m.region[row * REGION + REGION_NEXT]
        return count
