"""What the operating system does: hot on every fault or tick, cold on a system call."""
