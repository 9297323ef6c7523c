"""The C-like language of the prompt: text to tree to value.  It knows no machine; a scope tells it names."""
