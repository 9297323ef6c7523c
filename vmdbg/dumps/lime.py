"""LiME: ranges of memory, each behind a header (the LiME project's doc/README.md, "lime" format, version
1)."""

from __future__ import annotations

import struct

from vmdbg.dumps.image import Bank, Image, check_banks
from vmdbg.errors import InputError
from vmdbg.machine.banks import ADDRESSES, MOST_BANKS

HEADER = struct.Struct("<4sIQQ8x")  # magic, version, first and last address of the range, reserved
MAGIC, VERSION = b"EMiL", 1


def lime_image(path: str, view: memoryview) -> Image:
    """The ranges of a LiME file.  A last range that the file has not all of is cut, with a remark.
    InputError."""
    banks: list[Bank] = []
    at, remarks = 0, []
    while at < len(view):
        if len(view) - at < HEADER.size:
            remarks.append(f"The file ends inside a header, at {at:#x}.")
            break
        magic, version, first, last = HEADER.unpack_from(view, at)
        if magic != MAGIC or version != VERSION:
            raise InputError(f"no LiME header at {at:#x}: {magic!r}, version {version}", path)
        at += HEADER.size
        if last < first or last >= ADDRESSES:
            raise InputError(f"a LiME range from {first:#x} to {last:#x}, at {at:#x}", path)
        size = last - first + 1
        if size > len(view) - at:
            remarks.append(
                f"The file ends inside the range at {first:#x}: {size - len(view) + at:#x} bytes less."
            )
            size = len(view) - at
        banks.append(Bank(first, size, at))
        at += size
        if len(banks) > 2 * MOST_BANKS:
            break
    check_banks(path, banks)
    image = Image(path, "LiME", view, banks)
    image.remarks = remarks
    return image
