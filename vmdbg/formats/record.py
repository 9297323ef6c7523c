# Long: a record, its parts, and what follows from them.
"""A format as a record: what the manuals tabulate, and the few functions of its family."""

from __future__ import annotations

from functools import cached_property
from types import MappingProxyType

from vmdbg.errors import UserError
from vmdbg.formats import declared
from vmdbg.formats.contract import (
    ACCESS_FETCH,
    FAULT_BOUNDS,
    FAULT_KEY,
    FAULT_NON_CANONICAL,
    FAULT_NONE,
    FAULT_PROTECTION,
    RIGHT_U,
)
from vmdbg.formats.dataclass import dataclass, replace
from vmdbg.units import WORD_MASK, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

WORD_BITS = 3
LEAST_PAGE = 1 << WORD_BITS  # bytes, where a kernel fills pages: memory is made of words
BOUNDED_CHUNK_BITS = 16  # of the pieces in which snapshots keep a partition
#: Rule of access -> the role of the field that decides.
ROLE_OF_RULE = {
    "r": "readable",
    "w": "writable",
    "x": "executable",
    "u": "user",
    "k": "user",
    "p": "valid",
    "a": "accessed",
    "y": "key",
}
#: Bits of an error code: a translation is there, write, user, a reserved bit is set, fetch (SDM 3A, 4.7).
CODE_BITS = ((1, "P"), (2, "W"), (4, "U"), (8, "RSVD"), (16, "I"), (32, "PK"))


@dataclass
class Field:
    """A field of an entry: bits `low` to `low + width - 1`.

    `role`: what it decides, if anything: `valid readable writable executable user accessed dirty global huge
    slot_mark napot`, of one bit each, or `frame`, `slot` or `key`; `frame_high` are the bits of the frame's
    number above those of `frame`; `table_valid` and `table_frame` are those
    of a level, all of tables, whose entries have other fields than leaves.
    `where` says in which entries it stands: any of `t`able, `l`eaf, `h`uge leaf (not at the last level),
    `s`wapped.  `levels`: names of the levels at which it stands, none for all of them; elsewhere its bit
    means nothing.
    """

    name: str
    low: int
    role: str = ""
    width: int = 1
    where: str = "tlh"
    help: str = ""
    levels: tuple[str, ...] = ()

    def stands_at(self, level: str) -> bool:
        """Do entries of the level of that name have it?"""
        return not self.levels or level in self.levels

    def get(self, entry: int) -> int:
        """The field's value in an entry."""
        return (entry & WORD_MASK) >> self.low & ((1 << self.width) - 1)

    def put(self, entry: int, value: int) -> int:
        """The entry (unsigned) with the field set to `value`."""
        mask = ((1 << self.width) - 1) << self.low
        return (entry & WORD_MASK & ~mask) | (value << self.low & mask)


@dataclass
class Level:
    """One level of the tables: its name in the manual and in Linux, the lowest bit of an address that it
    translates, and how many it does; `leaf`: its entries may map a page."""

    name: str
    linux: str
    shift: int
    bits: int
    leaf: bool


def cut(page_bits: int, *levels: tuple[str, int, bool]) -> tuple[Level, ...]:
    """Levels from (name, index bits, may map a page), root first, above pages of 2 to the `page_bits` bytes.

    Linux calls the last one pte and the root above it pgd (Documentation/mm/page_tables.rst).
    """
    between = ("pte", "pmd", "pud", "p4d")
    shift = page_bits + sum(bits for _, bits, _ in levels)
    found = []
    for place, (name, bits, leaf) in enumerate(levels):
        shift -= bits
        linux = "pgd" if place == 0 and len(levels) > 1 else between[len(levels) - 1 - place]
        found.append(Level(name, linux, shift, bits, leaf))
    return tuple(found)


def bits_between(high: int, low: int) -> int:
    """A mask of the bits `high:low`; nothing if there are none."""
    return (1 << high + 1) - (1 << low) if high >= low else 0


FLUSH_ALL, FLUSH_SPACE = "all", "space"


@dataclass
class Register:
    """A control register or a bit of one: `cr0.wp` is bit 16 of `control0`.

    While it is 0 the field `reserves` of every entry is reserved, and the field `ignores` counts as 0.
    `flush`: what a CPU invalidates, `all` when the bit changes, the `space` when it is set.
    `reports`: a bit of the error code that stays 0 while all registers that report it are 0.
    `sets`: bits of leaves, of `AD`, that the walker sets only while it is not 0; else the walk faults.
    `setting`: the one of the machine that is its initial value.  `fixed`: it cannot change, and why in words;
    it is `least` to `most` otherwise, and not `never`.
    """

    name: str
    word: int
    low: int
    width: int
    initial: int
    help: str
    reserves: str = ""
    ignores: str = ""
    flush: str = ""
    reports: str = ""
    sets: str = ""
    setting: str = ""
    fixed: str = ""
    least: int = 0
    most: int = WORD_MASK
    never: int = -1

    @property
    def mask(self) -> int:
        """As many ones as it is wide."""
        return (1 << self.width) - 1


@dataclass
class Format:
    """A page-table layout.  Levels come root first; sizes are in bytes; `va_bits` counts all bits.

    What an entry is: `inverted` are the roles of rights whose bit takes the right away (NX).  Leaves above
    the last level have the bit `huge`, or with `leaf_by_rights` any right (RISC-V); of their frame number the
    bits `huge_free` below the page's size mean something else, the others must be 0.  At `plain_levels` the
    bit `huge` means nothing, at other levels without leaves it is reserved.  `hierarchical`: rights of tables
    count too.  `table_accessed`: the walker sets A in tables.  `reserved`: bits that must be 0 in valid
    entries, `reserved_table`: and in tables, `reserved_root`: and in those of the root table;
    `reserved_together`: bits that must not all be 1.
    `allowed(control, mode)`: the sets of rights nibbles on which a read, a write, a fetch is allowed.
    `kernel_base` is where the kernel half maps all of memory (as tables keep addresses: signed where
    the format sign-extends); None: no kernel half.  `root_fields` are those of the root register where it
    is more than an address: mode, number of the space, page number.  `bounded`: base and bounds, no tables
    at all; `segments`: so many pairs of them, behind which are tables of pages unless it is `bounded`.
    What the CPU reports of a fault is called `code_name`: an error code of `code_bits`, or one of `causes`,
    which are those of a read, a write and a fetch, in this order.
    With numbers of spaces a write to the root register takes one from its lowest `root_asid_bits`, unless
    they are 0, and flushes nothing if it has a bit of `root_keeps`, which it forgets (x86: CR4.PCIDE = 1).
    `asid_bits`: width of an address space's number, at most 16.  `least_bits`: shift of a base page as the
    format was declared, whatever `with_pages` makes of it.
    `rights_bits`: 5 if `combine` uses RIGHT_OTHER.  `keys(control, mode)`: which protection keys forbid reads
    of user pages and which writes, a bit each.  `masks_more(control)`: what control registers reserve and
    make the walker ignore beyond `reserves` and `ignores`, by column of a CPU; `ignores_more`: it does the
    latter.  `root_low`, `root_bits`: the root's address has these bits of its register, where they are not
    those of a base page.  `root_checked`: the entries of the root table are loaded when its register is
    written, and these bits of valid ones must be 0 then (PAE).  `bus_causes`: as `causes`, of an entry
    outside memory.
    `split`: the upper half of addresses has a root table of its own (Arm); `va_bits` counts both halves.
    `big_endian`: the first byte of an entry is its highest.  `ad_first`: a clear A is told before rights
    that are missing.  `first_level`: number of the root's level.  `reach(control)`: how many bits of
    addresses each half has, and which halves ignore the top byte.  `machine_mode(control, access)`: the mode,
    0 or 1, in which machine mode makes an access, None if it does not translate.
    `window`: the bit of a register that lets kernel mode touch user pages, and the value that does.
    `code_text`: what a code says in words.  `rule_texts`: see `rules`.
    `address_fault`: what the CPU calls the fault of an address that it has not.
    `functions` take the place of those of `formats.declared` that have their names.
    """

    name: str
    manual: str
    va_bits: int
    levels: tuple[Level, ...]
    entry_bytes: int
    fields: tuple[Field, ...]
    allowed: Callable[[list[int], int], tuple[int, int, int]]
    inverted: tuple[str, ...] = ()
    leaf_by_rights: bool = False
    huge_free: int = 0
    plain_levels: tuple[str, ...] = ()
    hierarchical: bool = False
    table_accessed: bool = False
    reserved: int = 0
    reserved_table: int = 0
    reserved_together: int = 0
    reserved_root: int = 0
    registers: tuple[Register, ...] = ()
    root_register: str = "root"
    root_fields: tuple[Register, ...] = ()
    fault_register: str = "address"
    sign_extended: bool = False
    software_walk: bool = False
    kernel_sets_ad: bool = False
    kernel_base: int | None = None
    bounded: bool = False
    segments: int = 0
    asid_bits: int = 16
    rights_bits: int = 4
    root_low: int = 0
    root_bits: int = 0
    keys: Callable[[list[int], int], tuple[int, int]] | None = None
    masks_more: Callable[[list[int]], Mapping[str, int]] | None = None
    root_checked: int = 0
    split: bool = False
    ad_first: bool = False
    big_endian: bool = False
    first_level: int = 0
    reach: Callable[[list[int]], tuple[int, int, int]] | None = None
    machine_mode: Callable[[list[int], int], int | None] | None = None
    window: tuple[str, int] | None = None
    code_text: Callable[[int], str] | None = None
    ignores_more: bool = False
    bus_causes: Mapping[int, str] = MappingProxyType({})
    code_bits: tuple[tuple[int, str], ...] = CODE_BITS
    code_name: str = "error code"
    machine_code_name: str = ""  # of what is reported to machine mode
    causes: Mapping[int, str] = MappingProxyType({})
    rule_texts: Mapping[str, str] = MappingProxyType({})
    address_fault: str = ""
    root_asid_bits: int = 0
    root_keeps: int = 0
    functions: tuple[Callable[..., Any], ...] = ()
    least_bits: int = 0

    def __post_init__(self) -> None:
        self.least_bits = self.least_bits or self.levels[-1].shift
        self.by_role = {field.role: field for field in self.fields if field.role}

    def role(self, role: str) -> Field | None:
        """The field that plays a role; None if the format has none."""
        return self.by_role.get(role)

    @cached_property
    def rules(self) -> dict[str, tuple[str, str]]:
        """The rules that decide about accesses: by letter, the field that decides and the rule in words.

        `rule_texts` has the words.  In them `{name}` is the deciding field, `{bit}` that and the value that
        it must have, as in `RW = 1`; `{top}` are bits of an address that must be equal, `{reserved}` those
        of `reserved`.  A rule whose field the format does not have is none of its rules.
        """
        top = f"63:{self.va_bits - 1}"
        reserved = bit_ranges(self.reserved & (1 << 8 * self.entry_bytes) - 1)
        found = {}
        for letter, text in self.rule_texts.items():
            name = bit = ""
            if letter in ROLE_OF_RULE:
                role = ROLE_OF_RULE[letter]
                if role not in self.by_role:
                    continue
                name = self.by_role[role].name
                bit = f"{name} = {0 if role in self.inverted else 1}"
            elif letter == "c":
                if not self.sign_extended:
                    continue
                name = self.address_fault
            elif letter == "b":
                name = "bound"
            found[letter] = (name, text.format(bit=bit, name=name, top=top, reserved=reserved))
        return found

    def with_pages(self, size: int) -> Format:
        """A format of one level, cut for pages of another size.  UserError if that cannot be."""
        if len(self.levels) > 1 or self.bounded:
            raise UserError(
                f"machine.page_size: only a format of one level can be cut anew; {self.name} is none."
            )
        bits = self.segment_shift or self.va_bits
        if size & (size - 1) or not LEAST_PAGE <= size < 1 << bits:
            raise UserError(f"machine.page_size: expected a power of two from {LEAST_PAGE} to 2^{bits - 1}.")
        shift = size.bit_length() - 1
        return replace(self, levels=(replace(self.levels[0], shift=shift, bits=bits - shift),))

    @property
    def page_bits(self) -> int:
        """Shift of a base page."""
        return self.levels[-1].shift

    @property
    def page_size(self) -> int:
        """Bytes of a base page."""
        return 1 << self.page_bits

    @property
    def page_shifts(self) -> list[int]:
        """Shifts of all page sizes, base page first; sizes without leaves are included as depths are."""
        return [level.shift for level in reversed(self.levels)]

    @property
    def segment_shift(self) -> int:
        """The lowest of the bits of an address that choose its segment, if there are segments."""
        return self.va_bits - (self.segments.bit_length() - 1) if self.segments else 0

    @property
    def grain(self) -> int:
        """Bytes that the ends of regions are multiples of."""
        return 1 if self.bounded else self.page_size

    @property
    def chunk_bits(self) -> int:
        """Shift of the pieces in which changes of memory are marked."""
        return min(self.page_bits, BOUNDED_CHUNK_BITS) if self.bounded else max(self.page_bits, WORD_BITS)

    @property
    def chunk_size(self) -> int:
        """Bytes of the pieces in which changes of memory are marked."""
        return 1 << self.chunk_bits

    def size_index(self, size: int) -> int:
        """The page-size index of a size in bytes; ValueError if the format has no such page."""
        for index, level in enumerate(reversed(self.levels)):
            if size == 1 << level.shift and level.leaf:
                return index
        raise ValueError(size)

    def table_bytes(self, depth: int) -> int:
        """Bytes of a table at a depth."""
        return (1 << self.levels[depth].bits) * self.entry_bytes

    @property
    def root_mask(self) -> int:
        """The bits of a root's address: a multiple of a base page; where one table is all, of an entry."""
        if self.root_bits:
            return (1 << self.root_bits) - (1 << self.root_low)
        grain = 1 << self.least_bits
        if len(self.levels) == 1 and not self.bounded:
            grain = min(grain, self.entry_bytes)
        return ((self.frames << self.page_bits) - 1) & -grain

    @property
    def slots(self) -> int:
        """Slots that an absent entry can name, 0 included; 1 if it can keep none."""
        slot = self.role("slot")
        return 1 << slot.width if slot else 1

    @property
    def frames(self) -> int:
        """Frames that an entry can name."""
        high = self.role("frame_high")
        return 1 << self.by_role["frame"].width + (high.width if high else 0)

    @property
    def user_entries(self) -> int:
        """Entries of the root table that belong to the process; the others are the kernel's."""
        entries = 1 << self.levels[0].bits
        if self.kernel_base is None or self.split:
            return entries
        return entries // 2 if self.sign_extended else self.index(self.kernel_base, 0)

    @property
    def user_end(self) -> int:
        """One past the last address of a process; 2^64 where there is no kernel half."""
        return 1 << 64 if self.kernel_base is None else self.user_entries << self.levels[0].shift

    def signed(self, va: int) -> int:
        """An unsigned virtual address as tables keep it: sign-extended where the format is."""
        if self.sign_extended and va >> (self.va_bits - 1):
            return va - (1 << self.va_bits)
        return va

    def index(self, va: int, depth: int) -> int:
        """The index that a walk of `va` uses at a depth."""
        level = self.levels[depth]
        return (va & WORD_MASK) >> level.shift & ((1 << level.bits) - 1)

    def bindings(self) -> dict[str, Any]:
        """What fills the holes of `formats.contract`."""

        def packed(values: list[int]) -> int:
            return sum(value << 8 * place for place, value in enumerate(values))

        functions = (*declared.FUNCTIONS, *self.functions)
        bound: dict[str, Any] = {function.__name__: function for function in functions}
        return bound | {
            **declared.constants(self),
            "LEVELS": len(self.levels),
            "SHIFTS": packed([level.shift for level in self.levels]),
            "BITS": packed([level.bits for level in self.levels]),
            "SIZES": packed(self.page_shifts),
            "PAGE_BITS": self.page_bits,
            "CHUNK_BITS": self.chunk_bits,
            "ENTRY_BYTES": self.entry_bytes,
            "BIG_ENDIAN": int(self.big_endian),
            "VPN_MASK": (1 << (self.va_bits - self.page_bits)) - 1,
            "TOP_SHIFT": self.va_bits - 1 if self.sign_extended else self.va_bits,
            "TOP_BITS": -1 if self.sign_extended else 0,
            "ROOT_MASK": self.root_mask,
            "SOFTWARE_WALK": int(self.software_walk),
            "KERNEL_SETS_AD": int(self.kernel_sets_ad or any(register.sets for register in self.registers)),
            "RIGHTS": (1 << self.rights_bits) - 1,
            "MASKED": int(self.masked),
            "BARE": int(any(field.name.endswith(".mode") for field in self.root_fields)),
            "SPLIT": int(self.split or (self.segments > 0 and not self.bounded)),
            "WINDOW": int(self.window is not None),
            "WINDOW_LOW": self.window_place[1],
            "SEGMENT_SHIFT": self.segment_shift,
            "FAULT_OUTSIDE": FAULT_BOUNDS if self.segments else FAULT_NON_CANONICAL,
            "AD_FIRST": int(self.ad_first),
            "ROOT_LOADED": int(bool(self.root_checked)),
            "FIRST_LEVEL": self.first_level,
        }

    @property
    def window_place(self) -> tuple[int, int]:
        """The word of control registers with the bit of `window`, and the bit's number in it."""
        name = self.window[0] if self.window is not None else ""
        return next(((found.word, found.low) for found in self.registers if found.name == name), (0, 0))

    @cached_property
    def masked(self) -> bool:
        """May registers make the walker ignore bits that say what an entry is?  (The global bit does not.)"""
        deciding = {field.name for field in self.fields if field.role != "global"}
        return self.ignores_more or any(r.ignores in deciding for r in self.registers if r.ignores)

    def derived(self, control: list[int], mode: int) -> dict[str, int]:
        """What follows from control registers with these words in a mode, by column of the table `cpu`.

        The rights that each access needs and what protection keys forbid, there and in the other mode, and in
        the kernel's if its window to user pages were the other way;
        reserved and ignored bits of entries, the bits of error codes that stay 0, and which of A and D the
        kernel has to set.
        """
        found = self.masks(control) | {"silent": self.silent(control), "kernel_ad": self.kernel_ad(control)}
        low, high, tags = self.reach(control) if self.reach is not None else (0, 0, 0)
        found |= {"reach_low": low, "reach_high": high, "tags": tags}
        other = {f"other_{column}": value for column, value in self.sets(control, 1 - mode).items()}
        if self.window is not None:
            turned, (word, low) = list(control), self.window_place
            turned[word] ^= 1 << low
            sets = self.sets(turned, 1)
            found |= {"window_read": sets["read"], "window_write": sets["write"]}
        return found | self.sets(control, mode) | other

    def sets(self, control: list[int], mode: int) -> dict[str, int]:
        """The rights that each access is allowed on in a mode, and what protection keys forbid, by column."""
        reads, writes, fetches = self.allowed(control, mode)
        found = {"keys_read": 0, "keys_write": 0, "read": reads, "write": writes, "fetch": fetches}
        if self.keys is not None:
            found["keys_read"], found["keys_write"] = self.keys(control, mode)
            keyed = {"read": found["keys_read"], "write": found["keys_write"], "fetch": 0}
            for access, forbidden in keyed.items():
                found[access] |= 0 if forbidden else found[access] << 16
        return found

    def refusal(self, control: list[int], mode: int, access: int, rights: int, key: int) -> int:
        """The fault of an access to a page with these rights and this protection key, or FAULT_NONE."""
        if self.keys is not None and access < ACCESS_FETCH and rights & RIGHT_U:
            if self.keys(control, mode)[access] >> key & 1:
                return FAULT_KEY
        return FAULT_NONE if self.allowed(control, mode)[access] >> rights & 1 else FAULT_PROTECTION

    def masks(self, control: list[int]) -> dict[str, int]:
        """Bits of entries that control registers with these words reserve and ignore, by column of a CPU."""
        reserved = ignored = 0
        bits = {field.name: ((1 << field.width) - 1) << field.low for field in self.fields}
        for register in self.registers:
            if not control[register.word] >> register.low & register.mask:
                reserved |= bits.get(register.reserves, 0)
                ignored |= bits.get(register.ignores, 0)
        found = {"reserved": reserved, "reserved_large": 0, "ignored": ignored, "ignored_high": ignored}
        for column, more in (self.masks_more(control) if self.masks_more else {}).items():
            found[column] |= more
        return {column: s64(mask) for column, mask in found.items()}

    def kernel_ad(self, control: list[int]) -> int:
        """Which bits the walker does not set with these words: 1 for A, 2 for D."""
        named = [register for register in self.registers if register.sets]
        if not named:
            return 3 if self.kernel_sets_ad else 0
        kept = [r.sets for r in named if control[r.word] >> r.low & r.mask == 0]
        return sum(1 << place for place, letter in enumerate("AD") if any(letter in sets for sets in kept))

    def silent(self, control: list[int]) -> int:
        """Bits of the error code that control registers with these words keep 0."""
        bits = {name: bit for bit, name in self.code_bits}
        asked = given = 0
        for register in self.registers:
            asked |= bits.get(register.reports, 0)
            if control[register.word] >> register.low & register.mask:
                given |= bits.get(register.reports, 0)
        return asked & ~given

    def standing(self, where: str, depth: int = -1) -> list[Field]:
        """The fields of an entry: `where` as in `Field`; leaves have the same at each depth."""
        level = self.levels[depth].name
        return [field for field in self.fields if where in field.where and field.stands_at(level)]

    def flags(self, entry: int, where: str, depth: int = -1) -> list[str]:
        """Names of the one-bit fields that are set, lowest bit first."""
        return [f.name for f in self.standing(where, depth) if f.width == 1 and f.get(entry)]


def bit_ranges(mask: int) -> str:
    """The bits of a mask, highest first: `63:54`, `7, 4`."""
    ranges = []
    while mask:
        high = low = mask.bit_length() - 1
        while low and mask >> (low - 1) & 1:
            low -= 1
        ranges.append(f"{high}:{low}" if high > low else str(high))
        mask &= (1 << low) - 1
    return ", ".join(ranges)
