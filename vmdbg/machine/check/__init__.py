"""The invariants of a machine, one generator each; `invariants.check` runs them all."""
