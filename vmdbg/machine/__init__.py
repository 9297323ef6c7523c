"""The whole simulated computer: configuration, boot, run loop."""
