"""Machine code on disk: one object file for each build, named by a hash of everything that it was made from.

Code that is loaded from here runs with the user's rights.  So the folder and each file have to belong to the
user, nobody else may be able to write to them, and the length and checksum before the object have to be
right.  A file that fails this is not loaded but replaced.  A file is written under another name and then
renamed, so that several processes may write it at the same time.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys

from vmdbg.engine import sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Function = Callable[..., Any]

MAGIC = b"vmdbg object\n"
SUM = 16  # bytes of a checksum
HEAD = len(MAGIC) + 8 + SUM
OTHERS = stat.S_IWGRP | stat.S_IWOTH
MOST = 200  # files that are kept; the oldest of more are removed


class CacheError(Exception):
    """A folder or file of the cache that is not used; says why in one line."""


def folder() -> str:
    """Where the cache is: `VMDBG_CACHE`, else `vmdbg` in the user's cache folder.  Empty without a home."""
    named = os.environ.get("VMDBG_CACHE")
    if named:
        return named
    base = os.environ.get("XDG_CACHE_HOME")
    if not base:
        if os.environ.get("HOME") == "":
            return ""
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "vmdbg") if os.path.isabs(base) else ""


def checksum(data: bytes) -> bytes:
    """A hash of SUM bytes."""
    import hashlib

    return hashlib.blake2b(data, digest_size=SUM).digest()


def key(
    functions: Mapping[str, Function], constants: Mapping[str, int], options: Mapping[str, object]
) -> str:
    """The name of a build: a hash of its sources, bindings, options, versions and the processor.

    `functions` are all that the entry may call, by the names under which they are linked.  Builds of one
    name have the same machine code.  SourceError.
    """
    import hashlib

    digest = hashlib.blake2b(digest_size=SUM)

    def add(*parts: object) -> None:
        digest.update(("\0".join(map(str, parts)) + "\1").encode("utf-8", "surrogateescape"))

    here = os.path.dirname(os.path.abspath(__file__))
    for name in ("language.py", "lowering.py", "module.py", "native.py", "sources.py"):
        with contextlib.suppress(OSError), open(os.path.join(here, name), "rb") as compiler:
            digest.update(compiler.read())
    seen = set()
    for name, function in sorted(functions.items()):
        code = function.__code__
        decorated = function.__dict__["hot"]
        marks = (decorated.get(mark) for mark in ("apart", "cold", "rare", "checked"))
        add(name, *marks, code.co_filename, code.co_firstlineno)
        add(*sources.meaning(code))
        if code.co_filename not in seen or "source" in decorated:
            seen.add(code.co_filename)
            digest.update(sources.text(function))
        values = function.__globals__
        add(*(f"{word}={values[word]}" for word in code.co_names if type(values.get(word)) is int))
    add(*sorted(constants.items()))
    add(*sorted(options.items()), sys.version, sys.byteorder)
    return digest.hexdigest()


def trusted(status: os.stat_result, path: str) -> None:
    """CacheError unless what has this status is the user's own and nobody else may write to it."""
    if status.st_uid != os.geteuid():
        raise CacheError(f"{path} belongs to another user: what is in it is not run.")
    if status.st_mode & OTHERS:
        raise CacheError(f"{path} is writable to others: what is in it is not run.")


@contextlib.contextmanager
def opened(path: str) -> Any:
    """The cache's folder, made if it is not there, as a descriptor.  CacheError, OSError."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        trusted(os.fstat(directory), path)
        yield directory
    finally:
        os.close(directory)


def read(path: str, name: str) -> bytes | None:
    """The object of a build; None if there is none.  CacheError for one that is not to be trusted."""
    try:
        with opened(path) as directory:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # not waiting at a pipe
            file = os.open(name, flags, dir_fd=directory)
            try:
                status = os.fstat(file)
                if not stat.S_ISREG(status.st_mode):
                    raise CacheError(f"{os.path.join(path, name)} is no file.")
                trusted(status, os.path.join(path, name))
                with open(file, "rb", closefd=False) as stream:
                    data = stream.read()
            finally:
                os.close(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CacheError(f"{path}: {error.strerror}.") from None
    head, found = data[:HEAD], data[HEAD:]
    if head != MAGIC + len(found).to_bytes(8, "little") + checksum(found):
        raise CacheError(f"{os.path.join(path, name)} is damaged: it is made anew.")
    return found


def write(path: str, name: str, found: bytes) -> None:
    """Keep the object of a build.  CacheError if it cannot be kept."""
    part = f"{name}.{os.getpid()}.part"
    try:
        with opened(path) as directory:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part, dir_fd=directory)  # left by a killed process with the same number
            try:
                with open(os.open(part, flags, 0o600, dir_fd=directory), "wb") as stream:
                    stream.write(MAGIC + len(found).to_bytes(8, "little") + checksum(found) + found)
                os.rename(part, name, src_dir_fd=directory, dst_dir_fd=directory)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(part, dir_fd=directory)
                raise
            prune(directory)
    except OSError as error:
        raise CacheError(f"{path}: {error.strerror}.") from None


def prune(directory: int) -> None:
    """Remove the files that were made first, if there are more than MOST."""
    names = os.listdir(directory)
    if len(names) > MOST:
        dated = []
        for name in names:
            with contextlib.suppress(OSError):
                dated.append((os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime, name))
        for _, name in sorted(dated)[: len(names) - MOST]:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=directory)
