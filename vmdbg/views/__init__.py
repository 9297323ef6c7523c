"""Results as text, JSON and CSV.  Views decide nothing."""
