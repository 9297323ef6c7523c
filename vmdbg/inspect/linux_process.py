"""What a process of Linux shows of its memory: regions, runs of frames, where an address is."""

from __future__ import annotations

from vmdbg import progress
from vmdbg.dumps.linux_process import FRAME, HIDDEN, PRESENT, LinuxProcess
from vmdbg.errors import UserError
from vmdbg.formats.contract import RIGHT_R, RIGHT_W, RIGHT_X
from vmdbg.inspect.address_space import Run
from vmdbg.inspect.notation import rights_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.dumps.linux_process import Mapping


def process_facts(process: LinuxProcess) -> dict[str, Any]:
    """Number, name, regions, and how much of them is where."""
    found = process.mappings()
    known = process.measured
    return {
        "kind": "process",
        "pid": process.pid,
        "name": process.name,
        "regions": len(found),
        "size": sum(mapping.end - mapping.start for mapping in found),
        **{
            what: sum(getattr(mapping, what) for mapping in found) if known else None
            for what in ("resident", "shared", "swapped")
        },
    }


def process_rows(process: LinuxProcess) -> Iterator[list[Any]]:
    """A row for each region; amounts are None where Linux does not show them."""
    for mapping in process.mappings():
        amounts = [mapping.resident, mapping.shared, mapping.swapped] if process.measured else [None] * 3
        yield [
            mapping.start,
            mapping.end,
            mapping.end - mapping.start,
            rights_text(mapping.rights),
            mapping.page_size,
            *amounts,
            mapping.share,
            kind_of(mapping),
            f"{mapping.name}+{mapping.offset:#x}"
            if mapping.offset and mapping.name.startswith("/")
            else mapping.name,
        ]


def kind_of(mapping: Mapping) -> str:
    """`heap`, `stack`, `anon`, or the last part of the file's name."""
    if mapping.name.startswith("["):
        return mapping.name.strip("[]")
    return mapping.name.rpartition("/")[2] or "anon"


def process_runs(process: LinuxProcess) -> Iterator[tuple[Run, str]]:
    """The pages in memory, joined where addresses and frames go on, with their regions.  UserError if frames
    are not shown."""
    size = process.page_size
    with progress.task("Reading pagemap", "pages") as task:
        seen = 0
        for mapping in process.mappings():
            held: Run | None = None
            if (
                process.measured
                and not mapping.resident
                and not mapping.rights & (RIGHT_R | RIGHT_W | RIGHT_X)
            ):
                continue  # reserved addresses; else Rss leaves out pages of zeros and huge ones
            for first, words in process.words(mapping.start, mapping.end):
                for number, word in enumerate(words):
                    if not word & PRESENT:
                        continue
                    if not word & FRAME:
                        raise UserError(HIDDEN)
                    va, pa = first + number * size, (word & FRAME) * size
                    if held is not None and (held.end, held.pa + held.end - held.start) == (va, pa):
                        held.end += size
                        continue
                    if held is not None:
                        yield held, kind_of(mapping)
                    held = Run(va, va + size, pa, size, mapping.rights)
                seen += len(words)
                task.at(seen)
            if held is not None:
                yield held, kind_of(mapping)


def translated(process: LinuxProcess, va: int) -> dict[str, Any]:
    """Where an address of a process is: what JSON shows.  UserError."""
    mapping = process.mapping_of(va)
    place = process.place(va)
    outcome = "resident" if place.present else "swapped" if place.swap else "absent"
    return {
        "va": va,
        "outcome": outcome if mapping is not None else "unmapped",
        "pa": None if place.pfn is None else place.pfn * process.page_size + va % process.page_size,
        "pfn": place.pfn,
        "page_size": None if mapping is None else mapping.page_size,
        "rights": None if mapping is None else rights_text(mapping.rights),
        "region": None if mapping is None else kind_of(mapping),
        "swap": None if place.swap is None else {"area": place.swap[0], "place": place.swap[1]},
        "file": place.file,
        "alone": place.alone,
        "soft_dirty": place.soft_dirty,
    }
