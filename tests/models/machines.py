# Long: a model is one module, for it is loaded by its path.
"""Random machines and programs: what the tests of both engines are fed with (Hypothesis strategies)."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from vmdbg.errors import UserError
from vmdbg.formats import find
from vmdbg.formats.contract import RIGHT_R, RIGHT_W, RIGHT_X
from vmdbg.kernel.access_patterns import (
    PATTERN_BITS,
    PATTERN_CHASE,
    PATTERN_RANDOM,
    PATTERN_STRIDE,
    PATTERN_ZIPF,
)
from vmdbg.kernel.calls.objects import Wanted
from vmdbg.kernel.calls.syscalls import (
    MMAP_FIXED,
    MMAP_OBJECT,
    MMAP_OFFSET,
    MMAP_POPULATE,
    MMAP_SHARED,
    OBJECT_MASK,
    OP_BRK,
    OP_FORK,
    OP_HANDLER,
    OP_MMAP,
    OP_MPROTECT,
    OP_MUNMAP,
    OP_RETURN,
)
from vmdbg.kernel.scheduler import OP_END, OP_EXIT, OP_KERNEL, OP_LOOP, OP_PATTERNED, OP_RANGED, OP_WIDTH
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.machine.registers import read, write
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.programs.ranges import weigh


class Build(NamedTuple):
    """What is bound when the engines are built: machines that share it share compiled code."""

    format: str
    policy: str
    payload: bool
    cpus: int
    asids: bool
    arrays: tuple[str, ...]
    replacement: str = "lru"
    inclusive: bool = False
    walk_cache: str = ""
    fill: str = "format"


EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
ONE, SPLIT = ("tlb.l1",), ("tlb.l1i", "tlb.l1d")
BUILDS = {
    "default": Build("x86_64", "clock", True, 1, True, (*ONE, "tlb.l2")),
    "cached": Build("x86_64", "clock-cached", True, 2, True, (*ONE, "tlb.l2")),
    "own-policy": Build("x86_64", str(EXAMPLES / "mru.py"), True, 1, True, (*ONE, "tlb.l2")),
    "trace": Build("x86_64", "fifo", False, 1, True, (*ONE, "tlb.l2")),
    "lazy": Build("x86_64", "clock", True, 3, True, (*ONE, "tlb.l2"), "lru", True, "PDPT:2 PD:2"),
    "two-cpus": Build("x86_64", "lru", True, 2, False, SPLIT, "random", False, "PD:3"),
    "caches": Build("x86_64", "clock", True, 1, True, (*SPLIT, "tlb.l2"), "plru", True, "PML4:1 PDPT:2 PD:3"),
    "uncached": Build("x86_64", "random", True, 3, True, ()),
    "software": Build("tutorial16", "clock", True, 1, True, ONE),
    "untranslated": Build("x86_64", "clock", True, 2, True, (), fill="kernel"),
    "hardware": Build("tutorial16-hw", "fifo", True, 3, False, (*SPLIT, "tlb.l2"), "fifo"),
    "sv39": Build("sv39", "lru", True, 1, True, (*ONE, "tlb.l2")),
    "svade": Build("sv39-svade", "clock", True, 2, True, (*SPLIT, "tlb.l2"), "plru", False, "L2:2 L1:2"),
    "x86_32": Build("x86_32", "random", True, 2, False, ONE, "lru", False, "PD:2"),
    "arm64": Build("arm64", "lru", True, 2, True, (*SPLIT, "tlb.l2"), "plru", False, "L0:1 L1:2 L2:2"),
    "pae": Build("x86_pae", "clock", True, 1, False, ONE, "lru", False, "PD:2"),
    "software-two-cpus": Build("tutorial16", "lru", False, 2, True, (*ONE, "tlb.l2")),
}

BASES = (0, 0x80000000, 1 << 50)
#: Places of regions, by format: pages apart, at ends of tables, in both halves, at the edges.
PLACES = {
    48: (0x400000, 0x5FE000, 0x7F0000000000, 0x7FFFFFFF0000, 0x3FFFC000, 0),
    49: (0x400000, 0x5FE000, 0x7F0000000000, 0xFFFFFFFF0000, 0x3FFFC000, 0),
    39: (0x400000, 0x5FE000, 0x3F00000000, 0x3FFFFF0000, 0x3FFFC000, 0),
    32: (0x400000, 0x7FFFC000, 0xBFFE0000, 0),
    16: (0x0000, 0x4000, 0x8000, 0xC000),
}
WILD = {
    48: (
        0,
        0x800000000000,
        -0x800000000001,
        (1 << 63) - 1,
        -(1 << 63),
        -1,
        0x7FFFFFFFFFFF,
        1 << 40,
        -0x778000000000,
        -0x777FFFFFF001,
    ),
    49: (0, 1 << 48, -1, (1 << 48) - 1, -(1 << 48), -(1 << 48) - 1, (1 << 63) - 1, 1 << 40),
    39: (0, 1 << 38, -1, (1 << 38) - 1, -(1 << 38) - 1, (1 << 63) - 1, -0x2A00000000),
    32: (0, 0xC0000000, 0xFFFFFFFF, 1 << 32, -1, 0x7FFFFFFF),
    16: (0, 0xFFFF, 0x10000, -1, (1 << 63) - 1, 0x7FFF),
}


@st.composite
def configs(draw: st.DrawFn, build: Build) -> MachineConfig:
    """A configuration of a build: everything that is read at run time varies."""
    page = find(build.format).page_size
    small = build.format.startswith("tutorial")
    values: dict[str, Any] = {
        "machine.format": build.format,
        "kernel.policy": build.policy,
        "machine.payload": build.payload,
        "machine.cpus": build.cpus,
        "tlb.asids": build.asids,
        "tlb.fill": build.fill,
        "machine.seed": draw(st.integers(1, 1000)),
    }
    for name in ("tlb.l1", "tlb.l1i", "tlb.l1d", "tlb.l2"):
        values[name] = draw(geometries()) if name in build.arrays else "off"
        if len(find(build.format).levels) > 1:
            values[f"{name}_pages"] = draw(st.sampled_from(("all", "4K")))
    values["tlb.replacement"], values["tlb.inclusive"] = build.replacement, build.inclusive
    values["tlb.walk_cache"] = build.walk_cache
    first = draw(st.integers(0, 4))
    user = draw(st.sampled_from((5, 9, 0, 0, 3, 16)))
    table = draw(st.sampled_from((0, 0, 20))) if user else 0
    values["kernel.first_frame"] = first
    values["kernel.user_frames"] = user
    values["kernel.table_frames"] = table
    frames = draw(st.sampled_from((40, 48, 64, 100)))
    if not small and not user and draw(st.integers(0, 4)) == 0:
        frames = 1536  # room for large pages
    values["machine.ram"] = max(frames, first + user + table) * page
    bases = [base for base in BASES if base & find(build.format).root_mask == base]
    values["machine.ram_base"] = draw(st.sampled_from(bases[:1] if small else bases))
    values["machine.swap.size"] = draw(st.sampled_from((100, 100, 20, 4, 1, 0))) * page
    low, more = draw(st.sampled_from(((0, 0), (0, 0), (2, 3), (4, 0))))
    values["kernel.min_free"] = draw(st.sampled_from((0, 0, 1, 2)))
    values["kernel.low_free"], values["kernel.high_free"] = low, low + more
    values["kernel.stack_limit"] = draw(st.sampled_from((1 << 20, 4 * page, 0)))
    values["kernel.quantum"] = draw(st.sampled_from((0, 1, 2, 7, 40)))
    values["kernel.over_limit"] = draw(st.sampled_from(("kill", "kill", "fail", "reclaim")))
    if build.cpus > 1:
        values["machine.shootdown"] = draw(st.sampled_from(("now", "lazy")))
    if build.asids:
        values["kernel.asids"] = draw(st.sampled_from((0, build.cpus + 1, build.cpus + 2)))
    values["kernel.limit"] = draw(st.sampled_from((0, 0, 0, 0, 3, 12)))
    return MachineConfig(values)


@st.composite
def geometries(draw: st.DrawFn) -> str:
    return f"{draw(st.sampled_from((1, 2, 4, 8)))}x{draw(st.integers(1, 4))}"


@st.composite
def region_lists(draw: st.DrawFn, format_name: str, frames: int) -> list[RegionSpec]:
    form = find(format_name)
    page, found = form.page_size, []
    places = draw(st.lists(st.sampled_from(PLACES[form.va_bits]), min_size=1, max_size=4, unique=True))
    for start in sorted(places):
        rights = draw(st.sampled_from((15, 15, 15, 15, 11, 11, 11, 13, 9, 8, 10, 7)))
        pages = draw(st.sampled_from((9, 16, 30, 1, 5)))
        kind = draw(st.sampled_from(("text", "data", "heap", "anon", "stack", "trace")))
        large = 1 << form.page_shifts[min(1, len(form.levels) - 1)]
        if frames > 1000 and start % large == 0 and draw(st.booleans()):
            found.append(RegionSpec(kind, start, large, rights, large, draw(st.booleans())))
        else:
            populate = pages < 6 and draw(st.integers(0, 4)) == 0
            region = RegionSpec(kind, start, pages * page, rights, 0, populate)
            how = draw(st.integers(0, 9))
            if how < 3 and kind not in ("heap", "stack"):
                region.object = objects(page)[how % 2]
                region.share = how < 2  # the file: shared or private; the memory: shared
                region.offset = draw(st.sampled_from((0, 0, page)))
            found.append(region)
    return found


def objects(page: int) -> list[Wanted]:
    """What programs map: a file of two pages and a half, and memory that processes know by a name."""
    content = bytes(number * 7 % 251 for number in range(page)) * 2 + b"half" * (page // 8)
    return [Wanted("file", 0, content), Wanted("box", 40 * page)]


class Mapped(list[int]):
    """A row that names an object."""


def allowed_kinds(region: RegionSpec) -> list[int]:
    """Kinds of operations that a region's rights allow; all of them if none is."""
    rights = enumerate((RIGHT_R, RIGHT_W, RIGHT_X, RIGHT_W))
    return [kind for kind, right in rights if region.rights & right] or [0, 1, 2, 3]


@st.composite
def accesses(draw: st.DrawFn, format_name: str, regions: list[RegionSpec]) -> tuple[int, int]:
    """Kind and address: mostly what the region allows, sometimes at its edges, rarely anything."""
    form = find(format_name)
    how = draw(st.integers(0, 49))
    if how == 49:
        return draw(st.integers(0, 3)), draw(st.sampled_from(WILD[form.va_bits]))
    region = draw(st.sampled_from(regions))
    if how == 48:
        edge = region.end - draw(st.integers(-9, 9))
        return draw(st.integers(0, 3)), min(max(edge, -(1 << 63)), (1 << 63) - 1)
    kind = draw(st.sampled_from(allowed_kinds(region))) if how else draw(st.integers(0, 3))
    pages = min(region.size // form.page_size, 20)
    within = draw(st.sampled_from((0, 1, 3, 8, 100, form.page_size - 8, form.page_size - 4)))
    return kind, region.start + draw(st.integers(0, pages - 1)) * form.page_size + within


@st.composite
def operation_rows(draw: st.DrawFn, format_name: str, regions: list[RegionSpec]) -> list[list[int]]:
    """One access, or a range of them: one row or two."""
    page = find(format_name).page_size
    if draw(st.integers(0, 3)) == 3:  # a sweep over a whole region
        region = draw(st.sampled_from(regions))
        kind = draw(st.sampled_from(allowed_kinds(region)))
        count = min(region.size // page, 40)
        return [[kind | 1 << OP_WIDTH | OP_RANGED, region.start, 1, 0], [count, page, 0, 0]]
    kind, va = draw(accesses(format_name, regions))
    width = draw(st.sampled_from((1, 1, 2, 4, 8, 8, 0)))
    value = draw(st.sampled_from((0, 1, -1, 0x1122334455667788, -(1 << 63))))
    row = [kind | width << OP_WIDTH, va, value, 0]
    if draw(st.integers(0, 5)) == 0:
        base = find(format_name).kernel_base
        if base is not None and kind == 0 and draw(st.booleans()):
            row[1] = va = base + draw(st.integers(0, 40)) * page + draw(st.sampled_from((0, 8, page - 4)))
        row[0] |= OP_KERNEL
    region = next((region for region in regions if region.start <= va < region.end), None)
    if draw(st.integers(0, 2)) or not -(1 << 62) < va < (1 << 62):
        return [row]
    row[0] |= OP_RANGED
    step = draw(st.sampled_from((1, 8, page, page, page, -page, page // 2, 3 * page, -1, 0)))
    count = draw(st.integers(1, 40))
    if region is not None and draw(st.integers(0, 9)):  # stay inside
        if step > 0:
            count = min(count, max(1, (region.end - va) // step))
        elif step < 0:
            count = min(count, (va - region.start) // -step + 1)
    return [row, [count, step, 0, 0]]


@st.composite
def pattern_rows(
    draw: st.DrawFn, format_name: str, regions: list[RegionSpec], rounds: list[int]
) -> list[list[int]]:
    """Accesses in a pattern, in loops of so many rounds (innermost first): three rows."""
    region, page = draw(st.sampled_from(regions)), find(format_name).page_size
    pattern = draw(st.sampled_from((PATTERN_RANDOM, PATTERN_ZIPF, PATTERN_CHASE, PATTERN_STRIDE)))
    step = draw(st.sampled_from((page, page, page // 2, 8, 1)))
    places = min(region.size // step, draw(st.integers(1, 60)))
    bits = (places if pattern == PATTERN_ZIPF else places - 1).bit_length()
    kind = draw(st.sampled_from(allowed_kinds(region))) | OP_PATTERNED | OP_RANGED | 1 << OP_WIDTH
    seed = draw(st.integers(0, 3))
    words = [kind, region.start, 7, pattern | bits << PATTERN_BITS]
    words += [draw(st.integers(1, 30)), step, places, seed, 0, 0, 0, 0]
    weigh(words, rounds)
    return [words[:4], words[4:8], words[8:]]


@st.composite
def handler_rows(draw: st.DrawFn, format_name: str, known: list[RegionSpec]) -> list[list[int]]:
    """A signal handler: some system calls and accesses, then a return, or none."""
    rows: list[list[int]] = []
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.booleans()):
            rows.append(draw(system_calls(format_name, known, True)))
        else:
            rows += draw(operation_rows(format_name, known))
    return [*rows, [draw(st.sampled_from((OP_RETURN, OP_RETURN, OP_EXIT))), 0, 0, 0], [OP_EXIT, 9, 0, 0]]


@st.composite
def system_calls(draw: st.DrawFn, format_name: str, known: list[RegionSpec], in_loop: bool) -> list[int]:
    """One system call; regions that it maps are added to `known`."""
    form = find(format_name)
    page = form.page_size
    kind = draw(st.sampled_from((OP_MMAP, OP_MUNMAP, OP_MPROTECT, OP_BRK, *(() if in_loop else (OP_FORK,)))))
    if kind == OP_FORK:
        return [kind, -1, 0, 0]
    rights = draw(st.sampled_from((15, 11, 9, 13, 8)))
    if kind == OP_MMAP:
        start = draw(st.sampled_from(PLACES[form.va_bits])) + draw(st.sampled_from((0, 0x20, 0x40))) * page
        region = RegionSpec("anon", start, draw(st.integers(1, 12)) * page, rights)
        known.append(region)
        flags = MMAP_POPULATE if draw(st.integers(0, 3)) == 0 else 0
        flags |= draw(st.sampled_from((0, 0, 0, MMAP_FIXED)))
        private, shared = 1 << MMAP_OBJECT, 1 << MMAP_OBJECT | MMAP_SHARED
        named = 2 << MMAP_OBJECT | MMAP_SHARED | 1 << MMAP_OFFSET
        flags |= draw(st.sampled_from((0, 0, 0, MMAP_SHARED, private, shared, named)))
        made = Mapped if flags >> MMAP_OBJECT & OBJECT_MASK else list
        return made([kind, start, region.size, rights | flags])
    region = draw(st.sampled_from(known))
    if kind == OP_BRK:
        return [kind, region.end + draw(st.integers(-4, 4)) * page, 0, 0]
    first = draw(st.integers(0, min(region.size // page - 1, 6)))
    return [kind, region.start + first * page, draw(st.integers(1, 8)) * page, rights]


@st.composite
def process_rows(
    draw: st.DrawFn, format_name: str, regions: list[RegionSpec]
) -> tuple[Any, list[int], list[int]]:
    """The rows of a process, with loops, and the numbers of those that name another row, or an object."""
    rows: list[list[int]] = []
    known = list(regions)
    references: list[int] = []
    open_loops: list[int] = []
    handled = draw(st.integers(0, 2)) == 0
    if handled:
        rows.append([OP_HANDLER, 0, 0, 0])
        references.append(0)
    for _ in range(draw(st.integers(1, 20))):
        turn = draw(st.integers(0, 9))
        if turn == 0 and len(open_loops) < 3:
            rows.append([OP_LOOP, draw(st.integers(1, 9)), 0, 0])
            open_loops.append(len(rows))
        elif turn == 1 and open_loops:
            references.append(len(rows))
            rows.append([OP_END, open_loops.pop(), 0, 0])
        elif turn == 2 and draw(st.booleans()):
            rows.append(draw(system_calls(format_name, known, bool(open_loops))))
        elif turn == 3:
            rounds = [rows[loop - 1][1] for loop in reversed(open_loops)]
            rows += draw(pattern_rows(format_name, known, rounds))
        else:
            rows += draw(operation_rows(format_name, known))
    while open_loops:
        references.append(len(rows))
        rows.append([OP_END, open_loops.pop(), 0, 0])
    rows.append([OP_EXIT, draw(st.integers(0, 255)), 0, 0])
    if handled:
        rows[0][1] = len(rows)
        rows += draw(handler_rows(format_name, known))
    named = [number for number, row in enumerate(rows) if isinstance(row, Mapped)]
    return array("q", [word for row in rows for word in row]), references, named


@st.composite
def programs(draw: st.DrawFn, config: MachineConfig, most: int = 4) -> Program:
    name = config["machine.format"]
    frames = config["machine.ram"] // find(name).page_size
    found = []
    for number in range(draw(st.integers(1, most))):
        regions = draw(region_lists(name, frames))
        rows, references, named = draw(process_rows(name, regions))
        limit = draw(st.sampled_from((None, None, None, None, 0, 2, 6)))
        spec = ProcessSpec(f"p{number}", limit, -1, regions, rows, references=references)
        spec.objects, spec.mappings = objects(find(name).page_size), named
        found.append(spec)
    return Program("random", "", [], found)


class Case(NamedTuple):
    """A machine to boot, what it executes, and fields of control registers that are turned first."""

    config: MachineConfig
    program: Program
    turned: tuple[str, ...] = ()

    def boot(self) -> Machine:
        """A new machine with the program loaded as far as there is room for it."""
        machine = Machine(self.config)
        for spec in self.program.processes:
            try:
                machine.load(Program(spec.name, "", [], [spec]))
            except UserError:
                continue
        for name in self.turned:
            for cpu in range(self.config["machine.cpus"]):
                write(machine, cpu, name, 1 - (read(machine, cpu, name) or 0))
        return machine

    def __repr__(self) -> str:
        base = MachineConfig().values
        changed = {name: value for name, value in self.config.values.items() if base[name] != value}
        text = [f"config={changed} turned={self.turned}"]
        for spec in self.program.processes:
            regions = [
                f"{r.kind} {r.start:#x}+{r.size:#x} {r.rights:#x} {r.page_size:#x} {r.populate}"
                for r in spec.regions
            ]
            rows = [list(spec.rows[at : at + 4]) for at in range(0, len(spec.rows), 4)]
            text.append(
                f"{spec.name} limit={spec.limit} regions={regions} rows={rows} refs={spec.references}"
            )
        return "\n".join(text)


@st.composite
def cases(draw: st.DrawFn, build: Build, most: int = 4) -> Case:
    config = draw(configs(build))
    registers = find(build.format).registers
    known = [field.name for field in registers if field.width == 1 and not field.fixed]
    turned = draw(st.lists(st.sampled_from(known), unique=True)) if known and draw(st.booleans()) else []
    return Case(config, draw(programs(config, most)), tuple(turned))
