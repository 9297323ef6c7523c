"""Every policy against a model of its own, page by page, and the published counts of traces."""

from __future__ import annotations

import json
import random
from array import array
from collections.abc import Callable
from functools import cache
from itertools import cycle
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.drawn import drawn
from vmdbg.errors import UserError
from vmdbg.kernel.calls.syscalls import OP_FORK, OP_HANDLER
from vmdbg.kernel.policies import POLICIES, facts_of
from vmdbg.kernel.policies.facts import NOTHING
from vmdbg.kernel.scheduler import OP_EXIT, OP_KIND, OP_WRITE
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig, load_config
from vmdbg.machine.file import HASH_BYTES, LATER, MAGIC, checksum, load_machine, save_machine
from vmdbg.machine.machine import Machine
from vmdbg.programs import read_program
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.state.tables import FUTURE, KERNEL_FUTURE, OP, OP_VA

DATA = Path(__file__).resolve().parent.parent / "data"
EXPECTED = json.loads((DATA / "expected.json").read_text())
TRACES = ("ls.lackey", "sqlite.lackey")
START, PAGE = 0x400000, 4096
SILBERSCHATZ = [7, 0, 1, 2, 0, 3, 0, 4, 2, 3, 0, 3, 2, 1, 2, 0, 1, 7, 0, 1]
BELADY = [1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5]
MODELLED = [name for name in POLICIES if name != "clock-cached" and facts_of(name).sees != NOTHING]  # type: ignore[union-attr]


@pytest.fixture(scope="session")
def models(model: Callable[[str], ModuleType]) -> Any:
    return model("replacement")


def machine_of(policy: str, references: list[tuple[int, bool]], frames: int, **more: Any) -> Machine:
    """One process that makes these accesses (page, written) with so many frames for its pages."""
    pages = max(page for page, _ in references) + 1
    values = {
        "machine.ram": 1 << 20,
        "machine.payload": False,
        "machine.swap.size": 64 * PAGE,
        "kernel.first_frame": 3,
        "kernel.user_frames": frames,
        "kernel.policy": policy,
    }
    machine = Machine(MachineConfig(values | more))
    rows = array("q")
    for page, written in references:
        rows.extend((OP_WRITE * written, START + page * PAGE, 0, 0))
    rows.extend((OP_EXIT, 0, 0, 0))
    spec = ProcessSpec("p", None, -1, [RegionSpec("heap", START, pages * PAGE, 15)], rows)
    machine.load(Program("p", "", [], [spec]))
    return machine


def faults(machine: Machine) -> int:
    counts = machine.counts()
    return counts.get("fault-minor", 0) + counts.get("fault-major", 0)


def draw_references(seed: int) -> tuple[list[tuple[int, bool]], int]:
    """Loops, scans and a working set that moves, of some pages, and a number of frames."""
    draw = random.Random(seed)
    pages, frames = draw.randint(3, 40), draw.randint(1, 24)
    found: list[tuple[int, bool]] = []
    while len(found) < 300:
        first, count = draw.randrange(pages), draw.randint(1, pages)
        span = [(first + at) % pages for at in range(count)]
        chosen = draw.choice((span, [draw.choice(span[:5]) for _ in range(20)], span * 2, span[::-1]))
        found += [(page, draw.random() < 0.3) for page in chosen]
    return found[:300], frames


@pytest.mark.long
@pytest.mark.parametrize("policy", MODELLED)
def test_the_page_that_leaves_is_that_of_the_model(policy: str, models: Any) -> None:
    for seed in range(drawn(12)):
        references, frames = draw_references(seed)
        more = {"kernel.tau": 20 + seed} if policy == "wsclock" else {}
        expected = (
            models.wsclock(references, frames, 20 + seed)
            if more
            else models.MODELS[policy](references, frames)
        )
        machine = machine_of(policy, references, frames, **more)
        left = {place: gone for place, _, gone in expected}
        resident: set[int] = set()
        for place, (page, _) in enumerate(references):
            machine.run(place + 1)
            there = {p for p in resident | {page} if machine.find_page(1, START + p * PAGE) >= 0}
            gone = resident - there
            assert (gone or {None}) == {left.get(place)}, (seed, place)
            resident = there
            if place % 50 == 0:
                assert check(machine) == []
        assert faults(machine) == len(expected)
        assert check(machine) == []


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.parametrize("policy", MODELLED)
def test_both_engines_have_the_faults_of_the_model(
    policy: str, models: Any, ready: Callable[[Machine], Machine], both: None
) -> None:
    for seed in range(20, 20 + drawn(20)):
        references, frames = draw_references(seed)
        digests = set()
        for compiled in (False, True):
            machine = machine_of(policy, references, frames)
            machine = ready(machine) if compiled else machine
            machine.run(len(references), compiled)
            assert faults(machine) == len(models.MODELS[policy](references, frames))
            digests.add(machine.digest())
        assert len(digests) == 1


@pytest.mark.parametrize(("policy", "count"), [("fifo", 15), ("lru", 12), ("opt", 9), ("clock", 14)])
def test_the_textbooks_string(policy: str, count: int) -> None:
    machine = machine_of(policy, [(page, False) for page in SILBERSCHATZ], 3)
    machine.run(len(SILBERSCHATZ))
    assert faults(machine) == count


@pytest.mark.parametrize("frames", [3, 4])
@pytest.mark.parametrize(
    ("policy", "column"), [("fifo", "FIFO"), ("lru", "LRU"), ("clock", "CLOCK_ref1"), ("opt", "OPT")]
)
def test_beladys_anomaly(policy: str, column: str, frames: int) -> None:
    machine = machine_of(policy, [(page, False) for page in BELADY], frames)
    machine.run(len(BELADY))
    assert faults(machine) == EXPECTED["textbook_belady"]["frames"][str(frames)][column]


@pytest.mark.parametrize("policy", POLICIES)
def test_going_back_and_on_again_ends_equal(policy: str) -> None:
    """What a policy remembers is in snapshots."""
    references, frames = draw_references(5)
    machine = machine_of(policy, references, frames)
    machine.run(150)
    middle, digest = machine.snapshot(), machine.digest()
    machine.run(300)
    end = machine.digest()
    machine.restore(middle)
    assert machine.digest() == digest
    machine.run(300)
    assert machine.digest() == end


@pytest.mark.parametrize("policy", POLICIES)
def test_a_saved_machine_goes_on_equal(policy: str, tmp_path: Path) -> None:
    references, frames = draw_references(6)
    machine = machine_of(policy, references, frames)
    machine.run(150)
    save_machine(machine, str(tmp_path / "machine"))
    again = load_machine(str(tmp_path / "machine"))
    for one in (machine, again):
        one.run(300)
    assert again.digest() == machine.digest()


def test_a_machine_of_a_file_before_these_tables(tmp_path: Path) -> None:
    machine = machine_of("fifo", [(page % 7, True) for page in range(40)], 3)
    machine.run(20)
    save_machine(machine, str(tmp_path / "machine"))
    data = (tmp_path / "machine").read_bytes()[len(MAGIC) : -HASH_BYTES]
    line, _, body = data.partition(b"\n")
    header = json.loads(line)
    for table, rows in LATER.items():
        del header["shape"][rows], header["tables"][table]
    old = MAGIC + json.dumps(header).encode() + b"\n" + body
    (tmp_path / "machine").write_bytes(old + checksum(old))
    assert load_machine(str(tmp_path / "machine")).digest() == machine.digest()


def program_of(words: list[list[int]], processes: int = 1) -> Program:
    rows = array("q", [word for row in [*words, [OP_EXIT, 0, 0, 0]] for word in row])
    regions = [RegionSpec("heap", START, 64 * PAGE, 15)]
    return Program("p", "", [], [ProcessSpec("p", None, -1, regions, rows) for _ in range(processes)])


def test_opt_knows_loops_ranges_and_patterns(tmp_path: Path, models: Any) -> None:
    """The plan has what the run does: the same pages in the same order as another machine tells."""
    path = tmp_path / "loops.vmp"
    path.write_text(
        "process p\nregion heap 0x400000 256K rw\nloop 3\nread 0x400000 .. 0x408000 step 0x800\n"
        "write random(0x400000, 64K, count=20, seed=7, step=4096), 1\nread 0x409fff, 4\nend\nexit\n"
    )
    values = {"machine.ram": 1 << 20, "kernel.first_frame": 3, "kernel.user_frames": 5}
    program = read_program(str(path), va_bits=48, page_size=PAGE)
    machine = Machine(MachineConfig(values | {"kernel.policy": "opt"}))
    machine.load(program)
    planned = machine.m.future[0::2].tolist()[:-1]
    assert len(planned) == 3 * (16 + 20 + 2)
    references = [(page, False) for page in planned]
    machine.run(10**6)
    assert machine.m.future[machine.m.kernel[KERNEL_FUTURE] * FUTURE] == -1  # every access was planned
    assert faults(machine) == len(models.opt(references, 5))


def test_opt_refuses_what_it_cannot_know() -> None:
    machine = Machine(MachineConfig({"kernel.policy": "opt"}))
    with pytest.raises(UserError, match="all accesses before the program runs: one process on one CPU"):
        machine.load(program_of([], 2))
    for kind in (OP_FORK, OP_HANDLER):
        with pytest.raises(UserError, match='not with "fork" or "handler"'):
            machine.load(program_of([[kind, -1, 0, 0]]))
    machine.load(program_of([[0, START, 0, 0]]))
    with pytest.raises(UserError, match="another program is loaded already"):
        machine.load(program_of([[0, START, 0, 0]]))


@cache
def trace(name: str) -> Program:
    return read_program(str(DATA / f"{name}.xz"), va_bits=48, page_size=PAGE)


@cache
def references_of(name: str) -> list[tuple[int, bool]]:
    rows = trace(name).processes[0].rows
    words = zip(rows[0::OP][:-1].tolist(), rows[OP_VA::OP][:-1].tolist(), strict=True)
    return [(va >> 12, word & OP_KIND in (1, 3)) for word, va in words]


def cases() -> list[Any]:
    sizes = cycle((8, 16, 32, 64, 128, 256))
    found = [(name, policy, next(sizes)) for name in TRACES for policy in MODELLED for _ in range(2)]
    found += [(name, "opt", int(frames)) for name in TRACES for frames in EXPECTED[name]["frames"]]
    return [pytest.param(*case, id="-".join(map(str, case))) for case in sorted(set(found))]


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.parametrize(("name", "policy", "frames"), cases())
def test_real_traces(
    name: str, policy: str, frames: int, models: Any, ready: Callable[[Machine], Machine], both: None
) -> None:
    """The counts of the model, in the compiled engine; those of expected.json to the last one."""
    config = load_config("trace").with_({"kernel.policy": policy, "kernel.user_frames": frames})
    machine = ready(Machine(config))
    machine.load(trace(name))
    machine.run(len(references_of(name)), True)
    assert faults(machine) == len(models.MODELS[policy](references_of(name), frames))
    known = EXPECTED[name]["frames"].get(str(frames), {})
    column = {"fifo": "FIFO", "lru": "LRU", "clock": "CLOCK_ref1", "opt": "OPT"}.get(policy)
    assert column not in known or faults(machine) == known[column]
