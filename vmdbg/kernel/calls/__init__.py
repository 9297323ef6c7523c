"""System calls and other work between operations: plain Python that is never compiled."""
