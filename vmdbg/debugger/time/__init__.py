"""Time travel: the timeline of a machine, running it on and back, questions to its past."""
