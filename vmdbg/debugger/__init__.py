"""Session, time, stops, expressions and the settings of the shell."""
