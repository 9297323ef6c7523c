"""Make a site of the documentation: `scripts/docs --site [FOLDER]`.

The pages are those of docs/, and so is their order: the list in docs/README.md.  Transcripts are played
again, in colour; where that is not possible they are shown as they stand.  The site asks nothing of the
network, and its links are followed before it is said to be done.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
from html import escape, unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mkdocs.commands.build import build
from mkdocs.config import load_config
from pymdownx.slugs import slugify

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.test_docs import parse_page, play, same  # noqa: E402 - the project's own, from its folder
from vmdbg import Session  # noqa: E402
from vmdbg.debugger.settings import Settings  # noqa: E402
from vmdbg.errors import UserError  # noqa: E402
from vmdbg.shell.lexer import styled_words  # noqa: E402
from vmdbg.shell.registry import Registry  # noqa: E402
from vmdbg.views.theme import prompt_styles  # noqa: E402

PROMPT = "(vmdbg) "
THEME = "light"  # of transcripts: dark colours for a white page
FENCE = re.compile(r"^(```+)vmdbg[^\n]*\n(.*?)^\1`*\n", re.DOTALL | re.MULTILINE)
CODE = re.compile("\x1b\\[([0-9;]*)m")
LINK = re.compile(r"(\]\()(\.\./[^)\s#]+)")
# Pages that play: name, program line by line, stretch, and what is to be seen.
PLAYERS = (
    ("first-touch", "step 2", "8..10", "A first touch: the walk fails, the kernel finds a frame."),
    ("swap", "step 2\nswapout 0x404000\nread 0x404000", "12..16", "A page leaves for swap, and comes back."),
)  # fmt: skip
STYLE = """
.md-typeset pre.vmdbg { background: #f7f7f7; padding: .8em 1em; overflow-x: auto; line-height: 1.35; }
.md-typeset pre.vmdbg code { background: none; padding: 0; font-size: .64rem; color: #1a1a1a; }
.md-typeset .played iframe { width: 100%; height: 36rem; border: 1px solid #767676; }
.md-grid { max-width: 72rem; }
.md-typeset img { background: #fff; }
"""


# -- transcripts in colour


class Colours:
    """How typed words and printed roles look."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.registry.index()
        settings = Settings()
        settings.set("style theme", THEME)
        self.styles = {role: css(words) for role, words in prompt_styles(settings).items()}

    def typed(self, line: str, prompt: str = PROMPT) -> str:
        """A line that is typed, as HTML."""
        words = [("metadata", prompt), *styled_words(self.registry, line)]
        return "".join(span(self.styles.get(role, ""), text) for role, text in words)


def css(words: str) -> str:
    """Styles of prompt_toolkit as CSS."""
    parts = []
    for word in words.split():
        if word.startswith("fg:#"):
            parts.append(f"color:{word[3:]}")
        elif word == "bold":
            parts.append("font-weight:bold")
    return ";".join(parts)


def span(style: str, text: str) -> str:
    """A piece of text as HTML."""
    shown = escape(text, quote=False)
    return f'<span style="{style}">{shown}</span>' if style and text.strip() else shown


def coloured(line: str) -> str:
    """A line with the sequences of SGR (256 colours, bold) as HTML."""
    out, style = [], ""
    for place, piece in enumerate(CODE.split(line)):
        if place % 2 == 0:
            out.append(span(style, piece))
            continue
        found = re.search(r"38;5;(\d+)", piece)
        number = int(found[1]) if found else -1
        parts = [f"color:{cube(number)}"] if number >= 16 else []
        style = ";".join([*parts, *(["font-weight:bold"] if "1" in piece.split(";")[-1:] else [])])
    return "".join(out)


def cube(number: int) -> str:
    """One of the fixed colours, 16 to 255: a cube of 6 steps, then greys."""
    if number >= 232:
        return "#" + f"{8 + 10 * (number - 232):02x}" * 3
    steps = (0, 95, 135, 175, 215, 255)
    number -= 16
    return "#" + "".join(f"{steps[part]:02x}" for part in (number // 36, number // 6 % 6, number % 6))


def played(text: str, folder: Path) -> dict[int, str]:
    """The lines of the transcripts of a page that could be played with colours, by their number."""
    found: dict[int, str] = {}
    environment = {**os.environ, "HOME": str(folder), "LINES": "24", "COLUMNS": "80"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for session in parse_page(text):
        slow = any(".lackey" in line for step in session.steps for line in step.typed)
        if slow or any(shutil.which(program) is None for program in session.needs):
            continue
        for step in session.steps:
            if step.kind == "shell":
                step.typed[0] = re.sub(
                    r"^vmdbg\b", f"vmdbg --color=always -iex 'set style theme {THEME}'", step.typed[0]
                )
        if session.steps[0].kind != "shell":
            session.steps.insert(0, opened(session.steps[0]))
        try:
            results = play(session.steps, environment, folder)
        except (OSError, ValueError):
            continue
        for step, actual in results:
            plain = [CODE.sub("", line).rstrip() for line in actual]
            if step.output and same(step.expected(), plain):
                by_text = dict(zip(plain, actual, strict=True))
                found |= {
                    step.first + place: coloured(by_text[line.rstrip()])
                    for place, line in enumerate(step.output)
                    if line.rstrip() in by_text
                }
    return found


def opened(first: Any) -> Any:
    """The shell step that a page leaves out where a session is the plain one."""
    step = type(first)("shell", [f"vmdbg -q --color=always -iex 'set style theme {THEME}'"], first.first - 1)
    step.output = ["..."]
    return step


def with_transcripts(text: str, colours: Colours, folder: Path) -> str:
    """A page whose transcripts are HTML in colours."""
    lines = played(text, folder)

    def block(found: re.Match[str]) -> str:
        first = text.count("\n", 0, found.start(2)) + 1
        out = []
        for number, line in enumerate(found[2].rstrip("\n").split("\n"), first):
            if line.startswith(PROMPT) or line == PROMPT.strip():
                out.append(colours.typed(line[len(PROMPT) :]))
            elif line.startswith("$ "):
                out.append(span("font-weight:bold", line))
            else:
                out.append(lines.get(number) or escape(line, quote=False))
        return f'<pre class="vmdbg" tabindex="0"><code>{chr(10).join(out)}</code></pre>\n'

    return FENCE.sub(block, text)


# -- the pages


def navigation(index: str) -> list[Any]:
    """Headings and links of docs/README.md, as mkdocs has them."""
    found: list[Any] = [{"Overview": "index.md"}]
    group = found
    for line in index.split("\n"):
        if line.startswith("## "):
            group = []
            found.append({line[3:]: group})
        elif line.startswith(("- ", "  ")):
            for name, target in re.findall(r"\[([^\]]+)\]\(([^)#]+\.md)\)", line):
                group.append({name if name.startswith("vmdbg") else name[:1].upper() + name[1:]: target})
    return found


def stage(docs: Path, colours: Colours, folder: Path) -> None:
    """Copies docs/ to where mkdocs finds it; what links lead to outside comes along."""
    shutil.copytree(ROOT / "docs", docs)
    (docs / "README.md").rename(docs / "index.md")
    listed = "\n".join(
        f"- [{path.name}]({path.name})" for path in sorted((docs / "examples").iterdir()) if path.is_file()
    )
    (docs / "examples" / "index.md").write_text(f"# Examples\n\n{listed}\n", encoding="utf-8")
    pages = sorted(docs.rglob("*.md"))
    for number, page in enumerate(pages, 1):
        sys.stderr.write(f"\r{number}/{len(pages)} {page.relative_to(docs)!s:40.40}")
        text = with_transcripts(page.read_text(encoding="utf-8"), colours, folder)
        text = re.sub(r"\]\(examples/\)", "](examples/index.md)", text)
        text = re.sub(r"\]\(((?:\.\./)*)README\.md", r"](\1index.md", text)

        def outside(found: re.Match[str], page: Path = page) -> str:
            target = (ROOT / "docs" / page.relative_to(docs).parent / found[2]).resolve()
            if target.is_relative_to(ROOT / "docs") or not target.is_file():
                return found[0]
            copy = docs / "project" / target.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(target, copy)
            return found[1] + os.path.relpath(copy, page.parent)

        page.write_text(LINK.sub(outside, text), encoding="utf-8")
    sys.stderr.write("\n")


def add_players(docs: Path) -> None:
    """Writes the pages that play, and shows them on the page for slides."""
    shown = ["", "## Two pages that play", ""]
    for name, lines, stretch, seen in PLAYERS:
        with Session("default") as session:
            session.run(f"{lines}\nexport player {docs / 'pictures' / name}.html {stretch}")
        link = f"pictures/{name}.html"
        shown += [
            f"{seen} [On a page of its own]({link}).",
            "",
            f'<p class="played"><iframe src="{link}" title="{escape(seen)}" loading="lazy"></iframe></p>',
            "",
        ]
    page = docs / "slides.md"
    page.write_text(page.read_text(encoding="utf-8") + "\n".join(shown), encoding="utf-8")


def settings_of(place: Path, target: Path) -> dict[str, Any]:
    """What mkdocs is told."""
    index = (place / "docs" / "index.md").read_text(encoding="utf-8")
    return {
        "site_name": "vmdbg",
        "docs_dir": str(place / "docs"),
        "site_dir": str(target),
        "use_directory_urls": False,
        "theme": {
            "name": "material",
            "font": False,
            "features": ["navigation.indexes", "toc.follow", "search.highlight"],
        },
        "extra_css": ["vmdbg.css"],
        "nav": navigation(index),
        "plugins": ["search"],
        "markdown_extensions": [
            "tables",
            "pymdownx.superfences",
            "pymdownx.highlight",
            {"toc": {"slugify": slugify(case="lower"), "permalink": True}},
        ],
        "not_in_nav": "*",
    }


# -- links


def dead_links(site: Path) -> list[str]:
    """The links of the pages that lead nowhere, or out of the site for a part of the page itself."""
    texts = {page: page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
    names = {page: set(re.findall(r'\b(?:id|name)="([^"]+)"', text)) for page, text in texts.items()}
    dead = []
    for page, text in texts.items():
        for kind, link in re.findall(
            r'\b(href|src)="([^"]*)"', re.sub(r"<script\b.*?</script>", "", text, flags=re.DOTALL)
        ):
            parts = urlsplit(unescape(link))
            if parts.scheme or parts.netloc:
                if kind == "src" or "stylesheet" in link:
                    dead.append(f"{page.relative_to(site)}: {link} is asked of the network")
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file() or (
                parts.fragment
                and target in names
                and unquote(parts.fragment) not in names[target] | {"__skip"}
            ):
                dead.append(f"{page.relative_to(site)}: {link}")
    return dead


def main() -> int:
    """Makes the site; status 1 if a link of it is dead."""
    parser = argparse.ArgumentParser(prog="scripts/docs --site", description=__doc__)
    parser.add_argument("folder", nargs="?", default=str(ROOT / "build" / "site"), help="where the site goes")
    target = Path(parser.parse_args().folder).resolve()
    if target.exists() and any(target.iterdir()) and not (target / "search" / "search_index.json").is_file():
        sys.stderr.write(f"{target}: there are other files in it, which a site would replace.\n")
        return 1
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        folder = place / "examples"
        shutil.copytree(ROOT / "docs" / "examples", folder)
        for link in ("docs", "tests"):
            (folder / link).symlink_to(ROOT / link)
        stage(place / "docs", Colours(), folder)
        add_players(place / "docs")
        (place / "docs" / "vmdbg.css").write_text(STYLE, encoding="utf-8")
        (place / "mkdocs.yml").write_text("site_name: vmdbg\n", encoding="utf-8")
        build(load_config(str(place / "mkdocs.yml"), **settings_of(place, target)))
    (target / "404.html").unlink()  # made for a site at the root of a server
    dead = dead_links(target)
    sys.stdout.write("".join(f"{line}\n" for line in dead) or f"{target}/index.html\n")
    return 1 if dead else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(str(error))
