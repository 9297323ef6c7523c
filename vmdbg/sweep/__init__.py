"""One program on many machines: every combination of some settings, each run to its end and counted."""
