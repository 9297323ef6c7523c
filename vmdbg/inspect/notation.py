"""How numbers of one machine read: addresses, entries, rights, sizes.  Text only, no decisions."""

from __future__ import annotations

from vmdbg.formats.contract import ENTRY_EMPTY, ENTRY_KINDS
from vmdbg.units import WORD_MASK, format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.formats.record import Format

PADDED_BITS = 32  # addresses of machines up to this width are padded
LETTERS = "rwx"
RIGHTS = tuple(
    "".join(letter if rights >> bit & 1 else "-" for bit, letter in enumerate(LETTERS)) + "ku"[rights >> 3]
    if rights & 7
    else "-"
    for rights in range(16)
)


def rights_text(rights: int) -> str:
    """A nibble of rights as four letters, `r-xu`; no rights at all are `-`."""
    return RIGHTS[rights & 15]


def kind_word(kind: int, entry: int) -> str:
    """What an entry is: one of ENTRY_KINDS, or `not-valid` where it maps nothing and is not zero."""
    return "not-valid" if kind == ENTRY_EMPTY and entry else ENTRY_KINDS[kind]


def size_text(size: int) -> str:
    """A size, exact; none at all is `-`."""
    return format_size(size) if size else "-"


class Notation:
    """The widths of a format's addresses, entries, page and frame numbers."""

    def __init__(self, form: Format) -> None:
        self.va_bits, self.page_bits = form.va_bits, form.page_bits
        self.entry_digits = 2 * form.entry_bytes
        self.physical_bits = physical_bits(form)

    @staticmethod
    def padded(value: int, bits: int, pad: bool) -> str:
        """Hex, padded to `bits` where `pad`."""
        unsigned = value & WORD_MASK
        return f"0x{unsigned:0{(bits + 3) // 4}x}" if pad else f"0x{unsigned:x}"

    def va(self, address: int) -> str:
        """A virtual address."""
        return self.padded(address, self.va_bits, self.va_bits <= PADDED_BITS)

    def pa(self, address: int) -> str:
        """A physical address."""
        return self.padded(address, self.physical_bits, self.physical_bits <= PADDED_BITS)

    def vpn(self, page: int) -> str:
        """A virtual page number, in base pages."""
        return self.padded(page, self.va_bits - self.page_bits, self.va_bits <= PADDED_BITS)

    def pfn(self, frame: int) -> str:
        """A frame number, in base pages."""
        return self.padded(frame, self.physical_bits - self.page_bits, self.physical_bits <= PADDED_BITS)

    def entry(self, entry: int) -> str:
        """An entry, always padded to its width."""
        return f"0x{entry & WORD_MASK:0{self.entry_digits}x}"


def physical_bits(form: Format) -> int:
    """Bits of a physical address, by the widest frame field of the format's entries."""
    widths, high = [field.width for field in form.fields if field.role == "frame"], form.role("frame_high")
    above = high.width if high is not None else 0
    return max(widths, default=form.va_bits - form.page_bits) + form.page_bits + above


def code_text(form: Format, code: int, by_machine: bool = False) -> str:
    """What the CPU reports of a fault, in the manual's words: `error code 0x7 (P W U)`.

    `by_machine`: to machine mode, in its own register (RISC-V Privileged, 3.1.15: mcause).
    """
    words, name = code_words(form, code), form.machine_code_name if by_machine else form.code_name
    return f"{name} {code:#x} ({words})" if words else f"{name} {code:#x}"


def code_words(form: Format, code: int) -> str:
    """The names of an error code's bits, or of a cause; empty if there is none."""
    if form.code_text is not None:
        return form.code_text(code)
    if form.causes:
        return {**form.causes, **form.bus_causes}.get(code, "")
    return " ".join(name for bit, name in form.code_bits if code & bit)
