"""sweep: one row for each machine."""

from __future__ import annotations

import os

from vmdbg.units import format_size
from vmdbg.views.document import Document
from vmdbg.views.plot import Plot, Series
from vmdbg.views.policy import oracle_note, with_oracle
from vmdbg.views.result import GAP, NUMBER, WIDTH, Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from vmdbg.machine.config import MachineConfig
    from vmdbg.machine.setting import Setting
    from vmdbg.sweep.plan import Axis, Point

MEASURES = (
    "accesses",
    "instructions",
    "faults",
    "swapped_out",
    "resident",
    "tables",
    "l1_misses",
    "l1_mpki",
    "tlb_misses",
    "mpki",
    "walks",
    "entries_read",
    "traps",
    "cycles_per_access",
)
#: What a picture shows, unless one is named: the first of these that differs from machine to machine.
DRAWN = ("faults", "cycles_per_access", "l1_misses")
#: Of a sweep's text, which has 80 columns.
HIDDEN = ("accesses", "instructions", "tables", "tlb_misses", "mpki", "entries_read", "traps")
WHERE_THEY_DIFFER = ("swapped_out", "resident")
#: What is left out of a text that is too wide, in this order.
FIRST_TO_GO = ("swapped_out", "walks", "resident", "l1_mpki", "l1_misses")
ERROR_WIDTH = 24  # columns that sentences in the last column need
BYTES = ("resident", "tables")
POLICY = "kernel.policy"


def sweep_table(
    axes: Sequence[Axis],
    points: Sequence[Point],
    found: Sequence[dict[str, Any]],
    program: str = "",
    measure: str = "",
) -> Document:
    """Axes and measures of a program; JSON and CSV have the whole configuration of each point; `measure`, or
    the first that differs, is drawn."""
    names = [axis.setting.name for axis in axes]
    rest = [name for name in points[0].config.values if name not in names]
    return Document(
        lambda: [data(point, row) for point, row in zip(points, found, strict=True)],
        lambda: text_table(axes, points, found).lines(),
        [Column(name) for name in (*names, *MEASURES, "error", *rest)],
        lambda: [
            [
                *(point.config[name] for name in names),
                *(row.get(name) for name in (*MEASURES, "error")),
                *(point.config[name] for name in rest),
            ]
            for point, row in zip(points, found, strict=True)
        ],
        plot=lambda: sweep_plot(axes, points, found, program, measure),
    )


def sweep_plot(
    axes: Sequence[Axis],
    points: Sequence[Point],
    found: Sequence[dict[str, Any]],
    program: str,
    measure: str,
) -> Plot:
    """A measure over the last axis of numbers, a line for each combination of the others; without such an
    axis bars.  Machines that have no measure, or did not run to the end, are left out."""
    found = [{} if "error" in row else row for row in found]
    if not measure:
        differ = [name for name in DRAWN if len({row.get(name) for row in found}) > 1]
        measure = [*differ, DRAWN[0]][0]
    unit = {"faults": "page faults", "swapped_out": "pages swapped out"}.get(measure, header(measure))
    by = ", ".join(short_name(axis.setting) for axis in axes)
    title = f"{program}: {unit} by {by}"
    over = next((axis for axis in reversed(axes) if all(type(value) is int for value in axis.values)), None)
    others = [axis for axis in axes if axis is not over]
    if over is None or len(over.values) < 2:
        names = [", ".join(texts(axes, point)) for point in points]
        ys = [row.get(measure) for row in found]
        return Plot(title, by, unit, [Series(measure, names, ys)])
    lines: dict[str, list[tuple[Any, Any]]] = {}
    for point, row in zip(points, found, strict=True):
        name = ", ".join(texts(others, point)) or unit
        lines.setdefault(name, []).append((point.config[over.setting.name], row.get(measure)))
    series = [Series(name, *zip(*sorted(pairs), strict=True)) for name, pairs in lines.items()]
    x = short_name(over.setting) + (", bytes" if over.setting.kind == "size" else "")
    return Plot(title, x, unit, series, binary=True, log_y=True)


def short_name(setting: Setting) -> str:
    """`policy`, `frames`."""
    return setting.alias or setting.name.rpartition(".")[2]


def texts(axes: Sequence[Axis], point: Point) -> list[str]:
    """The values of a point on some axes; a policy that is an oracle says so."""
    said = [
        (axis.setting.name, text_of(axis.setting, axis.values)(point.config[axis.setting.name]))
        for axis in axes
    ]
    return [with_oracle(text) if name == POLICY else text for name, text in said]


def data(point: Point, row: dict[str, Any]) -> dict[str, Any]:
    """A point as JSON shows it."""
    measures = {name: row.get(name) for name in (*MEASURES, "error")}
    return {"values": point.values, **measures, "configuration": point.config.values}


def text_table(axes: Sequence[Axis], points: Sequence[Point], found: Sequence[dict[str, Any]]) -> Table:
    """What a person reads: the axes by the ends of their names, and what differs."""
    swept = [axis.setting for axis in axes]
    alike = [name for name in WHERE_THEY_DIFFER if len({row.get(name) for row in found}) == 1]
    shown = [name for name in MEASURES if name not in (*HIDDEN, *alike)]
    failed = any("error" in row for row in found)
    gone = []
    for name in FIRST_TO_GO:
        if width_of(axes, points, found, shown) + (ERROR_WIDTH if failed else 0) <= WIDTH:
            break
        if name in shown:
            shown.remove(name)
            gone.append(header(name))
    left_out = [f"Left out, for the width: {', '.join(gone)}; /csv and /json have them."] if gone else []
    columns = [
        *(
            Column(axis.setting.name, short_name(axis.setting), format=text_of(axis.setting, axis.values))
            for axis in axes
        ),
        *(Column(name, header(name), NUMBER, format=measure_text(name)) for name in shown),
        *([Column("error", wraps=True)] if failed else []),
    ]
    rows = [
        [
            *(point.config[setting.name] for setting in swept),
            *(row.get(name) for name in (*shown, *(["error"] if failed else []))),
        ]
        for point, row in zip(points, found, strict=True)
    ]
    return Table(columns, rows, notes=lambda: [*left_out, *notes(axes, points, found)])


def width_of(
    axes: Sequence[Axis], points: Sequence[Point], found: Sequence[dict[str, Any]], shown: Sequence[str]
) -> int:
    """The columns on the screen that the axes and these measures take."""
    cells = [
        [short_name(axis.setting), *map(text_of(axis.setting, axis.values), axis.values)] for axis in axes
    ]
    cells += [[header(name), *(measure_text(name)(row.get(name)) for row in found)] for name in shown]
    return sum(max(map(len, column)) for column in cells) + len(GAP) * (len(cells) - 1)


def text_of(setting: Setting, values: Sequence[object]) -> Callable[[Any], str]:
    """How one of these values of a setting reads; a file without its folder, unless that tells two apart."""
    short = [os.path.basename(setting.text(value)) for value in values]
    if len(set(short)) < len(short):
        return setting.text
    return lambda value: os.path.basename(setting.text(value))


def measure_text(name: str) -> Callable[[Any], str]:
    """How a measure reads."""

    def text(value: Any) -> str:
        return "-" if value is None else format_size(value) if name in BYTES else str(value)

    return text


def header(name: str) -> str:
    """`L1 misses`, `cycles/access`."""
    words = {
        "l1_misses": "L1 misses",
        "l1_mpki": "L1 MPKI",
        "tlb_misses": "TLB misses",
        "mpki": "MPKI",
        "cycles_per_access": "cycles/access",
    }
    return words.get(name, name.replace("_", " "))


def without_first_level(configs: Sequence[MachineConfig], found: Sequence[dict[str, Any]]) -> list[str]:
    """That half a first level makes misses of all accesses of the other kind."""
    said = []
    for name, other, who in (("tlb.l1i", "tlb.l1d", "fetch"), ("tlb.l1d", "tlb.l1i", "load or store")):
        for config, row in zip(configs, found, strict=True):
            fetches = row.get("instructions", 0)
            made = fetches if who == "fetch" else row.get("accesses", 0) - fetches
            if made and config[name] == "off" != config[other]:
                said.append(f"With {other} but no {name} each {who} is an L1 miss.")
                break
    return said


def notes(axes: Sequence[Axis], points: Sequence[Point], found: Sequence[dict[str, Any]]) -> list[str]:
    """How the cycles of the fastest machine come about, which policies are oracles, and half first levels."""
    swept = POLICY in [axis.setting.name for axis in axes]
    oracles = oracle_note(str(point.config[POLICY]) for point in points) if swept else []
    oracles += without_first_level([point.config for point in points], found)
    whole = [(row, at) for at, row in enumerate(found) if "error" not in row]
    done = [(row["cycles_per_access"], at) for row, at in whole if row.get("formula")]
    if not done:
        return oracles
    at = min(done)[1]
    said = ", ".join(texts(axes, points[at]))
    return [f"{said}: {found[at]['formula']}", *oracles]
