"""Which images make one scan of one patient, and whether all of it is there."""
