"""vmdbg as a library: an MMU on memory of the caller's, and sessions without a prompt.

Nothing here decides anything: it hands over what the layers below have found.
"""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.formats import NAMES
from vmdbg.library.mmu import Mmu
from vmdbg.library.values import Fault, Page, Step, Translation, Update, Verdict

#: The names of the page-table formats.
FORMATS = tuple(NAMES)

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
