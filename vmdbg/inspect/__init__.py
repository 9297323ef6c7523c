"""Where truth comes from: the simulated machine, later a memory dump or a live guest."""
