"""Objects that regions map: files, and memory that processes share (Linux: shmem_file_setup, filp_open).

A file is a copy of what the host had when it was first mapped: nothing is ever written to the host.
Objects with a name keep their rows; a file keeps what was written to it as well.  Cold code.
"""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.kernel.calls.page_tables import give_frame
from vmdbg.state.tables import (
    CACHE,
    CACHE_CONTENT,
    CACHE_FRAME,
    CACHE_NUMBER,
    CACHE_SLOT,
    FRAME,
    FRAME_MAPS,
    FRAME_SLOT,
    KERNEL_FILE_PAGES,
    OBJECT,
    OBJECT_CACHED,
    OBJECT_KEY,
    OBJECT_NAME0,
    OBJECT_PAGES,
    OBJECT_REGIONS,
    OBJECT_SIZE,
    REGION,
    REGION_CACHED,
    REGION_LAST,
    REGION_OBJECT,
    REGION_SHARE,
)
from vmdbg.units import bytes_of, format_size, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.engine import Linked
    from vmdbg.formats.record import Format

NAME_WORDS = 3
MOST_OBJECTS = (1 << 16) - 1  # as many as rows of operations can name
NO_FILE = -1  # size of an object that is shared memory


class Wanted:
    """A request for an object of `size` bytes.  `content` is the first bytes of a file, or None for shared
    memory, which has a name or belongs to one process.
    """

    __slots__ = ("content", "name", "size")

    def __init__(self, name: str, size: int = 0, content: bytes | None = None) -> None:
        self.name, self.content = name, content
        self.size = max(size, len(content or b""))

    @property
    def key(self) -> int:
        """63 bits that identify the object: of a file a hash of name and content; 0 without a name."""
        import hashlib

        if not self.name:
            return 0
        text = b"shared" if self.content is None else b"file\0" + self.content
        digest = hashlib.blake2b(bytes_of(self.name) + b"\0" + text, digest_size=8).digest()
        return int.from_bytes(digest, "little") >> 1 | 1


class Backing:
    """The part of an object that a region maps: its first page; `share`: writes go to the object."""

    __slots__ = ("number", "page", "share")

    def __init__(self, number: int, page: int, share: bool) -> None:
        self.number, self.page, self.share = number, page, share


def open_object(k: Linked, form: Format, wanted: Wanted) -> int:
    """The row of an object, which is made if nobody has mapped it yet."""
    m, key = k.m, wanted.key
    for row in range(1, len(m.object) // OBJECT):
        if key and m.object[row * OBJECT + OBJECT_KEY] == key:
            if wanted.content is None:
                make_larger(k, form, row, wanted)
            return row
    pages = -(-wanted.size // form.page_size)
    number = free_row(k)
    row = number * OBJECT
    name = shortened(wanted.name).ljust(8 * NAME_WORDS, b"\0")
    first = room(k, pages)
    m = k.m  # the tables may have grown: `k.m` is another object then
    m.object[row + OBJECT_CACHED], m.object[row + OBJECT_PAGES] = first, pages
    m.object[row + OBJECT_SIZE] = NO_FILE if wanted.content is None else wanted.size
    m.object[row + OBJECT_KEY] = key
    for word in range(NAME_WORDS):
        part = name[8 * word : 8 * word + 8]
        m.object[row + OBJECT_NAME0 + word] = int.from_bytes(part, "little", signed=True)
    for page in range(pages):
        m.cache[(first + page) * CACHE + CACHE_NUMBER] = page
    if wanted.content is not None:
        keep_content(k, form, first, wanted.content)
    return number


def shortened(name: str) -> bytes:
    """The last part of a path, as much of it as an object has room for."""
    return bytes_of(name.rpartition("/")[2], 8 * NAME_WORDS)


def make_larger(k: Linked, form: Format, number: int, wanted: Wanted) -> None:
    """Make a shared-memory object that no region maps as large as wanted.  UserError if a region maps it."""
    m, row = k.m, number * OBJECT
    pages = -(-wanted.size // form.page_size)
    if pages <= m.object[row + OBJECT_PAGES]:
        return
    if m.object[row + OBJECT_REGIONS]:
        size = format_size(m.object[row + OBJECT_PAGES] * form.page_size)
        raise UserError(f'The shared memory "{wanted.name}" has {size}, not {format_size(wanted.size)}.')
    m.object[row + OBJECT_PAGES] = m.object[row + OBJECT_CACHED] = 0
    first = room(k, pages)
    m = k.m
    m.object[row + OBJECT_CACHED], m.object[row + OBJECT_PAGES] = first, pages
    for page in range(pages):
        m.cache[(first + page) * CACHE + CACHE_NUMBER] = page


def free_row(k: Linked) -> int:
    """A free row of the objects."""
    rows = len(k.m.object) // OBJECT
    for number in range(1, rows):
        if not k.m.object[number * OBJECT + OBJECT_CACHED]:
            return number
    if rows > MOST_OBJECTS:
        raise UserError(f"The machine has {MOST_OBJECTS} files and shared memories, and no room for more.")
    k.grow("objects", 2 * rows)
    return rows


def room(k: Linked, pages: int) -> int:
    """The first of `pages` consecutive free rows of the page cache."""
    m, at = k.m, 1
    spans = [
        (m.object[row + OBJECT_CACHED], m.object[row + OBJECT_PAGES])
        for row in range(0, len(m.object), OBJECT)
    ]
    for first, count in sorted(span for span in spans if span[0]):
        if first - at >= pages:
            break
        at = max(at, first + count)
    rows = len(m.cache) // CACHE
    if at + pages > rows:
        k.grow("cached", max(at + pages, 2 * rows))
    return at


def keep_content(k: Linked, form: Format, first: int, content: bytes) -> None:
    """Copy the bytes of a file into the table `file8`; `first` is the row of its first page."""
    page, pages = form.page_size, -(-len(content) // form.page_size)
    start = k.m.kernel[KERNEL_FILE_PAGES]
    k.grow("file_pages", start + pages)
    m = k.m
    m.kernel[KERNEL_FILE_PAGES] = start + pages
    for number in range(pages):
        m.cache[(first + number) * CACHE + CACHE_CONTENT] = start + number + 1
        m.filedirty[start + number] = 1
    if k.has_payload():
        m.file8.cast("B")[start * page : start * page + len(content)] = content


def is_object(k: Linked, number: int) -> bool:
    """Is there an object with that number?"""
    return 0 < number < len(k.m.object) // OBJECT and k.m.object[number * OBJECT + OBJECT_CACHED] > 0


def is_file(k: Linked, number: int) -> bool:
    """Is the object a file?"""
    return bool(k.m.object[number * OBJECT + OBJECT_SIZE] != NO_FILE)


def object_name(k: Linked, number: int) -> str:
    """The name of an object, up to 24 bytes; empty for shared memory without one."""
    row = number * OBJECT + OBJECT_NAME0
    text = b"".join(word.to_bytes(8, "little", signed=True) for word in k.m.object[row : row + NAME_WORDS])
    return text_of(text.rstrip(b"\0"))


def attach(k: Linked, region: int, backing: Backing) -> None:
    """Let a region, which has no page yet, map an object."""
    m, row, at = k.m, region * REGION, backing.number * OBJECT
    first = m.object[at + OBJECT_CACHED]
    m.region[row + REGION_OBJECT], m.region[row + REGION_SHARE] = backing.number, int(backing.share)
    m.region[row + REGION_CACHED] = first + backing.page
    m.region[row + REGION_LAST] = first + m.object[at + OBJECT_PAGES]
    retain(k, backing.number)


def retain(k: Linked, number: int) -> None:
    """Count one more region that maps an object; a caller that is about to map it may count itself."""
    k.m.object[number * OBJECT + OBJECT_REGIONS] += 1


def release(k: Linked, form: Format, number: int) -> None:
    """Count one region less, whose pages are unmapped by now.

    After the last one the object's pages are freed.
    """
    m, row = k.m, number * OBJECT
    m.object[row + OBJECT_REGIONS] -= 1
    if m.object[row + OBJECT_REGIONS]:
        return
    first, pages = m.object[row + OBJECT_CACHED], m.object[row + OBJECT_PAGES]
    for at in range(first * CACHE, (first + pages) * CACHE, CACHE):
        forget_page(k, form, at)
    if m.object[row + OBJECT_KEY] == 0:
        for at in range(first * CACHE, (first + pages) * CACHE):
            m.cache[at] = 0
        for at in range(row, row + OBJECT):
            m.object[at] = 0


def forget_page(k: Linked, form: Format, at: int) -> None:
    """Free the frame and the slot of a page of an object that no region maps; the copy of a file stays."""
    m = k.m
    frame = m.cache[at + CACHE_FRAME] - 1
    if m.cache[at + CACHE_SLOT]:
        k.slot_release(m, m.cache[at + CACHE_SLOT])
    m.cache[at + CACHE_FRAME] = m.cache[at + CACHE_SLOT] = 0
    if frame >= 0:
        k.mark_frame(m, frame)
        m.frame[frame * FRAME + FRAME_SLOT] = 0
        if not m.frame[frame * FRAME + FRAME_MAPS]:  # else an entry was overwritten with garbage
            give_frame(k, form, frame)
