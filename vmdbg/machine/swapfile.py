"""The swap area of a machine as a file of the host's: slot N is its page N (docs/files.md)."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os

from vmdbg.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.machine.machine import Machine

SETTING = "machine.swap.file"
SIGNATURE = b"VMDBGSWP"  # where slot 0 would be, which is never used (Linux: the header that mkswap writes)

#: Device and inode of the files that this process has made: it may replace them itself.
made: set[tuple[int, int]] = set()


def attach(machine: Machine) -> None:
    """Put the machine's slots into the file that its configuration names, if it names one.

    The content of the slots is copied there.  UserError if the file cannot be made; then nothing has changed,
    and a file that was there is still there.
    """
    path = machine.config[SETTING]
    if not path:
        return
    old = machine.buffers["swap8"]
    if machine.shape["swap"] == 0:
        raise UserError(
            f"{SETTING}: this machine's slots carry no bytes (machine.swap.size, machine.payload)."
        )
    try:
        new = make(path, len(old))
    except OSError as error:
        raise UserError(f"{SETTING}: {path}: {error.strerror or error}.") from None
    start = machine.format.page_size
    new[start:] = old[start:]
    machine.replace("swap8", new)


def make(path: str, size: int) -> mmap.mmap:
    """A file of `size` bytes at `path`, zero but for the signature; it replaces a swap file that is there.

    It is made under another name and then renamed, so that another machine can still use the old file.  It is
    locked for this process as long as the returned map lives.  OSError, UserError.
    """
    with replaceable(path):
        temporary = f"{path}.{os.getpid()}.new"
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            lock(descriptor)
            os.posix_fallocate(descriptor, 0, size)
            os.pwrite(descriptor, SIGNATURE, 0)
            area = mmap.mmap(descriptor, size)  # it keeps the file open, and so the lock
            status = os.fstat(descriptor)
            os.replace(temporary, path)
            made.add((status.st_dev, status.st_ino))
            return area
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def replaceable(path: str) -> Iterator[None]:
    """A context in which no other process locks the file.  UserError if this process may not replace it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except FileNotFoundError:
        yield
        return
    try:
        status = os.fstat(descriptor)
        if not lock(descriptor) and (status.st_dev, status.st_ino) not in made:
            raise UserError(f"{SETTING}: {path} is in use by another vmdbg.")
        if os.pread(descriptor, len(SIGNATURE), 0) not in (SIGNATURE, b""):
            raise UserError(f"{SETTING}: {path} is no swap file of vmdbg; it is left as it is.")
        yield
    finally:
        os.close(descriptor)


def lock(descriptor: int) -> bool:
    """Lock an open file for this process; False if another process has locked it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
