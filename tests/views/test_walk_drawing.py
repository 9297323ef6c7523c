"""Walks as boxes with arrows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vmdbg.debugger.output import line_text
from vmdbg.views.walk_drawing import Box, drawing

PICTURE = """\
         PD 0x00100000          PT 0x00101000        page 0x00102000
        +------------+         +------------+         +------------+
      0 | .          |  +--> 0 | .          |  +--> 0 | .          |
        | :          |  |      | :          |  |      | :          |
     32 | 0x00101027 +--+   73 | 0x00102067 +--+ 1656 | 0x6f       |
        | :          |         | :          |         | :          |
   1023 +------------+    1023 +------------+    4095 +------------+"""


def test_two_levels_and_the_page() -> None:
    boxes = [
        Box("PD 0x00100000", 32, 1024, "0x00101027", follows=True),
        Box("PT 0x00101000", 73, 1024, "0x00102067", follows=True),
        Box("page 0x00102000", 1656, 1 << 12, "0x6f", follows=False),
    ]
    assert "\n".join(map(line_text, drawing(boxes))) == PICTURE
    coloured = [(style, text) for line in drawing(boxes) for style, text in line if style]
    assert ("entry", "0x00101027") in coloured
    assert ("decides", "   32") in coloured


@given(
    st.lists(
        st.tuples(st.integers(0, 21), st.integers(0, 1 << 30), st.integers(1, 16)), min_size=1, max_size=7
    )
)
def test_any_walk_fits_80_columns(levels: list[tuple[int, int, int]]) -> None:
    boxes = [
        Box(f"L{place} 0x{index:x}", index % (1 << bits), 1 << bits, "0x" + "f" * digits, follows=True)
        for place, (bits, index, digits) in enumerate(levels)
    ]
    lines = list(map(line_text, drawing(boxes)))
    assert len(lines) % 7 == 0
    assert max(map(len, lines)) <= 80
    assert sum(line.count("+-->") for line in lines) >= len(boxes) // 7
    for box in boxes:
        assert any(box.content in line for line in lines)
