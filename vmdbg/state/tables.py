"""Every array of the machine, one line a column: name, meaning, unit.

A table is one flat buffer of 64-bit signed words (a few are bytes); a row has a fixed width and a
column is an offset into it, so `m.frame[pfn * FRAME + FRAME_SLOT]` is the swap slot of a frame.
The widths and offsets are made from the declarations below as constants of this module (`FRAME`,
`FRAME_SLOT`).

The interpreted engine sees the buffers as `memoryview`s (plain Python ints, an overflow raises), the
compiled one as addresses of the same memory.  Two groups: STATE is what the machine is (in
digests, snapshots, saved files); CONTROL is what watches it.
"""

# Long: every array of the machine stands here.
from __future__ import annotations

import mmap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    def __getattr__(name: str) -> int:
        """The constants that `table` makes."""


STATE, CONTROL = "state", "control"


class Table:
    """One buffer: `rows` names the number of rows in the shape; `code` is a struct type code.

    `ranges` has the range of the columns that are not any number.  `cold`: only cold code uses it, so that
    the compiled engine does not take it.
    """

    __slots__ = ("code", "cold", "columns", "group", "name", "ranges", "rows", "width")

    def __init__(
        self, name: str, group: str, rows: str, columns: dict[str, str], code: str, width: int, cold: bool
    ) -> None:
        self.name, self.group, self.rows, self.code, self.width = name, group, rows, code, width
        self.columns, self.cold = columns, cold
        self.ranges: dict[str, str] = {}


TABLES: dict[str, Table] = {}


def table(name: str, group: str, rows: str, text: str, code: str = "q", cold: bool = False) -> None:
    """Declare a table; each line of `text` is a column, the range of its numbers, and its meaning.

    A range is `[LOW:HIGH]`, from LOW to HIGH - 1, or `[ONLY]`: sums of numbers, powers of two, names of the
    shape, and what `machine.numbers.limits` adds to them.  Whatever is used as an index has one.
    Rows of more than one word are rounded up to a power of two.
    """
    columns, ranges = {}, {}
    for line in text.strip().splitlines():
        column, _, meaning = line.strip().partition(" ")
        meaning = meaning.strip()
        if meaning.startswith("["):
            ranges[column], _, meaning = meaning[1:].partition("]")
        columns[column] = meaning.strip()
    width = 1
    while width < len(columns):
        width *= 2
    declared = TABLES[name] = Table(name, group, rows, columns, code, width, cold)
    declared.ranges = ranges
    globals()[name.upper()] = width
    for offset, column in enumerate(columns):
        globals()[f"{name}_{column}".upper()] = offset


# --- hardware ---------------------------------------------------------------------------------
table("ram1", STATE, "ram", "byte    physical memory, all banks one after the other, as bytes", "B")
table(
    "bank",
    STATE,
    "banks",
    """
    base   first physical address
    size   bytes
    offset where the bank starts in the memory buffer; 0 for the first
    """,
)
table(
    "cpu",
    STATE,
    "cpus",
    """
    pid      [0:processes] process that runs here; 0 = none
    root                   physical address of the root table (CR3, satp, TTBR)
    asid     [0:asids]     address-space number that tags TLB entries; 1 if the machine has none
    mode     [0:2]         0 user, 1 kernel: of the accesses that programs make
    address                address of the last fault (CR2, stval, FAR)
    code                   error code of the last fault
    quantum  [0:2^62]      operations left before the scheduler looks
    control0               control registers, as the format declares them
    control1
    control2
    control3
    read     [0:2^32]      allowed rights of a read: bit i set = the rights i are allowed (hardware/tlb.py)
    write    [0:2^32]      the same for a write
    fetch    [0:2^32]      the same for a fetch
    reserved               bits that the control registers reserve in present entries, beyond the format's own
    ignored                bits of entries that the control registers make the walker take for 0
    owed     [0:9]         requests of other CPUs to invalidate translations that wait here
    owed0                  each of them (kernel/shootdown.py)
    owed1
    owed2
    owed3
    owed4
    owed5
    owed6
    owed7
    since0   [0:2^62]      operation that each is from
    since1   [0:2^62]
    since2   [0:2^62]
    since3   [0:2^62]
    since4   [0:2^62]
    since5   [0:2^62]
    since6   [0:2^62]
    since7   [0:2^62]
    silent    bits of the error code that the control registers keep 0
    control4  more control registers
    control5
    control6
    control7
    reserved_large           as reserved, in leaves above the last level
    ignored_high             as ignored, for addresses of the upper half
    keys_read  [0:2^16]      bit i set: protection key i forbids reads of user pages
    keys_write [0:2^16]      the same for writes
    reach_low  [0:64]        bits of addresses that the root table translates, where registers say so
    reach_high [0:64]        the same of the root table of the upper half, where that has one
    tags       [0:4]         1: the top byte of addresses of the lower half is ignored; 2: of the upper half
    loaded                   root table whose entries it has loaded, plus 1; 0 = none
    entry0                   these entries (PDPTEs of PAE)
    entry1
    entry2
    entry3
    kernel_ad  [0:4]         1: the walker faults where A is clear; 2: where D is, on a write
    other_read  [0:2^32]     allowed rights of a read in the other mode, which changes places with `read`
    other_write [0:2^32]     the same for a write
    other_fetch [0:2^32]     the same for a fetch
    other_keys_read  [0:2^16]  keys_read of the other mode
    other_keys_write [0:2^16]  keys_write of the other mode
    window_read  [0:2^32]    allowed rights of a read in kernel mode, were the window to user pages turned
    window_write [0:2^32]    the same for a write
    window       [0:2]       the window's bit for processes without one of their own, while one with it runs
    """,
)
table(
    "array",
    STATE,
    "arrays",
    """
    level   [0:3]              1 or 2; 0 = a page-walk cache, which keeps pointers to tables instead of pages
    base    [0:tlb_words]      where CPU 0's rows start in the table tlb, in words
    mask    [0:2^22]           number of sets - 1; the number is a power of two
    span    [0:2^23]           words of one set (ways * TLB)
    fetches [0:2]              1 if it serves fetches
    data    [0:2]              1 if it serves loads and stores
    sizes   [0:16]             bit i set: may hold pages of size i (0 = base pages)
    present [0:16]             bit i set: a page of size i was put in since the last flush of everything
    stride  [tlb_words]        words of all arrays of one CPU
    trees   [0:tlb_words+1]    where the words that plru keeps for each set lie, from the array's rows on
    random  [0:2^31]           state of the random numbers that choose victims, 31 bits
    depth   [0:levels]         depth of the entries that a page-walk cache keeps
    """,
)
table(
    "tlb",
    STATE,
    "cpus * tlb_rows",
    """
    key  [-1:keys] tag << 18 | asid << 2 | size of page; asid 0 = global; -1 = empty
    word [0:words] pfn << 12 | key << 8 | global << 7 | dirty << 6 | suspect << 5 | keyed << 4 | rights
    """,
)
# --- kernel -----------------------------------------------------------------------------------
table(
    "kernel",
    STATE,
    "one",
    """
    operations  [0:2^62]         executed since the machine started
    cpu         [0:cpus]         CPU that executes the next operation
    random      [0:2^31]         state of the random numbers, 31 bits
    free        [-1:frames]      first free frame of the pool for everything (or for tables); -1 = none
    free_count  [0:frames+1]     frames in it
    user_free   [-1:frames]      first free frame of the pool for user pages; -1 = none, or no such pool
    user_count  [0:frames+1]     frames in it
    user_pool   [user_pool]      column of the pool that user pages come from: KERNEL_FREE or KERNEL_USER_FREE
    user_first  [0:frames+1]     first frame that can hold user pages
    user_end    [0:frames+1]     one past the last
    oldest      [-1:frames]      first frame in the policy's queue; -1 = none
    newest      [-1:frames]      last frame in it
    hand        frame at which the clock hand stands; any other number stands for the first
    resident    [0:frames+1]     frames that hold user pages
    slot_free   [0:slots]        first free slot of the swap area; 0 = none
    slot_count  [0:slots]        free slots
    rmap_free   [0:rmaps]        first free row of the reverse map; 0 = none
    rmap_count  [0:rmaps]        free rows
    region_free [0:regions]      first free row of the regions; 0 = none
    ready_first [0:processes]    first process that waits for a CPU; 0 = none
    ready_last  [0:processes]    last one
    quantum     [0:2^62]         operations a process may run before the next one's turn; 0 = no limit
    live        [0:processes]    processes that have not ended
    min         [0:2^62]         free frames below which an allocation reclaims itself, first
    low         [0:2^62]         free frames below which background reclaim wakes
    high        [0:2^62]         free frames at which it sleeps again
    wake        [0:2]            1: background reclaim is due
    file_pages  [0:file_pages+1] pages of the table file8 in use
    asids       [0:asids]        address-space number that was given last in this generation
    asid_count  [asid_count]     highest that is given; then a new generation begins
    generation  [0:2^62]         generations of address-space numbers before this one
    pid         [0:processes]    process number that was given last
    over_limit  [0:3]            what happens at a process's limit: 0 kill, 1 fail, 2 reclaim
    lazy        [0:2]            1: other CPUs invalidate translations later, before their next operation
    shots       [0:2^62]         invalidations so far, where the kernel is to forget one
    forget      [0:2^62]         number of the invalidation that it forgets; 0 = none
    stack_limit [0:2^62]         bytes that a stack may grow to
    root                         root table of the kernel half; 0 = there is none
    future      [0:futures]      row of the table future of the access that comes next
    tau         [0:2^62]         accesses of its process after which wsclock takes an unused page to be old
    """,
)
table(
    "frame",
    STATE,
    "frames",
    """
    state    [0:5]            what the frame holds: FREE, RESERVED, TABLE, USER, TAIL
    next     [-1:frames]      next frame of its list (free list or policy's queue); -1 = none
    previous [-1:frames]      previous frame of the policy's queue; -1 = none
    rmap     [0:rmaps]        first row of the reverse map; 0 = none
    maps     [0:rmaps]        number of entries that map it
    slot     [1-cached:slots] swap slot with a copy of the content; 0 = none; -row of the page cache
    pid      [0:processes]    process that a table belongs to, or that first mapped the page
    depth    [0:levels]       depth of the table (0 = root), or page-size index of a user page
    """,
)
table(
    "rmap",
    STATE,
    "rmaps",
    """
    entry               physical address of the entry that maps the frame
    pid   [0:processes] process
    va                  virtual address of the page
    next  [0:rmaps]     next row of the same frame, or next free row; 0 = none
    """,
)
# What a policy remembers of pages; without rows unless the policy in use has some (its FACTS).
table(
    "node",
    STATE,
    "nodes",
    """
    list     [0:8]         list that it is in (kernel/policies/nodes.py); 0 = none
    next     [-1:nodes]    next one of its list; -1 = none
    previous [-1:nodes]    previous one of its list; -1 = none
    count                  what the policy counts: accesses, or a register that is shifted
    time                   operation, access of the process or place in the future, as the policy says
    pid      [0:processes] process that mapped the page first when it came in
    va                     virtual address of the page in it
    chain    [-1:nodes]    next ghost of the same bucket; -1 = none
    """,
)
table(
    "list",
    STATE,
    "lists",
    """
    oldest [-1:nodes]  the one that came first; -1 = none
    newest [-1:nodes]  the one that came last; -1 = none
    size   [0:nodes+1] how many there are
    target [0:nodes+1] how many there should be, if the policy adapts that
    """,
)
table("bucket", STATE, "buckets", "first [-1:nodes] first ghost whose page number falls here; -1 = none")
table(
    "future",
    STATE,
    "futures",
    """
    page address of the page that the program accesses there; -1 = the end
    next row of the next access to the same page; 2^62 = never
    """,
)
table(
    "region",
    STATE,
    "regions",
    """
    pid    [0:processes] process; 0 = free row
    start                first virtual address
    end                  one past the last
    rights [0:16]        r 1, w 2, x 4, u 8
    kind   [0:9]         text, data, heap, anon, stack, ... (index into REGION_KINDS)
    size   [0:levels]    page-size index
    next   [0:regions]   next region of the process by address, or next free row; 0 = none
    limit                lowest address that a stack may grow down to; its start if it does not grow
    object [0:objects]   object that it maps; 0 = none: its pages are zeros that are its own
    share  [0:2]         1: what is written is written to the object; 0: to a copy of its own
    cached [0:2^40]      row of the page cache for its first page
    last   [0:cached+1]  one past the last row of its object: pages from there on are beyond the end
    """,
)
table(
    "process",
    STATE,
    "processes",
    """
    state       [0:5]         FREE, READY, RUNNING, ENDED
    asid        [0:asids]     address-space number
    root                      physical address of the root table
    pc          [0:ops]       row of the program's next operation
    end         [0:ops]       one past the last row
    cursor      [0:2^62]      accesses done of the range at pc
    limit       [0:2^62]      user frames it may hold; 0 = no limit
    rss         [0:2^40]      user frames that it has mapped
    swapped     [0:2^40]      entries that hold a slot
    tables      [0:frames+1]  frames that hold its page tables
    region      [0:regions]   first region by address; 0 = none
    next        [0:processes] next process that waits for a CPU; 0 = none
    minor       [0:2^62]      minor faults
    major       [0:2^62]      major faults
    depth       [0:9]         loops that it is inside of
    status                    exit status; a signal's number + 128 if it was killed
    parent      [0:processes] process that made it; 0 = none
    name0                     up to 16 bytes of name, little-endian
    name1
    loop0       [-2^62:2^63]  rounds left of each open loop, outermost first
    loop1       [-2^62:2^63]
    loop2       [-2^62:2^63]
    loop3       [-2^62:2^63]
    loop4       [-2^62:2^63]
    loop5       [-2^62:2^63]
    loop6       [-2^62:2^63]
    loop7       [-2^62:2^63]
    handler     [0:ops]       row of the program at which its signal handler begins; 0 = none
    back        [0:ops]       row to which the handler returns; 0 = it does not run
    back_cursor [0:2^62]      cursor there
    back_depth  [0:9]         depth there
    ran0        [0:2^32]      CPUs that may hold its translations, if there are several: bit i = CPU i
    ran1        [0:2^32]      the same for CPUs 32 to 63
    oom         [-2^62:2^62]  frames added to its out-of-memory score; once it was killed for it, the score
    pinned      [0:cpus+1]    number + 1 of the only CPU that it runs on; 0 = any
    cause       [0:4]         why it was killed: 1 its limit, 2 memory was full, 3 its policy, 0 anything else
    window      [0:3]         value + 1 of the bit that its kernel opens and closes; 0 = it never did
    """,
)
table(
    "slot",
    STATE,
    "slots",
    """
    refs [0:2^62]      entries and cached frames that refer to it; 0 = free
    pid  [0:processes] process that it was written for
    va                 virtual address of the page
    next [0:slots]     next free slot; 0 = none
    """,
)
table(
    "object",
    STATE,
    "objects",
    """
    cached  [0:cached]  first row of its pages in the page cache; 0 = free row
    pages   [0:cached]  number of them
    size    [-1:2^62]   bytes of the file; -1 = shared memory, zeros at first
    regions [0:regions] regions that map it
    key                 tells it from others; 0 = it has no name, and goes with its last region
    name0               up to 24 bytes of name, little-endian
    name1
    name2
    """,
    cold=True,
)
table(
    "cache",
    STATE,
    "cached",
    """
    frame   [0:frames+1]     frame that holds the page, plus 1; 0 = not in memory
    slot    [0:slots]        swap slot with its content; 0 = none
    content [0:file_pages+1] page of the table file8 with its content, plus 1; 0 = no file
    number  [0:cached]       of the page in its object
    """,
)
table("file8", STATE, "file_pages * page_words", "word    content of files, as read from the host or written")
table("swap8", STATE, "swap // 8", "word    content of the slots")
table(
    "op",
    STATE,
    "ops",
    """
    word      kind, flags (OP_ in kernel/scheduler.py) | 0x80 if a range follows | width << 8 | line << 16
    va        virtual address; of a loop, and of the rows of a range or a pattern: state/op_rows.py
    value     value that is written
    more      rights and options of mmap; which pattern an access has (kernel/access_patterns.py)
    """,
)
table("count", STATE, "processes * cpus * kinds", "events  [0:2^62] of each process, CPU and kind")
# --- what watches ------------------------------------------------------------------------------
table("dirty", CONTROL, "chunks", "mark    the piece of memory was stored to since the last snapshot", "B")
# One mark for each piece of 64 KiB of these tables, which grow with memory (room for twice as many).
table("framedirty", CONTROL, "frames // 512", "mark    some of these rows of frame changed", "B")
table("rmapdirty", CONTROL, "rmaps // 1024", "mark    some of these rows of rmap changed", "B")
table("swapdirty", CONTROL, "slots", "mark    the slot was written since the last snapshot", "B")
table("filedirty", CONTROL, "file_pages", "mark    the page was written since the last snapshot", "B")
table("mask", CONTROL, "kinds", "bits    1: a stop row names this kind; 2: log it", "B")
table(
    "stop",
    CONTROL,
    "stops",
    """
    kind      kind of event
    pid       process, or -1
    cpu       CPU, or -1
    value     argument to compare: 1 to 3; 0 = none
    low       its lowest value
    high      its highest
    action    0 stop, 2 log only; either logs the event
    hits      matches so far
    """,
)
table(
    "control",
    CONTROL,
    "one",
    """
    limit     run until so many operations are executed; 0 = hand over after this one
    goal      what limit was when the run began
    counters  row of the count table for the current CPU and process
    events    events inside the current operation, while some are masked
    stop      number of the event that asked to stop; 0 = none, -1 = a row that has a breakpoint
    stopped_kind  its kind
    stop_at   leave the operation at this event; 0 = do not
    stops     rows of the stop table
    logged    events logged (may exceed the rows of the log)
    steps     rows of path
    rights    rights so far at the end of path
    fault     fault of the last access: one of the FAULT_ constants
    value     value that the last access read, or that it overwrote
    set       where the TLB set begins that tlb_find searched last
    numbered  operation that `events` belongs to
    reason    why the run loop stopped
    hit       operation in which a stop row matched last
    first     row of path at which the last walk of a CPU started: what page-walk caches saved
    cached    page-walk cache that gave its table, a row of the table array; -1 = none
    """,
)
table(
    "log",
    CONTROL,
    "log",
    """
    kind      kind of event
    operation operations executed before it
    event     number inside its operation, from 1
    cpu       CPU
    pid       process
    a         arguments of the event
    b
    c
    """,
)
table(
    "path",
    CONTROL,
    "path",
    """
    table     physical address of the table
    index     index into it
    address   physical address of the entry
    entry     the entry
    kind      ENTRY_TABLE, ENTRY_LEAF, ENTRY_EMPTY, ENTRY_SWAPPED, ENTRY_RESERVED, ENTRY_BUS
    rights    rights so far
    """,
)

#: Extra views of the memory: the same bytes as wider words.
RAM_VIEWS = {"ram2": "H", "ram4": "I", "ram8": "q"}
#: The tables that compiled code sees, and the type codes of their elements.
COMPILED = {name: declared.code for name, declared in TABLES.items() if not declared.cold} | RAM_VIEWS
#: The columns of control registers 0 to 7.
CONTROLS = tuple(list(TABLES["cpu"].columns).index(f"control{number}") for number in range(8))

PAGE = mmap.PAGESIZE


class Views:
    """All tables as the interpreted engine takes them: the same names, memoryviews."""

    __slots__ = (*TABLES, *RAM_VIEWS)


def allocate(shape: dict[str, int]) -> dict[str, Any]:
    """Zeroed buffers for all tables.  `shape` gives a number for each name used as `rows` above."""
    buffers = {}
    for declared in TABLES.values():
        size = buffer_size(declared, shape)
        buffers[declared.name] = mmap.mmap(-1, size) if size >= PAGE * 4 else bytearray(size)
    return buffers


def buffer_size(declared: Table, shape: dict[str, int]) -> int:
    """Bytes of a table's buffer; a table without rows has room for one."""
    return max(1, eval_rows(declared.rows, shape)) * declared.width * (1 if declared.code == "B" else 8)


def eval_rows(rows: str, shape: dict[str, int]) -> int:
    """The number of rows: a name of the shape, a number, or a product or quotient of them."""
    total = 1
    for index, term in enumerate(rows.replace("//", "*/").split("*")):
        name = term.strip()
        divide = name.startswith("/")
        name = name.lstrip("/ ")
        value = int(name) if name.isdigit() else shape[name]
        total = total // value if divide else (value if index == 0 else total * value)
    return total


def views(buffers: dict[str, Any]) -> Views:
    """The interpreted engine's view of the buffers."""
    seen = Views()
    for declared in TABLES.values():
        setattr(seen, declared.name, memoryview(buffers[declared.name]).cast(declared.code))
    for name, code in RAM_VIEWS.items():
        setattr(seen, name, memoryview(buffers["ram1"]).cast("B").cast(code))
    return seen


def compiled_buffers(buffers: dict[str, Any]) -> dict[str, Any]:
    """The buffer of each of the tables that compiled code sees."""
    return {name: buffers["ram1" if name in RAM_VIEWS else name] for name in COMPILED}
