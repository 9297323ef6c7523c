"""Opens the target of a session and lets its settings join the shell's."""

from __future__ import annotations

import os

from vmdbg.errors import InputError, UserError
from vmdbg.machine.swapfile import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from vmdbg.debugger.session import Policy, Session
    from vmdbg.machine.setting import Setting

NEXT_TARGET = "next target"  # key of the session's extras: a machine that waits for `run`
FIRST_VALUES = "first values"  # settings that init files and -iex gave the machine that boots first


def open_target(
    session: Session,
    machine: str,
    program: str,
    trusted: bool = False,
    values: Mapping[str, object] | None = None,
) -> Any:
    """Boots a machine by name or file (empty: the default); a program that is named replaces the
    machine's own, `values` its settings.  Trusted names, from the command line, may lead anywhere.

    UserError if a file is not there, not allowed, or wrong: then nothing was started.
    """
    from vmdbg.debugger.session import Policy
    from vmdbg.inspect.target import Simulated
    from vmdbg.machine.config import load_config
    from vmdbg.shell.limits import make_room

    name = machine or "default"
    own = "/" in name or name.endswith(".toml")
    policy = Policy() if trusted else session.policy
    config = load_config(policy.path(name) if own else name)
    if trusted:
        make_room(session, config)
    if own and config["machine.program"]:
        policy.reading(str(config["machine.program"]))  # refused if it lies outside
    approve(policy, config.values)
    if values:
        approve(session.policy, values)
        config = config.with_(values)
    try:
        target = Simulated(config, policy.path(program) if program else "", approve=policy.reading)
    except InputError:
        raise
    except UserError as error:
        if not own or program:
            raise
        raise InputError(str(error), name) from None
    target.origin = os.path.abspath(policy.path(name)) if own else name
    return tell_remarks(session, equip(session, target))


def open_first(session: Session, machine: str, program: str) -> Any:
    """The target of the command line, with its swap file and the settings that were given before it."""
    values = session.extras.pop(FIRST_VALUES, {})
    target = open_target(session, machine, program, trusted=True, values=values)
    attach(target.machine)
    return target


def approve(policy: Policy, values: Mapping[str, Any]) -> None:
    """Refuses settings of a machine with files that a restricted session may not have: a page-replacement
    policy (it is code), or a format or a swap area outside its folder."""
    from vmdbg.kernel.policies import POLICIES

    if values.get("machine.swap.file"):
        policy.writing(values["machine.swap.file"])
    if values.get("machine.format", "").endswith(".toml"):
        policy.path(values["machine.format"])
    if values.get("kernel.policy", POLICIES[0]) not in POLICIES:
        policy.require_open("A file as kernel.policy")


def tell_remarks(session: Session, target: Any) -> Any:
    """Says what the reader of the target's program has to say of it; the target."""
    program = target.machine.program
    for line in program.remarks if program is not None else ():
        session.output.error(line)
    return target


def equip(session: Session, target: Any) -> Any:
    """Gives a target what the session has for it: what expressions see of the machine, and the timeline
    through which whatever they change goes."""

    def perform(what: str, action: Callable[[], Any]) -> Any:
        return session.timeline.act(what, lambda machine: action())[0]

    def make_scope(target: Any) -> Any:
        from vmdbg.debugger.machine_scope import MachineScope

        scope = MachineScope(target)
        scope.perform = perform
        return scope

    target.make_scope, target.perform = make_scope, perform
    return target


def boot_again(
    session: Session, values: Mapping[str, object], program: str = "", resident: bool = False
) -> Any:
    """A new target like the one that the session has or that waits for `run`, some settings changed.

    UserError if it cannot boot; the session's own target stays as it is.
    """
    from vmdbg.inspect.target import Simulated

    approve(session.policy, values)
    old = session.extras.get(NEXT_TARGET) or session.target
    config = old.machine.config.with_(values)
    changed = program or "machine.program" in values
    target = Simulated(
        config,
        program,
        resident or (not program and old.resident),
        approve=session.policy.reading if changed else old.approve,
    )
    target.origin = old.origin
    return equip(session, target)


def replace_target(session: Session, target: Any) -> None:
    """The session goes on with another machine.  UserError if that cannot have its swap file."""
    attach(target.machine)
    session.extras.pop(NEXT_TARGET, None)
    session.target = target


class MachineSettings:
    """The machine's settings as a source of the shell's: shown as the machine was configured."""

    def __init__(self, session: Session) -> None:
        from vmdbg.machine.config import SETTINGS

        self._session = session
        self._settings = tuple(SETTINGS)

    @property
    def booted(self) -> bool:
        """Whether the command line's machine is known, so that it boots when it is asked."""
        session = self._session
        return FIRST_VALUES not in session.extras or session.opened is not None or bool(session.open_target)

    @property
    def settings(self) -> Sequence[Setting]:
        """All declarations."""
        return self._settings

    def get(self, name: str) -> object:
        """The value, or the one from the next boot on; the default if there is no machine."""
        if not self.booted and name in self._session.extras[FIRST_VALUES]:
            return self._session.extras[FIRST_VALUES][name]
        target = self._session.extras.get(NEXT_TARGET) or self._session.target
        if target is None:
            return next(setting.default for setting in self._settings if setting.name == name)
        return target.machine.config[name]

    def set(self, name: str, value: object) -> None:
        """Changes the machine: costs at once, the others by booting it again; that waits for `run`
        unless nothing has happened since the last boot.  Before the first boot it is kept for that."""
        session = self._session
        if not self.booted:
            session.extras[FIRST_VALUES][name] = value
            return
        if session.target is None:
            raise UserError("No machine.", 'Use "machine NAME" to boot one.')
        if value == self.get(name):
            return
        timeline = session.timeline
        if name.startswith("cost."):
            for target in {id(t): t for t in (session.target, session.extras.get(NEXT_TARGET)) if t}.values():
                target.machine.config = target.machine.config.with_({name: value})
            return
        if session.interpreter is not None and session.interpreter.isolated:
            raise UserError("An isolated script keeps the machine that it was given.")
        target = boot_again(session, {name: value})
        if timeline.untouched:
            replace_target(session, target)
            return
        session.extras[NEXT_TARGET] = target
        session.output.line(f'{name} takes effect at the next "run".')
