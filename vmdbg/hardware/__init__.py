"""What silicon does: memory, walks, translation caches.  It knows no process."""
