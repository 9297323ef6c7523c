"""`python -m vmdbg`."""

from __future__ import annotations

import sys

from vmdbg.cli import main

if __name__ == "__main__":
    sys.exit(main())
