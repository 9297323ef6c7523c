"""What a user holds on to between commands: the session with its settings, time, and stops."""
