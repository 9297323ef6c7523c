"""How a trace is mapped and counted: page sizes, promotion, straddling accesses, pages that are there."""

from __future__ import annotations

import io
import itertools
import json
import lzma
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vmdbg.errors import UserError
from vmdbg.inspect.counts import accesses, instructions, lookups, made
from vmdbg.inspect.processes import violations
from vmdbg.inspect.target import boot
from vmdbg.kernel.access import CROSSES
from vmdbg.kernel.scheduler import OP_WIDTH
from vmdbg.machine.config import MachineConfig, load_config
from vmdbg.machine.future import accesses as foreseen
from vmdbg.machine.machine import Machine
from vmdbg.programs.addresses import Space
from vmdbg.programs.traces.catalog import open_trace
from vmdbg.shell.boot import MachineSettings, open_target
from vmdbg.shell.script import Source
from vmdbg.shell.startup import make_session
from vmdbg.state.tables import OP, OP_VA
from vmdbg.sweep.work import run_point

DATA = Path(__file__).resolve().parents[1] / "data"
Shapes = dict[str, tuple[int, int]]  # of arrays: sets and ways
Pages = tuple[str, int, int]  # trace.page, the shift of pages, trace.promote
KEYS = ("tlb-hit", "tlb-l2-hit", "tlb-miss", "fault-minor", "promoted")
SHAPES = [
    {"l1": (4, 2), "l2": (8, 2)},
    {"l1i": (2, 2), "l1d": (4, 1), "l2": (4, 4)},
    {"l1": (1, 8)},
    {"l1i": (1, 3), "l1d": (2, 2)},
]
PAGES: list[Pages] = [("base", 12, 0), ("2M", 21, 0), ("thp", 12, 1), ("thp", 12, 3)]


def random_lines(seed: int, count: int) -> str:
    """Accesses of several sizes, near the ends of pages, in three ranges of 2 MiB, some of which touch."""
    chance = random.Random(seed)
    starts = (0x400000, 0x7FC000, 0x800000)
    lines = []
    for _ in range(count):
        page = chance.choice(starts) + (min(chance.randrange(12), chance.randrange(12)) << 12)
        va = page + chance.choice((chance.randrange(4096), 4096 - chance.randrange(1, 70)))
        lines.append(
            f"{chance.choice(('I ', ' L', ' S', ' M'))} {va:08x},{chance.choice((1, 4, 8, 15, 64, 300))}"
        )
    return "\n".join(lines) + "\n"


def configured(shapes: Shapes, **more: Any) -> MachineConfig:
    """The machine for traces, with these arrays in place of its own."""
    arrays: dict[str, Any] = dict.fromkeys(("tlb.l1", "tlb.l1i", "tlb.l1d", "tlb.l2"), "off")
    arrays |= {f"tlb.{name}": f"{sets}x{ways}" for name, (sets, ways) in shapes.items()}
    values = {key.replace("_", ".", 1): value for key, value in more.items()}
    small = {"machine.ram": 32 << 20, "machine.swap.size": 1 << 20}
    return load_config("trace").with_({**arrays, **small, **values})


def traced(path: Path, config: MachineConfig, compiled: bool = False) -> Machine:
    """The machine at the last access of a trace."""
    machine = boot(config, str(path)).machine
    if compiled:
        machine.compile()
    program = machine.program
    machine.run(program.length - 1, compiled)
    return machine


def compare(
    model: ModuleType, path: Path, shapes: Shapes, page: Pages, straddle: bool, compiled: bool = False
) -> Machine:
    """Run a trace on the machine and on the model: all counters are the same."""
    name, shift, threshold = page
    more = {"trace_page": name, "trace_promote": threshold or 64, "trace_straddle": straddle}
    machine = traced(path, configured(shapes, **more), compiled)
    expected = model.Traced(shapes, shift, threshold, straddle).run(model.lackey(path.read_text()))
    found = machine.counts()
    assert {key: found.get(key, 0) for key in KEYS} == {key: expected[key] for key in KEYS}
    survey_finds_nothing(machine)
    return machine


def survey_finds_nothing(machine: Machine) -> None:
    assert list(violations(machine, tlb_only=False)) == []


@pytest.mark.long
@pytest.mark.parametrize("shapes", SHAPES, ids="+".join)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page[0]}-{page[2]}")
def test_counts_of_the_model(
    tmp_path: Path, model: Callable[[str], ModuleType], shapes: Shapes, page: Pages
) -> None:
    """One TLB for all, or one each for fetches and data; every size of pages; with and without straddling."""
    path = tmp_path / "t.lackey"
    for seed, straddle in itertools.product(range(2), (True, False)):
        path.write_text(random_lines(seed, 400))
        compare(model("traced"), path, shapes, page, straddle)


@pytest.mark.long
def test_both_engines_count_alike(tmp_path: Path, model: Callable[[str], ModuleType], engine: str) -> None:
    path = tmp_path / "t.lackey"
    path.write_text(random_lines(7, 3000))
    machine = compare(model("traced"), path, SHAPES[1], ("thp", 12, 3), True, engine == "compiled")
    assert machine.counts()["promoted"] == 3


@pytest.mark.long
@pytest.mark.parametrize("name", ["ls", "sqlite"])
@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page[0]}-{page[2]}")
def test_a_real_trace_counts_as_the_model(
    tmp_path: Path, model: Callable[[str], ModuleType], name: str, page: Pages
) -> None:
    path = tmp_path / "t.lackey"
    with lzma.open(DATA / f"{name}.lackey.xz", "rt") as lines:
        path.write_text("".join(itertools.islice(lines, 4000)))
    compare(model("traced"), path, SHAPES[1], page, True)


# -- straddling


def test_an_access_that_straddles_is_one_access_and_two_look_ups(tmp_path: Path) -> None:
    path = tmp_path / "t.lackey"
    path.write_text("I  00001ffe,4\n L 00002ffc,8\n S 00003ff0,16\n S 00003ff1,16\n M 00004fff,2\n")
    counts = traced(path, configured(SHAPES[0], trace_straddle=True)).counts()
    assert (accesses(counts), instructions(counts), lookups(counts)) == (5, 1, 9)
    assert [made(counts, kind) for kind in ("fetch", "read", "write")] == [1, 1, 3]
    assert [counts[f"straddle-{kind}"] for kind in ("fetch", "read", "write")] == [1, 1, 2]
    plain = traced(path, configured(SHAPES[0])).counts()
    assert (accesses(plain), lookups(plain), plain["fault-minor"]) == (5, 5, 4)


SIZED = {
    "lackey": "I  {0:08x},{1}\n",
    "csv": "0x{0:x},r,{1}\n",
    "dynamorio": "  1 1: 7 read {1:6} byte(s) @ 0x{0:016x} by PC 0x1\n",
}


@pytest.mark.parametrize("name", SIZED)
def test_sizes_of_formats(tmp_path: Path, name: str, engine: str) -> None:
    """Rows say that the access goes on where its last byte is in the next page, and that page is the
    process's."""
    cases = [
        (0x1FFF, 1),
        (0x1FFF, 2),
        (0x1000, 4096),
        (0x1001, 4096),
        (0x1001, 5000),
        (0x2FF0, 16),
        (0x2FF0, 17),
    ]
    cases += [((1 << 47) - 1, 8), (0, 1), ((1 << 47) - 9, 8)]
    head = {"csv": "address,op,size\n", "dynamorio": "Output format:\n"}.get(name, "")
    path = tmp_path / "t"
    path.write_text(head + "".join(SIZED[name].format(*case) for case in cases))
    for straddle in (False, True):
        space = Space(48, 4096, 1 << 47)
        parser = open_trace(str(path), name, space=space, engine=engine, straddle=straddle)
        count = parser.chunk()
        rows = parser.op[: OP * count].tolist()
        parser.trace.close()
        assert rows[OP_VA::OP] == [va for va, _ in cases]
        expected = [
            straddle and (va + size - 1) >> 12 > va >> 12 and va + size < 1 << 47 for va, size in cases
        ]
        assert [word >> OP_WIDTH & 31 == CROSSES for word in rows[::OP]] == expected


def test_opt_foresees_the_second_page(tmp_path: Path) -> None:
    path = tmp_path / "t.lackey"
    path.write_text(" L 00001ffe,4\n L 00003000,1\n L 00002000,1\n")
    config = configured(SHAPES[0], trace_straddle=True, kernel_policy="opt", kernel_user_frames=2)
    machine = boot(config, str(path)).machine
    assert [width > 4096 for _, width, _ in foreseen(machine, 1)] == [True, False, False]  # type: ignore[misc]
    machine.run(4)
    assert machine.counts()["fault-minor"] == 3


# -- pages


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"trace.page": "3M"}, "trace.page: expected base, thp or a page size of x86_64: 4 KiB, 2 MiB"),
        ({"trace.page": "thp", "machine.format": "word-table"}, "word-table has no pages of the next larger"),
    ],
)
def test_pages_that_a_machine_has_not(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Machine(load_config("trace").with_(values))


def test_promotion_needs_memory_that_stays_free(tmp_path: Path) -> None:
    """Where a sixteenth would not stay free, base pages come; so does the limit of a process bind it."""
    path = tmp_path / "t.lackey"
    path.write_text("".join(f" L {at << 21:08x},1\n L {(at << 21) + 4096:08x},1\n" for at in range(1, 9)))
    large = {"trace_page": "thp", "trace_promote": 1}
    counts = traced(
        path, configured(SHAPES[0], machine_ram=12 << 20, kernel_first_frame=320, **large)
    ).counts()
    assert counts["promoted"] == 4  # there are five such runs; of 3072 frames 192 are to stay free
    assert counts["fault-minor"] == 4 + 8
    limited = {"kernel_limit": 600, "kernel_over_limit": "reclaim"}
    counts = traced(path, configured(SHAPES[0], **large, **limited)).counts()
    assert (counts["promoted"], counts["fault-minor"]) == (1, 1 + 14)


def test_a_promoted_page_keeps_its_content(tmp_path: Path) -> None:
    path = tmp_path / "t.lackey"
    path.write_text("".join(f" S {0x400000 + page:08x},8\n" for page in range(0, 4 << 12, 1 << 12)))
    config = configured(SHAPES[0], trace_page="thp", trace_promote=4, machine_payload=True)
    machine = boot(config, str(path)).machine
    machine.run(3)
    pas = [machine.find_page(1, 0x400000 + (page << 12)) << 12 for page in range(3)]
    for page, pa in enumerate(pas):
        machine.k.store(machine.m, pa + 8, 8, 1000 + page)
    machine.run(4)
    machine.k.walk(machine.m, machine.m.cpu[machine.bindings["CPUS"] - 1 + 2], 0x400000)
    assert machine.counts()["promoted"] == 1
    held = [
        word for word in range(1000, 1003) if word.to_bytes(8, "little") in bytes(machine.m.ram1[2 << 20 :])
    ]
    assert held == [1000, 1001, 1002]
    survey_finds_nothing(machine)


def test_going_back_over_a_promotion(tmp_path: Path) -> None:
    path = tmp_path / "t.lackey"
    path.write_text(random_lines(3, 200))
    machine = boot(configured(SHAPES[0], trace_page="thp", trace_promote=3), str(path)).machine
    before, digest = machine.snapshot(), machine.digest()
    machine.run(200)
    after = machine.digest()
    machine.restore(before)
    assert machine.digest() == digest
    machine.run(200)
    assert machine.digest() == after


# -- at the prompt


def typed(*lines: str) -> str:
    out = io.StringIO()
    session = make_session(out, out)
    session.target = open_target(session, "trace", "")
    session.settings.attach_later(lambda: MachineSettings(session))
    interpreter = session.interpreter
    source = Source("stdin", ["set machine.swap.size 1M", *lines])
    interpreter.sources.append(source)
    while (line := source.read()) is not None:
        interpreter.command_line(line)
    return out.getvalue()


@pytest.mark.long
def test_a_part_of_a_promoted_page_cannot_be_unmapped(tmp_path: Path) -> None:
    path = tmp_path / "t.lackey"
    path.write_text(" L 00400000,1\n" * 3)
    said = typed(
        "set trace.page thp", "set trace.promote 1", f"file {path}", "start", "step", "munmap 0x400000 4K"
    )
    assert "0x401000 is not a border of the pages of 0x200000 bytes there." in said
    said = typed(
        "set trace.page thp",
        "set trace.promote 1",
        f"file {path}",
        "start",
        "step",
        "munmap 0x400000 2M",
        "check",
    )
    assert said.endswith("Consistent: nothing disagrees.\n")  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("page", ["base", "2M", "thp"])
def test_pages_that_are_in_memory_from_the_start(tmp_path: Path, page: str) -> None:
    path = tmp_path / "t.lackey"
    path.write_text(random_lines(5, 300))
    settings = ["set trace.resident on", f"set trace.page {page}", "set trace.promote 12"]
    said = [json.loads(typed(*settings, command).splitlines()[-1]) for command in (f"replay/j {path}",)]
    whole = traced(path, configured(SHAPES[0], trace_resident=True, trace_page=page, trace_promote=12))
    assert [row["faults"] for row in said] == [0]
    assert whole.counts().get("fault-minor", 0) == 0
    survey_finds_nothing(whole)
    small = len({va >> 12 for va in traced_addresses(path)}) << 12
    large = len({va >> 21 for va in traced_addresses(path)}) << 21
    resident = {"base": small, "2M": large}.get(page)
    if resident is not None:
        (row,) = json.loads(typed(*settings, f"file {path}", "ps/j").splitlines()[-1])
        assert row["rss"] == resident


def traced_addresses(path: Path) -> list[int]:
    return [int(line[3:].split(",")[0], 16) for line in path.read_text().splitlines()]


def test_a_pipe_cannot_be_in_memory_from_the_start(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text(" L 1000,1\n"))
    writer.start()
    said = typed("set trace.resident on", f"replay {pipe}")
    writer.join()
    assert 'a pipe can be read once; "trace.resident" reads it twice.' in said


def test_memory_that_is_too_small_for_its_pages_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.lackey"
    path.write_text("".join(f" L {at << 21:08x},1\n" for at in range(1, 9)))
    few = {"trace_page": "2M", "machine_ram": 8 << 20}
    assert run_point(configured(SHAPES[0], **few).values, "trace", str(path))["faults"] == 8
    found = run_point(configured(SHAPES[0], kernel_policy="opt", **few).values, "trace", str(path))
    assert found["error"] == "it ended after 3 of 8 accesses: no memory"
    said = typed("set kernel.user_frames 64", "set trace.page 2M")
    assert "kernel.user_frames 64: there is no room for a page of 2 MiB (trace.page), which takes 512" in said
    said = typed("set machine.ram 8M", "set kernel.policy opt", "set trace.page 2M", f"replay {path}")
    assert (
        "Process 1 (t) terminated with signal SIGKILL, Killed: no frame is free and no page can leave" in said
    )
