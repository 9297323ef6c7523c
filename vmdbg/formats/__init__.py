"""Page-table formats as records; `find` gets one by name.

A record is declared by a line `SV39: Format = ...("sv39", ...` of a module here: that lists it.
"""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.formats.record import Format

DECLARED = re.compile(r'^([A-Z]\w*): Format = \w+\(\s*(?:name=)?"([^"]+)"', re.MULTILINE)


def declared_formats(folder: str) -> dict[str, tuple[str, str]]:
    """Format name -> (module, attribute) of all records that the modules in a folder declare."""
    found = {}
    for file in os.listdir(folder):
        if file.endswith(".py"):
            with open(os.path.join(folder, file), encoding="utf-8") as source:
                for attribute, name in DECLARED.findall(source.read()):
                    found[name] = file[:-3], attribute
    return dict(sorted(found.items()))


#: Format name -> (module, attribute); modules are imported when a machine needs them.
NAMES = declared_formats(os.path.dirname(__file__))
#: What a machine has if nothing is said.
DEFAULT = "x86_64"


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
