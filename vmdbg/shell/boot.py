"""Opens the target of a session and adds its settings to the shell's."""

from __future__ import annotations

import contextlib
import os

from vmdbg.errors import InputError, UserError
from vmdbg.formats import NAMES as FORMATS
from vmdbg.formats import find
from vmdbg.inspect.target import boot
from vmdbg.kernel.policies import POLICIES
from vmdbg.machine import registers
from vmdbg.machine.config import SETTINGS, load_config
from vmdbg.machine.swapfile import attach
from vmdbg.shell.limits import make_room
from vmdbg.shell.permissions import Permissions
from vmdbg.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from vmdbg.inspect.target import Target
    from vmdbg.machine.config import MachineConfig
    from vmdbg.machine.machine import Machine
    from vmdbg.machine.setting import Setting
    from vmdbg.shell.session import Session

FRAMES = 1 << 16  # the most that a machine gets for a format


def open_target(
    session: Session,
    machine: str,
    program: str,
    trusted: bool = False,
    values: Mapping[str, object] | None = None,
) -> Target:
    """Boots a machine by name or file (empty: the default); a program that is named replaces the
    machine's own, `values` its settings.  Trusted names, from the command line, may lead anywhere.

    UserError if a file is not there, not allowed, or wrong: then nothing was started.
    """
    name = machine or "default"
    own = "/" in name or name.endswith(".toml")
    permissions = Permissions() if trusted else session.permissions
    config = load_config(permissions.path(name) if own else name)
    if trusted:
        make_room(session, config)
    if own and config["machine.program"]:
        permissions.reading(str(config["machine.program"]))  # refused if it lies outside
    approve(permissions, config.values)
    if values:
        approve(session.permissions, values)
        config = config.with_(values)
    try:
        target = boot(config, permissions.path(program) if program else "", approve=permissions.reading)
    except InputError:
        raise
    except UserError as error:
        if not own or program:
            raise
        raise InputError(str(error), name) from None
    target.origin = os.path.abspath(permissions.path(name)) if own else name
    return tell_remarks(session, target)


def open_first(session: Session, machine: str, program: str) -> Target:
    """The target of the command line, with its swap file and the settings that were given before it."""
    values, session.first_values = session.first_values, None
    target = open_target(session, machine, program, trusted=True, values=values)
    attach(target.machine)
    return target


def approve(permissions: Permissions, values: Mapping[str, Any]) -> None:
    """Refuses settings of a machine with files that a restricted session may not have: a page-replacement
    policy (it is code), or a format or a swap area outside its folder."""
    if values.get("machine.swap.file"):
        permissions.writing(values["machine.swap.file"])
    if values.get("machine.format", "").endswith(".toml"):
        permissions.path(values["machine.format"])
    if values.get("kernel.policy", POLICIES[0]) not in POLICIES:
        permissions.require_open("A file as kernel.policy")


def tell_remarks(session: Session, target: Target) -> Target:
    """Prints the remarks of the reader of the target's program; returns the target."""
    program = target.machine.program
    for line in program.remarks if program is not None else ():
        session.output.error(line)
    return target


def boot_again(
    session: Session, values: Mapping[str, object], program: str = "", resident: bool = False
) -> Target:
    """A new target like the one that the session has or that waits for `run`, some settings changed.

    UserError if it cannot boot; the session's own target stays as it is.
    """
    approve(session.permissions, values)
    old = session.next_target or session.target
    assert old is not None
    changed = program or "machine.program" in values
    if old.again is not None and not changed:
        return old.again(old.machine.config.with_(values))
    target = boot(
        old.machine.config.with_(values),
        program,
        resident or (not program and old.resident),
        approve=session.permissions.reading if changed else old.approve,
    )
    target.origin = old.origin
    return target


def boot_changed(session: Session, values: Mapping[str, object]) -> bool:
    """Boots a machine like the present one with other values, which may be the same ones where their files
    have changed.  True: it is the session's; False: something has happened there, and it waits for `run`.
    A machine without a kernel has no program that would have to end, and hands its memory over.

    UserError if it cannot boot; then nothing has changed.
    """
    if session.interpreter.isolated:
        raise UserError("An isolated script keeps the machine that it was given.")
    machine = session.machine
    bare, at_once = not machine.config["machine.kernel"], session.timeline.untouched
    target = boot_again(session, values)
    if bare and not target.machine.config["machine.kernel"]:
        hand_over(machine, target.machine)
    if bare or at_once:
        replace_target(session, target)
    else:
        session.next_target = target
    return bare or at_once


def replace_target(session: Session, target: Target) -> None:
    """Gives the session another target; a guest that it had goes on.  UserError if its swap file cannot be
    made."""
    attach(target.machine)
    old = session.opened
    session.next_target, session.target = None, target
    if old is not None and old.guest is not None and old.guest is not target.guest:
        old.guest.leave()


class MachineSettings:
    """The machine's settings as a source of the shell's: shown as the machine was configured."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._settings = tuple(SETTINGS)

    @property
    def booted(self) -> bool:
        """Whether the command line's machine is known, so that it boots when it is asked."""
        session = self._session
        return session.first_values is None or session.opened is not None or session.open_target is not None

    @property
    def settings(self) -> Sequence[Setting]:
        """All declarations."""
        return self._settings

    def get(self, name: str) -> object:
        """The value, or the one from the next boot on; the default if there is no machine."""
        first = None if self.booted else self._session.first_values
        if first is not None and name in first:
            return first[name]
        target = self._session.next_target or self._session.target
        if target is None:
            return next(setting.default for setting in self._settings if setting.name == name)
        return target.machine.config[name]

    def set(self, name: str, value: object) -> None:
        """Changes the machine: costs at once, the others by booting it again; that waits for `run`
        unless nothing has happened since the last boot, or there is no kernel.  Before the first boot it is
        kept for that.  A file that it has already is read again: its text may be another one."""
        session = self._session
        if not self.booted and session.first_values is not None:
            session.first_values[name] = value
            return
        machine = session.machine
        if value == self.get(name) and not has_text(value):
            return
        assert session.target is not None
        session.target.check(frozenset({"run"}), f"set {name}")
        if name.startswith("cost."):
            machine.config = machine.config.with_({name: value})
            if session.next_target is not None:
                waiting = session.next_target.machine
                waiting.config = waiting.config.with_({name: value})
            return
        values = {name: value, **fitting(session, machine.config, name, value)}
        if not boot_changed(session, values):
            session.output.line(f'{name} takes effect at the next "run".')


def fitting(session: Session, config: MachineConfig, name: str, value: object) -> dict[str, object]:
    """What a machine without a kernel is given besides when a format is set: another `machine.ram` where its
    own is more than the entries can name, or no multiple of a page."""
    if name != "machine.format" or config["machine.kernel"] or not (value in FORMATS or is_file(value)):
        return {}
    form, ram = find(str(value)), config["machine.ram"]
    named = form.frames - (config["machine.ram_base"] >> form.page_bits)
    fits = min(max(ram >> form.page_bits, 1), named, FRAMES) << form.page_bits
    if not 0 < fits != ram:
        return {}
    session.output.line(f"machine.ram is now {format_size(fits)}, which {form.name} can use.")
    return {"machine.ram": fits}


def is_file(name: object) -> bool:
    """Is it the name of a TOML file?"""
    return isinstance(name, str) and name.endswith(".toml")


def has_text(name: object) -> bool:
    """Is it the name of a file with a policy or a format, which somebody may have edited?"""
    return is_file(name) or (isinstance(name, str) and name.endswith(".py"))


def hand_over(old: Machine, new: Machine) -> None:
    """A machine without a kernel keeps its memory when it is made anew, and where the format is the same its
    registers; what is in the TLB goes."""
    length = min(len(old.m.ram1), len(new.m.ram1))
    new.m.ram1[:length] = old.m.ram1[:length]
    new.m.dirty[:] = bytes([1]) * len(new.m.dirty)
    if new.format.name != old.format.name:
        return
    for name in registers.names(old.format):
        value = registers.read(old, 0, name)
        with contextlib.suppress(UserError):  # a root that the new memory has not
            registers.write(new, 0, name, value or 0)
