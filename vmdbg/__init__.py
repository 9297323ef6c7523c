"""vmdbg: a debugger whose debuggee is virtual memory.

Without the prompt it is a library:

    Mmu(format, memory, **registers)    an MMU on page tables of yours: access, walk, map, why
    Session(machine, program)           a session: run("walk 0x401234"), walk(0x401234), state
    FORMATS                             the names of the page-table formats

What an `Mmu` answers is a `Translation` or a `Fault`, a `Page` of `map`, or a `Verdict` of `why`; what a
command of a `Session` gives is a `CommandResult`.  A mistake in what was asked, such as a register that a
format does not have, raises `UserError`; a fault of the simulated hardware is a value.  The page
docs/library.md shows all of it.
"""

from __future__ import annotations

import sys

__version__ = "0.1.0"
__all__ = [
    "FORMATS",
    "CommandResult",
    "Fault",
    "Mmu",
    "Page",
    "Session",
    "Step",
    "Translation",
    "Update",
    "UserError",
    "Verdict",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.errors import UserError
    from vmdbg.library.mmu import FORMATS, Mmu
    from vmdbg.library.results import CommandResult
    from vmdbg.library.session import Session
    from vmdbg.library.values import Fault, Page, Step, Translation, Update, Verdict

#: The module in which each of these names is; the others are in `library.values`.
MODULES = {
    "CommandResult": "library.results",
    "FORMATS": "library.mmu",
    "Mmu": "library.mmu",
    "Session": "library.session",
    "UserError": "errors",
}


def __getattr__(name: str) -> Any:
    """A module of the library is loaded when it is asked for: the prompt has no use for it."""
    if name not in __all__:
        raise AttributeError(f"module 'vmdbg' has no attribute {name!r}")
    module = f"vmdbg.{MODULES.get(name, 'library.values')}"
    __import__(module)
    value = getattr(sys.modules[module], name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
