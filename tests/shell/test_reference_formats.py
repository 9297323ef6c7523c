"""The pages of the families of formats: every format is there, and every bit of its entries once."""

from __future__ import annotations

import re

import pytest

from vmdbg.formats import NAMES, find
from vmdbg.shell.reference_formats import KINDS, entry_cells, family_pages


def test_every_format_has_its_section() -> None:
    made = family_pages()
    for name, (module, _) in NAMES.items():
        assert f"## {name}\n" in made[f"formats/{module}.md"]


def test_drawings_fit_a_page() -> None:
    for text in family_pages().values():
        for block in re.findall(r"```text\n(.*?)```", text, re.DOTALL):
            assert all(len(line) <= 110 for line in block.splitlines())


@pytest.mark.parametrize("name", NAMES)
def test_each_bit_of_an_entry_is_drawn_once(name: str) -> None:
    form = find(name)
    for depth in range(len(form.levels)):
        for kind in KINDS:
            cells = list(entry_cells(form, depth, kind))
            assert [high for high, _, _ in cells] == [
                8 * form.entry_bytes - 1,
                *[low - 1 for _, low, _ in cells[:-1]],
            ]
            assert cells[-1][1] == 0
            drawn = {(high, low, text) for high, low, text in cells if text not in ("0", "-")}
            named = {(f.low + f.width - 1, f.low, f.name) for f in form.standing(kind, depth)}
            assert drawn <= named
            if kind != "t":
                assert drawn == named
