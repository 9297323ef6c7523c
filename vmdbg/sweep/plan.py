"""What a sweep runs: the axes as they are typed, their product, and a key for each point."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from difflib import get_close_matches
from itertools import product

from vmdbg import __version__
from vmdbg.errors import UserError
from vmdbg.formats import NAMES as FORMATS
from vmdbg.inspect.target import WITHOUT_PROGRAM
from vmdbg.kernel import policies
from vmdbg.machine import boot
from vmdbg.machine.config import SETTINGS
from vmdbg.machine.trace_pages import trace_pages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vmdbg.machine.config import MachineConfig
    from vmdbg.machine.setting import Setting

MOST_POINTS = 10_000
AXES = "No blanks stand beside the equals sign or the commas; a value with blanks stands in quotes."
#: Settings that name something of vmdbg's, or else a file of the user's.
NAMED = {"kernel.policy": policies.POLICIES, "machine.format": tuple(FORMATS)}


class Axis:
    """A setting and the values that it takes."""

    __slots__ = ("setting", "values")

    def __init__(self, setting: Setting, values: list[object]) -> None:
        self.setting, self.values = setting, values


class Point:
    """One machine of a sweep: `values` are those of the axes, `config` is all of it, `key` names it.

    Equal keys are equal configurations of the same version of vmdbg, with the same program and the same files
    of the user's.
    """

    __slots__ = ("config", "key", "values")

    def __init__(self, values: dict[str, object], config: MachineConfig, key: str) -> None:
        self.values, self.config, self.key = values, config, key


def find_setting(name: str) -> Setting:
    """A setting of the machine by its name, its alias, or the end behind a dot where only one has it."""
    found = [setting for setting in SETTINGS if name in (setting.name, setting.alias or setting.name)]
    found = found or [setting for setting in SETTINGS if setting.name.endswith("." + name)]
    if len(found) == 1 and found[0].name in WITHOUT_PROGRAM:
        raise UserError(f"{found[0].name} is of a machine's own program; here FILE is run from its begin.")
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f'Ambiguous setting "{name}": {", ".join(setting.name for setting in found)}.')
    names = [end for setting in SETTINGS for end in (setting.alias, setting.name, last(setting)) if end]
    near = get_close_matches(name, names, n=1)
    raise UserError(f'No setting "{name}" of a machine.', f'Did you mean "{near[0]}"?' if near else "")


def last(setting: Setting) -> str:
    """The end of a setting's name: `policy` of `kernel.policy`."""
    return setting.name.rpartition(".")[2]


def read_axis(text: str) -> Axis:
    """`tlb.l1=16x4,64x4` as an axis.  UserError names what is wrong."""
    name, equals, values = text.partition("=")
    if not equals:
        raise UserError(f'Expected SETTING=VALUE,..., not "{text}".', AXES)
    setting = find_setting(name)
    if not values:
        raise UserError(f"{setting.name}: expected values, with commas between them.")
    words = values.split(",")
    found = [parse_value(setting, word) for word in words]
    if len(set(map(str, found))) < len(found):
        raise UserError(f"{setting.name}: a value comes twice.")
    return Axis(setting, found)


def parse_value(setting: Setting, word: str) -> object:
    """A value of a setting; of a file its whole path.  UserError with the setting's name."""
    try:
        value = setting.parse(word)
        if is_file(setting.name, value):
            value = os.path.abspath(os.path.expanduser(str(value)))
        if is_file(setting.name, value) and setting.name == "kernel.policy":
            policies.bindings(str(value))  # its mistakes are told before anything runs
    except UserError as error:
        raise UserError(f"{setting.name}={word}: {error}", error.hint) from None
    return value


def is_file(name: str, value: object) -> bool:
    """Is the value of the setting of that name a file of the user's?"""
    return value not in NAMED.get(name, (value,))


def points(base: MachineConfig, axes: Sequence[Axis], program: str) -> list[Point]:
    """Every combination, the last axis first.  UserError if one of them is no machine: then none is run."""
    names = [axis.setting.name for axis in axes]
    if len(set(names)) < len(names):
        raise UserError("A setting comes twice.")
    number = 1
    for axis in axes:
        number *= len(axis.values)
    if number > MOST_POINTS:
        raise UserError(f"{number} points are more than {MOST_POINTS}.")
    return list(combined(base, axes, identity(program)))


def combined(base: MachineConfig, axes: Sequence[Axis], program: str) -> Iterator[Point]:
    """The points, each checked."""
    for values in product(*(axis.values for axis in axes)):
        chosen = {axis.setting.name: value for axis, value in zip(axes, values, strict=True)}
        yield point(base, chosen, program)


def point(base: MachineConfig, chosen: dict[str, object], program: str) -> Point:
    """The machine with other values of some settings.  UserError if it is none."""
    try:
        config = base.with_(chosen)
        boot.require_kernel(config)
        boot.divide_frames(config, boot.shape(config)["frames"])
        form = boot.format_of(config)
        boot.asid_count(config, form)
        trace_pages(config, form)
    except UserError as error:
        said = ", ".join(
            f"{setting.name}={setting.text(chosen[setting.name])}"
            for setting in SETTINGS
            if setting.name in chosen
        )
        raise UserError(f"{said}: {error}") from None
    files = [identity(config[name]) for name in NAMED if is_file(name, config[name])]
    text = json.dumps([__version__, program, files, config.values], sort_keys=True, default=str)
    return Point(chosen, config, hashlib.blake2b(text.encode(), digest_size=12).hexdigest())


def identity(file: str) -> str:
    """What changes when a file does.  UserError if it cannot be read, or only once."""
    if file == "-":
        raise UserError("Each machine reads its program: name a file, not standard input.")
    try:
        found = os.stat(file)
        if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
            open(file, "rb").close()
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}.") from None
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"{file}: each machine reads its program, and this can be read only once.")
    return f"{os.path.realpath(file)} {found.st_size} {found.st_mtime_ns}"
