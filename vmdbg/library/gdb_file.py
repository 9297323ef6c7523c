"""The file that the user's own GDB sources: what `vmdbg --gdb-plugin` does, without the rest of vmdbg."""

from __future__ import annotations

import os
import sys

from vmdbg.engine.cache import folder
from vmdbg.errors import UserError
from vmdbg.files import write_whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PLUGIN, FILE = "gdb_plugin.py", "vm.gdb"
CHILD = (
    "import sys; sys.path.append({package!r}); from vmdbg.library.gdb_child import serve; sys.exit(serve())"
)
#: What GDB sources: the plug-in is a module of its own, so that its names are not those of users' scripts.
SOURCED = """\
# Gives GDB the command "vm".  Written by "vmdbg --gdb-plugin".
python
import importlib.util, sys
def _vm_install():
    spec = importlib.util.spec_from_file_location("vmdbg_gdb_plugin", {plugin!r})
    module = sys.modules["vmdbg_gdb_plugin"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.install({command!r})
_vm_install()
end
"""


def main(arguments: Sequence[str]) -> int:
    """Write the file that GDB sources, and print where it is; the exit status."""
    try:
        sys.stdout.write(write_plugin() + "\n")
    except UserError as error:
        sys.stderr.write(f"vmdbg: {error}\n")
        return 1
    return 0


def write_plugin() -> str:
    """The path of the plug-in, which knows from now on the Python that runs here.  UserError."""
    place = folder()
    if not place:
        raise UserError("There is no folder for the plug-in: set VMDBG_CACHE.")
    path = os.path.join(place, FILE)
    try:
        os.makedirs(place, exist_ok=True)
    except OSError as error:
        raise UserError(f"{place}: {error.strerror}.") from None
    plugin = os.path.join(os.path.dirname(os.path.abspath(__file__)), PLUGIN)
    write_whole(path, SOURCED.format(plugin=plugin, command=child_command()).encode())
    return path


def child_command() -> list[str]:
    """What starts vmdbg for the plug-in.  It need not be installed: the child finds it where this file is."""
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return [sys.executable, "-P", "-c", CHILD.format(package=package)]
