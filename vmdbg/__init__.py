"""vmdbg: a debugger whose debuggee is virtual memory.

Without the prompt it is a library:

    Mmu(format, memory, **registers)    an MMU on page tables of yours: access, walk, map, why
    FORMATS                             the names of the page-table formats

What an `Mmu` answers is a `Translation` or a `Fault`, a `Page` of `map`, or a `Verdict` of `why`.  A mistake
in what was asked, such as a register that a format does not have, raises `UserError`; a fault of the
simulated hardware is a value.  The page docs/library.md shows all of it.
"""

from __future__ import annotations

import sys

__version__ = "0.1.0"
__all__ = [
    "FORMATS",
    "Fault",
    "Mmu",
    "Page",
    "Step",
    "Translation",
    "Update",
    "UserError",
    "Verdict",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.library import (
        FORMATS,
        Fault,
        Mmu,
        Page,
        Step,
        Translation,
        Update,
        UserError,
        Verdict,
    )


def __getattr__(name: str) -> Any:
    """The library is loaded when it is asked for: the prompt has no use for it."""
    if name not in __all__:
        raise AttributeError(f"module 'vmdbg' has no attribute {name!r}")
    __import__("vmdbg.library")
    value = getattr(sys.modules["vmdbg.library"], name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
