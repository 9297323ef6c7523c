"""The command language: declarations, registry, scripts, prompt."""
