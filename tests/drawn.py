"""How many random examples a test draws."""

from __future__ import annotations

import os

ALL = "VMDBG_TESTS_DRAW_ALL"  # set by --all, for the workers too


def drawn(examples: int) -> int:
    """That many with `--all`; a sixth of them otherwise."""
    return examples if os.environ.get(ALL) else -(-examples // 6)
