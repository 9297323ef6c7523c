"""The scope of expressions: the machine, if there is one, and the session's settings."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.formats.registers import is_register_name
from vmdbg.machine.setting import ZUINTEGER_UNLIMITED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.machine_scope import MachineScope
    from vmdbg.expressions.values import Value
    from vmdbg.shell.session import Session


class SessionScope:
    """A scope for `vmdbg.expressions.evaluator`: that of the session's machine, as long as it has one."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def width(self, physical: bool = False) -> int:
        """The width of addresses in bits, to which they are padded up to 32."""
        machine = self._machine
        if machine is None:
            return 64
        return machine.physical_bits if physical else machine.bits

    def read_physical(self, address: int, size: int) -> bytes:
        """Bytes at a physical address."""
        machine = self._machine
        if machine is None:
            raise UserError(f"Cannot access memory at address {address:#x}")
        return machine.read_physical(address, size)

    @property
    def _machine(self) -> MachineScope | None:
        return self._session.machine_scope

    def read_memory(self, address: int, size: int) -> bytes:
        """Bytes at a virtual address; without a machine there are none."""
        machine = self._machine
        if machine is None:
            raise UserError(f"Cannot access memory at address {address:#x}")
        return machine.read_memory(address, size)

    def write_memory(self, address: int, data: bytes) -> None:
        """Stores bytes: acts on the machine."""
        machine = self._machine
        if machine is None:
            raise UserError(f"Cannot access memory at address {address:#x}")
        machine.write_memory(address, data)

    def write_physical(self, address: int, data: bytes) -> None:
        """Stores bytes at a physical address: acts on the machine."""
        machine = self._machine
        if machine is None:
            raise UserError(f"Cannot access memory at address {address:#x}")
        machine.write_physical(address, data)

    def register(self, name: str) -> Value | None:
        """A register of the machine, or None."""
        machine = self._machine
        return None if machine is None else machine.register(name)

    def set_register(self, name: str, value: Value) -> None:
        """Sets a register that `register` knows."""
        assert self._machine is not None
        self._machine.set_register(name, value)

    def is_register_name(self, name: str) -> bool:
        """Is it the name of a register of some CPU, whether or not the machine has it?"""
        return is_register_name(name)

    def symbol(self, name: str) -> int | None:
        """The address of a name of the program, or None."""
        machine = self._machine
        return None if machine is None else machine.symbol(name)

    def call(self, name: str, arguments: list[Value]) -> Value | None:
        """A function of the machine, or None if there is none of that name."""
        machine = self._machine
        return None if machine is None else machine.call(name, arguments)

    def symbolize(self, address: int) -> str:
        """The name of an address, such as `buf+8`, or nothing."""
        machine = self._machine
        return machine.symbolize(address) if machine is not None else ""

    def setting(self, name: str, as_text: bool = False) -> int | str | bool | None:
        """A setting's value, 0 for unlimited, or its text; None if there is none of that name."""
        setting = self._session.settings.find(name)
        if setting is None:
            return None
        value = self._session.settings.get(setting.name)
        if as_text:
            return setting.text(value)
        if value is None:
            return -1 if setting.kind == ZUINTEGER_UNLIMITED else 0
        return value if isinstance(value, (bool, int, str)) else setting.text(value)
