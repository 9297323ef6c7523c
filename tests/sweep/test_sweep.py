"""Sweeps: the product of some settings, each point checked before the first runs, and run once."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vmdbg.engine import native
from vmdbg.errors import UserError
from vmdbg.machine.config import load_config
from vmdbg.sweep import execute
from vmdbg.sweep.execute import without_ctrl_c
from vmdbg.sweep.plan import points, read_axis
from vmdbg.sweep.work import run_point

TESTS = Path(__file__).resolve().parent.parent
LS = str(TESTS / "data" / "ls.lackey.xz")
needs_joblib = pytest.mark.skipif(
    importlib.util.find_spec("joblib") is None, reason="joblib is not installed"
)


@pytest.fixture
def trace(tmp_path: Path) -> str:
    """Twelve references to pages 1 to 5: the string with Belady's anomaly."""
    path = tmp_path / "belady.lackey"
    path.write_text("".join(f" L {page:x}000,1\n" for page in (1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5)))
    return str(path)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Unfinished sweeps of this test alone."""
    monkeypatch.setenv("VMDBG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sweeps"


def test_a_warm_up_does_not_count(trace: str) -> None:
    axes = [read_axis("trace.warm_up=0,9,13"), read_axis("kernel.user_frames=3")]
    *found, beyond = execute.run_sweep(points(load_config("trace"), axes, trace), trace, jobs=1)
    assert [(row["accesses"], row["faults"]) for row in found] == [(12, 9), (3, 2)]
    assert beyond == {"error": "The warm-up is 13 accesses, but there are only 12."}


@pytest.mark.long
def test_belady_s_anomaly(trace: str) -> None:
    axes = [read_axis("policy=fifo,lru"), read_axis("frames=3,4")]
    machines = points(load_config("trace"), axes, trace)
    found = execute.run_sweep(machines, trace, jobs=1)
    assert [point.values["kernel.user_frames"] for point in machines] == [3, 4, 3, 4]
    assert [row["faults"] for row in found] == [9, 10, 10, 8]
    assert all(row["accesses"] == 12 for row in found)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["policy"], "Expected SETTING=VALUE,..., not"),
        (["policy="], "kernel.policy: expected values"),
        (["nothing=1"], 'No setting "nothing" of a machine'),
        (["policy=fifo,fifo"], "kernel.policy: a value comes twice"),
        (["policy=fifo", "kernel.policy=lru"], "A setting comes twice"),
        (["frames=3", "user_frames=4"], "A setting comes twice"),
        (["tlb.l1=3x4"], "tlb.l1"),
        (["machine.ram=1"], "machine.ram=1: "),
        (["policy=fifo,"], "kernel.policy=: Requires an argument"),
        (["kernel.asids=1"], "kernel.asids=1: kernel.asids 1: more than machine.cpus"),
        (["machine.kernel=on,off"], "machine.kernel=off: Without a kernel"),
        (["program=x.vmp"], "machine.program is of a machine's own program"),
        (["machine.warm=0,100"], "machine.warm is of a machine's own program"),
        (["page=4K,2M", "frames=64"], "kernel.user_frames 64: there is no room for a page of 2 MiB"),
        (["frames=3,99999999"], "frames are too few for kernel.first_frame"),
    ],
)
def test_what_is_no_sweep_is_refused_before_anything_runs(words: list[str], message: str, trace: str) -> None:
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        points(load_config("trace"), [read_axis(word) for word in words], trace)


def test_the_names_of_sweeps_are_meant_too() -> None:
    with pytest.raises(UserError) as refused:
        read_axis("frams=3")
    assert refused.value.hint == 'Did you mean "frames"?'


def test_a_program_that_can_be_read_only_once_is_refused(tmp_path: Path) -> None:
    """A pipe would wait for ever, or have its end for the second machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for name, said in ((pipe, "only once"), ("-", "not standard input"), (tmp_path, "Is a directory")):
        with pytest.raises(UserError, match=said):
            points(load_config("trace"), [read_axis("frames=3")], str(name))


def test_a_program_that_cannot_be_read_is_the_error_of_its_points(tmp_path: Path) -> None:
    file = tmp_path / "bad.vmp"
    file.write_text("nonsense\n")
    config = load_config("trace")
    assert str(file) in run_point(config.values, config.name, str(file))["error"]


def test_a_policy_of_one_s_own_and_its_next_text(
    trace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mistakes are told before anything runs; after an edit its points are others."""
    monkeypatch.setattr(native, "available", lambda: False)
    file = tmp_path / "own.py"
    file.write_bytes((TESTS.parent / "docs" / "examples" / "mru.py").read_bytes())
    words = [f"policy={file}", "user_frames=3,4"]
    machines = points(load_config("trace"), [read_axis(word) for word in words], trace)
    found = execute.run_sweep(machines, trace, jobs=1)
    assert [row["faults"] for row in found] == [7, 6]
    file.write_text(file.read_text() + "\n")
    again = points(load_config("trace"), [read_axis(word) for word in words], trace)
    assert not {point.key for point in machines} & {point.key for point in again}
    file.write_text("victim = 1\n")
    with pytest.raises(UserError, match=r"own\.py: a policy needs a function victim"):
        read_axis(f"policy={file}")


def test_what_is_done_is_not_run_again(trace: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = points(load_config("trace"), [read_axis("user_frames=3,4,5")], trace)
    ran, said = [], []

    def interrupted(values: dict[str, Any], name: str, program: str) -> dict[str, Any]:
        if len(ran) == 2:
            raise KeyboardInterrupt
        ran.append(values["kernel.user_frames"])
        return run_point(values, name, program)

    monkeypatch.setattr(execute, "run_point", interrupted)
    with pytest.raises(KeyboardInterrupt):
        execute.run_sweep(machines, trace, 1, tell=said.append)
    (file,) = cache.iterdir()
    file.write_text(file.read_text() + '{"key": "half a li')
    monkeypatch.setattr(execute, "run_point", lambda *given: ran.append(given[0]["kernel.user_frames"]) or {})
    found = execute.run_sweep(machines, trace, 1, tell=said.append)
    assert ran == [3, 4, 5]
    assert said == [
        "2 of 3 points are done; the same sweep goes on with the others.",
        "2 of 3 points were done before.",
    ]
    assert [row.get("faults") for row in found] == [9, 10, None]
    assert list(cache.iterdir()) == []


def test_half_a_line_does_not_spoil_the_next(
    trace: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = points(load_config("trace"), [read_axis("user_frames=3,4")], trace)
    done = execute.Done(machines)
    done.add("half", {})
    file = Path(done.path)
    file.write_text(file.read_text() + '{"key": "ha')
    execute.Done(machines).add(machines[0].key, {"faults": 9})
    assert execute.Done(machines).found == {"half": {}, machines[0].key: {"faults": 9}}


def test_what_cannot_be_kept_is_not_promised(
    trace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that cannot be made, as on a full disk; and none, without a home."""

    def interrupted(values: dict[str, Any], name: str, program: str) -> dict[str, Any]:
        if values["kernel.user_frames"] == 4:
            raise KeyboardInterrupt
        return {}

    monkeypatch.setattr(execute, "run_point", interrupted)
    machines = points(load_config("trace"), [read_axis("user_frames=3,4")], trace)
    (tmp_path / "file").touch()
    said: list[str] = []
    for folder in (str(tmp_path / "file"), ""):
        monkeypatch.setattr(execute.cache, "folder", lambda folder=folder: folder)
        with pytest.raises(KeyboardInterrupt):
            execute.run_sweep(machines, trace, 1, tell=said.append)
    assert said == ["1 of 2 points are done; they could not be kept, so the same sweep begins again."] * 2


def test_what_a_point_raises_costs_that_point(trace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(values: dict[str, Any], name: str, program: str) -> dict[str, Any]:
        if values["kernel.user_frames"] == 4:
            raise MemoryError("none left")
        return {"faults": 1}

    monkeypatch.setattr(execute, "run_point", raises)
    machines = points(load_config("trace"), [read_axis("user_frames=3,4,5")], trace)
    first, bad, last = execute.run_sweep(machines, trace, jobs=1)
    assert first == last == {"faults": 1}
    assert bad["error"].startswith("MemoryError: none left (test_sweep.py:")


@pytest.mark.long
@needs_joblib
def test_a_process_that_crashes_costs_its_point(trace: str) -> None:
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    machines = points(load_config("trace"), [read_axis("user_frames=3,4,5")], trace)
    bad = machines[1].key
    processes = []

    class Parallel:
        """Breaks down when it meets the bad point."""

        def __init__(self, n_jobs: int, **_: object) -> None:
            processes.append(n_jobs)

        def __call__(self, calls: Any) -> Any:
            for key in calls:
                if key == bad:
                    raise TerminatedWorkerError
                yield key, {"faults": 1}

    fake = SimpleNamespace(Parallel=Parallel, delayed=lambda function: lambda key, *rest: key)
    found = dict(execute.in_processes(fake, machines, trace, 0))
    assert found == {
        machines[0].key: {"faults": 1},
        bad: {"error": "its process crashed"},
        machines[2].key: {"faults": 1},
    }
    assert processes == [-1, 2, -1]  # those after it run at a time again


def sweep(*words: str) -> list[str]:
    """The command line of a sweep as JSON."""
    line = " ".join(["sweep/json", *words])
    return [sys.executable, "-m", "vmdbg", "-nx", "-batch", "-ex", "machine trace", "-ex", line]


@needs_joblib
@pytest.mark.long
def test_processes_count_as_one_does(trace: str) -> None:
    said = [
        subprocess.run(
            sweep(jobs, "policy=fifo,clock", "user_frames=3,4", trace), capture_output=True, check=True
        )
        for jobs in ("-jobs 1", "-jobs 2")
    ]
    one, two = (json.loads(done.stdout) for done in said)
    assert one == two
    assert [row["faults"] for row in one][:2] == [9, 10]
    assert one[0]["configuration"]["machine.format"] == "x86_64"


@needs_joblib
@pytest.mark.slow
def test_a_sweep_that_is_killed_goes_on(cache: Path) -> None:
    """No point is run twice: those that were done are told, and what their lines say is in the table."""
    frames = ",".join(str(number) for number in range(16, 40))
    command = sweep("-jobs 2", f"user_frames={frames}", LS)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not any(
            file.read_text().count("\n") >= 3 for file in cache.glob("*.jsonl")
        ):
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    (file,) = cache.glob("*.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
    before = len({line["key"] for line in lines})
    assert before == len(lines)
    for line in lines:
        line["measures"]["swapped_out"] = -1  # no run has that: the line was taken
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{before} of 24 points were done before." in done.stderr
    rows = json.loads(done.stdout)
    expected = json.loads((TESTS / "data" / "expected.json").read_text())
    assert len(rows) == 24
    assert sum(row["swapped_out"] == -1 for row in rows) == before
    by_frames = {row["values"]["kernel.user_frames"]: row["faults"] for row in rows}
    counts = expected["ls.lackey"]["frames"]
    assert by_frames[16] == counts["16"]["CLOCK_ref1"]
    assert by_frames[32] == counts["32"]["CLOCK_ref1"]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """A Dask scheduler and two workers on this machine; its address."""
    if importlib.util.find_spec("distributed") is None:
        pytest.skip('Dask is not installed: pip install "vmdbg[cluster]"')
    file, log = tmp_path / "scheduler.json", (tmp_path / "log").open("wb")
    where = {"cwd": TESTS.parent, "stdout": log, "stderr": log}
    plain = ["--scheduler-file", str(file), "--no-dashboard"]
    scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", *plain]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", *plain, "--nthreads", "1", "--no-nanny"]
    started = [subprocess.Popen([*scheduler, "--host", "127.0.0.1", "--port", "0"], **where)]
    try:
        deadline = time.monotonic() + 60
        while not (file.exists() and file.read_text().rstrip().endswith("}")):
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.1)
        for number in (1, 2):
            started.append(
                subprocess.Popen([*worker, "--local-directory", str(tmp_path / f"w{number}")], **where)
            )
        yield json.loads(file.read_text())["address"]
    finally:
        for process in reversed(started):  # a worker without a scheduler may wait for one
            process.terminate()
            process.wait(30)
        log.close()


@needs_joblib
@pytest.mark.slow
def test_a_cluster_has_the_same_table(trace: str, cluster: str) -> None:
    """Two workers, the points by turns on them; a policy of one's own goes by its path."""
    own = TESTS.parent / "docs" / "examples" / "mru.py"
    words = [f"policy=fifo,{own}", "user_frames=3,4,5"]
    there = subprocess.run(
        sweep(f"-on {cluster}", *words, Path(trace).name),
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(trace).parent,  # which is not that of the workers
    )
    words.append(trace)
    here = subprocess.run(sweep("-jobs 1", *words), capture_output=True, text=True, check=True)
    assert there.stderr == here.stderr
    assert json.loads(there.stdout) == json.loads(here.stdout)
    assert [row["faults"] for row in json.loads(there.stdout)][:3] == [9, 10, 5]


needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="Dask is not installed"
)


@needs_dask
@pytest.mark.slow
def test_a_worker_that_crashes_costs_its_point(trace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that the scheduler started again and again; results that died with it are made again."""
    import distributed

    machines = points(load_config("trace"), [read_axis("user_frames=3,4,5")], trace)
    bad = machines[1].key

    def crashes(key: str, values: dict[str, Any], *_: str) -> tuple[str, dict[str, Any]]:
        if key == bad:
            os._exit(1)
        return key, {"faults": values["kernel.user_frames"]}

    monkeypatch.setattr(execute, "keyed", crashes)
    with (
        execute.without_logging(),
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as there,
        distributed.Client(there) as client,
    ):
        found = dict(execute.by_workers(distributed, client, machines, trace))
    assert found == {
        machines[0].key: {"faults": 3},
        bad: {"error": "its process crashed"},
        machines[2].key: {"faults": 5},
    }


@needs_dask
@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_said_in_one_line(trace: str) -> None:
    done = subprocess.run(
        sweep("-on tcp://127.0.0.1:9", "policy=fifo", trace), capture_output=True, text=True, check=False
    )
    assert done.stderr.startswith("No Dask scheduler at tcp://127.0.0.1:9: ")
    assert done.stderr.count("\n") == 1


def test_processes_of_a_sweep_do_not_hear_ctrl_c() -> None:
    """A terminal sends it to all; this one goes on hearing it, and then also what came meanwhile."""
    says = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    heard = signal.getsignal(signal.SIGINT)
    with without_ctrl_c():
        child = subprocess.run([sys.executable, "-c", says], capture_output=True, text=True, check=True)
    assert child.stdout == "True\n"
    behind = []

    def interrupted() -> None:
        with without_ctrl_c():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            behind.append(True)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert behind == [True]
    assert signal.getsignal(signal.SIGINT) is heard
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
