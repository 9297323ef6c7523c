"""Hot code: its marks, how it is linked, its language, and how it becomes machine code.

Modules with hot functions import the marks from here; what runs them imports the files beside this one.
"""

from __future__ import annotations

from vmdbg.engine.link import Linked, reads, slot, twin, writes

__all__ = ["Linked", "reads", "slot", "twin", "writes"]
