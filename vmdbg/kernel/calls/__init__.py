"""System calls and whatever else runs between operations, in plain Python, never in compiled code."""
