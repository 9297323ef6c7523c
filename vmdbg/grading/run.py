"""Grades hand-ins: each in a process of its own, as many at once as there are processors."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress

from vmdbg import progress
from vmdbg.errors import UserError
from vmdbg.grading.hand_ins import Lab, prepare
from vmdbg.shell.isolated import BUG, LIMIT, REFUSED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MOST_TOLD = 8 << 20  # bytes of results that are read
MOST_REMARKS = 4000  # bytes of stderr that are kept
CHUNK = 1 << 16
SLACK = 5.0  # seconds that a lab has besides the time of a hand-in
PATIENCE = 3.0  # seconds until a process that does not end by itself is killed
KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "VMDBG_CACHE", "XDG_CACHE_HOME")
FINE, STOPPED, DENIED, ERROR, CRASHED = "graded", "stopped", "refused", "mistake", "not graded"


class Limits:
    """What each hand-in has: seconds, characters of output, bytes of memory besides its machine's."""

    def __init__(self, seconds: float = 10.0, output: int = 1 << 20, memory: int = 2 << 30) -> None:
        self.seconds, self.output, self.memory = seconds, output, memory

    @property
    def own(self) -> float:
        """Seconds of what the lab does besides reading hand-ins, which are not counted against it."""
        return self.seconds + SLACK

    def whole(self, lab: Lab) -> float:
        """Seconds of the lab with all that it reads, once each."""
        return self.own + sum(self.seconds if given is None else given for given in lab.given)


class Grade:
    """What came of one hand-in.  `status`: it ran to its end, was stopped at a limit, was refused something,
    made a mistake, or could not be graded; `remark` says more."""

    def __init__(self, name: str) -> None:
        self.name, self.status, self.remark, self.seconds = name, FINE, "", 0.0
        self.checks: list[dict[str, Any]] = []
        self.most = 0

    @property
    def points(self) -> int:
        """The points that it got."""
        return sum(check["points"] for check in self.checks)


class Grader:
    """Runs a lab on hand-ins.  `token` marks what comes from the grader; `stop` ends all of it."""

    def __init__(self, lab: Lab, limits: Limits, jobs: int, token: str) -> None:
        self.lab, self.limits, self.jobs, self.token = lab, limits, jobs, token
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock, self._stopped = threading.Lock(), False

    def blank(self) -> Grade:
        """What an empty hand-in gets: it tells which checks the lab has, and what they are worth."""
        found = self.grade("")
        found.most = sum(check["most"] for check in found.checks)
        return found

    def grade_all(self, names: list[str], blank: Grade) -> list[Grade]:
        """Grades all of them; in their order.  Ctrl-C ends what runs and is raised again."""
        found: dict[str, Grade] = {}
        with (
            progress.task("Grading", "hand-ins", len(names)) as task,
            ThreadPoolExecutor(max_workers=self.jobs) as pool,
        ):
            waiting = {pool.submit(self.grade, name): name for name in names}
            try:
                for count, done in enumerate(as_completed(waiting), 1):
                    found[waiting[done]] = done.result()
                    task.at(count)
            except BaseException:
                self.stop()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        for grade in found.values():
            complete(grade, blank)
        return [found[name] for name in names]

    def stop(self) -> None:
        """Kills every process that runs, and lets none begin."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                kill(process)

    def grade(self, name: str) -> Grade:
        """Grades one; whatever goes wrong costs only this one."""
        grade = Grade(name)
        began = time.monotonic()
        try:
            with tempfile.TemporaryDirectory(prefix="vmdbg-grade-") as folder:
                real = os.path.realpath(folder)
                work, home = os.path.join(real, "work"), os.path.join(real, "home")
                os.mkdir(work)
                os.mkdir(home)
                prepare(self.lab, name, work)
                self.run(grade, work, home)
        except (UserError, OSError) as error:
            grade.status, grade.remark = CRASHED, str(error)
        grade.seconds = time.monotonic() - began
        return grade

    def run(self, grade: Grade, work: str, home: str) -> None:
        """Starts the process, reads what it tells, and ends it if it does not end."""
        reading, writing = os.pipe()
        task = {
            "lab": self.lab.path,
            "name": self.lab.name,
            "pipe": writing,
            "token": self.token,
            "seconds": self.limits.seconds,
            "own": self.limits.own,
            "whole": self.limits.whole(self.lab),
            "output": self.limits.output,
            "memory": self.limits.memory,
            "blank": not grade.name,
        }
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        environment |= {"HOME": home, "TMPDIR": home, "TERM": "dumb", "PYTHONPATH": PACKAGE}
        if "VMDBG_CACHE" not in environment and "XDG_CACHE_HOME" not in environment:
            environment["XDG_CACHE_HOME"] = os.path.expanduser("~/.cache")
        with self._lock:
            if self._stopped:
                os.close(reading)
                os.close(writing)
                return
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "vmdbg.grading.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[writing],
                cwd=work,
                env=environment,
                start_new_session=True,
            )
            self._running.add(process)
        os.close(writing)
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(task).encode())
            process.stdin.close()
            told, remarks, in_time = read_all(process, reading, self.limits.whole(self.lab) + PATIENCE)
        finally:
            os.close(reading)
            kill(process)
            process.wait()
            with self._lock:
                self._running.discard(process)
        take(grade, told, self.token)
        conclude(grade, process.returncode, remarks, in_time)
        grade.remark = grade.remark.replace(work, "its folder")


def read_all(process: subprocess.Popen[bytes], results: int, seconds: float) -> tuple[bytes, bytes, bool]:
    """What a process tells and what it says on stderr, both up to a size, and whether it ended in time."""
    assert process.stderr is not None
    told, remarks = bytearray(), bytearray()
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(results, selectors.EVENT_READ, (told, MOST_TOLD))
        selector.register(process.stderr, selectors.EVENT_READ, (remarks, MOST_REMARKS))
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return bytes(told), bytes(remarks), False
            for key, _ in selector.select(left):
                chunk = os.read(key.fd, CHUNK)
                if not chunk:
                    selector.unregister(key.fileobj)
                kept, most = key.data
                kept += chunk[: most - len(kept)]
    process.stderr.close()
    return bytes(told), bytes(remarks), True


def kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and all that it may have started."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def take(grade: Grade, told: bytes, token: str) -> None:
    """Puts what a process told into the grade; a line without the token counts for nothing."""
    grade.status, grade.remark = CRASHED, ""
    for line in told.split(b"\n")[:-1]:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if record.pop("token", "") != token:
            continue
        if record.pop("kind") == "check":
            grade.checks.append(record)
        else:
            grade.status, grade.remark = ended(record)


def ended(record: dict[str, Any]) -> tuple[str, str]:
    """The status and the remark of a run that ended by itself."""
    words = [text for _, text in record["endings"]]
    kinds = {kind for kind, _ in record["endings"]}
    if record["trouble"]:
        return CRASHED, "; ".join([*words, record["trouble"]])
    for kind, status in ((BUG, CRASHED), (LIMIT, STOPPED), (REFUSED, DENIED)):
        if kind in kinds:
            return status, "; ".join(words)
    return (ERROR if words else FINE), "; ".join(words)


def conclude(grade: Grade, status: int, remarks: bytes, in_time: bool) -> None:
    """The remark about a process that told no end."""
    if grade.status != CRASHED or grade.remark:
        return
    if not in_time or status == -signal.SIGXCPU:
        grade.status, grade.remark = STOPPED, "killed: it did not end in time"
        return
    last = remarks.decode("utf-8", "replace").strip().split("\n")[-1]
    how = f"signal {-status}" if status < 0 else f"status {status}"
    grade.remark = f"its process ended with {how}" + (f": {last}" if last else "")


def key_of(check: dict[str, Any]) -> str:
    """The name of a check, or where it stands."""
    return str(check["name"] or check["where"])


def complete(grade: Grade, blank: Grade) -> None:
    """A lab that did not come to its end has given nothing for the checks that are missing."""
    seen = [key_of(check) for check in grade.checks]
    for check in blank.checks:
        if key_of(check) in seen:
            seen.remove(key_of(check))
        else:
            grade.checks.append({**check, "points": 0, "holds": False, "remark": "not reached"})
    grade.most = sum(check["most"] for check in grade.checks)
