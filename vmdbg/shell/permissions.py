"""Which files a session may open and write, and whether it may start programs."""

from __future__ import annotations

import os
import stat

from vmdbg.errors import LimitError, UserError

MOST_FILES = 16  # that a restricted session writes


class Permissions:
    """What a session may do.  `restricted` is for scripts from strangers: no shell, no pipe, no file
    outside `folder` (links are followed before the test), and few that are written.

    Before a file is opened, its name goes through `path`, `reading` or `writing`.
    """

    def __init__(self, restricted: bool = False, folder: str = ".") -> None:
        self.restricted = restricted
        self.folder = os.path.realpath(folder)
        self.written: set[str] = set()

    def require_open(self, what: str) -> None:
        """Refuses `what` (`shell`, `pipe`, ...) in a restricted session."""
        if self.restricted:
            raise LimitError(f"{what} is not allowed in a restricted session.")

    def path(self, name: str) -> str:
        """A file name with `~` expanded; refused if it leads outside the folder of a restricted
        session."""
        if not self.restricted:
            return os.path.expanduser(name)
        if "\0" in name:
            raise UserError("A file name cannot have a NUL character.")
        real = os.path.realpath(name)
        if real != self.folder and not real.startswith(self.folder.rstrip("/") + "/"):
            raise LimitError(f"{name}: files outside {self.folder} are not allowed in a restricted session.")
        what = strangeness(real)
        if what:
            raise LimitError(f"{name}: {what} are not allowed in a restricted session.")
        return real

    def reading(self, name: str) -> str:
        """As `path`, for a file that a machine or its program names: those that come with vmdbg are open."""
        from vmdbg.machine.config import PRESETS

        real = os.path.realpath(os.path.expanduser(name)) if "\0" not in name else ""
        return real if os.path.dirname(real) == os.path.realpath(PRESETS) else self.path(name)

    def writing(self, name: str) -> str:
        """As `path`, for a file that is to be written."""
        path = self.path(name)
        if self.restricted and path not in self.written:
            if len(self.written) >= MOST_FILES:
                raise LimitError(f"{name}: a restricted session writes {MOST_FILES} files, not more.")
            self.written.add(path)
        return path


def strangeness(path: str) -> str:
    """Why a file inside the folder is refused: it leads outside (a second hard link, a device), or opening it
    may wait for ever (a pipe).  Empty for a file with one name, a folder, or a name that does not exist."""
    try:
        found = os.stat(path)
    except OSError:
        return ""
    if stat.S_ISDIR(found.st_mode):
        return ""
    if not stat.S_ISREG(found.st_mode):
        return "pipes and devices"
    return "files with several names (hard links)" if found.st_nlink > 1 else ""
