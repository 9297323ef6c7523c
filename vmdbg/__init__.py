"""vmdbg: a debugger whose debuggee is virtual memory."""

__version__ = "0.1.0"
