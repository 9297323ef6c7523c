"""What a format gives the hot code: functions and constants that fill these holes.

An entry is a 64-bit word as the tables keep it (signed); narrower entries are zero-extended.  A depth
counts from the root, 0.  Rights are a nibble: r 1, w 2, x 4, u 8 (without u: kernel only).  A format may have
a fifth bit of its own, RIGHT_OTHER.
"""

from __future__ import annotations

from vmdbg.engine import hole

RIGHT_R, RIGHT_W, RIGHT_X, RIGHT_U = 1, 2, 4, 8
ALL_RIGHTS = 15
RIGHT_OTHER = 16  # what a format needs to remember of a page beside these; its `allowed` says what it means

# What an entry is.
ENTRY_TABLE = 0  # points to the next level
ENTRY_LEAF = 1  # maps a page
ENTRY_EMPTY = 2  # maps nothing
ENTRY_SWAPPED = 3  # maps nothing; the kernel keeps a slot in it
ENTRY_RESERVED = 4  # a bit is set that the manual reserves
ENTRY_BUS = 5  # lies outside every bank of memory
ENTRY_BOUND = 6  # base and bounds: the address is not below the bound
NAPOT_ENTRIES = 16
ROOT_ENTRIES = 4
BARE_ROOT = -1  # no address of a table: satp.MODE is Bare
ENTRY_KINDS = ("table", "leaf", "empty", "swapped", "reserved", "bus", "bound")

# Kinds of access.
ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH = 0, 1, 2
ACCESS_LETTERS = "rwx"

# Kinds of fault.
FAULT_NONE = 0
FAULT_NOT_PRESENT = 1
FAULT_PROTECTION = 2
FAULT_RESERVED = 3
FAULT_NON_CANONICAL = 4
FAULT_BUS = 5
FAULT_BOUNDS = 6
FAULT_REFILL = 7  # software-filled TLB: no translation cached
FAULT_AD = 8  # A clear, or D on a write, where the hardware sets neither (Svade, Arm without HA/HD)
FAULT_KEY = 9  # the page's protection key forbids it (x86: PKRU)
FAULT_KINDS = (
    "none",
    "not-present",
    "protection",
    "reserved",
    "non-canonical",
    "bus",
    "bounds",
    "refill",
    "access-flag",
    "protection-key",
)

# Constants of the format that is bound (overlaid at build).
LEVELS = 0  # levels of a walk
SHIFTS = 0  # byte d: lowest bit of the virtual address that depth d translates
BITS = 0  # byte d: number of index bits at depth d
SIZES = 0  # byte s: shift of page size s (0 = base page)
PAGE_BITS = 0  # shift of a base page
CHUNK_BITS = 0  # shift of the pieces in which changes of memory are marked
ENTRY_BYTES = 0
BIG_ENDIAN = 0  # 1: the first byte of an entry is its highest
VPN_MASK = 0  # of a virtual address shifted right by PAGE_BITS
TOP_SHIFT = 0  # an address shifted right by this must be 0 or TOP_BITS
TOP_BITS = 0  # -1 where addresses are sign-extended
SOFTWARE_WALK = 0  # 1: the kernel fills the TLB
KERNEL_SETS_AD = 0  # 1: the walker may fault where A, or D on a write, is clear: CPU_KERNEL_AD says whether
RIGHTS = 15  # bits of rights that the format has: the nibble, and RIGHT_OTHER if it uses it
WINDOW = 0  # 1: a bit of a register says whether kernel mode may touch user pages
WINDOW_WORD, WINDOW_LOW = 0, 0  # the column of a CPU that has it, and its place there
SPLIT = 0  # 1: addresses of the upper half, or of each segment, have a root table of their own
FAULT_OUTSIDE = FAULT_NON_CANONICAL  # of an address that none of them translates
ROOT_LOADED = 0  # 1: a CPU loads the ROOT_ENTRIES of its root table when the root register is written
AD_FIRST = 0  # 1: that fault comes before those of rights
BARE = 0  # 1: a CPU whose root is BARE_ROOT does not translate
MASKED = 0  # 1: registers make the walker take bits of entries for 0
NAPOT = 0  # bit of a leaf at the last level: it is one of NAPOT_ENTRIES for a page of as many base pages
KEY_LOW, KEY_MASK = 0, 0  # of the protection key of a leaf; no mask: there are none
ROOT_MASK = 0  # of a root register: the bits that are the table's address
CAUSES = 0  # byte a: the cause that a fault of access kind a is reported as; 0: there are error codes
CODE_PRESENT = 0  # bits of an error code: a translation is there,
CODE_WRITE = 0  # the access writes,
CODE_USER = 0  # it is a program's,
CODE_RESERVED = 0  # a reserved bit is set,
CODE_FETCH = 0  # it fetches an instruction
CODE_KEY = 0  # the protection key forbids it
BUS_CAUSES = 0  # as CAUSES, of an entry outside memory


@hole
def classify(entry: int, depth: int) -> int:
    """One of the ENTRY_ constants, but at the last level not ENTRY_TABLE."""


@hole
def combine(rights: int, entry: int, kind: int, depth: int) -> int:
    """The rights so far, after an entry of that kind at a depth, given the rights before it."""


@hole
def next_table(entry: int, depth: int) -> int:
    """Physical address of the table that a table entry at a depth points to."""


@hole
def leaf_frame(entry: int, depth: int) -> int:
    """Physical address of the page that a leaf entry maps; with NAPOT, of all its entries together."""


@hole
def touched(entry: int, dirty: int) -> int:
    """The leaf or table entry with A set, and D too if `dirty`."""


@hole
def touched_table(entry: int, depth: int) -> int:
    """The table entry at a depth as the walker leaves it (A set where the architecture has it)."""


@hole
def is_accessed(entry: int) -> int:
    """1 if A is set in a leaf."""


@hole
def is_dirty(entry: int) -> int:
    """1 if D is set in a leaf."""


@hole
def is_global(entry: int) -> int:
    """1 if a leaf is global."""


@hole
def aged(entry: int) -> int:
    """The leaf with A clear."""


@hole
def cleaned(entry: int) -> int:
    """The leaf with D clear."""


@hole
def protected(entry: int) -> int:
    """The leaf without the right to write."""


@hole
def globalized(entry: int) -> int:
    """The leaf as a global one, where the format has those."""


@hole
def make_leaf(address: int, rights: int, depth: int) -> int:
    """A present leaf for the page at physical `address`; A and D clear."""


@hole
def make_table(address: int, depth: int) -> int:
    """A table entry at a depth that points to the table at physical `address`, as the kernel writes it."""


@hole
def make_swapped(slot: int) -> int:
    """An absent leaf that keeps a slot."""


@hole
def swapped_slot(entry: int) -> int:
    """The slot that an absent leaf keeps."""
