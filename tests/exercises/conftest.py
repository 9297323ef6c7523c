"""The shells of tests/shell."""

from __future__ import annotations

from tests.shell.conftest import make_shell, size, start  # noqa: F401
