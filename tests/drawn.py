"""How many random examples a test draws, and which of many cases of one kind it tries."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

ALL = "VMDBG_TESTS_DRAW_ALL"  # set by --all, for the workers too


def drawn(examples: int) -> int:
    """That many with `--all`; a tenth of them otherwise."""
    return examples if os.environ.get(ALL) else -(-examples // 10)


def every_third(cases: Iterable[Any]) -> list[ParameterSet]:
    """Parameters: all of them with `--all`, every third otherwise."""
    return [
        pytest.param(case, marks=[pytest.mark.slow] if place % 3 else []) for place, case in enumerate(cases)
    ]
