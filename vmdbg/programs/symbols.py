"""Names of addresses from the symbol tables of an ELF file, such as a kernel's, and the nearest one."""

from __future__ import annotations

import mmap
from bisect import bisect_left, bisect_right

from vmdbg.errors import InputError, UserError
from vmdbg.programs.elf import SURPRISES, Layout, elf_reader
from vmdbg.units import WORD_MASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NEAR = 1 << 20  # bytes behind a symbol that still read as `symbol+offset`


class Symbols:
    """Names of addresses; of several at one address the one that was read first."""

    def __init__(self, by_name: dict[str, int]) -> None:
        self.by_name = by_name
        places: dict[int, str] = {}
        for name, address in by_name.items():
            places.setdefault(address, name)
        self.addresses = sorted(places)
        self.names = [places[address] for address in self.addresses]

    def name_of(self, address: int) -> str:
        """`idt+8` by the nearest symbol before; empty if there is none near."""
        place = bisect_right(self.addresses, address) - 1
        if place < 0 or address - self.addresses[place] >= NEAR:
            return ""
        offset = address - self.addresses[place]
        return f"{self.names[place]}+{offset}" if offset else self.names[place]

    def first_in(self, start: int, end: int) -> str:
        """The name at the first address with one from `start` to before `end`; empty without one."""
        place = bisect_left(self.addresses, start)
        return self.names[place] if place < len(self.addresses) and self.addresses[place] < end else ""


class SymbolFile(Layout):
    """An ELF file of which only the symbols are read: of any type, for addresses of any width."""

    def __init__(self, path: str, data: mmap.mmap, elf: object, offset: int) -> None:
        self.path, self.data, self.elf = path, data, elf
        self.base = offset

    def holds(self, va: int) -> bool:
        """Symbols of address 0 are none of memory."""
        return 0 < va <= WORD_MASK and va != self.base


def read_symbols(path: str, offset: int = 0) -> Symbols:
    """The symbols of an ELF file, `offset` added to each (a kernel that was moved: KASLR).

    UserError if it cannot be opened or has none, or pyelftools is not there; InputError if it is damaged.
    """
    elf_file, elf_error = elf_reader(path)
    try:
        with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = SymbolFile(path, data, elf_file(stream), offset).symbols()
    except (OSError, ValueError) as error:  # no such file, an empty one, a folder
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}.") from None
    except InputError:
        raise
    except (elf_error, *SURPRISES) as error:
        raise InputError(f"a damaged ELF file: {error}", path) from None
    if not found:
        raise UserError(f"{path}: no symbols (it may be stripped).")
    return Symbols(found)


def matching(symbols: Symbols, text: str) -> Iterator[str]:
    """The names that begin with a text."""
    return (name for name in symbols.by_name if name.startswith(text))
