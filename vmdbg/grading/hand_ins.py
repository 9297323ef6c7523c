"""What is handed in, and the folder in which a lab runs on it."""

from __future__ import annotations

import os
import re
import shutil

from vmdbg.errors import UserError

COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
WORD = re.compile(r"[\w./+@-]+")
ISOLATED = re.compile(r"^\s*source\b(?=.*\s--?isolated\b).*\s(?P<name>\S+)\s*$", re.MULTILINE)
SECONDS = re.compile(r"\s--?seconds\s+(\d+)")
MOST_FILES = 1000  # of one hand-in
MOST_BYTES = 64 << 20  # of one hand-in
TEXT_BYTES = 1 << 20  # larger files name no others
SCRIPT = ".vmdbg"


class Lab:
    """A lab: its script, the names by which it reads a hand-in, and the files that it needs beside it."""

    def __init__(self, path: str, hand_ins: list[str]) -> None:
        self.path, self.name = os.path.abspath(path), os.path.basename(path)
        self.folder = os.path.dirname(self.path)
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                self.text = file.read()
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}.") from None
        reads = list(ISOLATED.finditer(self.text))
        self.reads = list(dict.fromkeys(found["name"] for found in reads))
        #: Seconds that each reading of a hand-in is given; None: those of all hand-ins.
        self.given = [int(seconds[1]) if (seconds := SECONDS.search(found[0])) else None for found in reads]
        if not self.reads:
            raise UserError(f'{path}: no line "source -isolated FILE", which reads what was handed in.')
        outside = {os.path.realpath(name) for name in (*hand_ins, path)}
        self.files = self._named_files(self.text, outside)

    def _named_files(self, text: str, taken: set[str]) -> list[str]:
        """The files below the lab's folder that a text names outside its comments, and those that they name.

        A hand-in can read them.
        """
        found: list[str] = []
        for name in dict.fromkeys(WORD.findall(COMMENT.sub("", text))):
            path = os.path.join(self.folder, name)
            real = os.path.realpath(path)
            inside = real.startswith(os.path.realpath(self.folder) + os.sep)
            if name in self.reads or not inside or real in taken or not os.path.isfile(path):
                continue
            taken.add(real)
            found.append(os.path.normpath(name))
            if os.path.getsize(path) <= TEXT_BYTES:
                with open(path, encoding="utf-8", errors="replace") as file:
                    found += self._named_files(file.read(), taken)
        return found


def prepare(lab: Lab, hand_in: str, folder: str) -> None:
    """Fills an empty folder with what was handed in, and with the lab's own files over it.  UserError if
    nothing can be run.  An empty name stands for an empty hand-in."""
    if not hand_in:
        for name in lab.reads:
            put(os.devnull, folder, name)
    elif os.path.isdir(hand_in):
        copy_all(hand_in, folder)
        find_script(lab, folder)
    elif len(lab.reads) > 1:
        names = ", ".join(lab.reads)
        raise UserError(f"the lab reads several files ({names}): a folder with them is expected")
    else:
        if os.path.getsize(hand_in) > MOST_BYTES:
            raise UserError(f"more than {MOST_BYTES >> 20} MiB")
        put(hand_in, folder, lab.reads[0])
    for name in lab.files:
        put(os.path.join(lab.folder, name), folder, name)


def find_script(lab: Lab, folder: str) -> None:
    """The only script of a folder may have any name."""
    missing = [name for name in lab.reads if not os.path.isfile(os.path.join(folder, name))]
    scripts = [name for name in os.listdir(folder) if name.endswith(SCRIPT)]
    if missing and len(lab.reads) == 1 and len(scripts) == 1:
        os.rename(os.path.join(folder, scripts[0]), os.path.join(folder, missing[0]))
    elif missing:
        raise UserError(f"no file {missing[0]} in it")


def copy_all(source: str, folder: str) -> None:
    """Copies the files of a folder, but no links, pipes or devices."""
    files = size = 0
    for place, _, names in os.walk(source):
        for name in names:
            path = os.path.join(place, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            files, size = files + 1, size + os.path.getsize(path)
            if files > MOST_FILES or size > MOST_BYTES:
                raise UserError(f"more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB")
            put(path, folder, os.path.relpath(path, source))


def put(path: str, folder: str, name: str) -> None:
    """Copies a file to a name inside a folder."""
    target = os.path.normpath(os.path.join(folder, name))
    if not target.startswith(folder + os.sep):
        raise UserError(f"{name}: a name inside the folder is expected")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    try:
        shutil.copyfile(path, target)
    except OSError as error:
        raise UserError(f"{name}: {error.strerror}") from None
