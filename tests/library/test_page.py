"""docs/library.md is run, and its example is what it says."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_true() -> None:
    """What stands behind >>> is one session; a fence ends what it prints."""
    text = (DOCS / "library.md").read_text(encoding="utf-8").replace("```", "")
    found = doctest.DocTestParser().get_doctest(text, {}, "library.md", "library.md", 0)
    assert len(found.examples) > 30
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(found, out=told.append)
    assert "".join(told) == ""


def test_the_example_runs() -> None:
    done = subprocess.run(
        [sys.executable, DOCS / "examples" / "homework.py"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "0x1234: 0x108234 r-xu, A or D set at 0x1000, 0x2000, 0x3000, 0x4008",
        "0x1234: protection at PT, code 0x7: PT[1] has RW = 0",
        "0x5000: not-present at PT, code 0x14: PT[5] is empty",
    ]
