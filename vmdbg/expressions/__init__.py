"""The C-like language of the prompt: text to tree to value.  It does not know the machine: a scope gives it
names, registers and memory."""
