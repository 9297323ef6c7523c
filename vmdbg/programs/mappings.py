"""The options of `region` and `mmap`, and the files and shared memory that they name."""

from __future__ import annotations

import os
import stat

from vmdbg.errors import UserError
from vmdbg.formats.contract import RIGHT_U
from vmdbg.kernel.calls.objects import Wanted
from vmdbg.kernel.calls.syscalls import (
    MMAP_FIXED,
    MMAP_OBJECT,
    MMAP_OFFSET,
    MMAP_PAGE_SHIFT,
    MMAP_POPULATE,
    MMAP_SHARED,
    OFFSET_MASK,
)
from vmdbg.programs.options import read_option
from vmdbg.programs.scanner import shorten
from vmdbg.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vmdbg.programs.addresses import Space
    from vmdbg.programs.options import Known
    from vmdbg.programs.scanner import LineCursor

MOST_BYTES = 256 << 20  # of a file
MOST_OBJECTS = 1000  # that the calls of a program name


class Objects:
    """The files and the shared memory that a program names.

    File names count from the program's folder; `approve` gives the path to open, or raises a UserError.
    """

    def __init__(self, folder: str, approve: Callable[[str], str]) -> None:
        self.folder, self.approve = folder, approve
        self.wanted: list[Wanted] = []
        self.files: dict[str, Wanted] = {}
        self.shared: dict[str, Wanted] = {}

    def number(self, cursor: LineCursor, wanted: Wanted) -> int:
        """The number of an object, from 1, by which rows name it."""
        if wanted not in self.wanted:
            if len(self.wanted) == MOST_OBJECTS:
                cursor.fail(f"more than {MOST_OBJECTS} files and names of shared memory", 0, cursor.trimmed())
            self.wanted.append(wanted)
        return self.wanted.index(wanted) + 1

    def file(self, cursor: LineCursor, name: str, start: int) -> Wanted:
        """The file of that name, which stands at `start`, as it is now."""
        end = cursor.trimmed()
        try:
            path = os.path.realpath(self.approve(os.path.join(self.folder, os.path.expanduser(name))))
        except UserError as error:
            cursor.fail(str(error), start, end)
        if path not in self.files:
            try:
                self.files[path] = Wanted(os.path.basename(path), 0, read_file(path))
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                cursor.fail(f"{shorten(name)}: {reason}", start, end)
        return self.files[path]

    def named(self, name: str, size: int) -> Wanted:
        """The shared memory of that name, of at least `size` bytes."""
        found = self.shared.setdefault(name, Wanted(name))
        found.size = max(found.size, size)
        return found


def read_file(path: str) -> bytes:
    """The content of a file on the host.  OSError, ValueError if it is none that can be mapped."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise ValueError("not a regular file")
        data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"larger than {format_size(MOST_BYTES)}")
    return data


class Options:
    """The options of a `region` or an `mmap`.  `shift` is the page size's, 0 = base pages; `object` None:
    private zeros; `share`: writes go to the object; `offset` in bytes."""

    __slots__ = ("fixed", "name", "object", "offset", "populate", "share", "shift")

    def __init__(self, cursor: LineCursor, space: Space, objects: Objects, fixed: bool) -> None:
        self.object: Wanted | None = None
        self.share, self.name = False, ""
        known: Known = {"page": (space.page_size, 1 << 62), "populate": None, "file": None}
        known |= {"offset": (0, OFFSET_MASK * space.page_size), "shared": None}
        if fixed:
            known["fixed"] = None
        found: dict[str, int] = {}
        offsets: dict[str, int] = {}
        while not cursor.done():
            word, offsets[cursor.peek_word()] = cursor.peek_word(), cursor.at
            if word == "file" and word not in found:
                self.read_file(cursor, objects, found)
            else:
                read_option(cursor, known, found, "the end of the line")
                if word == "shared" and cursor.take("="):
                    self.name = cursor.name("a name")
        page = found.get("page", space.page_size)
        self.shift = 0 if page == space.page_size else page.bit_length() - 1
        self.populate, self.fixed, self.share = "populate" in found, "fixed" in found, "shared" in found
        self.offset = found.get("offset", 0)
        self.check(cursor, space, offsets)

    def read_file(self, cursor: LineCursor, objects: Objects, found: dict[str, int]) -> None:
        """`file="PATH"`"""
        cursor.take("file")
        if not cursor.take("="):
            cursor.expected('"="')
        start = cursor.at
        self.object = objects.file(cursor, cursor.string("a file name in quotes"), start)
        found["file"] = 1

    def check(self, cursor: LineCursor, space: Space, offsets: dict[str, int]) -> None:
        """Refuse options that do not go together; `offsets` is where they stand."""
        backed = self.share or self.object is not None
        if self.offset and not (self.object or self.name):
            cursor.fail("an offset without a file or a name", offsets["offset"])
        if self.offset % space.page_size:
            page = format_size(space.page_size)
            cursor.fail(f"the offset is not a multiple of the page size, {page}", offsets["offset"])
        if self.name and self.object is not None:
            cursor.fail("a file has no name beside its own", offsets["shared"])
        if backed and self.shift:
            cursor.fail("files and shared memory are mapped in base pages", offsets["page"])

    def settle(self, objects: Objects, size: int) -> None:
        """Note that the region has `size` bytes: shared memory is made at least so large."""
        if self.share and self.object is None:
            self.object = objects.named(self.name, self.offset + size) if self.name else Wanted("", size)

    def word(self, cursor: LineCursor, objects: Objects, page_size: int) -> int:
        """The bits of these options in OP_MORE of an `mmap` row."""
        number = objects.number(cursor, self.object) if self.object is not None and self.object.name else 0
        flags = (MMAP_POPULATE, self.populate), (MMAP_FIXED, self.fixed), (MMAP_SHARED, self.share)
        word = self.shift << MMAP_PAGE_SHIFT | sum(flag for flag, is_set in flags if is_set)
        return word | number << MMAP_OBJECT | self.offset // page_size << MMAP_OFFSET

    def check_kind(self, cursor: LineCursor, kind: str, rights: int, span: tuple[int, int]) -> None:
        """Refuse a kind of region that does not go with these options; the kind stands at `span`."""
        if kind == "file" and (self.object is None or self.name):
            cursor.fail('a region of kind file needs file="PATH"', *span)
        if kind == "shared" and self.shift:
            cursor.fail("files and shared memory are mapped in base pages", *span)
        if kind == "shared" and self.object is not None:
            cursor.fail("a region of kind shared maps no file", *span)
        if kind in ("heap", "stack", "guard") and (self.share or self.object is not None):
            cursor.fail(f"a region of kind {kind} is memory of its own", *span)
        if kind == "guard" and rights & ~RIGHT_U:
            cursor.fail("a guard allows nothing: its rights are none", *span)
