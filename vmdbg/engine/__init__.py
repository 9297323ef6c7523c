"""Hot code: its decorators, how it is linked, its language, and how it becomes machine code.

Modules with hot functions import the decorators from here; what runs them imports the files beside this one.
"""

from __future__ import annotations

from vmdbg.engine.link import Linked, hole, reads, stand_in, twin, writes

__all__ = ["Linked", "hole", "reads", "stand_in", "twin", "writes"]
