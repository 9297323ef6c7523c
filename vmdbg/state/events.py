"""Events: the only way in which the machine tells what it does.

Each kind is declared once, below: counters, `catch`, `info stats`, costs, completion, the docs, what is said
of an event, what the past is asked and what a command changed all follow from that.  `emit` counts, and calls
`note` for the kinds whose mask byte is set.
"""

from __future__ import annotations

from vmdbg.engine import hole, reads, writes
from vmdbg.state.tables import (
    CONTROL_COUNTERS,
    CONTROL_EVENTS,
    CONTROL_HIT,
    CONTROL_LIMIT,
    CONTROL_LOGGED,
    CONTROL_NUMBERED,
    CONTROL_STOP,
    CONTROL_STOP_AT,
    CONTROL_STOPPED_KIND,
    CONTROL_STOPS,
    CPU,
    CPU_PID,
    KERNEL_CPU,
    KERNEL_OPERATIONS,
    LOG,
    LOG_A,
    LOG_B,
    LOG_C,
    LOG_CPU,
    LOG_EVENT,
    LOG_KIND,
    LOG_OPERATION,
    LOG_PID,
    STOP,
    STOP_ACTION,
    STOP_CPU,
    STOP_HIGH,
    STOP_HITS,
    STOP_KIND,
    STOP_LOW,
    STOP_PID,
    STOP_VALUE,
)

#: Kinds of arguments that are 64 bits without a sign.
UNSIGNED = ("va", "history", "pa", "word")
#: The kinds of arguments that are not called as they are.
KINDS_BY_NAME = {"address": "pa", "entry": "word", "old": "word", "new": "word", "key": "word"}


class Event:
    """One kind of event, as it was declared: see `event`.

    `changes` is two texts, for one thing and for many, or empty.
    """

    __slots__ = (
        "amount", "arguments", "changes", "cost", "fills", "head", "help", "kind", "kinds", "name", "rank",
        "says",
    )  # fmt: skip

    def __init__(self, kind: int, name: str, arguments: str, cost: str, help: str, says: str) -> None:
        self.kind, self.name, self.cost, self.help, self.says = kind, name, cost, help, says
        pairs = [argument.partition(":") for argument in arguments.split()]
        self.arguments = tuple(name for name, _, _ in pairs)
        self.kinds = tuple(sort or KINDS_BY_NAME.get(name, name) for name, _, sort in pairs)
        self.amount = self.fills = self.head = ""
        self.changes: tuple[str, ...] = ()
        self.rank = 0

    @property
    def is_step(self) -> bool:
        """Is it one step of a walk?"""
        return "step" in self.arguments

    def places(self, kind: str) -> list[int]:
        """Which arguments are of a kind: 1 for `a`, 2 for `b`, 3 for `c`."""
        return [place for place, own in enumerate(self.kinds, 1) if own == kind]


EVENTS: list[Event] = []
#: Words that stand for several kinds, for `catch` and `$count`: their names.
FAMILIES: dict[str, list[str]] = {
    "fault": [], "swapin": [], "swapout": [], "cow": [], "syscall": [], "straddle": [],
}  # fmt: skip


def event(
    name: str,
    arguments: str,
    cost: str,
    help: str,
    says: str,
    families: str = "",
    amount: str = "",
    fills: str = "",
    changes: str = "",
    rank: int = 0,
    head: str = "",
) -> int:
    """Declare a kind; returns its number.

    `arguments` names what `a`, `b`, `c` are.  A kind may follow, `va:history`; without one an argument is of
    the kind that KINDS_BY_NAME says or its name is.  What is asked of the past follows from the kinds:

    - history: a virtual address; the event belongs to the life of the page that it lies in
    - start, end: a range of virtual addresses; the event belongs to the life of every page in it
    - pfn: the number of a frame to whose life the event belongs; slot: of a slot
    - UNSIGNED: 64 bits without a sign

    `cost` is a key of the costs.  `families` are words that stand for this kind and others.  `amount` names
    the argument that says of how many things one event tells (empty: of one), `fills` that of a frame which
    has new content then.

    `says` is the event in a sentence.  In braces stand an argument, `pid`, `cpu`, or what is computed of them
    (FIELDS of inspect/event_fields.py); after a colon how it is written (its NOTATIONS), or by which of some
    words: `{dirty:clean|dirty}`.  A stop at the event has the words `head` instead, where more lines follow.

    `changes` says what came of the event in the line after a command, of one and of many: `table made|tables
    made`.  There the events stand in the order of their `rank`.
    """
    declared = Event(len(EVENTS), name, arguments, cost, help, says)
    declared.amount, declared.fills, declared.head = amount, fills, head
    declared.changes, declared.rank = tuple(changes.split("|")) if changes else (), rank
    for family in families.split():
        FAMILIES[family].append(name)
    EVENTS.append(declared)
    return declared.kind


# fmt: off
# What the program does.
FETCH = event("fetch", "pa value", "memory", "an instruction was fetched from memory", "{pa:pa}{loaded}")
READ = event("read", "pa value", "memory", "a program read memory", "{pa:pa}{loaded}")
WRITE = event("write", "pa old new", "memory", "a program wrote memory", "{pa:pa}{stored}")
# What the hardware does.
# The third argument of a hit has the page-size index above the word (hardware/mmu.py).
TLB_HIT = event("tlb-hit", "va row word", "l1", "a first-level TLB array had the translation",
    "vpn {va:vpn} -> pfn {hit:pfn}, {row:way}")
TLB_L2_HIT = event("tlb-l2-hit", "va row word", "l1+l2", "the second-level TLB had the translation",
    "vpn {va:vpn} -> pfn {hit:pfn}, {row:way}")
TLB_STALE = event("tlb-stale", "va:history key word", "",
    "the first use of a cached entry that disagrees with the tables",
    "{stale}; the tables disagree", head="first use of an entry that disagrees with the tables")
TLB_MISS = event("tlb-miss", "va asid access", "l1+l2", "no TLB array had the translation",
    "vpn {va:vpn}, asid {asid:asid}: {searched}")
TLB_FILL = event("tlb-fill", "va key word", "", "a translation was put into the TLB arrays",
    "{filled}", changes="TLB entry filled|TLB entries filled", rank=7)
TLB_EVICT = event("tlb-evict", "key word row", "", "a translation was pushed out of a TLB array",
    "{translation}, {row:way}")
TLB_DROP = event("tlb-drop", "key word row", "", "a translation was invalidated",
    "{translation}, {row:way}", changes="TLB entry dropped|TLB entries dropped", rank=8)
TLB_FLUSH = event("tlb-flush", "asid count", "", "many translations were invalidated at once",
    "{asid:space}: {count:entries} dropped")
WALK_STEP = event("walk-step", "step address entry", "memory", "the hardware walker read an entry",
    "{reading}")
WALK_CACHE_HIT = event("walk-cache-hit", "va depth table", "", "a page-walk cache gave the walk a table",
    "{depth:level} of {start:va}: {table:pa}, {spared:entries} not read")
WALK_CACHE_FLUSH = event("walk-cache-flush", "asid count cpu", "", "page-walk caches were invalidated",
    "{asid:space}: {count:entries} dropped", amount="count",
    changes="page-walk cache entry dropped|page-walk cache entries dropped", rank=9)
TABLE_READ = event("table-read", "step address entry", "memory", "the kernel's TLB handler read an entry",
    "{reading}")
TRAP = event("trap", "fault code va:history", "trap", "the CPU entered the kernel", "{trap}")
RETRY = event("retry", "va kind", "", "the operation is executed again", "{kind:read|write|fetch} {va:va}")
BUS_ERROR = event("bus-error", "pa va", "", "an access outside every bank of memory",
    "{pa:pa} is outside memory")
# What the kernel does.  `region` is the kind of a region, an index into REGION_KINDS
# (kernel/calls/regions.py): its row may be another's by the time that somebody reads of the event.
LIMIT_CHECK = event("limit-check", "held limit allowed", "", "the process's memory limit was compared",
    "process {pid} holds {held} of {limit} frames: {allowed:refused|allowed}")
REFUSED = event("refused", "va:history held limit", "", "an access was given up: its process is at its limit",
    "{va:va}: process {pid} holds {held} of {limit} frames")
FRAME_ALLOC = event("frame-alloc", "pfn va:history", "", "a frame was given to a page, zeroed",
    "pfn {pfn:pfn}, first free{zeroed}", changes="frame given|frames given", rank=1, fills="pfn")
FRAME_FREE = event("frame-free", "pfn count", "", "a frame, or all of a large page, was given back",
    "pfn {pfn:pfn}{tail}", amount="count", changes="frame freed|frames freed", rank=6)
TABLE_ALLOC = event("table-alloc", "pfn depth address", "", "a frame was made a page table",
    "pfn {pfn:pfn}, a {depth:level}", changes="table made|tables made", rank=5)
ENTRY_WRITE = event("entry-write", "address old new", "", "the kernel wrote a page-table entry", "{change}")
FAULT_COW = event("fault-cow", "va:history from:pfn to:pfn", "minor",
    "a write to a shared page gave the writer a copy",
    "{copy}", changes="page copied|pages copied", rank=4, fills="to", families="fault cow")
FAULT_FILE = event("fault-file", "va:history region page", "major", "a fault was served from a file",
    "region {region:region}, page {page} of its file", families="fault")
FAULT_ACCESS = event("fault-access", "va:history entry dirty", "minor",
    "the kernel set A or D where no hardware does",
    "{entry:entry}: {dirty:A|D} set by the kernel", families="fault")
STACK_GROW = event("stack-grow", "from to region", "", "a stack region grew down to an address",
    "from {from:va} to {to:va}")
FAULT_MINOR = event("fault-minor", "va:history region reason", "minor", "a fault was served from memory",
    "{reason:demand-zero|shared}, region {region:region}", families="fault")
FAULT_MAJOR = event("fault-major", "va:history region slot", "major", "a fault was served from swap",
    "region {region:region}; slot {slot} stays valid while clean", families="fault")
SIGNAL = event("signal", "number code va:history", "", "a process was sent a signal",
    "{signal} to process {pid}, {va:va}")
HANDLER = event("handler", "number line", "", "a process's handler runs instead of its being killed",
    "process {pid} handles {number:signal}, line {line}")
RETURN = event("return", "line", "", "a handler is done: the access that faulted is repeated",
    "process {pid} repeats its access of line {line}")
RECLAIM = event("reclaim", "free wanted", "", "no frame is free: the kernel looks for a victim",
    "{free} user frames free, {wanted} wanted")
BACKGROUND = event("reclaim-background", "free wanted", "", "free frames are low: the kernel makes room",
    "{free} user frames free, {wanted} wanted")
AGE = event("age", "pfn va:history", "",
    "the policy cleared the accessed bit of an entry and passed its page by",
    "pfn {pfn:pfn}, vpn {va:vpn}: A cleared")
EVICT = event("evict", "pfn va:history dirty", "", "the policy chose a page to leave memory",
    "pfn {pfn:pfn}, {va:mapping}, {dirty:clean|dirty}")
SWAP_OUT = event("swap-out", "slot pfn va:history", "", "a page was written to the swap area",
    "pfn {pfn:pfn} -> slot {slot}, {page_size} written", families="swapout")
FILE_READ = event("file-read", "page pfn va:history", "", "a page was read from a file",
    "page {page} -> pfn {pfn:pfn}, {page_size} read", changes="page read from a file|pages read from files",
    rank=3, fills="pfn")
FILE_DROP = event("file-drop", "page pfn va:history", "", "a page of a file left memory; the file has it",
    "pfn {pfn:pfn} dropped; page {page} of the file has it")
FILE_WRITE = event("file-write", "page pfn va:history", "", "a dirty page of a shared file was kept aside",
    "pfn {pfn:pfn} kept as page {page} of the file")
SWAP_DROP = event("swap-drop", "slot pfn va:history", "", "a clean page left memory; its slot is still valid",
    "pfn {pfn:pfn} dropped; slot {slot} is still valid")
SWAP_IN = event("swap-in", "slot pfn va:history", "", "a page was read from the swap area",
    "slot {slot} -> pfn {pfn:pfn}, {page_size} read", changes="page read from swap|pages read from swap",
    rank=2, fills="pfn", families="swapin")
SWITCH = event("switch", "from to root", "", "a CPU changed to another process",
    "{switch}", changes="switch|switches", rank=14)
FORK = event("fork", "parent child pages", "", "a process was copied",
    "process {child} from {parent}, {pages} pages shared", families="syscall")
MMAP = event("mmap", "start end rights", "", "a region was mapped",
    "{start:va}..{end:va}, {rights:rights}", changes="region mapped|regions mapped", rank=10,
    families="syscall")
MUNMAP = event("munmap", "start end", "", "a range was unmapped",
    "{start:va}..{end:va}", changes="range unmapped|ranges unmapped", rank=11, families="syscall")
MPROTECT = event("mprotect", "start end rights", "", "the rights of a range were changed",
    "{start:va}..{end:va}, {rights:rights}", changes="range given other rights|ranges given other rights",
    rank=12, families="syscall")
BRK = event("brk", "from to", "", "the end of the heap was moved",
    "from {from:va} to {to:va}", changes="heap resized|heaps resized", rank=13, families="syscall")
POKE = event("poke", "address old new", "", "memory was written behind the kernel's back",
    "{address:pa}: {old:hex} -> {new:hex}")
SYSCALL_ERROR = event("syscall-error", "operation line", "", "a system call was refused",
    "operation {operation}, line {line}")
SHOOTDOWN = event("shootdown", "va:history asid cpu", "", "another CPU was told to invalidate a page",
    "{target}: cpu {cpu} is told to invalidate")
SHOOTDOWN_DONE = event("shootdown-done", "va:history asid since", "", "a CPU invalidated what it was told to",
    "{target}, told in operation {since}")
ASID_ROLLOVER = event("asid-rollover", "generation given", "", "all address-space numbers were taken back",
    "generation {generation}: all {given} numbers were given; TLBs are flushed")
EXIT = event("exit", "pid status", "", "a process ended",
    "process {pid}, {ending}", changes="process ended|processes ended", rank=15, families="syscall")
OOM_PAGES = event("oom-pages", "pid resident swapped", "", "out of memory: what a process holds",
    "process {pid}: {resident} frames resident, {swapped} swapped")
OOM_SCORE = event("oom-score", "pid tables score", "", "out of memory: its tables, and the score of all",
    "process {pid}: {tables} in tables, score {score}")
OOM = event("oom", "pid score", "", "no frame is free and no page can leave: a process is killed",
    "process {pid} has the highest score, {score}")
# Later kinds stand here at the end: saved machines have their counts by number.
STRADDLE_FETCH = event("straddle-fetch", "va", "", "a fetch went on in the next page",
    "fetch {va:va} goes on in the next page", families="straddle")
STRADDLE_READ = event("straddle-read", "va", "", "a read went on in the next page",
    "read {va:va} goes on in the next page", families="straddle")
STRADDLE_WRITE = event("straddle-write", "va", "", "a write went on in the next page",
    "write {va:va} goes on in the next page", families="straddle")
PROMOTED = event("promoted", "va:history pages pfn", "", "a larger page took the place of base pages",
    "the page at {va:va} is pfn {pfn:pfn} on, in place of {pages} base pages",
    changes="larger page in place of base pages|larger pages in place of base pages", rank=16, fills="pfn")
ZERO_DROP = event("zero-drop", "owner pfn va:history", "", "a page that was never written left memory",
    "pfn {pfn:pfn} dropped; the next access gets zeros again")
KERNEL_ACCESS = event("kernel-access", "va kind", "", "the kernel began an access of its own",
    "{kind:read|write|fetch} {va:va} in kernel mode")
KERNEL_FAULT = event("kernel-fault", "va:history number code", "",
    "the kernel gave up an access of its own that it cannot serve",
    "{va:va}: the access is given up, a system call returns EFAULT")
# fmt: on

KINDS_SHIFT = 7
KINDS = 1 << KINDS_SHIFT  # room for kinds in the count table

BY_NAME = {declared.name: declared for declared in EVENTS}

MASK_STOPS = 1  # a row of the stop table names this kind
MASK_LOG = 2  # the log is on, or single events are stepped

ACTION_STOP, ACTION_LOG = 0, 2  # of a stop row


@hole
def halt(number: int) -> None:
    """Leave the current operation at event `number`, at once (interpreted engine only: it raises)."""


@writes
def emit(m, kind, a, b, c):
    """Tell that `kind` happened on the current CPU, to its current process."""
    m.count[m.control[CONTROL_COUNTERS] + kind] += 1
    if m.mask[kind]:
        note(m, kind, a, b, c)


@writes(cold=True)
def note(m, kind, a, b, c):
    """Number the event inside its operation, log it, and test the stop rows, which are in order of kinds."""
    if m.control[CONTROL_NUMBERED] != m.kernel[KERNEL_OPERATIONS]:
        m.control[CONTROL_NUMBERED] = m.kernel[KERNEL_OPERATIONS]
        m.control[CONTROL_EVENTS] = 0
    number = m.control[CONTROL_EVENTS] + 1
    m.control[CONTROL_EVENTS] = number
    cpu = m.kernel[KERNEL_CPU]
    pid = m.cpu[cpu * CPU + CPU_PID]
    keep = m.mask[kind] & MASK_LOG
    if m.mask[kind] & MASK_STOPS:
        row = 0
        end = m.control[CONTROL_STOPS] * STOP
        while row < end and m.stop[row + STOP_KIND] <= kind:
            if m.stop[row + STOP_KIND] == kind and stop_matches(m, row, cpu, pid, a, b, c):
                m.stop[row + STOP_HITS] += 1
                m.control[CONTROL_HIT] = m.kernel[KERNEL_OPERATIONS]
                keep = MASK_LOG
                if m.stop[row + STOP_ACTION] == ACTION_STOP and m.control[CONTROL_STOP] == 0:
                    m.control[CONTROL_STOP] = number
                    m.control[CONTROL_STOPPED_KIND] = kind
                    m.control[CONTROL_LIMIT] = 0
            row += STOP
    if keep:
        row = m.control[CONTROL_LOGGED] * LOG
        if row + LOG <= len(m.log):
            m.log[row + LOG_KIND] = kind
            m.log[row + LOG_OPERATION] = m.kernel[KERNEL_OPERATIONS]
            m.log[row + LOG_EVENT] = number
            m.log[row + LOG_CPU] = cpu
            m.log[row + LOG_PID] = pid
            m.log[row + LOG_A] = a
            m.log[row + LOG_B] = b
            m.log[row + LOG_C] = c
        m.control[CONTROL_LOGGED] += 1
    if number == m.control[CONTROL_STOP_AT]:
        halt(number)


@reads
def stop_matches(m, row, cpu, pid, a, b, c):
    """Does stop row `row` (an offset) want an event of CPU `cpu`, process `pid`, arguments `a`, `b`, `c`?"""
    if m.stop[row + STOP_PID] >= 0 and m.stop[row + STOP_PID] != pid:
        return False
    if m.stop[row + STOP_CPU] >= 0 and m.stop[row + STOP_CPU] != cpu:
        return False
    which = m.stop[row + STOP_VALUE]
    if which == 0:
        return True
    value = a if which == 1 else b if which == 2 else c
    return m.stop[row + STOP_LOW] <= value <= m.stop[row + STOP_HIGH]
