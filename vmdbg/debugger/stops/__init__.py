"""Breakpoints, watchpoints and catchpoints, and what they ask of the machine."""
