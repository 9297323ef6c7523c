"""Links between the pages lead somewhere, and every page can be reached."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\)|^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6} +(.*?)(?: #+)?$", re.MULTILINE)


def prose(text: str) -> str:
    """The page without its fenced blocks and code spans, in which nothing is a link."""
    text = re.sub(r"^(```+).*?^\1`*$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "``", text)


def links(text: str) -> list[str]:
    return [first or second for first, second in LINK.findall(prose(text))]


def anchors(text: str) -> set[str]:
    """The names that the headings of a page have, as GitHub makes them."""
    found: set[str] = set()
    fenceless = re.sub(r"^(```+).*?^\1`*$", "", text, flags=re.MULTILINE | re.DOTALL)
    for heading in HEADING.findall(fenceless):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        base = re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
        name, count = base, 0
        while name in found:
            count += 1
            name = f"{base}-{count}"
        found.add(name)
    found.update(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))
    return found


def is_elsewhere(link: str) -> bool:
    return re.match(r"[a-z][a-z0-9+.-]*:", link) is not None


def dead_links(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    dead = []
    for link in links(text):
        if is_elsewhere(link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        known = target.exists() and (
            target.suffix != ".md" or not anchor or anchor in anchors(target.read_text(encoding="utf-8"))
        )
        if not known:
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert dead_links(page) == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    waiting, reached = [ROOT / "README.md"], set()
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        if page.suffix == ".md" and page.is_file():
            targets = [
                link.partition("#")[0]
                for link in links(page.read_text(encoding="utf-8"))
                if not is_elsewhere(link)
            ]
            waiting += [(page.parent / target).resolve() for target in targets if target]
        elif page.is_dir():
            waiting += page.glob("*.md")
    lost = [page for page in PAGES if page not in reached and page.parent != ROOT]
    assert [page.relative_to(ROOT).as_posix() for page in lost] == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One thing: `a`, *b*\n\n[a](other.md) [b](#one-thing-a-b) [c](#two) [d](page.md#one) [e](https://example.org)\n"
        "`[f](code.md)`\n```\n[g](code.md)\n# Two\n```\n\n[h]: gone.md\n"
    )
    assert dead_links(page) == ["other.md", "#two", "page.md#one", "gone.md"]


WORD = re.compile(r"^\| ([^|]+) \| ([^|]+) \| `([^`|]+)` `(\w+)` \|$", re.MULTILINE)


def test_each_word_of_the_architecture_is_defined_where_the_table_says() -> None:
    """Words are there once, in order, and each has a definition in its file."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.partition("## Words")[2].partition("\n## ")[0]
    rows = WORD.findall(section)
    assert len(rows) > 40
    assert len(rows) == section.count("\n| ") - 1, "a row has another form"
    words = [word for word, _, _, _ in rows]
    assert words == sorted(set(words))
    for word, _, file, name in rows:
        path = ROOT / "vmdbg" / file
        assert path.is_file(), f"{word}: no file vmdbg/{file}"
        source = path.read_text(encoding="utf-8")
        defined = re.search(rf"^\s*(?:class|def) {name}\b|^(?:\w+, )*{name}\b[^=\n(]*=", source, re.MULTILINE)
        assert defined, f"{word}: {name} is not defined in vmdbg/{file}"
