"""export walk, map, tlb, tables, frames, timeline: what pictures say, and that they can be read."""

from __future__ import annotations

import itertools
import json
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from vmdbg import Session, UserError
from vmdbg.views import drawing
from vmdbg.views.drawing import ADVANCE, DARK, FORMS, LIGHT, MIDDLE, PLAIN, SIZE, WIDTH

pytestmark = pytest.mark.long
MACHINES = ("default", "x86_32", "tutorial16", "sv39", "arm64")
PICTURES = ("map", "tlb", "tables", "frames", "timeline")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module", params=MACHINES)
def session(request: pytest.FixtureRequest) -> Any:
    with Session(request.param) as made:
        if request.param in ("default", "tutorial16"):
            made.run("step 3")
        yield made


def words_of(path: Path) -> list[tuple[float, float, float, str]]:
    """Left, right, baseline and text of all words of an SVG."""
    found = []
    for item in ElementTree.parse(path).getroot().iter(f"{SVG}text"):
        text = item.text or ""
        x, y, length = float(item.attrib["x"]), float(item.attrib["y"]), len(text) * ADVANCE
        start = {"middle": x - length / 2, "end": x - length}.get(item.attrib.get("text-anchor", ""), x)
        found.append((start, start + length, y, text))
    return found


def check_picture(path: Path) -> list[str]:
    """Words have room, lie on the sheet, and none on another; greys are the few; the words."""
    root = ElementTree.parse(path).getroot()
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert root.attrib["font-size"] == str(SIZE)
    assert root.attrib["aria-label"]
    words = words_of(path)
    for left, right, base, text in words:
        assert 0 <= left < right <= width, text
        assert SIZE <= base < height, text
    for one, other in itertools.combinations(words, 2):
        apart = one[1] <= other[0] + 1 or other[1] <= one[0] + 1 or abs(one[2] - other[2]) >= 17
        assert apart, (one, other)
    greys = {item.attrib["fill"] for item in root.iter(f"{SVG}rect")}
    assert greys <= {drawing.grey_of(grey) for grey in (PLAIN, LIGHT, MIDDLE, DARK, 0.0)}
    return [text for *_, text in words]


@pytest.mark.parametrize("what", PICTURES)
def test_every_picture_can_be_read(session: Any, folder: Path, what: str) -> None:
    path = folder / f"{what}.svg"
    session.run(f"export {what} {path}")
    words = check_picture(path)
    first = path.read_bytes()
    session.run(f"export {what} {path}")
    assert path.read_bytes() == first
    if what == "map":
        assert {row["kind"] for row in session.run("map").data} <= set(words)
    if what == "tlb":
        rows = session.run("tlb").data
        assert len([word for word in words if word in {row["level"] for row in rows}]) == len(rows)
    if what == "tables":
        runs = session.run("tables").data
        assert len(words) == 1 + len(runs) + len({run["table"] for run in runs})


def test_a_walk_says_what_the_command_says(session: Any, folder: Path) -> None:
    regions = session.run("map").data
    draw = random.Random(7)
    for _ in range(6):
        region = draw.choice(regions)
        va = region["start"] + draw.randrange(region["end"] - region["start"])
        path = folder / "walk.svg"
        session.run(f"export walk {va:#x} {path}")
        words = check_picture(path)
        data = session.run(f"walk {va:#x}").data
        assert str(session.run(f"walk {va:#x}")).splitlines()[-1] == words[-1]
        for step in data["steps"]:
            assert str(step["index"]) in words
            assert any(re.fullmatch(f"0x0*{step['entry']:x}", word) for word in words)
        dashed = 'stroke-dasharray="6 4"' in path.read_text()
        assert dashed is (data["outcome"] != "translated")


def test_a_slide_has_room_for_a_walk_of_four_levels(folder: Path) -> None:
    with Session("default") as session:
        session.run(f"export walk 0x401234 {folder / 'wide.svg'}")
    width, height = map(
        float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', (folder / "wide.svg").read_text())[0]
    )
    assert width == WIDTH
    assert height <= 540


@pytest.mark.parametrize("machine", ["default", "sv57", "x86_64_la57", "arm64_lpa2"])
def test_a_slide_has_room_for_tables_of_many_levels(tmp_path: Path, machine: str) -> None:
    with Session(machine) as made:
        for what in ("tables", "map"):
            made.run(f"export {what} {tmp_path}/{what}.svg")
            check_picture(tmp_path / f"{what}.svg")
            root = ElementTree.parse(tmp_path / f"{what}.svg").getroot()
            assert float(root.attrib["viewBox"].split()[2]) == WIDTH
    root = ElementTree.parse(tmp_path / "tables.svg").getroot()
    arrows = [item.attrib["points"].split()[-1] for item in root.iter(f"{SVG}polyline")]
    ends = [tuple(map(float, end.split(","))) for end in arrows]
    titles = [words for words in words_of(tmp_path / "tables.svg") if re.fullmatch(r"[\w-]+ 0x\w+", words[3])]
    assert len(ends) == len(titles) - 1  # each table but the root is pointed at: beside its title, or below
    for left, right, base, text in titles[1:]:
        beside = [end for end in ends if abs(end[1] - base) < SIZE and abs(end[0] - right - 8) < 1]
        below = [end for end in ends if 0 < end[1] - base < 2 * SIZE and abs(end[0] - left) < 1]
        assert len(beside + below) == 1, text


def test_greys_survive_a_copier() -> None:
    greys = sorted({PLAIN, LIGHT, MIDDLE, DARK}, reverse=True)
    assert min(one - other for one, other in itertools.pairwise(greys)) >= 0.1 - 1e-9
    light = ((DARK + 0.055) / 1.055) ** 2.4  # WCAG 2.2, of a grey
    assert (light + 0.05) / 0.05 >= 7  # black words on the darkest


def test_a_stale_entry_is_dark(folder: Path) -> None:
    with Session("default") as session:
        session.run("poke 0x106008 0")
        session.run(f"export tlb {folder / 'stale.svg'}")
        marked = [row for row in session.run("tlb").data if row["stale"]]
    text = (folder / "stale.svg").read_text()
    assert marked
    assert text.count(f'fill="{drawing.grey_of(DARK)}"') == len(marked)
    assert {row["check"] for row in marked} <= set(check_picture(folder / "stale.svg"))


def test_all_forms(folder: Path) -> None:
    with Session("default") as session:
        for form in FORMS:
            if form == "pdf":
                pytest.importorskip("matplotlib")
            session.run(f"export walk 0x401234 {folder / 'walk'}.{form}")
    page = (folder / "walk.html").read_text()
    assert "<svg " in page
    assert not re.search(r"(src|href)=", page)
    assert (folder / "walk.pdf").read_bytes().startswith(b"%PDF")
    tex = (folder / "walk.tex").read_text()
    assert tex.count("{") == tex.count("}")
    assert r"\begin{tikzpicture}" in tex
    dot = (folder / "walk.dot").read_text()
    assert dot.count(":r1 -> ") == 4
    assert dot.startswith("digraph")


DOCUMENT = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[paperwidth=1100pt,paperheight=1000pt,margin=10pt]{geometry}
\usepackage{tikz}
\pagestyle{empty}
\setlength{\parindent}{0pt}
\begin{document}
PAGES
\end{document}
"""


def program(name: str) -> str:
    """Where a program is; the test is skipped where there is none."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name}")
    return found


@pytest.mark.slow
def test_latex_sets_what_the_picture_says(tmp_path: Path) -> None:
    latex, reader = program("pdflatex"), program("pdftotext")
    names = ["walk 0x548000", "walk 0x999000", *PICTURES]
    with Session("default") as session:
        session.run("step 3\npoke 0x106008 0")  # with a stale entry
        for place, name in enumerate(names):
            session.run(f"export {name} {tmp_path}/{place}.tex\nexport {name} {tmp_path}/{place}.svg")
    pages = "\n\\newpage\n".join(rf"\input{{{place}}}" for place in range(len(names)))
    (tmp_path / "all.tex").write_text(DOCUMENT.replace("PAGES", pages))
    command = [latex, "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    log = (tmp_path / "all.log").read_text(encoding="latin-1")
    assert "Missing character" not in log
    assert "Overfull" not in log
    subprocess.run([reader, "-layout", "all.pdf"], cwd=tmp_path, check=True)
    told = (tmp_path / "all.txt").read_text().split("\f")
    for place, name in enumerate(names):
        page = "".join(told[place].split())
        for *_, text in words_of(tmp_path / f"{place}.svg"):
            assert "".join(text.split()) in page, (name, text)


@pytest.mark.slow
def test_graphviz_draws_what_the_picture_says(tmp_path: Path) -> None:
    graphviz = program("dot")
    with Session("default") as session:
        for name in ("walk 0x401234", "walk 0x999000", "tables"):
            session.run(f"export {name} {tmp_path}/a.dot\nexport {name} {tmp_path}/a.svg")
            done = subprocess.run(
                [graphviz, "-Tsvg", str(tmp_path / "a.dot")], capture_output=True, text=True, check=True
            )
            assert done.stderr == ""
            drawn = {item.text for item in ElementTree.fromstring(done.stdout).iter(f"{SVG}text")}
            told = " ".join(re.sub(r"\s+", " ", text or "") for text in drawn)
            for *_, text in words_of(tmp_path / "a.svg")[1:]:  # without its title
                assert text.isdigit() or re.sub(r"\s+", " ", text) in told, text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("export map map.gif", "map.gif: expected a name that ends in .svg, .html, .pdf, .tex or .dot."),
        ("export map map.dot", "This picture is no graph: .dot is for walks and tables."),
        ("export walk 0x401234 walk", "walk: expected a name that ends in"),
        ("export walk 0x401234 nowhere/walk.svg", "nowhere/walk.svg: No such file or directory."),
        ("export timeline a.svg 9..2", "inverted range"),
    ],
)
def test_mistakes_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with Session("default") as session, pytest.raises(UserError, match=re.escape(said)):
        session.run(line)
    assert list(tmp_path.iterdir()) == []


def test_files_beside_a_picture_stay(tmp_path: Path) -> None:
    (tmp_path / "m.svg.new").write_text("mine")
    (tmp_path / "d.svg").mkdir()
    with Session("default") as session:
        session.run(f"export map {tmp_path / 'm.svg'}")
        with pytest.raises(UserError, match="Is a directory"):
            session.run(f"export map {tmp_path / 'd.svg'}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.svg", "m.svg", "m.svg.new"]
    assert (tmp_path / "m.svg.new").read_text() == "mine"


def test_what_needs_a_library_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise UserError("Pictures in files need matplotlib.")

    monkeypatch.setattr(drawing, "require", missing)
    with Session("default") as session:
        with pytest.raises(UserError, match="need matplotlib"):
            session.run(f"export map {folder / 'no.pdf'}")
        session.run(f"export map {folder / 'yes.svg'}")
    assert json.dumps(sorted(path.name for path in folder.glob("*o.pdf"))) == "[]"
