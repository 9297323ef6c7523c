"""Traces: their formats, one file each (`catalog` has them all), and what reads, sums up and writes them."""
