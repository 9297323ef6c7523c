"""Writing files: whole, or not at all."""

from __future__ import annotations

import contextlib
import os

from vmdbg.errors import UserError


def replaced_by(path: str) -> str:
    """The file whose place is taken when `path` is written as a whole: a link stays, and what it leads to is
    replaced.  UserError for a folder, a device or a pipe."""
    target = os.path.realpath(path)
    if os.path.exists(target) and not os.path.isfile(target):
        raise UserError(f"{path}: {'Is a directory' if os.path.isdir(target) else 'Not a regular file'}.")
    return target


def write_whole(path: str, data: bytes, durable: bool = True) -> None:
    """Put a file in place of the old one at once, after it has reached the disk.  UserError.

    Not `durable`: it may still be on its way there, so that not a killed process but a power cut can lose it.
    """
    target = replaced_by(path)
    temporary = f"{target}.{os.getpid()}.new"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise UserError(f"{path}: {error.strerror}.") from None
