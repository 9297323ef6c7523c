"""From a configuration to tables: their sizes, and what is in them before the first operation."""

from __future__ import annotations

from array import array
from functools import lru_cache

from vmdbg.errors import UserError
from vmdbg.formats import find
from vmdbg.formats.dataclass import replace
from vmdbg.formats.record import LEAST_PAGE
from vmdbg.hardware import base_and_bounds, replacement, segments
from vmdbg.hardware.tlb import ZERO_SPACE
from vmdbg.kernel import policies
from vmdbg.kernel.calls.regions import REGION_KINDS
from vmdbg.kernel.faults import OVER_LIMIT
from vmdbg.kernel.frames import FRAME_IS_RESERVED, POOL_COUNT
from vmdbg.kernel.policies.facts import FUTURE
from vmdbg.kernel.policies.nodes import FREE_GHOSTS, GHOSTS_A_FRAME, LISTS
from vmdbg.machine.banks import banks_of
from vmdbg.machine.tlb_arrays import Arrays, check_served, fill_arrays
from vmdbg.machine.trace_pages import trace_pages
from vmdbg.state import events, tables
from vmdbg.state.tables import (
    BANK,
    BANK_BASE,
    BANK_OFFSET,
    BANK_SIZE,
    CONTROLS,
    CPU,
    CPU_ASID,
    CPU_MODE,
    FRAME,
    FRAME_NEXT,
    FRAME_PREVIOUS,
    FRAME_STATE,
    KERNEL_ASID_COUNT,
    KERNEL_FORGET,
    KERNEL_FREE,
    KERNEL_HAND,
    KERNEL_HIGH,
    KERNEL_LAZY,
    KERNEL_LOW,
    KERNEL_MIN,
    KERNEL_NEWEST,
    KERNEL_OLDEST,
    KERNEL_OVER_LIMIT,
    KERNEL_QUANTUM,
    KERNEL_RANDOM,
    KERNEL_REGION_FREE,
    KERNEL_RMAP_COUNT,
    KERNEL_RMAP_FREE,
    KERNEL_SLOT_COUNT,
    KERNEL_SLOT_FREE,
    KERNEL_STACK_LIMIT,
    KERNEL_TAU,
    KERNEL_USER_END,
    KERNEL_USER_FIRST,
    KERNEL_USER_FREE,
    KERNEL_USER_POOL,
    LIST,
    LIST_NEWEST,
    LIST_OLDEST,
    LIST_SIZE,
    NODE,
    NODE_CHAIN,
    NODE_LIST,
    NODE_NEXT,
    NODE_PREVIOUS,
    REGION,
    REGION_NEXT,
    RMAP,
    RMAP_NEXT,
    SLOT,
    SLOT_NEXT,
)
from vmdbg.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.formats.record import Format, Register
    from vmdbg.machine.config import MachineConfig

MAX_STOPS, MAX_LOG = 64, 1 << 12
MOST_FRAMES, MOST_CACHED = 1 << 22, 1 << 22  # frames or slots; TLB entries of all CPUs
COLUMNS = {column: offset for offset, column in enumerate(tables.TABLES["cpu"].columns)}
SMALL_POOL = 64  # rows that regions and processes start with; pools grow


@lru_cache(maxsize=32)
def with_walker(form: Format, kernel: bool) -> Format:
    """The format, with a TLB that the kernel fills, or a walker."""
    return replace(form, software_walk=kernel)


def format_of(config: MachineConfig) -> Format:
    """The page-table format of a machine.  UserError."""
    form = find(config["machine.format"], config["machine.page_size"])
    kernel = config["tlb.fill"] == "kernel"
    if config["tlb.fill"] == "format" or kernel == form.software_walk or form.bounded:
        return form
    return with_walker(form, kernel)


def bindings(config: MachineConfig) -> dict[str, Any]:
    """The functions and constants that fill the holes of the hot code, all but `halt`, by name."""
    form = format_of(config)
    arrays = Arrays(config, form)
    return {
        **form.bindings(),
        **policies.bindings(config["kernel.policy"]),
        **replacement.bindings(config["tlb.replacement"]),
        **arrays.bindings(),
        **without_tables(form),
        "WINDOW_WORD": CONTROLS[form.window_place[0]],
        "CPUS": config["machine.cpus"],
        "ASIDS": int(config["tlb.asids"]),
        "FORGETS": int(config["machine.forget"] > 0),
        "ZERO_DROPS": int(config["kernel.zero_drop"]),
        "PAYLOAD": int(config["machine.payload"]),
        "KIND_TRACE": REGION_KINDS.index("trace"),
        "PROMOTE": trace_pages(config, form).threshold,
        "LARGE_LEAVES": int(large_pages_leave(config, form)),
    }


def large_pages_leave(config: MachineConfig, form: Format) -> bool:
    """May pages of the size above base pages leave memory?  Not where the policy knows the future of base
    pages only, or where the table that takes their place in the tree has more than one frame."""
    facts = policies.facts_of(config["kernel.policy"])
    if form.bounded or len(form.levels) < 2 or not form.levels[-2].leaf:
        return False
    one_frame = form.table_bytes(len(form.levels) - 1) <= form.page_size
    return one_frame and (facts is None or facts.sees != FUTURE)


def without_tables(form: Format) -> dict[str, Any]:
    """What takes the place of the walk and the MMU where a format has no tables, or segments before them."""
    if not form.bounded:
        behind = (segments.reached, segments.reached_index, segments.start_walk) if form.segments else ()
        return {function.__name__: function for function in behind}
    scheme = segments if form.segments else base_and_bounds
    return {"walk": scheme.walk, "translate": scheme.translate}


def require_kernel(config: MachineConfig) -> None:
    """UserError if the machine can run no program."""
    if not config["machine.kernel"]:
        raise UserError("Without a kernel (machine.kernel) no program can be run.")


def check_kernel(config: MachineConfig, form: Format) -> None:
    """UserError if the machine is to have a kernel, or its swap area, which the format rules out."""
    if form.segments and config["machine.kernel"]:
        raise UserError(
            "machine.kernel: no kernel knows segments; kernel = false makes a machine without one."
        )
    if form.page_size < LEAST_PAGE and (config["machine.kernel"] or config["machine.swap.size"]):
        raise UserError(
            f"machine.kernel, machine.swap.size: a kernel needs pages of {LEAST_PAGE} bytes or more, "
            f"{form.name} has {form.page_size}; kernel = false and swap.size = 0 make a machine without one."
        )


def shape(config: MachineConfig) -> dict[str, int]:
    """Rows of every table."""
    form = format_of(config)
    check_kernel(config, form)
    frames = config["machine.ram"] >> form.page_bits
    slots = min((config["machine.swap.size"] >> form.page_bits) + 1, form.slots)  # slot 0 is never used
    for name in ("machine.ram", "machine.swap.size"):
        if config[name] % form.page_size:
            raise UserError(f"{name} {config[name]:#x} is no multiple of a page, {form.page_size:#x}.")
    if config["machine.ram"] % LEAST_PAGE:
        raise UserError(f"machine.ram {config['machine.ram']:#x} is no multiple of {LEAST_PAGE} bytes.")
    for name, count in (("machine.ram", frames), ("machine.swap.size", slots - 1)):
        if count > MOST_FRAMES:
            raise UserError(f"{name}: {count} pages of {form.name}; at most {MOST_FRAMES} are possible.")
    if frames > form.frames - (config["machine.ram_base"] >> form.page_bits):
        raise UserError(f"Entries of {form.name} name {form.frames} frames; machine.ram has {frames}.")
    last = config["machine.ram_base"] + (frames - 1 << form.page_bits)
    if frames and not form.bounded and last & form.root_mask != last:
        raise UserError(f"machine.ram_base: the root register of {form.name} does not reach {last:#x}.")
    if not frames:
        raise UserError(
            f"machine.ram {config['machine.ram']:#x} is less than one page of {form.page_size:#x}."
        )
    if config["machine.ram_base"] % form.page_size:
        raise UserError(f"machine.ram_base {config['machine.ram_base']:#x} is no multiple of a page.")
    arrays = Arrays(config, form)
    check_served(arrays, form)
    if arrays.tlb_rows * config["machine.cpus"] > MOST_CACHED:
        raise UserError(f"tlb.*: {arrays.tlb_rows} entries a CPU; at most {MOST_CACHED} in all are possible.")
    return {
        "one": 1,
        "ram": frames << form.page_bits,
        "frames": frames,
        "chunks": -(-(frames << form.page_bits) // form.chunk_size),
        "banks": len(banks_of(config)),
        "cpus": config["machine.cpus"],
        "arrays": len(arrays.rows),
        "tlb_rows": arrays.tlb_rows,
        "rmaps": frames + SMALL_POOL,
        **policy_rows(config["kernel.policy"], frames),
        "futures": 1,
        "regions": SMALL_POOL,
        "processes": SMALL_POOL,
        "slots": slots,
        "objects": SMALL_POOL,
        "cached": SMALL_POOL,
        "file_pages": 0,
        "page_words": form.page_size >> 3 if config["machine.payload"] else 0,
        "swap": slots << form.page_bits if config["machine.payload"] and slots > 1 else 0,
        "ops": 1,
        "kinds": events.KINDS,
        "stops": MAX_STOPS,
        "log": MAX_LOG,
        "path": 8,
    }


def policy_rows(policy: str, frames: int) -> dict[str, int]:
    """Rows of the tables in which a policy remembers pages: none if its facts name nothing."""
    facts = policies.facts_of(policy)
    rows = {"nodes": 0, "lists": 0, "buckets": 0}
    if facts is not None and (facts.counters or facts.lists):
        rows["nodes"] = frames
    if facts is not None and facts.lists:
        rows["lists"] = LISTS
    if facts is not None and facts.ghosts:
        rows["nodes"] = frames + GHOSTS_A_FRAME * frames
        rows["buckets"] = 1 << max(0, frames.bit_length())
    return rows


def fill_policy(m: Any, config: MachineConfig) -> None:
    """Empty lists and buckets, and the free ghosts; the window of wsclock."""
    rows = shape(config)
    nodes, frames = rows["nodes"], rows["frames"]
    for column in (NODE_NEXT, NODE_PREVIOUS, NODE_CHAIN) if nodes else ():
        m.node[column::NODE] = array("q", [-1]) * nodes
    for column in (LIST_OLDEST, LIST_NEWEST) if rows["lists"] else ():
        m.list[column::LIST] = array("q", [-1]) * rows["lists"]
    if rows["buckets"]:
        m.bucket[:] = array("q", [-1]) * rows["buckets"]
        ghosts, first = nodes - frames, frames * NODE
        m.node[first + NODE_LIST :: NODE] = array("q", [FREE_GHOSTS]) * ghosts
        chain(m.node, NODE, NODE_NEXT, frames, nodes, -1)
        m.node[first + NODE_PREVIOUS :: NODE] = array("q", [-1, *range(frames, nodes - 1)])
        place = FREE_GHOSTS * LIST
        m.list[place + LIST_OLDEST], m.list[place + LIST_NEWEST] = frames, nodes - 1
        m.list[place + LIST_SIZE] = ghosts
    if config["kernel.policy"] == "wsclock":
        m.kernel[KERNEL_TAU] = config["kernel.tau"]


def fill(m: Any, config: MachineConfig) -> None:
    """Write what the tables hold before the first operation."""
    form = format_of(config)
    for number, (base, size, offset) in enumerate(banks_of(config)):
        row = number * BANK
        m.bank[row + BANK_BASE], m.bank[row + BANK_SIZE], m.bank[row + BANK_OFFSET] = base, size, offset
    fill_arrays(m, Arrays(config, form), config["machine.seed"])
    for cpu in range(config["machine.cpus"]):
        for register in form.registers:
            m.cpu[cpu * CPU + CONTROLS[register.word]] |= initial(register, config) << register.low
        if not config["machine.kernel"]:
            m.cpu[cpu * CPU + CPU_ASID] = 1  # nobody gives numbers
        set_allowed(m, cpu, form)
    m.kernel[KERNEL_OLDEST] = m.kernel[KERNEL_NEWEST] = -1
    m.kernel[KERNEL_RANDOM] = config["machine.seed"]
    m.kernel[KERNEL_QUANTUM] = config["kernel.quantum"]
    m.kernel[KERNEL_MIN], m.kernel[KERNEL_LOW] = config["kernel.min_free"], config["kernel.low_free"]
    m.kernel[KERNEL_HIGH] = max(config["kernel.high_free"], config["kernel.low_free"])
    m.kernel[KERNEL_STACK_LIMIT] = config["kernel.stack_limit"]
    m.kernel[KERNEL_OVER_LIMIT] = OVER_LIMIT.index(config["kernel.over_limit"])
    m.kernel[KERNEL_FORGET] = config["machine.forget"]
    m.kernel[KERNEL_LAZY] = int(config["machine.shootdown"] == "lazy")
    m.kernel[KERNEL_ASID_COUNT] = asid_count(config, form)
    fill_frames(m, config)
    fill_policy(m, config)
    chain(m.rmap, RMAP, RMAP_NEXT, 1, len(m.rmap) // RMAP)
    m.kernel[KERNEL_RMAP_FREE], m.kernel[KERNEL_RMAP_COUNT] = 1, len(m.rmap) // RMAP - 1
    chain(m.region, REGION, REGION_NEXT, 1, len(m.region) // REGION)
    m.kernel[KERNEL_REGION_FREE] = 1
    slots = len(m.slot) // SLOT
    chain(m.slot, SLOT, SLOT_NEXT, 1, slots)
    m.kernel[KERNEL_SLOT_FREE], m.kernel[KERNEL_SLOT_COUNT] = (1 if slots > 1 else 0), slots - 1


def initial(register: Register, config: MachineConfig) -> int:
    """The value that a field of a control register has at boot."""
    return int(config[register.setting]) if register.setting else register.initial


def asid_count(config: MachineConfig, form: Format) -> int:
    """The highest address-space number that the kernel gives; 1 for a TLB without them.  UserError."""
    wanted, most = config["kernel.asids"], min((1 << form.asid_bits) - 1, ZERO_SPACE - 1)
    if not config["tlb.asids"]:
        return 1
    if wanted > most:
        raise UserError(f"kernel.asids {wanted}: {form.name} has {most} address-space numbers.")
    if wanted and wanted <= config["machine.cpus"]:
        raise UserError(
            f"kernel.asids {wanted}: more than machine.cpus, {config['machine.cpus']}, are needed."
        )
    return int(wanted or most)


def set_allowed(m: Any, cpu: int, form: Format) -> None:
    """Set the columns of a CPU that follow from its mode and control registers.

    `Format.derived` says which they are.
    """
    row = cpu * CPU
    control = [m.cpu[row + column] for column in CONTROLS]
    for column, value in form.derived(control, m.cpu[row + CPU_MODE]).items():
        m.cpu[row + COLUMNS[column]] = value


def check_trace_pages(config: MachineConfig, first: int, end: int) -> None:
    """UserError if no page of a trace fits the frames that user pages have of their own, `first` to `end`."""
    form = format_of(config)
    pages = trace_pages(config, form)
    count = max(1, pages.size // form.page_size)
    if not pages.threshold and -(-first // count) * count + count > end:
        raise UserError(
            f"kernel.user_frames {end - first}: there is no room for a page of {format_size(pages.size)} "
            f"(trace.page), which takes {count} frames in a row."
        )


def divide_frames(config: MachineConfig, frames: int) -> tuple[int, int, int, int]:
    """The first frame handed out, the first for user pages, the ends of both pools.  UserError: no room."""
    first = config["kernel.first_frame"]
    user, table = config["kernel.user_frames"], config["kernel.table_frames"]
    if not config["machine.kernel"]:
        first = user_first = end = kernel_end = frames  # nobody hands any out
    elif user:
        user_first = first + table if table else frames - user
        end = user_first + user
        kernel_end = user_first
    else:
        user_first, end, kernel_end = first, frames, frames
    if config["machine.kernel"] and not (0 <= first < kernel_end and first <= user_first and end <= frames):
        raise UserError(
            f"{frames} frames are too few for kernel.first_frame {first}, kernel.table_frames {table} "
            f"and kernel.user_frames {user}."
        )
    if user and config["machine.kernel"]:
        check_trace_pages(config, user_first, end)
    return first, user_first, kernel_end, end


def fill_frames(m: Any, config: MachineConfig) -> None:
    """Reserve the first frames and put the others into their pools."""
    first, user_first, kernel_end, end = divide_frames(config, frames := len(m.frame) // FRAME)
    user = config["kernel.user_frames"]
    m.frame[FRAME_NEXT::FRAME] = m.frame[FRAME_PREVIOUS::FRAME] = array("q", [-1]) * frames
    states = array("q", [FRAME_IS_RESERVED])
    m.frame[FRAME_STATE : first * FRAME : FRAME] = states * first
    m.frame[end * FRAME + FRAME_STATE :: FRAME] = states * (frames - end)
    fill_pool(m, KERNEL_FREE, first, kernel_end)
    m.kernel[KERNEL_USER_FREE] = -1
    m.kernel[KERNEL_USER_POOL] = KERNEL_FREE
    if user:
        fill_pool(m, KERNEL_USER_FREE, user_first, end)
        m.kernel[KERNEL_USER_POOL] = KERNEL_USER_FREE
    m.kernel[KERNEL_USER_FIRST], m.kernel[KERNEL_USER_END] = user_first, end
    m.kernel[KERNEL_HAND] = user_first if user_first < frames else 0


def fill_pool(m: Any, pool: int, first: int, end: int) -> None:
    """Chain the frames `first .. end - 1` into a pool, lowest first."""
    chain(m.frame, FRAME, FRAME_NEXT, first, end, -1)
    m.kernel[pool], m.kernel[pool + POOL_COUNT] = (first if end > first else -1), end - first


def chain(rows: Any, width: int, column: int, first: int, end: int, last: int = 0) -> None:
    """Chain the rows `first .. end - 1` of a pool as free; the last one points to `last`."""
    if end > first:
        links = array("q", range(first + 1, end + 1))
        links[-1] = last
        rows[first * width + column : end * width : width] = links


def buffers(config: MachineConfig) -> dict[str, Any]:
    """Zeroed buffers for a machine of that configuration."""
    return tables.allocate(shape(config))
