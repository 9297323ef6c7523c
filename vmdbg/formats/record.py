"""A format as a record: what the manuals tabulate, and the few functions of its family."""

from __future__ import annotations

from copy import copy

from vmdbg.errors import UserError
from vmdbg.units import WORD_MASK, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LEAST_PAGE = 8  # bytes: memory is made of words


class Field:
    """A field of an entry: bits `low` to `low + width - 1`.  `where` says in which entries it exists.

    `where`: any of `t`able, `l`eaf, `h`uge leaf (not at the last level), `s`wapped.
    """

    __slots__ = ("help", "low", "name", "where", "width")

    def __init__(self, name: str, low: int, width: int = 1, where: str = "tlh", help: str = "") -> None:
        self.name, self.low, self.width, self.where, self.help = name, low, width, where, help

    def get(self, entry: int) -> int:
        """The field's value in an entry."""
        return (entry & WORD_MASK) >> self.low & ((1 << self.width) - 1)

    def put(self, entry: int, value: int) -> int:
        """The entry (unsigned) with the field set to `value`."""
        mask = ((1 << self.width) - 1) << self.low
        return (entry & WORD_MASK & ~mask) | (value << self.low & mask)


class Level:
    """One level of the tables: its name in the manual and in Linux, and its index bits."""

    __slots__ = ("bits", "leaf", "linux", "name", "shift")

    def __init__(self, name: str, linux: str, shift: int, bits: int, leaf: bool) -> None:
        self.name, self.linux, self.shift, self.bits, self.leaf = name, linux, shift, bits, leaf


FLUSH_ALL, FLUSH_SPACE = "all", "space"


class Register:
    """A control register or a bit of one: `cr0.wp` is bit 16 of `control0`.

    While it is 0 the field `reserves` of every entry is reserved, and the field `ignores` of leaves counts
    as 0.  `flush`: what a CPU invalidates, `all` when the bit changes, the `space` when it is set.
    """

    __slots__ = ("flush", "help", "ignores", "initial", "low", "name", "reserves", "width", "word")

    def __init__(
        self,
        name: str,
        word: int,
        low: int,
        width: int,
        initial: int,
        help: str,
        reserves: str = "",
        ignores: str = "",
        flush: str = "",
    ) -> None:
        self.name, self.word, self.low, self.width = name, word, low, width
        self.initial, self.help = initial, help
        self.reserves, self.ignores, self.flush = reserves, ignores, flush

    @property
    def mask(self) -> int:
        """As many ones as it is wide."""
        return (1 << self.width) - 1


def never_silent(control: list[int]) -> int:
    """Error codes that say all they can, whatever the control registers."""
    return 0


class Format:
    """A page-table layout.  Levels come root first; sizes are in bytes; `va_bits` counts all bits.

    `kernel_base` is where the kernel half maps all of memory (as tables keep addresses: signed where
    the format sign-extends); None: no kernel half.  `root_fields` are those of the root register where it
    is more than an address: mode, number of the space, page number.  `bounded`: base and bounds, no tables
    at all.
    What the CPU reports of a fault is called `code_name`: an error code of `code_bits`, or one of `causes`.
    `silent(control)`: bits of the error code that the control registers keep 0.
    With numbers of spaces a write to the root register takes one from its lowest `root_asid_bits`, unless
    they are 0, and flushes nothing if it has a bit of `root_keeps`, which it forgets (x86: CR4.PCIDE = 1).
    `asid_bits`: width of an address space's number, at most 16.  `least_bits`: shift of a base page as the
    format was declared, whatever `with_pages` makes of it.
    """

    def __init__(
        self,
        name: str,
        manual: str,
        va_bits: int,
        levels: tuple[Level, ...],
        entry_bytes: int,
        fields: tuple[Field, ...],
        functions: tuple[Callable[..., Any], ...],
        allowed: Callable[[list[int], int], tuple[int, int, int]],
        registers: tuple[Register, ...] = (),
        root_register: str = "root",
        root_fields: tuple[Register, ...] = (),
        fault_register: str = "address",
        sign_extended: bool = False,
        software_walk: bool = False,
        kernel_sets_ad: bool = False,
        kernel_base: int | None = None,
        bounded: bool = False,
        asid_bits: int = 16,
        code_bits: tuple[tuple[int, str], ...] = (),
        code_name: str = "error code",
        causes: dict[int, str] | None = None,
        rules: dict[str, tuple[str, str]] | None = None,
        constants: dict[str, int] | None = None,
        silent: Callable[[list[int]], int] = never_silent,
        root_asid_bits: int = 0,
        root_keeps: int = 0,
    ) -> None:
        self.name, self.manual, self.va_bits, self.levels = name, manual, va_bits, levels
        self.entry_bytes, self.fields, self.functions = entry_bytes, fields, functions
        self.allowed, self.registers, self.root_fields = allowed, registers, root_fields
        self.root_register, self.fault_register = root_register, fault_register
        self.sign_extended, self.software_walk = sign_extended, software_walk
        self.kernel_sets_ad, self.kernel_base = kernel_sets_ad, kernel_base
        self.bounded, self.asid_bits = bounded, asid_bits
        self.code_bits, self.rules = code_bits, rules or {}
        self.code_name, self.causes = code_name, causes or {}
        self.constants, self.silent = constants or {}, silent
        self.root_asid_bits, self.root_keeps = root_asid_bits, root_keeps
        self.least_bits = levels[-1].shift

    def with_pages(self, size: int) -> Format:
        """A format of one level, cut for pages of another size.  UserError if that cannot be."""
        if len(self.levels) > 1 or self.bounded:
            raise UserError(
                f"machine.page_size: only a format of one level can be cut anew; {self.name} is none."
            )
        if size & (size - 1) or not LEAST_PAGE <= size < 1 << self.va_bits:
            raise UserError(
                f"machine.page_size: expected a power of two from {LEAST_PAGE} to 2^{self.va_bits - 1}."
            )
        level, shift = self.levels[0], size.bit_length() - 1
        cut = copy(self)
        cut.levels = (Level(level.name, level.linux, shift, self.va_bits - shift, leaf=True),)
        return cut

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
    def grain(self) -> int:
        """Bytes that the ends of regions are multiples of."""
        return 1 if self.bounded else self.page_size

    @property
    def chunk_size(self) -> int:
        """Bytes of the pieces in which changes of memory are marked."""
        return 1 << self.constants.get("CHUNK_BITS", self.page_bits)

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
        grain = 1 << self.least_bits
        if len(self.levels) == 1 and not self.bounded:
            grain = min(grain, self.entry_bytes)
        return ((self.frames << self.page_bits) - 1) & -grain

    @property
    def slots(self) -> int:
        """Slots that an absent entry can name, 0 included; 1 if it can keep none."""
        widths = [field.width for field in self.fields if "s" in field.where and field.width > 1]
        return 1 << max(widths, default=0)

    @property
    def frames(self) -> int:
        """Frames that an entry can name."""
        return 1 << max(field.width for field in self.fields if "l" in field.where)

    @property
    def user_entries(self) -> int:
        """Entries of the root table that belong to the process; the others are the kernel's."""
        entries = 1 << self.levels[0].bits
        if self.kernel_base is None:
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

        bound: dict[str, Any] = {function.__name__: function for function in self.functions}
        bound |= {
            "LEVELS": len(self.levels),
            "SHIFTS": packed([level.shift for level in self.levels]),
            "BITS": packed([level.bits for level in self.levels]),
            "SIZES": packed(self.page_shifts),
            "PAGE_BITS": self.page_bits,
            "CHUNK_BITS": self.page_bits,
            "ENTRY_BYTES": self.entry_bytes,
            "VPN_MASK": (1 << (self.va_bits - self.page_bits)) - 1,
            "TOP_SHIFT": self.va_bits - 1 if self.sign_extended else self.va_bits,
            "TOP_BITS": -1 if self.sign_extended else 0,
            "ROOT_MASK": self.root_mask,
            "SOFTWARE_WALK": int(self.software_walk),
            "KERNEL_SETS_AD": int(self.kernel_sets_ad),
        }
        return bound | self.constants

    def masks(self, control: list[int]) -> tuple[int, int]:
        """Bits of entries that control registers with these words reserve, and those that they ignore."""
        reserved = ignored = 0
        bits = {field.name: 1 << field.low for field in self.fields}
        for register in self.registers:
            if not control[register.word] >> register.low & register.mask:
                reserved |= bits.get(register.reserves, 0)
                ignored |= bits.get(register.ignores, 0)
        return s64(reserved), s64(ignored)

    def flags(self, entry: int, where: str) -> list[str]:
        """Names of the one-bit fields that are set, lowest bit first."""
        return [f.name for f in self.fields if f.width == 1 and where in f.where and f.get(entry)]
