"""Events: the only way in which the machine tells what it does.

Each kind is declared once, below; counters, `catch`, `info stats`, costs, completion and the docs
derive from these declarations.  `emit` counts, and calls `note` for the kinds whose mask byte is set.
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


class Event:
    """One kind of event.  `arguments` names what `a`, `b`, `c` are; `cost` is a key of the costs.

    `amount` names the argument that says of how many things one event tells; empty: of one.
    """

    __slots__ = ("amount", "arguments", "cost", "help", "kind", "name")

    def __init__(
        self, kind: int, name: str, arguments: tuple[str, ...], cost: str, help: str, amount: str
    ) -> None:
        self.kind, self.name, self.arguments, self.cost, self.help = kind, name, arguments, cost, help
        self.amount = amount


EVENTS: list[Event] = []


def event(name: str, arguments: str, cost: str, help: str, amount: str = "") -> int:
    """Declare a kind; returns its number."""
    EVENTS.append(Event(len(EVENTS), name, tuple(arguments.split()), cost, help, amount))
    return len(EVENTS) - 1


# What the program does.
FETCH = event("fetch", "pa value", "memory", "an instruction was fetched from memory")
READ = event("read", "pa value", "memory", "a program read memory")
WRITE = event("write", "pa old new", "memory", "a program wrote memory")
# What the hardware does.
# The third argument of a hit has the page-size index above the word (hardware/mmu.py).
TLB_HIT = event("tlb-hit", "va row word", "l1", "a first-level TLB array had the translation")
TLB_L2_HIT = event("tlb-l2-hit", "va row word", "l1+l2", "the second-level TLB had the translation")
TLB_STALE = event(
    "tlb-stale", "va key word", "", "the first use of a cached entry that disagrees with the tables"
)
TLB_MISS = event("tlb-miss", "va asid access", "l1+l2", "no TLB array had the translation")
TLB_FILL = event("tlb-fill", "va key word", "", "a translation was put into the TLB arrays")
TLB_EVICT = event("tlb-evict", "key word row", "", "a translation was pushed out of a TLB array")
TLB_DROP = event("tlb-drop", "key word row", "", "a translation was invalidated")
TLB_FLUSH = event("tlb-flush", "asid count", "", "many translations were invalidated at once")
WALK_STEP = event("walk-step", "step address entry", "memory", "the hardware walker read an entry")
WALK_CACHE_HIT = event("walk-cache-hit", "va depth table", "", "a page-walk cache gave the walk a table")
WALK_CACHE_FLUSH = event(
    "walk-cache-flush", "asid count cpu", "", "page-walk caches were invalidated", "count"
)
TABLE_READ = event("table-read", "step address entry", "memory", "the kernel's TLB handler read an entry")
TRAP = event("trap", "fault code va", "trap", "the CPU entered the kernel")
RETRY = event("retry", "va kind", "", "the operation is executed again")
BUS_ERROR = event("bus-error", "pa va", "", "an access outside every bank of memory")
# What the kernel does.  `region` is the kind of a region, an index into REGION_KINDS
# (kernel/calls/regions.py): its row may be another's by the time that somebody reads of the event.
LIMIT_CHECK = event("limit-check", "held limit allowed", "", "the process's memory limit was compared")
REFUSED = event("refused", "va held limit", "", "an access was given up: its process is at its limit")
FRAME_ALLOC = event("frame-alloc", "pfn va", "", "a frame was given to a page, zeroed")
FRAME_FREE = event("frame-free", "pfn count", "", "a frame, or all of a large page, was given back", "count")
TABLE_ALLOC = event("table-alloc", "pfn depth address", "", "a frame was made a page table")
ENTRY_WRITE = event("entry-write", "address old new", "", "the kernel wrote a page-table entry")
FAULT_COW = event("fault-cow", "va from to", "minor", "a write to a shared page gave the writer a copy")
FAULT_FILE = event("fault-file", "va region page", "major", "a fault was served from a file")
FAULT_ACCESS = event(
    "fault-access", "va entry dirty", "minor", "the kernel set A or D where no hardware does"
)
STACK_GROW = event("stack-grow", "from to region", "", "a stack region grew down to an address")
FAULT_MINOR = event("fault-minor", "va region reason", "minor", "a fault was served from memory")
FAULT_MAJOR = event("fault-major", "va region slot", "major", "a fault was served from swap")
SIGNAL = event("signal", "number code va", "", "a process was sent a signal")
HANDLER = event("handler", "number line", "", "a process's handler runs instead of its being killed")
RETURN = event("return", "line", "", "a handler is done: the access that faulted is repeated")
RECLAIM = event("reclaim", "free wanted", "", "no frame is free: the kernel looks for a victim")
BACKGROUND = event("reclaim-background", "free wanted", "", "free frames are low: the kernel makes room")
AGE = event("age", "pfn va", "", "the policy cleared the accessed bit of an entry and passed its page by")
EVICT = event("evict", "pfn va dirty", "", "the policy chose a page to leave memory")
SWAP_OUT = event("swap-out", "slot pfn va", "", "a page was written to the swap area")
FILE_READ = event("file-read", "page pfn va", "", "a page was read from a file")
FILE_DROP = event("file-drop", "page pfn va", "", "a page of a file left memory; the file has it")
FILE_WRITE = event("file-write", "page pfn va", "", "a dirty page of a shared file was kept aside")
SWAP_DROP = event("swap-drop", "slot pfn va", "", "a clean page left memory; its slot is still valid")
SWAP_IN = event("swap-in", "slot pfn va", "", "a page was read from the swap area")
SWITCH = event("switch", "from to root", "", "a CPU changed to another process")
FORK = event("fork", "parent child pages", "", "a process was copied")
MMAP = event("mmap", "start end rights", "", "a region was mapped")
MUNMAP = event("munmap", "start end", "", "a range was unmapped")
MPROTECT = event("mprotect", "start end rights", "", "the rights of a range were changed")
BRK = event("brk", "from to", "", "the end of the heap was moved")
POKE = event("poke", "address old new", "", "memory was written behind the kernel's back")
SYSCALL_ERROR = event("syscall-error", "operation line", "", "a system call was refused")
SHOOTDOWN = event("shootdown", "va asid cpu", "", "another CPU was told to invalidate a page")
SHOOTDOWN_DONE = event("shootdown-done", "va asid since", "", "a CPU invalidated what it was told to")
ASID_ROLLOVER = event("asid-rollover", "generation given", "", "all address-space numbers were taken back")
EXIT = event("exit", "pid status", "", "a process ended")
OOM_PAGES = event("oom-pages", "pid resident swapped", "", "out of memory: what a process holds")
OOM_SCORE = event("oom-score", "pid tables score", "", "out of memory: its tables, and the score of all")
OOM = event("oom", "pid score", "", "no frame is free and no page can leave: a process is killed")

KINDS_SHIFT = 7
KINDS = 1 << KINDS_SHIFT  # room for kinds in the count table

BY_NAME = {declared.name: declared for declared in EVENTS}
# Words that stand for several kinds, for `catch` and `$count`.
FAMILIES: dict[str, tuple[str, ...]] = {
    "fault": ("fault-minor", "fault-major", "fault-cow", "fault-file", "fault-access"),
    "swapin": ("swap-in",),
    "swapout": ("swap-out",),
    "cow": ("fault-cow",),
    "syscall": ("fork", "mmap", "munmap", "mprotect", "brk", "exit"),
}

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
