"""`python -m vmdbg.machine.compile`: fills the cache of compiled code for one machine.

The settings of the machine come as a JSON object on standard input.  The exit status is 0 if the
compiled engine is in the cache afterwards.
"""

from __future__ import annotations

import json
import os
import sys

from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine


def main() -> int:
    """Compile the machine that standard input describes."""
    if hasattr(os, "nice"):
        os.nice(5)  # the debugger itself goes first
    machine = Machine(MachineConfig(json.load(sys.stdin)))
    return 0 if machine.compile().cache else 1


if __name__ == "__main__":
    sys.exit(main())
