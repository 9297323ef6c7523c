"""Reasons for which hot code returns to the run loop, which then does the cold work in plain Python."""

from __future__ import annotations

REASON_NONE = 0
REASON_SYSCALL = 1  # the operation is a system call
REASON_SIGNAL = 2  # the current process is to be killed: PROCESS_STATUS says by which signal
REASON_MEMORY = 3  # memory and swap are full
REASON_IDLE = 4  # no process is left that could run
REASON_LARGE = 5  # a fault on a page larger than a base page: CONTROL_FAULT, at CONTROL_VALUE
REASON_REFUSED = 6  # the access is given up: the process is at its limit, or the kernel's own was not served
