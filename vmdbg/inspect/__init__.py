"""Questions to a machine; the answers are plain data.  They change nothing."""
