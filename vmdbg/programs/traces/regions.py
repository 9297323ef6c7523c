"""The regions in which a machine maps a trace."""

from __future__ import annotations

from collections import Counter

from vmdbg.formats.contract import ALL_RIGHTS
from vmdbg.programs.program import RegionSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmdbg.machine.trace_pages import TracePages
    from vmdbg.programs.addresses import Space

MAX_RUNS = 256


def runs_of(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Runs of neighbouring numbers: the first, and one past the last."""
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number:
            runs[-1] = runs[-1][0], number + 1
        else:
            runs.append((number, number + 1))
    return runs


def regions_of(touched: set[int] | None, space: Space, resident: bool, pages: TracePages) -> list[RegionSpec]:
    """Regions for all pages that a trace touches, one for each run of them; None, for what it touches is not
    known: all addresses of processes.

    Those of larger pages, and those in which pages are promoted, begin and end with larger pages.
    """
    base, size = space.page_size, pages.size
    if touched is None:
        return everywhere(space, pages)
    if resident and pages.threshold:
        return promoted_regions(touched, base, pages)
    runs = runs_of({page * base // size for page in touched})
    if len(runs) > MAX_RUNS and not resident:
        upper, lower = runs[0][0] < 0, runs[-1][1] > 0
        return [region for region in everywhere(space, pages) if (upper if region.start < 0 else lower)]
    return [trace_region(run, size, region_page(base, pages), resident) for run in runs]


def region_page(base: int, pages: TracePages) -> int:
    """The bytes of the pages in which a region is mapped at first; 0: base pages."""
    return pages.size if pages.size != base and not pages.threshold else 0


def everywhere(space: Space, pages: TracePages) -> list[RegionSpec]:
    """Regions of all addresses of processes."""
    size, page = pages.size, region_page(space.page_size, pages)
    found = [trace_region((0, min(space.half, space.user_end) // size), size, page, False)]
    if space.user_end >= 1 << 64 > space.upper:
        found.insert(0, trace_region(((space.upper - (1 << 64)) // size, 0), size, page, False))
    return found


def promoted_regions(touched: set[int], base: int, pages: TracePages) -> list[RegionSpec]:
    """Regions of a trace whose pages are in memory from the start: in larger pages where so many base pages
    are touched that they would be promoted, else in base pages."""
    ratio = pages.size // base
    counts = Counter([page // ratio for page in touched])
    large = {number for number, count in counts.items() if count >= pages.threshold}
    small = {page for page in touched if page // ratio not in large}
    regions = [trace_region(run, pages.size, pages.size, True) for run in runs_of(large)]
    regions += [trace_region(run, base, 0, True) for run in runs_of(small)]
    return sorted(regions, key=lambda region: region.start)


def trace_region(run: tuple[int, int], unit: int, page: int, resident: bool) -> RegionSpec:
    """The region of a run of `unit` bytes each, in pages of `page` bytes (0: base pages)."""
    first, end = run
    return RegionSpec("trace", first * unit, (end - first) * unit, ALL_RIGHTS, page, populate=resident)
