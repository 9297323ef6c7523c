"""docs/library.md is run, and its example is what it says."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_true() -> None:
    """What stands behind >>> is one session; a fence ends what it prints."""
    text = (DOCS / "library.md").read_text(encoding="utf-8").replace("```", "")
    found = doctest.DocTestParser().get_doctest(text, {}, "library.md", "library.md", 0)
    assert len(found.examples) > 30
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(found, out=told.append)
    assert "".join(told) == ""


def test_the_example_runs() -> None:
    done = subprocess.run(
        [sys.executable, DOCS / "examples" / "homework.py"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "0x1234: 0x108234 r-xu, A or D set at 0x1000, 0x2000, 0x3000, 0x4008",
        "0x1234: protection at PT, code 0x7: PT[1] has RW = 0",
        "0x5000: not-present at PT, code 0x14: PT[5] is empty",
    ]


@pytest.mark.long
def test_the_plug_in_judges_the_tables_of_a_kernel(
    run_vmdbg: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """The default machine's tables are in order; a page that may be written and executed is not."""
    lines = ["dump binary memory -phys good.bin 0 0x200000", "poke 0x106020 0x10a007"]
    lines.append("dump binary memory -phys bad.bin 0 0x200000")
    done = run_vmdbg("-batch", *(word for line in lines for word in ("-ex", line)), cwd=tmp_path)
    assert done.stderr == ""
    for dump, wanted in (("good.bin", "4 passed"), ("bad.bin", "1 failed, 3 passed")):
        judged = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "kernel_tables"),
                *(DOCS / "examples" / "kernel_tables.py", "--dump", tmp_path / dump, "--root", "0x103000"),
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{DOCS / 'examples'}:{DOCS.parent}", "PYTEST_ADDOPTS": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert wanted in judged.stdout, judged.stdout + judged.stderr
    assert "0x404000 rwxu" in judged.stdout
