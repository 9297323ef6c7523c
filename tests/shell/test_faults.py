"""`info faults`: how many faults of each kind, of whom, and what they cost."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable

Run = Callable[..., subprocess.CompletedProcess[str]]
MARK = "@\n"
LINES = (
    "swapout 0x407000",
    "read 0x407000",
    "fork 1",
    "write 0x404000, 1",
    "set confirm off",
    "fault 0x5000",
)


def test_each_kind_is_counted_with_its_cost(run_vmdbg: Run) -> None:
    asked = ("echo @\\n", "info faults/json -pid 1", "echo @\\n")
    words = [word for line in (*asked, *LINES, *asked) for word in ("-ex", line)]
    parts = run_vmdbg("-nx", "-batch", *words).stdout.split(MARK)
    before, after = (json.loads(parts[place]) for place in (1, 3))
    counts = Counter({row["fault"]: row["count"] for row in after})
    counts.subtract({row["fault"]: row["count"] for row in before})
    assert {name: count for name, count in counts.items() if count} == {
        "fault-major": 1,
        "fault-cow": 1,
        "signal": 1,
    }
    each = {row["fault"]: row["cycles"] // row["count"] for row in after}
    assert (each["fault-major"], each["fault-cow"], each["signal"]) == (100_000, 1000, 0)


def test_of_one_process_and_of_none(run_vmdbg: Run) -> None:
    lines = ("spawn x", "info faults -pid 2", "info faults -pid 7", "info faults")
    done = run_vmdbg("-nx", "-batch", *[word for line in lines for word in ("-ex", line)])
    shown = done.stdout.splitlines()
    assert shown[1:3] == ["No faults.", "pid  name  fault        count  cycles  what"]
    assert shown[-1].endswith(" cycles.")
    assert done.stderr.startswith("No process 7.\n")
