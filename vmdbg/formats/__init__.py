"""Page-table formats as records; `find` gets one by name."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.formats.record import Format

#: Format name -> (module, attribute); modules are imported when a machine needs them.
NAMES = {
    "x86_64": ("x86", "X86_64"),
    "tutorial16": ("toy", "TUTORIAL16"),
    "tutorial16-hw": ("toy", "TUTORIAL16_HW"),
}


def find(name: str) -> Format:
    """The format of that name; KeyError if there is none."""
    from importlib import import_module

    module, attribute = NAMES[name]
    found: Format = getattr(import_module(f"vmdbg.formats.{module}"), attribute)
    return found
