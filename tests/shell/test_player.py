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

from vmdbg import Session, UserError
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
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
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


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A session with a record, and its page."""
    with Session("default") as session:
        session.run("step 2\nswapout 0x404000\nread 0x404000")
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
@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
def test_a_browser_shows_these_moments(recorded: Any, tmp_path: Path) -> None:
    session, page = recorded
    data = data_in(page)
    chosen = random.Random(5).sample(data["moments"][10:], MOMENTS)
    times = [moment["time"] for moment in chosen]
    path = tmp_path / "stepped.html"
    path.write_text(page.replace("</body>", STEPPER.replace("TIMES", json.dumps(times)) + "</body>"))
    command = [
        str(BROWSER),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}/profile",
    ]
    done = subprocess.run(
        [*command, "--virtual-time-budget=5000", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    found = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None, done.stdout[-2000:]
    told = json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
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


def as_shown(section: Any, key: str, value: Any) -> str:
    """A value of JSON as the page spells it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "-"
    return hex(value) if isinstance(value, int) and key in section["addresses"] else str(value)
