"""events, history: what happened, recomputed; the same whoever asks and in whatever windows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vmdbg.debugger.stops.patterns import Pattern
from vmdbg.debugger.time import search
from vmdbg.debugger.time.questions import record
from vmdbg.state.events import EVENTS

from .test_breakpoints import Prompt


@pytest.fixture
def prompt() -> Prompt:
    made = Prompt(machine="default")
    made.run("goto 400", "swapout 0x408000", "write 0x408000 3", "goto 500")
    return made


def times(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines() if line[:1].isdigit()]


@pytest.mark.parametrize("rows", [64, 1 << 15])
def test_a_scan_finds_what_a_run_event_by_event_finds(
    prompt: Prompt, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = prompt.session.timeline
    monkeypatch.setattr(search, "LOG_ROWS", rows)
    line.machine.resize("log", rows)
    digest = line.machine.digest()
    every = [Pattern(event.kind) for event in EVENTS]
    found = search.scan(line, every, 390, 480)
    plain = [row for _, _, events in record(line, 390, 480) for row in events]
    assert [(r.operation, r.number, r.kind, r.a, r.b, r.c) for r in found] == [
        (r.operation, r.number, r.kind, r.a, r.b, r.c) for r in plain
    ]
    assert (line.position, line.machine.digest()) == ((500, 0), digest)


@pytest.mark.long
def test_where_takes_names_of_arguments_and_the_machine_at_that_instant(prompt: Prompt) -> None:
    assert times(prompt.run('events where event == "fault-major"')) == ["12:9", "401:9"]
    assert times(prompt.run("events 12.. fault where va >= 0x408000 && pid == 1")) == ["13:9", "401:9"]
    assert times(prompt.run("events swap-in where slot == 2")) == ["401:7"]
    assert times(prompt.run("events fault where *(char*)0x408000 == 3")) == ["401:9"]
    assert prompt.error("events fault where *(char*)0x123000 == 0") == (
        "Cannot access memory at address 0x123000\n"
    )
    assert prompt.run("events where va == 0x123456789") == "No events.\n"


def test_group_by_counts(prompt: Prompt) -> None:
    rows = json.loads(prompt.run("events/json 12.. fault group by event, pid"))
    assert rows == [
        {"event": "fault-major", "pid": 1, "count": 2, "cycles": 200000},
        {"event": "fault-minor", "pid": 1, "count": 1, "cycles": 1000},
    ]
    total = sum(row["count"] for row in json.loads(prompt.run("events/json group by va >> 12")))
    assert total == sum(row["count"] for row in json.loads(prompt.run("events/json group by event")))


def test_the_life_of_a_page_of_its_frame_and_of_its_slot(prompt: Prompt) -> None:
    page = json.loads(prompt.run("history page/json 0x408000"))
    page = [row for row in page if int(row["time"].partition(":")[0]) >= 12]  # the rest made its tables
    story = [row["event"] for row in page]
    assert story == [
        "trap", "frame-alloc", "entry-write", "fault-minor", "walk-step",
        "evict", "swap-out", "entry-write",
        "trap", "swap-in", "entry-write", "fault-major", "walk-step",
    ]  # fmt: skip
    swap = json.loads(prompt.run("history slot/json 2"))
    assert [(row["time"], row["event"]) for row in swap] == [
        ("400:2", "swap-out"), ("401:7", "swap-in"), ("401:9", "fault-major"),
    ]  # fmt: skip
    pfn = page[1]["arguments"]["pfn"]
    frame = json.loads(prompt.run(f"history frame/json {pfn}"))
    assert [row["event"] for row in frame] == ["frame-alloc", "evict", "swap-out", "frame-free", "swap-in"]
    for row in page[:5]:
        prompt.run(f"goto {row['time']}")
        assert str(prompt.session.timeline.position) == row["time"]


def test_mistakes_are_one_line(prompt: Prompt) -> None:
    assert prompt.error("events 3..1") == "inverted range\n"
    assert prompt.error("events group by ") == "Argument required (an expression).\n"
    assert prompt.error("events bogus").startswith('Undefined catch command: "bogus".')
    assert prompt.error("events 1 fault more").startswith('Junk at end of arguments: "more".')
    assert prompt.error("events where $cr3 = 1") != ""
    assert prompt.error("events 900..901").startswith("The record goes from")


WRITTEN = """process work
region heap 0x0 4K rw
write 0x10, 1
read 0x10
write 0x0c, 2, 4
read 0x20
exit
"""


def test_the_last_write_is_followed_through_frames_swap_and_forks(tmp_path: Path) -> None:
    path = tmp_path / "written.vmp"
    path.write_text(WRITTEN)
    prompt = Prompt(str(path))

    def written(address: str) -> str | None:
        time = json.loads(prompt.run(f"last write/json {address}"))["time"]
        return None if time is None else time.split(":")[0]

    prompt.run("goto 3")
    assert written("0x10") == "0"  # the four bytes that were written later end before it
    assert written("0x0c") == written("0x0f") == "2"
    prompt.run("swapout 0x10", "read 0x210", "read 0x20", "fork 1", "process 2")
    assert (written("0x10"), written("0x0f"), written("0x11")) == ("0", "2", None)
    prompt.run("write 0x10 9")
    assert (written("0x10"), written("0x0f")) == ("8", "2")
    prompt.run("process 1")
    assert (written("0x10"), written("0x0f")) == ("0", "2")
