"""A session whose lines are typed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from vmdbg.shell.startup import make_session


class Shell:
    """Types lines; `text` is all that was written since."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out, self.errors = folder, io.StringIO(), io.StringIO()
        self.session = make_session(self.out, self.errors)
        self.session.settings.set("confirm", False)

    def file(self, name: str, content: bytes | bytearray | str) -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def type(self, line: str) -> str:
        self.session.interpreter.try_line(line)
        self.session.output.flush()
        text = self.out.getvalue() + self.errors.getvalue()
        for stream in (self.out, self.errors):
            stream.seek(0)
            stream.truncate()
        assert "Internal error" not in text, text
        return text

    def json(self, line: str) -> Any:
        return json.loads(self.type(line))
