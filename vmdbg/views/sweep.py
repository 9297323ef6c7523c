"""sweep: one row for each machine."""

from __future__ import annotations

from vmdbg.views.result import NUMBER, Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from vmdbg.sweep.plan import Axis, Point

MEASURES = (
    "accesses",
    "instructions",
    "faults",
    "swapped_out",
    "l1_misses",
    "mpki",
    "walks",
    "cycles_per_access",
)
HIDDEN = ("accesses", "instructions")  # the same in every row of a sweep of one program


def sweep_table(axes: Sequence[Axis], points: Sequence[Point], found: Sequence[dict[str, Any]]) -> Table:
    """Axes and measures; JSON and CSV have the whole configuration of each point."""
    swept = [axis.setting for axis in axes]
    names = [setting.name for setting in swept]
    rest = [name for name in points[0].config.values if name not in names]
    columns = [
        *(Column(setting.name, setting.name.rpartition(".")[2], format=setting.text) for setting in swept),
        *(Column(name, header(name), NUMBER, shown=name not in HIDDEN) for name in MEASURES),
        Column("error", shown=any("error" in row for row in found)),
        *(Column(name, shown=False) for name in rest),
    ]
    rows = [
        [
            *(point.config[name] for name in names),
            *(row.get(name) for name in MEASURES),
            row.get("error"),
            *(point.config[name] for name in rest),
        ]
        for point, row in zip(points, found, strict=True)
    ]
    return Table(columns, rows, notes=lambda: notes(axes, points, found))


def header(name: str) -> str:
    """`L1 misses`, `cycles/access`."""
    words = {"l1_misses": "L1 misses", "mpki": "MPKI", "cycles_per_access": "cycles/access"}
    return words.get(name, name.replace("_", " "))


def notes(axes: Sequence[Axis], points: Sequence[Point], found: Sequence[dict[str, Any]]) -> list[str]:
    """How the cycles of the fastest machine come about."""
    done = [(row["cycles_per_access"], at) for at, row in enumerate(found) if row.get("formula")]
    if not done:
        return []
    at = min(done)[1]
    said = ", ".join(axis.setting.text(points[at].config[axis.setting.name]) for axis in axes)
    return [f"{said}: {found[at]['formula']}"]
