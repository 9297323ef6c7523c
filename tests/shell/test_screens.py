"""The screens that people learn from: golden transcripts, which tests/test_docs.py runs and compares.

`scripts/docs` writes them anew, as all transcripts; here stands what has to hold whatever they say.
"""

from __future__ import annotations

from pathlib import Path

import pytest

SCREENS = Path(__file__).parent / "screens"
NAMES = (
    "1-first-minute", "2-walks", "3-first-touch", "4-tlb-and-swap", "5-why", "6-overhead",
    "7-stop-and-back", "8-mistakes", "9-grading",
)  # fmt: skip
WIDTH = 80


@pytest.mark.parametrize("screen", sorted(SCREENS.glob("*.md")), ids=lambda path: path.stem)
def test_a_screen_fits_80_columns_of_ascii(screen: Path) -> None:
    lines = screen.read_text(encoding="ascii").splitlines()
    shown = [line for line in lines if not line.startswith("$ ")]
    assert [line for line in shown if len(line) > WIDTH] == []
    assert [line for line in lines if line != line.rstrip() or "Traceback" in line] == []


def test_no_screen_is_missing() -> None:
    assert set(NAMES) <= {path.stem for path in SCREENS.glob("*.md")}
