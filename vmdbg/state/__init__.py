"""The state of the machine: typed buffers, and the events that tell what happens to them."""
