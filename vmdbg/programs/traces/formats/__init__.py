"""The formats of traces, one file each: a declaration, and the hot function that reads a record."""
