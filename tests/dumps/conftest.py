"""A session whose lines are typed, for the tests of dumps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.typed_shell import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path)
    yield made
    for action in made.session.at_exit:
        action()


@pytest.fixture
def make_shell(tmp_path: Path) -> Callable[[], Shell]:
    return lambda: Shell(tmp_path)
