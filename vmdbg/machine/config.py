"""What a machine is made of: every setting once, presets, and the configuration that they make."""

from __future__ import annotations

import os

from vmdbg.errors import InputError, UserError
from vmdbg.formats import DEFAULT as DEFAULT_FORMAT
from vmdbg.formats import NAMES as FORMATS
from vmdbg.hardware.replacement import REPLACEMENTS
from vmdbg.kernel.faults import OVER_LIMIT
from vmdbg.kernel.policies import POLICIES
from vmdbg.machine.setting import (
    ADDRESS,
    BOOLEAN,
    ENUM,
    ENUM_OR_FILE,
    FILENAME,
    INTEGER,
    OPTIONAL_FILENAME,
    PLAIN_STRING,
    SIZE,
    Setting,
)
from vmdbg.units import decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

K, M, G = 1 << 10, 1 << 20, 1 << 30
MOST = 1 << 40  # the largest value of a number that has no limit of its own
GEOMETRY = "SETSxWAYS"
PAGES = "Sizes such as 4K 2M, or all.  Larger pages than the TLB holds are walked for each time."
FORMAT_NAMES = "a name, or a TOML file that declares one"

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "machine.format",
        PLAIN_STRING,
        DEFAULT_FORMAT,
        "page-table format",
        FORMAT_NAMES,
        choices=tuple(FORMATS),
    ),
    Setting("machine.page_size", SIZE, 0, "page size of a format with one level; 0: its own", low=0),
    Setting(
        "machine.kernel",
        BOOLEAN,
        True,
        "whether there is a kernel, with processes; without one accesses end where the MMU ends them",
    ),
    Setting("machine.ram", SIZE, 64 * M, "size of the memory", low=64, high=64 * G),
    Setting("machine.ram_base", ADDRESS, 0, "first physical address of the memory", low=0, high=1 << 51),
    Setting(
        "machine.banks",
        PLAIN_STRING,
        "",
        "pieces in which the memory of a machine without a kernel lies: blank-separated ADDRESS+SIZE",
    ),
    Setting("machine.cpus", INTEGER, 1, "number of CPUs", low=1, high=64),
    Setting(
        "machine.shootdown",
        ENUM,
        "now",
        "when other CPUs invalidate a translation: at once, or before their next operation",
        choices=("now", "lazy"),
    ),
    Setting(
        "machine.forget",
        INTEGER,
        0,
        "invalidation of the TLB that the kernel forgets, a bug on purpose; 0: none",
        low=0,
    ),
    Setting("machine.payload", BOOLEAN, True, "whether frames and slots carry bytes"),
    Setting("machine.swap.size", SIZE, 64 * M, "size of the swap area", low=0, high=64 * G),
    Setting("machine.swap.file", OPTIONAL_FILENAME, "", "file in which the swap area lies"),
    Setting("machine.seed", INTEGER, 1, "start of the random numbers", low=1, high=(1 << 31) - 1),
    Setting("machine.program", FILENAME, "", "program that is loaded at boot"),
    Setting("machine.warm", INTEGER, 0, "operations executed at boot", low=0, high=10**6),
    Setting("tlb.l1", PLAIN_STRING, "16x4", "first-level TLB for fetches and data", unit=GEOMETRY),
    Setting("tlb.l1i", PLAIN_STRING, "off", "first-level TLB for fetches", unit=GEOMETRY),
    Setting("tlb.l1d", PLAIN_STRING, "off", "first-level TLB for data", unit=GEOMETRY),
    Setting("tlb.l2", PLAIN_STRING, "128x12", "second-level TLB", unit=GEOMETRY),
    Setting("tlb.l1_pages", PLAIN_STRING, "all", "page sizes that tlb.l1 holds", details=PAGES),
    Setting("tlb.l1i_pages", PLAIN_STRING, "all", "page sizes that tlb.l1i holds", details=PAGES),
    Setting("tlb.l1d_pages", PLAIN_STRING, "all", "page sizes that tlb.l1d holds", details=PAGES),
    Setting("tlb.l2_pages", PLAIN_STRING, "all", "page sizes that tlb.l2 holds", details=PAGES),
    Setting("tlb.inclusive", BOOLEAN, False, "whether the first level loses what the second level loses"),
    Setting("tlb.replacement", ENUM, "lru", "replacement policy of the TLB", choices=REPLACEMENTS),
    Setting(
        "tlb.walk_cache",
        PLAIN_STRING,
        "",
        "contents of the page-walk caches",
        details="LEVEL:ENTRIES for each, such as PML4:4 PDPT:4 PD:32; nothing: there are none.",
    ),
    Setting(
        "tlb.fill",
        ENUM,
        "format",
        "who fills the TLB, and without one translates each access",
        details="format: as the page-table format says; walker: a CPU's walker does; kernel: misses trap.",
        choices=("format", "walker", "kernel"),
    ),
    Setting("tlb.asids", BOOLEAN, True, "whether TLB entries carry the address space's number"),
    Setting(
        "kernel.policy",
        ENUM_OR_FILE,
        "clock",
        "page-replacement policy, or a file that has one",
        unit=".py",
        choices=POLICIES,
    ),
    Setting(
        "kernel.tau",
        INTEGER,
        1000,
        "wsclock: accesses of its process after which a page that was not used is old",
        low=0,
    ),
    Setting("kernel.first_frame", INTEGER, 256, "first frame that the kernel hands out", low=0, high=1 << 40),
    Setting(
        "kernel.user_frames",
        INTEGER,
        0,
        "frames for user pages alone; 0: any",
        low=0,
        high=1 << 40,
        alias="frames",
    ),
    Setting("kernel.table_frames", INTEGER, 0, "frames for tables before them; 0: all others", low=0),
    Setting(
        "kernel.quantum", INTEGER, 0, "operations before the next process has its turn; 0: no limit", low=0
    ),
    Setting("kernel.limit", INTEGER, 0, "frames that a process may hold; 0: no limit", low=0),
    Setting(
        "kernel.over_limit",
        ENUM,
        "kill",
        "at its limit a process is killed, its access fails, or it gives up a page",
        choices=OVER_LIMIT,
    ),
    Setting("kernel.asids", INTEGER, 0, "address-space numbers; 0: as many as the format has", low=0),
    Setting("kernel.min_free", INTEGER, 0, "free frames below which an allocation makes room itself", low=0),
    Setting("kernel.low_free", INTEGER, 0, "free frames below which background reclaim wakes", low=0),
    Setting("kernel.high_free", INTEGER, 0, "free frames at which background reclaim sleeps again", low=0),
    Setting(
        "kernel.zero_drop",
        BOOLEAN,
        True,
        "whether a page that was never written leaves memory without a write",
        details="Its next access is a minor fault and finds zeros.  Off: it is written to swap as any other.",
    ),
    Setting("kernel.stack_limit", SIZE, M, "size that a stack may grow to", low=0),
    Setting("kernel.swapped", PLAIN_STRING, "", "pages swapped out at boot: blank-separated PID:ADDRESS"),
    Setting(
        "trace.page",
        PLAIN_STRING,
        "base",
        "page size of a trace's regions",
        details="A size that the format has, such as 4K 2M 1G; base: that of its base pages; thp: base pages "
        'first, and a larger page in place of "trace.promote" of them (transparent huge pages).  '
        "Pages of the size above base pages leave memory whole, as the policy says; still larger ones stay, "
        "and with OPT all.",
        choices=("base", "thp"),
    ),
    Setting(
        "trace.promote",
        INTEGER,
        64,
        "base pages in the range of a larger page from which on it is promoted",
        details='With "set trace.page thp".  1: at the first touch, as Linux does with "always"; all, '
        "as FreeBSD does: 512.  No page is promoted where less than a sixteenth of memory would stay free.",
        low=1,
    ),
    Setting("trace.resident", BOOLEAN, False, "whether the pages of a trace are in memory from the start"),
    Setting(
        "trace.warm_up",
        INTEGER,
        0,
        "accesses of a trace before the counts begin",
        unit="accesses",
        details='They fill TLB and memory.  "replay", "sweep" and "compare" count what comes after them; of '
        "several traces they are those of all together.",
        low=0,
    ),
    Setting(
        "trace.straddle",
        BOOLEAN,
        False,
        "whether an access of a trace that goes on in the next page is translated there too",
        details="As CPUs do: two look-ups, maybe two faults.  Off: an access is the page of its first byte, "
        "as simulators of page replacement count.  Sizes stand in traces of lackey and DynamoRIO, and in CSV "
        "with a column size.",
    ),
    Setting("cost.l1", INTEGER, 1, "cost of a first-level TLB look-up", unit="cycles", low=0),
    Setting("cost.l2", INTEGER, 7, "cost of a second-level TLB look-up", unit="cycles", low=0),
    Setting("cost.memory", INTEGER, 30, "cost of a memory reference", unit="cycles", low=0),
    Setting("cost.trap", INTEGER, 100, "cost of entering the kernel", unit="cycles", low=0),
    Setting("cost.minor", INTEGER, 1000, "cost of a minor fault", unit="cycles", low=0),
    Setting("cost.major", INTEGER, 100000, "cost of a major fault", unit="cycles", low=0),
)
for _setting in SETTINGS:
    if _setting.kind in (INTEGER, SIZE) and _setting.high is None:
        _setting.high = MOST
BY_NAME = {setting.name: setting for setting in SETTINGS}
PRESETS = os.path.join(os.path.dirname(__file__), "presets")
MOST_ENTRIES, MOST_DIGITS = 1 << 20, 20  # entries of one array of the TLB; digits of its geometry
TLB_SETTINGS = ("tlb.l1", "tlb.l1i", "tlb.l1d", "tlb.l2")


def parse_geometry(name: str, text: str) -> tuple[int, int]:
    """`16x4` as (sets, ways); (0, 0) for `off`.  UserError says what was expected."""
    if text == "off":
        return 0, 0
    sets, _, ways = text.partition("x")
    s, w = decimal(sets), decimal(ways)
    if s is not None and w is not None and len(text) <= MOST_DIGITS:
        if s * w > MOST_ENTRIES:
            raise UserError(f"{name}: an array has at most {MOST_ENTRIES} entries, not {s * w}.")
        if s and w and s & (s - 1) == 0:
            return s, w
    raise UserError(f'{name}: expected {GEOMETRY} (sets a power of two) or "off", not "{text}".')


def replaced(values: Mapping[str, object]) -> dict[str, object]:
    """The settings of the first TLB level that `values` turn off: a level is unified or split."""
    split = ("tlb.l1i", "tlb.l1d")
    given = {name for name in ("tlb.l1", *split) if values.get(name, "off") != "off"}
    if given == {"tlb.l1"}:
        return dict.fromkeys(split, "off")
    return {"tlb.l1": "off"} if given and "tlb.l1" not in given else {}


class MachineConfig:
    """The value of every setting, and the name it goes by.  Immutable: `with_` makes another one."""

    def __init__(self, values: Mapping[str, object] | None = None, name: str = "default") -> None:
        self.name = name
        self.values: dict[str, Any] = {setting.name: setting.default for setting in SETTINGS}
        if values:
            self.values.update(values)
        for setting in TLB_SETTINGS:
            parse_geometry(setting, self.values[setting])
        form = self.values["machine.format"]
        if form not in FORMATS and not form.endswith(".toml"):
            raise UserError(
                f'machine.format: "{form}" is no format; expected {", ".join(FORMATS)} or a TOML file.'
            )

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def with_(self, values: Mapping[str, object]) -> MachineConfig:
        """A copy with some values changed.

        A unified first TLB level turns a split one off, and the reverse.
        """
        return MachineConfig({**self.values, **replaced(values), **values}, self.name)

    def geometry(self, name: str) -> tuple[int, int]:
        """Sets and ways of a TLB array; (0, 0) if it is off."""
        return parse_geometry(name, self.values[name])


def preset_names() -> list[str]:
    """Names of the machines that come with vmdbg."""
    return sorted(name[:-5] for name in os.listdir(PRESETS) if name.endswith(".toml"))


def load_config(name: str) -> MachineConfig:
    """The configuration of a preset, or of a TOML file (a name with a dot or a slash)."""
    import tomllib

    path = name if "/" in name or name.endswith(".toml") else os.path.join(PRESETS, name + ".toml")
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except FileNotFoundError:
        if path == name:
            raise UserError(f"{name}: No such file or directory.") from None
        raise UserError(f'Undefined machine: "{name}".', f"Machines: {', '.join(preset_names())}.") from None
    except OSError as error:
        raise UserError(f"{name}: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:  # what is no TOML, no UTF-8, or a number of 5000 digits
        raise InputError(f"not TOML: {error}", file=name) from None
    short = os.path.basename(path)[:-5] if path.endswith(".toml") else os.path.basename(path)
    return MachineConfig(read_values(document, name, os.path.dirname(path)), short)


def read_values(document: Mapping[str, object], file: str, folder: str) -> dict[str, object]:
    """The settings in a TOML document; InputError names the key and what was expected."""
    values: dict[str, object] = {}

    def visit(table: Mapping[str, object], prefix: str) -> None:
        for key, value in table.items():
            name = prefix + key
            if isinstance(value, dict):
                visit(value, name + ".")
                continue
            setting = BY_NAME.get(name)
            if setting is None:
                import difflib

                near = difflib.get_close_matches(name, BY_NAME, 1)
                raise InputError(f"unknown key {name}" + (f"; did you mean {near[0]}?" if near else ""), file)
            values[name] = read_value(setting, value, file)

    visit({key: value for key, value in document.items() if key != "format"}, "")
    form = values.get("machine.format")
    if "format" in document:
        form = os.path.basename(file)
    if isinstance(form, str) and form.endswith(".toml"):
        values["machine.format"] = os.path.abspath(os.path.join(folder, form))
    program = values.get("machine.program")
    if isinstance(program, str) and program:
        values["machine.program"] = os.path.abspath(os.path.join(folder, program))
    swap = values.get("machine.swap.file")
    if isinstance(swap, str) and swap:
        values["machine.swap.file"] = os.path.abspath(os.path.join(folder, swap))
    policy = values.get("kernel.policy")
    if isinstance(policy, str) and policy not in POLICIES:
        values["kernel.policy"] = os.path.abspath(os.path.join(folder, policy))
    values = {**replaced(values), **values}
    try:
        MachineConfig(values)
    except UserError as error:
        raise InputError(str(error), file) from None
    return values


def read_value(setting: Setting, value: object, file: str) -> object:
    """A TOML value as the setting's; a string is parsed as `set` would."""
    wants_bool = setting.kind == BOOLEAN and not isinstance(value, str)
    if isinstance(value, bool) != wants_bool or not isinstance(value, (bool, int, str)):
        raise InputError(f"{setting.name}: expected {expected(setting)}, not {value!r:.40}", file)
    if wants_bool:
        return value
    try:
        return setting.parse(str(value))
    except UserError as error:
        raise InputError(f"{setting.name}: expected {expected(setting)}: {error}", file) from None


def expected(setting: Setting) -> str:
    """What a setting takes, in words."""
    if setting.kind == ENUM:
        return "one of " + ", ".join(setting.choices)
    if setting.kind == ENUM_OR_FILE:
        return f"one of {', '.join(setting.choices)}, or a {setting.unit} file"
    names = {
        BOOLEAN: "true or false",
        SIZE: "a size such as 64M",
        INTEGER: "an integer",
        ADDRESS: "an address",
    }
    limits = ""
    if setting.low is not None and setting.high is not None:
        limits = f", {setting.text(setting.low)} to {setting.text(setting.high)}"
    return names.get(setting.kind, f"a string ({setting.unit or setting.help})") + limits
