"""libCacheSim (the package libcachesim) as a yardstick: faults of policies on page numbers, and its speed.

`pip install "vmdbg[bench]"` has it.  An object is a page, and has the size 1.  As a program it writes the
counts that tests keep, tests/data/libcachesim.json.
"""

from __future__ import annotations

import importlib.util
import json
import lzma
import struct
import tempfile
from array import array
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

RECORD = struct.Struct("<IQIq")  # oracleGeneral: time, object, size, place of the next use or -1
MISSING = 'libCacheSim is not installed: pip install "vmdbg[bench]".'
#: Its class for a policy of vmdbg's, and what it is told.  CLOCK: a page comes in with its bit set, as
#: hardware does.  The others are its own definitions (docs/policies.md).
CLASSES: dict[str, tuple[str, dict[str, int]]] = {
    "fifo": ("FIFO", {}),
    "lru": ("LRU", {}),
    "clock": ("Clock", {"init_freq": 1}),
    "opt": ("Belady", {}),
    "lfu": ("LFU", {}),
    "arc": ("ARC", {}),
    "s3-fifo": ("S3FIFO", {}),
}


def installed() -> bool:
    """Is libCacheSim there?"""
    return importlib.util.find_spec("libcachesim") is not None


def write_oracle(pages: Sequence[int], path: Path) -> None:
    """Page numbers as a trace of the format oracleGeneral, which says when each is used next."""
    following = array("q", [-1]) * len(pages)
    later: dict[int, int] = {}
    for place in range(len(pages) - 1, -1, -1):
        following[place] = later.get(pages[place], -1)
        later[pages[place]] = place
    with path.open("wb") as file:
        for place, page in enumerate(pages):
            file.write(RECORD.pack(place, page + 1, 1, following[place]))  # object 0 is none


class Yardstick:
    """A policy of libCacheSim's with so many frames on a trace that `write_oracle` wrote.

    Its table has four places for each page in it, or, `as_it_comes`, 2^24 for any size.
    """

    def __init__(self, policy: str, frames: int, path: Path, as_it_comes: bool = False) -> None:
        import libcachesim

        name, options = CLASSES[policy]
        self.reader: Any = libcachesim.TraceReader(str(path), libcachesim.TraceType.ORACLE_GENERAL_TRACE)
        if not as_it_comes:
            options = {"hashpower": max(8, frames.bit_length() + 2), **options}
        self.cache: Any = getattr(libcachesim, name)(frames, **options)

    def faults(self, requests: int) -> int:
        """Run the whole trace, of so many requests."""
        ratio, _ = self.cache.process_trace(self.reader)
        return round(ratio * requests)


# --- the counts that tests keep ------------------------------------------------------------------

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
STORED = DATA / "libcachesim.json"
TRACES = ("ls", "sqlite", "cc1", "python", "awk")
SIZES = (20, 32, 48, 64, 96, 128)  # its S3-FIFO takes nothing in with less than 20


def pages_of(name: str) -> list[int]:
    """The page of each access of a trace of tests/data, read without vmdbg."""
    with lzma.open(DATA / f"{name}.lackey.xz") as file:
        return [int(line[3:].split(b",")[0], 16) >> 12 for line in file if line[:3].strip(b" ISLM") == b""]


def recomputed() -> dict[str, Any]:
    """Faults by trace and policy, in the order of SIZES."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.oracleGeneral"
        for name in TRACES:
            pages = pages_of(name)
            write_oracle(pages, path)
            found[name] = {
                policy: [Yardstick(policy, frames, path).faults(len(pages)) for frames in SIZES]
                for policy in CLASSES
            }
    return {"libcachesim": version("libcachesim"), "sizes": list(SIZES), "faults": found}


if __name__ == "__main__":
    if not installed():
        raise SystemExit(MISSING)
    STORED.write_text(json.dumps(recomputed(), indent=1) + "\n", encoding="utf-8")
