"""Page-table formats as records; `find` gets one by name."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.formats.record import Format

#: Format name -> (module, attribute); modules are imported when a machine needs them.
NAMES = {
    "x86_64": ("x86", "X86_64"),
    "x86_32": ("x86_32", "X86_32"),
    "sv39": ("riscv", "SV39"),
    "sv39-svade": ("riscv", "SV39_SVADE"),
    "partitions": ("base_and_bounds", "PARTITIONS"),
    "word-table": ("textbook", "WORD_TABLE"),
    "tutorial16": ("textbook", "TUTORIAL16"),
    "tutorial16-hw": ("textbook", "TUTORIAL16_HW"),
}


def find(name: str, page_size: int = 0) -> Format:
    """The format of that name, or the one that a TOML file declares, cut for pages of so many bytes (0: of
    its own).  KeyError if there is none, UserError if it cannot be cut so."""
    if name.endswith(".toml"):
        from vmdbg.formats.toml import load_format

        found = load_format(name)
    else:
        from importlib import import_module

        module, attribute = NAMES[name]
        found = getattr(import_module(f"vmdbg.formats.{module}"), attribute)
    return found.with_pages(page_size) if page_size else found
