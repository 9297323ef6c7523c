"""Running the points of a sweep: on all processors, on a cluster, or here; what is done is kept on disk.

joblib runs them in processes of their own (extra `sweep`), Dask on other machines (extra `cluster`).  Each
result is a line of a file as soon as it is there; the same sweep, started again, reads
them and runs the others.  The file goes once all are done.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import signal
import threading
import traceback
from concurrent.futures import CancelledError
from multiprocessing import resource_tracker

from vmdbg import progress
from vmdbg.engine import cache
from vmdbg.errors import UserError
from vmdbg.sweep.work import run_point

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from typing import Any

    from vmdbg.sweep.plan import Point

    Measures = dict[str, Any]

NO_JOBLIB = 'joblib is not installed (pip install "vmdbg[sweep]"): one point runs after the other.'
NO_DASK = 'A cluster needs Dask: pip install "vmdbg[cluster]".'
CRASHED = {"error": "its process crashed"}
GOES_ON = "the same sweep goes on with the others"
NOT_KEPT = "they could not be kept, so the same sweep begins again"
WORKERS_COME = 30  # seconds in which the first worker of a cluster has to be there


class Done:
    """The results of a sweep that are there, by the key of their point, kept beside the compiled code."""

    def __init__(self, points: Sequence[Point]) -> None:
        name = hashlib.blake2b("".join(point.key for point in points).encode(), digest_size=12).hexdigest()
        self.path = os.path.join(cache.folder(), "sweeps", name + ".jsonl") if cache.folder() else ""
        self.found: dict[str, Measures] = {}
        self.kept = bool(self.path)  # is all that was found in the file?
        self._begin = ""  # what has to stand before the next line
        with contextlib.suppress(OSError), open(self.path, encoding="utf-8") as file:
            for line in file:
                self._begin = "" if line.endswith("\n") else "\n"  # the last one may be half a line
                with contextlib.suppress(ValueError, TypeError, KeyError):
                    entry = json.loads(line)
                    self.found[entry["key"]] = entry["measures"]

    def add(self, key: str, measures: Measures) -> None:
        """Keep a result.  A disk that is full costs the resuming, not the result."""
        self.found[key] = measures
        if not self.path:
            return
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(self._begin + json.dumps({"key": key, "measures": measures}) + "\n")
            self._begin = ""
        except OSError:
            self.kept, self._begin = False, "\n"

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
    with progress.task("Sweeping", "points", len(points), len(done.found)) as task:
        task.at(len(done.found))
        meanwhile = told_meanwhile(task, done)
        try:
            with contextlib.closing(results(missing, program, jobs, cluster, tell, meanwhile)) as found:
                for key, measures in found:
                    done.add(key, measures)
                    task.at(len(done.found))
        except KeyboardInterrupt:
            progress.clear()
            tell(f"{len(done.found)} of {len(points)} points are done; {GOES_ON if done.kept else NOT_KEPT}.")
            raise
    done.forget()
    return [done.found[point.key] for point in points]


@contextlib.contextmanager
def told_meanwhile(task: progress.Task, done: Done) -> Iterator[None]:
    """While others compute, which may take minutes for a point, a line says how much is done."""
    over = threading.Event()

    def tell() -> None:
        signal.pthread_sigmask(
            signal.SIG_BLOCK, [signal.SIGINT]
        )  # it is for the main thread, when that is ready
        while not over.wait(progress.PAUSE):
            task.at(len(done.found))

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def results(
    points: Sequence[Point],
    program: str,
    jobs: int,
    cluster: str,
    tell: Callable[[str], None],
    meanwhile: contextlib.AbstractContextManager[None],
) -> Generator[tuple[str, Measures], None, None]:
    """Key and measures of each point, as soon as they are there; `meanwhile`: while others compute."""
    if not points:
        return
    if cluster:
        with meanwhile:
            yield from on_cluster(points, program, cluster)
        return
    if jobs != 1 and len(points) > 1:
        try:
            import joblib
        except ImportError:
            tell(NO_JOBLIB)
        else:
            with meanwhile:
                yield from in_processes(joblib, points, program, jobs)
            return
    for point in points:
        yield keyed(point.key, point.config.values, point.config.name, program)


def keyed(key: str, values: dict[str, Any], name: str, program: str) -> tuple[str, Measures]:
    """`run_point`, with the key of the point.  What it raises costs this point, not the sweep."""
    try:
        return key, run_point(values, name, program)
    except Exception as error:  # noqa: BLE001 - a fault of vmdbg's, no memory, a full disk
        where = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__}: {error} ({os.path.basename(where.filename)}:{where.lineno})"
        return key, {"error": said}


def calls(joblib: Any, points: Sequence[Point], program: str) -> Iterator[Any]:
    """What joblib is to call."""
    for point in points:
        yield joblib.delayed(keyed)(point.key, point.config.values, point.config.name, program)


@contextlib.contextmanager
def without_ctrl_c() -> Iterator[None]:
    """Processes started inside do not hear Ctrl-C, which a terminal sends to all: this one ends them.
    What came meanwhile is heard at the end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []  # by another thread; what is blocked here waits
    blocked = signal.pthread_sigmask(
        signal.SIG_BLOCK, [signal.SIGINT]
    )  # new processes and threads inherit this
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    if heard:
        signal.raise_signal(signal.SIGINT)


def in_processes(
    joblib: Any, points: Sequence[Point], program: str, jobs: int
) -> Iterator[tuple[str, Measures]]:
    """On this machine.  A process that crashes takes its point with it; the others are run again."""
    from joblib.externals.loky.backend import resource_tracker as its_tracker
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    for tracker in (resource_tracker, its_tracker):
        tracker.ensure_running()  # before Ctrl-C is blocked, for their start unblocks it
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
            alone = not alone  # it is found: the others at a time again


@contextlib.contextmanager
def without_logging() -> Iterator[None]:
    """What Dask logs of connections that end, as they do at Ctrl-C, is of no use to who waits for a table."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def on_cluster(points: Sequence[Point], program: str, cluster: str) -> Iterator[tuple[str, Measures]]:
    """On the workers of a Dask scheduler, which see the program under the same path."""
    try:
        import distributed
    except ImportError:
        raise UserError(NO_DASK) from None
    with without_logging():
        try:
            client = distributed.Client(cluster, timeout=5)
        except (OSError, ValueError) as error:
            raise UserError(f"No Dask scheduler at {cluster}: {error}.") from None
        with client:
            try:
                client.wait_for_workers(1, timeout=WORKERS_COME)
            except TimeoutError:
                raise UserError(f"The Dask scheduler at {cluster} has no workers.") from None
            yield from by_workers(distributed, client, points, os.path.abspath(program))


def by_workers(
    distributed: Any, client: Any, points: Sequence[Point], program: str
) -> Iterator[tuple[str, Measures]]:
    """A point whose worker dies is tried on others, as often as the scheduler allows.  Then the scheduler
    gives up all that waited for that worker too: so they run again one by one, to find out which it was.
    """
    killed = distributed.KilledWorker

    def ask(point: Point) -> Any:
        config = point.config
        return client.submit(keyed, point.key, config.values, config.name, program, pure=False)

    asked = {ask(point): point for point in points}
    suspects = []
    for future in distributed.as_completed(list(asked)):
        point = asked.pop(future)
        try:
            found = answer(future, point.key, killed)
        except killed:
            suspects.append(point)
        else:
            yield found
    for point in suspects:
        try:
            found = answer(ask(point), point.key, killed)
        except killed:
            found = point.key, dict(CRASHED)
        yield found


def answer(future: Any, key: str, killed: type[Exception]) -> tuple[str, Measures]:
    """What a worker has found, or why it could not be asked.  `killed`; UserError without a scheduler."""
    try:
        found: tuple[str, Measures] = future.result()  # waits again if it was lost with its worker
        return found
    except killed:
        raise
    except CancelledError:
        raise UserError("The Dask scheduler has gone away.", f"Once it is back, {GOES_ON}.") from None
    except Exception as error:  # noqa: BLE001 - it has no vmdbg, or another version
        return key, {"error": f"on its worker: {type(error).__name__}: {error}"}
