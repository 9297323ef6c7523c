"""The documentation as a site: what of it can be told without making it, and the whole."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def site() -> ModuleType:
    """scripts/docs_site.py; the tests are skipped without the extra `docs`."""
    for name in ("mkdocs", "material"):
        pytest.importorskip(name, reason="scripts/docs --site installs it")
    spec = importlib.util.spec_from_file_location("docs_site", ROOT / "scripts" / "docs_site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_colours_of_a_terminal_are_those_of_the_page(site: ModuleType) -> None:
    line = "\x1b[38;5;24m0x40\x1b[0m <- \x1b[38;5;124;1mfault\x1b[0m"
    assert site.coloured(line) == (
        '<span style="color:#005f87">0x40</span> &lt;- '
        '<span style="color:#af0000;font-weight:bold">fault</span>'
    )


def test_the_order_is_that_of_the_overview(site: ModuleType) -> None:
    found = site.navigation(
        "# T\n\n## One\n\n- [a b](a.md): x, [c](d/c.md)\n  [e](e.md#f)\n\n## Two\n- [g](g.md)\n"
    )
    assert found == [
        {"Overview": "index.md"},
        {"One": [{"A b": "a.md"}, {"C": "d/c.md"}]},
        {"Two": [{"G": "g.md"}]},
    ]


def test_dead_links_are_found(site: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="b.html#x">1</a><a href="b.html#y">2</a><a href="c.html">3</a>')
    (tmp_path / "b.html").write_text(
        '<p id="x"><img src="https://example.org/i.png"><a href="https://e.org">'
    )
    assert sorted(site.dead_links(tmp_path)) == [
        "a.html: b.html#y",
        "a.html: c.html",
        "b.html: https://example.org/i.png is asked of the network",
    ]


@pytest.mark.slow
def test_the_whole_site(site: ModuleType, tmp_path: Path) -> None:
    del site
    target = tmp_path / "site"
    command = [sys.executable, str(ROOT / "scripts" / "docs_site.py"), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{target}/index.html\n"), done.stderr[-2000:]
    index = json.loads((target / "search" / "search_index.json").read_text(encoding="utf-8"))
    assert any(entry["location"].startswith("commands.html#swapout") for entry in index["docs"])
    slides = (target / "slides.html").read_text(encoding="utf-8")
    assert slides.count("<iframe ") == 2
    for name in ("first-touch", "swap"):
        assert (target / "pictures" / f"{name}.html").is_file()
    tutorial = (target / "tutorial.html").read_text(encoding="utf-8")
    assert '<span style="color:#005f5f">tlb-miss ' in tutorial
