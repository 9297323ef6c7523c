"""export player: what the page holds is what the commands say at those times; a browser shows it."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.browser import NEEDS_BROWSER, told_by
from vmdbg import Session, UserError
from vmdbg.shell import player
from vmdbg.views.player import EXACT, exact

pytestmark = pytest.mark.long
MOMENTS = 20
COMMANDS = {
    "tlb": "tlb",
    "frames": "info frames",
    "tables": "tables",
    "swap": "swap",
    "registers": "info registers",
}
EVENTS = 2000
LARGE = 2 << 20  # bytes that a page of 2,000 events may have


def data_in(page: str) -> Any:
    """What is embedded in a page."""
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def rows_at(data: Any, moment: Any, name: str) -> list[dict[str, Any]]:
    """The rows of a section at a moment."""
    number = next(place for place, section in enumerate(data["sections"]) if section["name"] == name)
    section = data["sections"][number]
    state = section["states"][moment["s"][number]]
    return [dict(zip(section["keys"], section["rows"][row], strict=False)) for row in state]


EXAMPLES = Path(__file__).parent.parent.parent / "docs" / "examples"
DEFAULT = ("default", "step 2\nswapout 0x404000\nread 0x404000")
BELADY = f"set kernel.policy arc\nset kernel.user_frames 3\nfile {EXAMPLES}/belady.vmp\nstep 12"
LARGE_PAGES = """step 4
fork 1
process 2
write 0x7f0000000100 7
mmap -page 2M 0x7f0000400000 4M rw
write 0x7f0000400008 1
write 0x7f0000600008 2
munmap 0x7f0000400000 2M"""
RECORDS = {
    "default": DEFAULT,
    "arc": ("x86_32", BELADY),
    "two cpus": (str(EXAMPLES / "two-cpus.toml"), "step 20"),
    "large pages": ("default", LARGE_PAGES),
    "arm64": ("arm64", "step 6\nswapout 0x404000\nread 0x404000"),
}


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[] if name == "default" else pytest.mark.slow) for name in RECORDS],
)
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A session with a record, and its page."""
    machine, lines = RECORDS[request.param]
    with Session(machine) as session:
        for line in lines.split("\n"):
            session.run(line)
        where = session.run("when").data
        path = tmp_path_factory.mktemp("player") / "page.html"
        session.run(f"export player {path}")
        assert session.run("when").data == where
        yield session, path.read_text(encoding="utf-8")


def test_moments_of_the_page_are_what_the_commands_say(recorded: Any) -> None:
    session, page = recorded
    data = data_in(page)
    moments = data["moments"]
    chosen = random.Random(14).sample(moments, MOMENTS) + moments[-1:]
    for moment in chosen:
        session.run(f"goto {moment['time']}")
        for name, command in COMMANDS.items():
            assert rows_at(data, moment, name) == exact(session.run(command).data or []), (moment, name)
        walked = rows_at(data, moment, "outcome")
        if walked:
            found = session.run(f"walk {walked[0]['va']}").data
            assert rows_at(data, moment, "walk") == exact(found.pop("steps"))
            assert walked == [exact(found)]
        operation, event = moment["time"].split(":")
        if moment["event"]:
            told = session.run(f"events {operation}").data[int(event) - 1]
            assert [told[key] for key in ("time", "event", "what", "cycles")] == [
                moment[key] for key in ("time", "event", "what", "cycles")
            ]
        location = session.run("info program").data
        assert (location["line"] or 0) == moment["line"]


def test_every_event_has_a_moment_and_what_comes_again_is_kept_once(recorded: Any) -> None:
    session, page = recorded
    data = data_in(page)
    told = session.run("events begin..").data
    times = [moment["time"] for moment in data["moments"]]
    inside = [row[0] for moment in data["moments"] for row in moment.get("told", [])]
    assert {event["time"] for event in told} == {time for time in times if time[-2:] != ":0"} | set(inside)
    assert len(set(times)) == len(times)
    for section in data["sections"]:
        assert len({json.dumps(row) for row in section["rows"]}) == len(section["rows"])
    assert len(page) * 2000 < LARGE * len(times)


def test_the_page_asks_nothing_of_the_network(recorded: Any) -> None:
    page = recorded[1]
    assert "default-src 'none'" in page
    shell = page.replace(page[page.index('<script id="data"') : page.index("</script>")], "")
    assert not re.search(r"(src|href)=|https?:|@import|url\(|fetch\(|XMLHttp", shell.replace('href: "#"', ""))


def test_colours_have_a_contrast_of_seven_to_one(recorded: Any) -> None:
    style = re.search(r"<style>(.*?)</style>", recorded[1], re.DOTALL)
    assert style is not None
    names = dict(re.findall(r"--(\w+): (#\w{6})", style[1]))
    grounds = {names["paper"], names["mark"], *re.findall(r"background: (#\w{6})", style[1])}
    for ground in grounds:
        assert contrast(names["ink"], ground) >= 7
    for ink in ("quiet", "blue"):
        assert contrast(names[ink], names["paper"]) >= 7


@pytest.mark.parametrize(
    ("machine", "lines"),
    [
        ("default", "file docs/examples/hungry.vmp\nstep 2\nswapout 0x400000\nstep 12"),
        ("tutorial16", "step 12"),
        ("sv39", "step 6\nswapout 0x404000\nread 0x404000"),
    ],
)
def test_what_is_not_asked_again_has_not_changed(
    machine: str, lines: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [tmp_path / "asked_if_changed.html", tmp_path / "asked_always.html"]
    with Session(machine) as session:
        session.run(lines)
        session.run(f"export player {pages[0]}")
        monkeypatch.setattr(player, "changed_tables", lambda one, _other: set(one.chunks))
        session.run(f"export player {pages[1]}")
    assert pages[0].read_text(encoding="utf-8") == pages[1].read_text(encoding="utf-8")


@pytest.mark.slow
def test_two_thousand_events_take_less_than_two_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    with Session("default") as session:
        session.run("step 2\nswapout 0x404000\nread 0x404000\nstep 900")
        events = len(session.run("events begin..").data)
        session.run(f"export player {path}")
    assert events >= EVENTS
    assert path.stat().st_size < LARGE


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, contrast ratio of two colours."""

    def light(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_numbers_that_a_browser_would_round_are_text() -> None:
    assert exact({"a": [EXACT, EXACT - 1, True]}) == {"a": [hex(EXACT), EXACT - 1, True]}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("export player a.txt", "a.txt: expected a name that ends in .html."),
        ("export player a.html 5..3", "inverted range"),
        ("export player a.html 5..5000", "The record goes from 0:0 to 12:0."),
        ("export player nowhere/a.html 1..2", "nowhere/a.html: No such file or directory."),
        ("export player", "Argument required (file to write, .html)."),
    ],
)
def test_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    with Session("default") as session, pytest.raises(UserError, match=re.escape(said)):
        session.run(line)
    assert list(tmp_path.iterdir()) == []


STEPPER = """<script>
const told = TIMES.map(time => {
  show(moments.findIndex(moment => moment.time === time));
  const cells = number => [...document.getElementById("t-" + number).tBodies[0].rows].map(
    row => [...row.cells].map(cell => cell.firstChild.textContent));
  return {now: document.getElementById("now").textContent, hash: location.hash,
    here: document.querySelector("#source tr.here td").textContent,
    tables: data.sections.map((_, number) => cells(number))};
});
document.body.replaceChildren();
const pre = Object.assign(document.createElement("pre"), {id: "told", textContent: JSON.stringify(told)});
document.body.append(pre);
</script>"""


@pytest.mark.slow
@NEEDS_BROWSER
def test_a_browser_shows_these_moments(recorded: Any, tmp_path: Path) -> None:
    session, page = recorded
    data = data_in(page)
    chosen = random.Random(5).sample(data["moments"][10:], MOMENTS)
    times = [moment["time"] for moment in chosen]
    path = tmp_path / "stepped.html"
    path.write_text(page.replace("</body>", STEPPER.replace("TIMES", json.dumps(times)) + "</body>"))
    told = json.loads(told_by(path))
    for moment, seen in zip(chosen, told, strict=True):
        assert seen["hash"] == f"#{moment['time']}"
        assert moment["what"] in seen["now"]
        session.run(f"goto {moment['time']}")
        assert seen["here"] == str(session.run("info program").data["line"])
        for section, cells in zip(data["sections"], seen["tables"], strict=True):
            if section["name"] in COMMANDS:
                rows = session.run(COMMANDS[section["name"]]).data or []
                expected = [[as_shown(section, key, row[key]) for key in section["shown"]] for row in rows]
                assert cells == (expected or [["none"]]), (moment["time"], section["name"])


# What axe-core finds in a frame of some width, told to the page around it: a file may not look into another.
AUDIT = """<script>AXE</script><script>
addEventListener("load", () => {
  show(PLACE);
  const rules = {"color-contrast-enhanced": {enabled: true}, "target-size": {enabled: true}};
  axe.run(document, {rules}).then(found => parent.postMessage(JSON.stringify({
    wide: innerWidth, needed: document.documentElement.scrollWidth,
    found: found.violations.map(rule => [rule.id, rule.impact, rule.nodes[0].html]),
    passed: found.passes.map(rule => rule.id)}), "*"));
});
</script>"""
FRAME = """<!DOCTYPE html><pre id=told></pre>
<iframe src=audited.html style="border:0;width:WIDTHpx;height:740px"></iframe>
<script>addEventListener("message", event => { told.textContent = event.data; });</script>"""


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """axe-core, which finds what keeps people from using a page (npm)."""
    npm, folder = shutil.which("npm"), tmp_path_factory.mktemp("axe")
    if npm is None:
        pytest.skip("there is no npm")
    done = subprocess.run(
        [npm, "install", "--prefix", str(folder), "axe-core@4"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"npm could not fetch axe-core: {done.stderr[-200:]}")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.slow
@NEEDS_BROWSER
@pytest.mark.parametrize("recorded", ["default", "two cpus"], indirect=True)
@pytest.mark.parametrize("width", [360, 1200], ids=["phone", "desk"])
def test_nothing_keeps_people_from_using_it(recorded: Any, axe: str, tmp_path: Path, width: int) -> None:
    page = recorded[1]
    for place in (0, 20, len(data_in(page)["moments"]) - 1):
        audit = AUDIT.replace("PLACE", str(place)).replace("AXE", axe)
        (tmp_path / "audited.html").write_text(page.replace("</body>", audit + "</body>"), encoding="utf-8")
        around = tmp_path / "around.html"
        around.write_text(FRAME.replace("WIDTH", str(width)), encoding="utf-8")
        told = json.loads(told_by(around))
        assert told["found"] == [], place
        assert "color-contrast-enhanced" in told["passed"]  # 7:1 for words, as the browser draws them
        assert told["needed"] <= told["wide"] == width


def as_shown(section: Any, key: str, value: Any) -> str:
    """A value of JSON as the page spells it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "-"
    return hex(value) if isinstance(value, int) and key in section["addresses"] else str(value)
