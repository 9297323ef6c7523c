"""Running the points of a sweep: on all processors, on a cluster, or here; what is done is kept on disk.

joblib runs them in processes of their own (extra `sweep`), or through Dask on other machines (extra
`cluster`).  Each result is a line of a file as soon as it is there; the same sweep, started again, reads
them and runs the others.  The file goes once all are done.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import threading

from vmdbg import progress
from vmdbg.engine import cache
from vmdbg.errors import UserError
from vmdbg.sweep.work import run_point

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from vmdbg.sweep.plan import Point

    Measures = dict[str, Any]

NO_JOBLIB = "joblib is not installed: one point runs after the other."
NO_DASK = 'A cluster needs Dask: pip install "vmdbg[cluster]".'
CRASHED = {"error": "its process crashed"}


class Done:
    """The results of a sweep that are there, by the key of their point, kept beside the compiled code."""

    def __init__(self, points: Sequence[Point]) -> None:
        name = hashlib.blake2b("".join(point.key for point in points).encode(), digest_size=12).hexdigest()
        self.path = os.path.join(cache.folder(), "sweeps", name + ".jsonl") if cache.folder() else ""
        self.found: dict[str, Measures] = {}
        with contextlib.suppress(OSError), open(self.path, encoding="utf-8") as file:
            for line in file:
                with contextlib.suppress(ValueError, TypeError, KeyError):  # the last one may be half a line
                    entry = json.loads(line)
                    self.found[entry["key"]] = entry["measures"]

    def add(self, key: str, measures: Measures) -> None:
        """Keep a result.  A disk that is full costs the resuming, not the result."""
        self.found[key] = measures
        if not self.path:
            return
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, "measures": measures}) + "\n")

    def forget(self) -> None:
        """Remove the file, once all points are done."""
        with contextlib.suppress(OSError):
            os.remove(self.path)


def run_sweep(
    points: Sequence[Point],
    program: str,
    jobs: int,
    cluster: str = "",
    tell: Callable[[str], None] = lambda line: None,
) -> list[Measures]:
    """The measures of all points, in their order.  `jobs` 0: as many processes as there are processors.

    What a KeyboardInterrupt interrupts goes on when the same sweep is started again.
    """
    done = Done(points)
    missing = [point for point in points if point.key not in done.found]
    if len(missing) < len(points):
        tell(f"{len(points) - len(missing)} of {len(points)} points were done before.")
    with progress.task("Sweeping", "points", len(points)) as task:
        task.at(len(done.found))
        try:
            for key, measures in results(missing, program, jobs, cluster, tell):
                done.add(key, measures)
                task.at(len(done.found))
        except KeyboardInterrupt:
            progress.clear()
            tell(
                f"{len(done.found)} of {len(points)} points are done; the same sweep goes on with the others."
            )
            raise
    found = [done.found[point.key] for point in points]
    done.forget()
    return found


def results(
    points: Sequence[Point],
    program: str,
    jobs: int,
    cluster: str,
    tell: Callable[[str], None],
) -> Iterator[tuple[str, Measures]]:
    """Key and measures of each point, as soon as they are there."""
    if not points:
        return
    if cluster:
        yield from on_cluster(points, program, cluster)
        return
    if jobs != 1 and len(points) > 1:
        try:
            import joblib
        except ImportError:
            tell(NO_JOBLIB)
        else:
            yield from in_processes(joblib, points, program, jobs)
            return
    for point in points:
        yield keyed(point.key, point.config.values, point.config.name, program)


def keyed(key: str, values: dict[str, Any], name: str, program: str) -> tuple[str, Measures]:
    """`run_point`, with the key of the point."""
    return key, run_point(values, name, program)


def calls(joblib: Any, points: Sequence[Point], program: str) -> Iterator[Any]:
    """What joblib is to call."""
    for point in points:
        yield joblib.delayed(keyed)(point.key, point.config.values, point.config.name, program)


@contextlib.contextmanager
def without_ctrl_c() -> Iterator[None]:
    """Processes started inside ignore Ctrl-C, which a terminal sends to all: this one ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def in_processes(
    joblib: Any, points: Sequence[Point], program: str, jobs: int
) -> Iterator[tuple[str, Measures]]:
    """On this machine.  A process that crashes takes its point with it; the others are run again."""
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    left = {point.key: point for point in points}
    alone = False  # after a crash one at a time, to find out which point it was
    while left:
        chosen = list(left.values())[:1] if alone else list(left.values())
        parallel = joblib.Parallel(n_jobs=2 if alone else jobs or -1, return_as="generator_unordered")
        try:
            with without_ctrl_c():
                found = parallel(calls(joblib, chosen, program))
            for key, measures in found:
                del left[key]
                yield key, measures
        except TerminatedWorkerError:
            if alone:
                del left[chosen[0].key]
                yield chosen[0].key, dict(CRASHED)
            alone = True


def on_cluster(points: Sequence[Point], program: str, cluster: str) -> Iterator[tuple[str, Measures]]:
    """On the workers of a Dask scheduler, which see the program under the same path."""
    try:
        import joblib
        from distributed import Client
    except ImportError:
        raise UserError(NO_DASK) from None
    try:
        client = Client(cluster, timeout=5)
    except (OSError, ValueError) as error:
        raise UserError(f"No Dask scheduler at {cluster}: {error}.") from None
    with client, joblib.parallel_config(backend="dask", wait_for_workers_timeout=30):
        parallel = joblib.Parallel(return_as="generator_unordered")
        yield from parallel(calls(joblib, points, program))
