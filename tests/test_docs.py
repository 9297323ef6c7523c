"""The documentation is run: transcripts, examples, and the pages that are generated.

How transcripts are written is said in docs/contributing.md.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
SCREENS = ROOT / "tests" / "shell" / "screens"
LESSONS = ROOT / "vmdbg" / "exercises" / "lessons"
MADE_OF_LESSONS = "tutorial.md"
PROMPT = "(vmdbg) "
PROMPT_IN_OUTPUT = re.compile(r"(?:^|(?<=\n)|(?<=>)|(?<=\(vmdbg\) ))\(vmdbg\) ")
# Headers that are printed on a terminal only.
BLOCK_HEADERS = ("Type commands for ", 'End with a line saying just "end".', "Type documentation for ")
SECONDS = 300


@dataclass
class Step:
    """One command with the lines that follow it; `first` is the line number of the first of these."""

    kind: str  # "shell" or "prompt"
    typed: list[str]
    first: int
    output: list[str] = field(default_factory=list)

    def expected(self) -> list[str]:
        return tidy([line for line in self.output if not line.startswith(BLOCK_HEADERS)])


@dataclass
class Session:
    """The steps of one fenced block and of those that continue it."""

    line: int
    needs: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)


def tidy(lines: list[str]) -> list[str]:
    """Without blanks at the ends of lines and empty lines at the end."""
    kept = [line.rstrip() for line in lines]
    while kept and not kept[-1]:
        kept.pop()
    return kept


def parse_page(text: str) -> list[Session]:
    """The sessions of a page.  ValueError names the line of a block that is not a transcript."""
    sessions: list[Session] = []
    inside = False
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        opening = re.match(r"(```+)(.*)", line)
        if fence:
            if line.startswith(fence) and not line.strip("`"):
                fence, inside = "", False
            elif inside:
                add_line(sessions[-1], number, line)
        elif opening:
            fence = opening[1]
            words = opening[2].split()
            inside = words[:1] == ["vmdbg"]
            if inside:
                open_block(sessions, number, words[1:])
    return sessions


def open_block(sessions: list[Session], number: int, words: list[str]) -> None:
    if "continued" not in words:
        sessions.append(Session(number))
    elif not sessions:
        raise ValueError(f"line {number}: nothing to continue")
    for word in words:
        name, _, value = word.partition("=")
        if name == "needs" and value:
            sessions[-1].needs.append(value)
        elif word != "continued":
            raise ValueError(f"line {number}: unknown word {word!r}")


def add_line(session: Session, number: int, line: str) -> None:
    if line.startswith(PROMPT) or line == PROMPT.strip():
        session.steps.append(Step("prompt", [line[len(PROMPT) :]], number + 1))
    elif line.startswith("$ "):
        session.steps.append(Step("shell", [line[2:]], number + 1))
    elif not session.steps:
        raise ValueError(f"line {number}: output before any command")
    elif line.startswith(">") and session.steps[-1].kind == "prompt" and not session.steps[-1].expected():
        session.steps[-1].typed.append(line.lstrip(">"))
        session.steps[-1].first = number + 1
    else:
        session.steps[-1].output.append(line)


def groups(steps: list[Step]) -> list[tuple[str, Step | None, list[Step]]]:
    """What has to be started: a shell command, the step that has its first output, typed steps."""
    made: list[tuple[str, Step | None, list[Step]]] = []
    for step in steps:
        if step.kind == "shell":
            made.append((step.typed[0], step, []))
        else:
            if not made:
                made.append(("vmdbg -q", None, []))
            made[-1][2].append(step)
    return made


def split_output(output: str, steps: list[Step]) -> list[list[str]]:
    """What came before the first prompt, then what each typed command printed.

    A session that ended early has fewer pieces; what no command asked for (the end of input) is left out.
    """
    pieces = PROMPT_IN_OUTPUT.split(output)
    for position, step in enumerate(steps, 1):
        if position < len(pieces) and len(step.typed) > 1:
            pieces[position] = re.sub(r"^(> *)+", "", pieces[position])
    return [tidy(piece.split("\n")) for piece in pieces[: len(steps) + 1]]


def same(expected: list[str], actual: list[str]) -> bool:
    """Are the lines equal, where a line of three dots stands for any number of lines?"""
    pattern = "".join("(?:.*\n)*?" if line == "..." else re.escape(line + "\n") for line in expected)
    return re.fullmatch(pattern, "".join(line + "\n" for line in actual)) is not None


def play(steps: list[Step], environment: dict[str, str], folder: Path) -> list[tuple[Step, list[str]]]:
    """Run the steps; each comes back with the lines that it really printed."""
    results: list[tuple[Step, list[str]]] = []
    for command, opener, typed in groups(steps):
        finished = subprocess.run(
            ["bash", "-c", f"exec 2>&1\n{command}"],
            input="".join(line + "\n" for step in typed for line in step.typed),
            env=environment,
            cwd=folder,
            timeout=SECONDS,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        pieces = split_output(finished.stdout, typed) if typed else [tidy(finished.stdout.split("\n"))]
        missing = [["<the session had ended>"]] * (len(typed) + 1 - len(pieces))
        asked = [opener, *typed] if opener else typed
        results += zip(asked, [*pieces, *missing][0 if opener else 1 :], strict=True)
    return results


def write_back(page: Path, results: list[tuple[Step, list[str]]]) -> None:
    """Put what was printed into the page, where it differs."""
    lines = page.read_text(encoding="utf-8").split("\n")
    for step, actual in sorted(results, key=lambda result: -result[0].first):
        if not same(step.expected(), actual):
            start = step.first - 1
            lines[start : start + len(step.output)] = actual
    page.write_text("\n".join(lines), encoding="utf-8")


def transcripts() -> Iterator[Any]:
    """Parameters for the sessions of all pages; long are those that replay a trace, slow those that sweep."""
    pages = [page for page in sorted(DOCS.rglob("*.md")) if page.name != MADE_OF_LESSONS]
    for page in [ROOT / "README.md", *pages, *sorted(LESSONS.glob("*.md")), *sorted(SCREENS.glob("*.md"))]:
        for index, session in enumerate(parse_page(page.read_text(encoding="utf-8"))):
            traced = any(".lackey" in line for step in session.steps for line in step.typed)
            swept = traced and any(line.startswith("sweep") for step in session.steps for line in step.typed)
            marks = [pytest.mark.slow] if swept else [pytest.mark.long] if traced else []
            yield pytest.param(page, index, marks=marks)


def words_in(picture: Path) -> list[str]:
    """The texts of an SVG; lines and places are those of one version of matplotlib."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", picture.read_text(encoding="utf-8"))


def name_of(value: object) -> str:
    return value.relative_to(ROOT).as_posix() if isinstance(value, Path) else str(value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where documented commands run: the examples, and the docs and tests of the project."""
    place = tmp_path / "folder"
    if (DOCS / "examples").is_dir():
        shutil.copytree(DOCS / "examples", place)
    else:
        place.mkdir()
    for name in ("docs", "tests"):
        (place / name).symlink_to(ROOT / name)
    return place


@pytest.mark.long
@pytest.mark.parametrize(("page", "index"), list(transcripts()), ids=name_of)
def test_transcript(
    page: Path, index: int, folder: Path, user_environment: dict[str, str], pytestconfig: pytest.Config
) -> None:
    session = parse_page(page.read_text(encoding="utf-8"))[index]
    absent = [program for program in session.needs if not shutil.which(program)]
    if absent:
        pytest.skip(f"needs {', '.join(absent)}")
    results = play(session.steps, user_environment, folder)
    drawn = [path for path in folder.glob("*.svg") if path.name not in os.listdir(DOCS / "examples")]
    if pytestconfig.getoption("--update-transcripts"):
        write_back(page, results)
        for path in drawn:
            shutil.copy(path, DOCS / "pictures" / path.name)
        return
    for path in drawn:
        assert words_in(path) == words_in(DOCS / "pictures" / path.name)
    for step, actual in results:
        told = f"{name_of(page)}:{step.first - 1}: {step.typed[0]}"
        assert (told, actual) == (told, actual if same(step.expected(), actual) else step.expected())


@pytest.mark.long
@pytest.mark.parametrize("script", sorted((DOCS / "examples").glob("*.vmdbg")), ids=name_of)
def test_example(
    script: Path, folder: Path, user_environment: dict[str, str], pytestconfig: pytest.Config
) -> None:
    """Each example prints what stands beside it, and fails only where that says so."""
    command = ["vmdbg", "-batch", "-x", name_of(script)]
    finished = subprocess.run(
        command,
        cwd=folder,
        env=user_environment,
        stdin=subprocess.DEVNULL,
        timeout=SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )
    actual = finished.stdout
    if finished.returncode:
        actual += f"[status {finished.returncode}]\n"
    golden = script.with_suffix(".out")
    if pytestconfig.getoption("--update-transcripts"):
        golden.write_text(actual, encoding="utf-8")
    assert actual == golden.read_text(encoding="utf-8"), finished.stderr


def test_each_golden_transcript_has_its_example() -> None:
    assert [
        path for path in (DOCS / "examples").glob("*.out") if not path.with_suffix(".vmdbg").exists()
    ] == []


def test_generated_pages_are_what_the_declarations_say() -> None:
    if not (ROOT / "vmdbg/shell/reference.py").exists():
        pytest.skip("no page is generated yet")
    command = [sys.executable, "-m", "vmdbg.shell.reference", "--check"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr


# How pages are read and compared.

PAGE = """Text.
```vmdbg
(vmdbg) print 1
$1 = 1
(vmdbg) define two
>print 2
>end
(vmdbg) two
$2 = 2
```
```sh
$ not run
```
```vmdbg continued needs=sh
$ vmdbg -q -m toy
Hello.
(vmdbg) silent
(vmdbg) last
a
...
z
$ echo bye
bye
```
"""


def test_a_page_is_read_as_sessions() -> None:
    (session,) = parse_page(PAGE)
    assert session.needs == ["sh"]
    assert [(step.kind, step.typed, step.first) for step in session.steps] == [
        ("prompt", ["print 1"], 4),
        ("prompt", ["define two", "print 2", "end"], 8),
        ("prompt", ["two"], 9),
        ("shell", ["vmdbg -q -m toy"], 16),
        ("prompt", ["silent"], 18),
        ("prompt", ["last"], 19),
        ("shell", ["echo bye"], 23),
    ]
    started = [(command, opener is not None, len(typed)) for command, opener, typed in groups(session.steps)]
    assert started == [("vmdbg -q", False, 3), ("vmdbg -q -m toy", True, 2), ("echo bye", True, 0)]


def test_output_is_given_to_its_commands() -> None:
    steps = parse_page(PAGE)[0].steps[:3]
    output = "(vmdbg) $1 = 1\n(vmdbg) >>(vmdbg) $2 = 2\n(vmdbg) \n"
    assert split_output(output, steps) == [[], ["$1 = 1"], [], ["$2 = 2"]]
    assert split_output("Hello.\n(vmdbg) (vmdbg) x\n", steps[:2]) == [["Hello."], [], ["x"]]


@pytest.mark.parametrize(
    ("expected", "actual", "equal"),
    [
        ("a b", "a b", True),
        ("a ... d", "a b c d", True),
        ("a ... d", "a d", True),
        ("...", "", True),
        ("a ... d", "a b c", False),
        ("a.", "ab", False),
        ("a", "a b", False),
    ],
)
def test_three_dots_stand_for_lines(expected: str, actual: str, equal: bool) -> None:
    assert same(expected.split(), actual.split()) is equal


def test_pages_are_brought_up_to_date(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    steps = parse_page(PAGE)[0].steps
    write_back(page, [(steps[0], ["$1 = 1"]), (steps[2], ["$2 = 3", "more"]), (steps[5], ["a", "b", "z"])])
    assert page.read_text() == PAGE.replace("$2 = 2\n", "$2 = 3\nmore\n")


def test_steps_are_played_in_a_shell(tmp_path: Path) -> None:
    fake = tmp_path / "vmdbg"
    fake.write_text("#!/bin/sh\nwhile printf '(vmdbg) ' && read -r line; do echo \"<$line>\"; done\n")
    fake.chmod(0o755)
    steps = parse_page("```vmdbg\n(vmdbg) a\n(vmdbg) b\n$ echo bye >&2; false; echo $?\n```").pop().steps
    results = play(steps, {"PATH": f"{tmp_path}:/usr/bin:/bin"}, tmp_path)
    assert [actual for _, actual in results] == [["<a>"], ["<b>"], ["bye", "1"]]


@pytest.mark.parametrize("text", ["```vmdbg\nno prompt\n```", "```vmdbg continued\n```", "```vmdbg wat\n```"])
def test_what_is_no_transcript_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^line \d: "):
        parse_page(text)
