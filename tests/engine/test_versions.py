"""The lowest and the highest llvmlite of the range in pyproject.toml make code that ends as interpreted."""

from __future__ import annotations

import json
import os
import re
import subprocess
import venv
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Runs some of each preset: interpreted, in quick code, in full code, checked or not; says how they end.
SCRIPT = """
import json, os
import llvmlite.binding
from vmdbg.machine.config import load_config, preset_names
from vmdbg.inspect.target import boot

ends = {}
for name in preset_names():
    for checked in "01":
        os.environ["VMDBG_CHECKED"] = checked
        found = []
        for tier in ("interpreted", "quick", "full"):
            machine = boot(load_config(name)).machine
            if tier != "interpreted":
                machine.compiled = getattr(machine.build(), tier)()
            machine.run(machine.operations + 4000, tier != "interpreted")
            found.append([machine.digest(), machine.counts()])
        ends[name, checked] = found
equal = [[*key, found[0] == found[1] == found[2]] for key, found in ends.items()]
versions = [llvmlite.__version__, ".".join(map(str, llvmlite.binding.llvm_version_info))]
print(json.dumps([versions, equal, [found[0][0] for found in ends.values()]]))
"""


def requirement() -> str:
    """What pyproject.toml says of llvmlite."""
    (found,) = re.findall(r'"llvmlite(>=.*?)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    return str(found)


def lowest() -> str:
    return re.sub(r">=([\d.]+).*", r"==\1.0", requirement())


def with_llvmlite(wanted: str, folder: Path) -> Any:
    """What SCRIPT says with that llvmlite, in a virtual environment of its own; skips if there is none."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    install = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--only-binary=:all:",
    ]
    done = subprocess.run([*install, f"llvmlite{wanted}"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip has no llvmlite{wanted}: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "VMDBG_CACHE": str(folder / "cache")}
    ran = subprocess.run(
        [python, "-P", "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_ends_of_the_range_make_code_that_ends_as_interpreted(tmp_path: Path) -> None:
    found = [
        with_llvmlite(wanted, tmp_path / name)
        for name, wanted in (("low", lowest()), ("high", requirement()))
    ]
    (low, low_equal, low_digests), (high, high_equal, high_digests) = found
    assert all(equal for *_, equal in low_equal), low_equal
    assert all(equal for *_, equal in high_equal), high_equal
    assert low_digests == high_digests
    assert low[0] == lowest().strip("="), (low, high)


def test_the_range_is_the_one_that_is_installed() -> None:
    """Its bounds are two numbers each; what is tested here is inside."""
    bounds = re.fullmatch(r">=(\d+)\.(\d+),<(\d+)\.(\d+)", requirement())
    assert bounds
    low, high = (int(bounds[1]), int(bounds[2])), (int(bounds[3]), int(bounds[4]))
    llvmlite = pytest.importorskip("llvmlite")
    assert low <= tuple(map(int, llvmlite.__version__.split(".")[:2])) < high
