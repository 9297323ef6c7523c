"""The hardware: memory, walks, translation caches.  It does not know processes."""
